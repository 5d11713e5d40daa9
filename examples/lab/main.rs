//! A server to break: it does on request what a good server never does. The tests drive it.
//!
//! ```sh
//! cargo run --release --example lab              # then, elsewhere:
//! nc 127.0.0.1 7779                              # who, stats, flood 1000000, restart fork, ...
//! ```
//!
//! One line asks, one line answers. `LAB_*` variables set the limits, in milliseconds (or
//! `never`) and counts:
//! IDLE FIRST WRITE CLOSE READY PROBATION CONNECTIONS MESSAGE OUTPUT, DRAIN DRAIN_SPREAD STOP STOP_SPREAD
//! GENERATIONS DISMISS, and `LAB_OR_FORK_EXEC=1`, `LAB_MOVE=1`, `LAB_CHECKED=1`.
//! `LAB_BROKEN=FILE`: while the file exists, a new program does what it says: `exit`, `hang`, `panic`,
//! `stop` (it stops itself until it gets SIGCONT), `check` (its configuration is bad); and a new
//! generation by either engine: `abort` (soon after it began to serve), `roll back`.
//! `LAB_ALSO=FILE`: it also listens on each line of it.
//! `LAB_EXIT` is the exit status of a lab that has drained.

#[path = "../common/mod.rs"]
mod common;
mod policy;
mod socket;

use heirloom::{
    Alarm, ConnId, Hold, Io, Net, Origin, Reason, Restart, RestartError, Result, Server, Service,
    Start, Timer, Verdict, codec,
};
use nix::sys::signal::{Signal, raise};
use std::{
    collections::BTreeMap, env, fs, path::Path, process, process::ExitCode, str::FromStr,
    sync::mpsc, thread, time::Duration,
};

/// The longest request line, unless the test is about the reactor's own limit.
const LINE: usize = 1024 * 1024;

/// The heap of `heap` is made of such blocks, too small for the allocator to map each by itself.
const HEAP_BLOCK: usize = 64 * 1024;

/// What the requests leave behind.
#[derive(Default)]
struct Lab {
    /// Threads that wait; each ends when its sender goes.
    threads: Vec<(mpsc::Sender<()>, thread::JoinHandle<()>)>,
    holds: Vec<Hold>,
    /// Second descriptors of our sockets, for `share`.
    copies: Vec<socket::Copies>,
    /// Who waits for an answer to come: to `alarm`, `dial`.
    waiting: BTreeMap<u64, ConnId>,
    /// Who waits for the verdict on a restart, in the order of asking.
    restarting: Vec<ConnId>,
    /// What `heap` has allocated and touched.
    heap: Vec<Vec<u8>>,
    /// What `keep` has left here.
    kept: String,
    /// Events of the process since it began, for `events`.
    events: Vec<String>,
    /// Connections closed, with their reasons, for `closes`.
    closes: Vec<String>,
}

/// Keys of alarms and of `waiting`; a dial's tag is above them.
const UNHOLD: u64 = 0;
const ALARM: u64 = 1;
const ABORT: u64 = 2;
const DIAL: u64 = 3;

/// How long a generation that is to abort serves before.
const BEFORE_ABORT: Duration = Duration::from_millis(100);

/// Bytes still to be sent, a piece whenever the output has room.
type Flood = usize;

impl Lab {
    /// Answers the one who waits under `key`, if it is still there.
    fn answer(&mut self, net: &mut Net, key: u64, text: &str) {
        if let Some(id) = self.waiting.remove(&key) {
            Lab::tell(net, id, text);
        }
    }

    /// The answer to a connection that was paused until it came.
    fn tell(net: &mut Net, id: ConnId, text: &str) {
        if let Some(mut io) = net.to(id) {
            io.send(text.as_bytes());
            io.send(b"\n");
            io.resume();
        }
    }

    /// Makes the connection wait for an answer under `key`.
    fn wait(&mut self, io: &mut Io<'_>, key: u64) {
        self.waiting.insert(key, io.id());
        io.pause();
    }

    fn set_threads(&mut self, count: usize) {
        for (sender, thread) in self.threads.drain(..) {
            drop(sender);
            let _ = thread.join();
        }
        for _ in 0..count {
            let (sender, receiver) = mpsc::channel::<()>();
            let thread = thread::spawn(move || {
                let _ = receiver.recv(); // until its sender goes
            });
            self.threads.push((sender, thread));
        }
    }

    /// A request and its answer; `None` when the answer comes later.
    fn handle(&mut self, io: &mut Io<'_>, flood: &mut Flood, line: &str) -> Result<Option<String>> {
        let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
        let net = io.net();
        Ok(Some(match verb {
            "who" => {
                let engine = net.engine().map_or("none".to_owned(), |engine| engine.to_string());
                format!("{} {} {engine}", net.generation(), process::id())
            }
            "echo" => rest.to_owned(),
            "stats" => format!("{:?} connections: {}", net.stats(), net.connections()),
            "fds" => fs::read_dir("/proc/self/fd")?.count().to_string(),
            "events" => self.events.join(","),
            "closes" => self.closes.join(","),
            "fail" => return Err(rest.into()),
            "threads" => {
                self.set_threads(number(rest)?);
                "ok".to_owned()
            }
            "print" => {
                print!("{rest}"); // no newline: it stays in the buffer
                "ok".to_owned()
            }
            "hold" => {
                self.holds.push(net.hold());
                "ok".to_owned()
            }
            "unhold" => {
                let after = number(rest).unwrap_or(0); // milliseconds
                net.set_alarm(Alarm(UNHOLD), Duration::from_millis(after));
                "ok".to_owned()
            }
            "keep" => std::mem::replace(&mut self.kept, rest.to_owned()),
            "kept" => self.kept.clone(),
            "heap" => {
                let blocks = number::<usize>(rest)? * (1024 * 1024 / HEAP_BLOCK); // of so many MiB
                self.heap.extend((0..blocks).map(|_| vec![1; HEAP_BLOCK]));
                "ok".to_owned()
            }
            "chdir" => env::set_current_dir(rest).map(|()| "ok".to_owned())?,
            "env" => env::var(rest).unwrap_or_default(),
            "run" => run(rest)?,
            "orphan" => {
                let made = process::Command::new("sh")
                    .args(["-c", "sleep 600 >/dev/null 2>&1 & echo $!"])
                    .output()?;
                String::from_utf8_lossy(&made.stdout).trim().to_owned()
            }
            "nofile" => {
                let spare = if rest == "max" { None } else { Some(number(rest)?) };
                socket::limit_descriptors(spare)?;
                "ok".to_owned()
            }
            "share" => {
                self.copies.push(socket::Copies::make()?);
                "ok".to_owned()
            }
            "drain" => {
                net.drain();
                "ok".to_owned()
            }
            "stop" => {
                net.stop();
                "ok".to_owned()
            }
            _ => return self.handle_later(io, flood, verb, rest),
        }))
    }

    /// The requests whose answer comes later, or is more than a line.
    fn handle_later(
        &mut self,
        io: &mut Io<'_>,
        flood: &mut Flood,
        verb: &str,
        rest: &str,
    ) -> Result<Option<String>> {
        match verb {
            "restart" => {
                let how = if rest == "fork" { Restart::fork() } else { Restart::fork_exec() };
                io.net().restart(adjust(how));
                self.restarting.push(io.id());
                io.pause();
            }
            "alarm" => {
                io.net().set_alarm(Alarm(ALARM), Duration::from_millis(number(rest)?));
                self.wait(io, ALARM);
            }
            "dial" => {
                let tag = DIAL + io.id().to_bits();
                io.net().dial(rest, tag)?;
                self.wait(io, tag);
            }
            _ => return socket::handle(io, flood, verb, rest),
        }
        Ok(None)
    }
}

/// What a command says, in one line. It blocks meanwhile, as a server should not.
fn run(command: &str) -> Result<String> {
    let output = process::Command::new("sh").args(["-c", command]).output()?;
    Ok(String::from_utf8_lossy(&output.stdout).trim_end().replace('\n', " "))
}

fn number<N: FromStr>(text: &str) -> Result<N> {
    text.parse().map_err(|_| format!("not a number: {text:?}").into())
}

impl Service for Lab {
    type Session = Flood;

    fn on_open(&mut self, io: &mut Io<'_>, origin: Origin) -> Result<Flood> {
        if let Origin::Dialed { tag } = origin {
            let text = format!("dialed {}", io.peer());
            self.answer(io.net(), tag, &text);
        }
        Ok(0)
    }

    fn on_data(&mut self, io: &mut Io<'_>, flood: &mut Flood, input: &[u8]) -> Result<usize> {
        let Some((line, taken)) = codec::line(input, LINE)? else { return Ok(0) };
        let line = String::from_utf8_lossy(line);
        if let Some(answer) = self.handle(io, flood, &line)? {
            io.send(answer.as_bytes());
            io.send(b"\n");
        }
        Ok(taken)
    }

    fn on_writable(&mut self, io: &mut Io<'_>, flood: &mut Flood) -> Result {
        socket::pour(io, flood);
        Ok(())
    }

    fn on_timer(&mut self, io: &mut Io<'_>, _flood: &mut Flood, timer: Timer) -> Result {
        socket::timer(io, timer);
        Ok(())
    }

    fn on_drain(&mut self, _io: &mut Io<'_>, _flood: &mut Flood) -> Result {
        self.events.push("drain".to_owned());
        Ok(())
    }

    fn on_close(&mut self, _net: &mut Net, _id: ConnId, _flood: Flood, why: Reason) {
        self.closes.push(why.to_string());
    }

    fn export(&self, flood: &Flood) -> Option<Vec<u8>> {
        Some(flood.to_le_bytes().to_vec())
    }

    fn import(&mut self, _io: &mut Io<'_>, saved: &[u8]) -> Result<Flood> {
        let bytes = saved.try_into().map_err(|_| "not a flood")?;
        Ok(Flood::from_le_bytes(bytes))
    }

    fn on_dial_failed(&mut self, net: &mut Net, tag: u64, why: std::io::Error) {
        self.answer(net, tag, &format!("dial failed: {}", why.kind()));
    }

    fn on_alarm(&mut self, net: &mut Net, key: Alarm) {
        if key.0 == UNHOLD {
            return self.holds.drain(..).for_each(|hold| net.unhold(hold));
        }
        if key.0 == ABORT {
            eprintln!("lab: aborts as told");
            process::abort();
        }
        self.events.push("alarm".to_owned());
        self.answer(net, key.0, "alarm");
    }

    fn on_start(&mut self, net: &mut Net, start: Start) {
        if start != Start::Resumed {
            self.closes.clear(); // what a forked child has in memory are its parent's
            self.events.clear();
            self.restarting.clear();
        }
        self.events.push(format!("{start:?}"));
        if matches!(start, Start::Forked | Start::Execed) {
            match told().as_deref() {
                Some("abort") => net.set_alarm(Alarm(ABORT), BEFORE_ABORT),
                Some("roll back") => net.roll_back("lab: as told"),
                _ => {}
            }
        }
    }

    fn on_retire(&mut self, _net: &mut Net) {
        self.events.push("retire".to_owned());
    }

    fn on_restart_ended(&mut self, net: &mut Net, verdict: &Verdict) {
        let text = match &verdict.outcome {
            Ok(pid) => format!("ok {} {pid}", verdict.generation),
            Err(why) => format!("error {}", why.to_string().replace('\n', " | ")),
        };
        self.events.push(text.split(' ').next().unwrap_or_default().to_owned());
        // Who asks while another restart is in progress is refused at once, before the one who waits.
        let refused = matches!(verdict.outcome, Err(RestartError::InProgress));
        let asker = if refused { self.restarting.len().checked_sub(1) } else { Some(0) };
        if let Some(asker) = asker.filter(|&asker| asker < self.restarting.len()) {
            Lab::tell(net, self.restarting.remove(asker), &text);
        }
    }
}

/// A number from the environment.
fn setting<N: FromStr>(name: &str) -> Option<N> {
    env::var(format!("LAB_{name}")).ok()?.parse().ok()
}

fn millis(name: &str) -> Option<Duration> {
    setting(name).map(Duration::from_millis)
}

/// A timeout that can be turned off.
fn timeout(name: &str, default_secs: u64) -> Option<Duration> {
    match setting::<String>(name).as_deref() {
        Some("never") => None,
        _ => Some(millis(name).unwrap_or(Duration::from_secs(default_secs))),
    }
}

fn adjust(mut how: Restart) -> Restart {
    if setting::<u8>("OR_FORK_EXEC").is_some() {
        how = how.or_fork_exec();
    }
    if let Some(limit) = millis("READY") {
        how = how.ready_within(limit);
    }
    how = how.probation(millis("PROBATION").unwrap_or(Duration::from_millis(50)));
    if setting::<u8>("MOVE").is_some() {
        how = how.move_connections();
    }
    if setting::<u8>("CHECKED").is_some() {
        how = how.checked("--check");
    }
    how
}

/// Listens on what `LAB_ALSO` names by now; it ends the program if it cannot.
fn listen_also(mut server: Server<Lab>) -> Server<Lab> {
    let list = env::var("LAB_ALSO").ok().and_then(|path| fs::read_to_string(path).ok());
    for address in list.unwrap_or_default().lines() {
        server = server.listen(address).unwrap_or_else(|e| panic!("{e}"));
    }
    server
}

fn tune(mut server: Server<Lab>) -> Server<Lab> {
    server = server
        .idle_timeout(timeout("IDLE", 60))
        .first_message_timeout(timeout("FIRST", 60))
        .write_timeout(timeout("WRITE", 30))
        .close_timeout(millis("CLOSE").unwrap_or(Duration::from_secs(5)))
        .restart_on(libc::SIGHUP, adjust(Restart::fork()))
        .restart_on(libc::SIGUSR2, adjust(Restart::fork_exec()));
    if let Some(count) = setting("CONNECTIONS") {
        server = server.max_connections(count);
    }
    if let Some(bytes) = setting("MESSAGE") {
        server = server.max_message(bytes);
    }
    if let Some(bytes) = setting("OUTPUT") {
        server = server.max_output(bytes);
    }
    listen_also(policy::tune(server))
}

/// What a new generation is to do wrong, while the file is there.
fn told() -> Option<String> {
    let path = env::var("LAB_BROKEN").ok()?;
    fs::read_to_string(Path::new(&path)).ok().map(|text| text.trim().to_owned())
}

/// What a new program does instead of serving.
fn break_if_told() {
    let is_check = env::args().any(|arg| arg == "--check");
    let is_heir = env::var_os("HEIRLOOM_LINK").is_some();
    match told().as_deref() {
        Some("check") if is_check => {
            eprintln!("lab: line 7 of the configuration is wrong");
            process::exit(4);
        }
        Some("exit") if is_heir => {
            eprintln!("lab: the configuration is broken");
            process::exit(3);
        }
        Some("hang") if is_heir => thread::sleep(Duration::from_secs(3600)),
        Some("panic") if is_heir => panic!("lab: as told"),
        Some("stop") if is_heir => raise(Signal::SIGSTOP).expect("a stop"),
        _ => {}
    }
}

fn main() -> ExitCode {
    break_if_told();
    let status = common::serve("127.0.0.1:7779", Lab::default(), tune);
    match setting::<u8>("EXIT") {
        Some(own) if status == ExitCode::SUCCESS => ExitCode::from(own),
        _ => status,
    }
}
