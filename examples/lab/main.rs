//! A server to break: it does on request what a good server never does. The tests drive it.
//!
//! ```sh
//! cargo run --release --example lab              # then, elsewhere:
//! nc 127.0.0.1 7779                              # who, stats, flood 1000000, restart fork, ...
//! ```
//!
//! One line asks, one line answers. `LAB_*` variables set the limits, in milliseconds and counts:
//! IDLE FIRST WRITE CLOSE READY PROBATION STANDSTILL DRAIN CONNECTIONS MESSAGE OUTPUT, and
//! `LAB_OR_FORK_EXEC=1`. `LAB_MOVE=1` is `--move` (and `restart` asks for it, too); `LAB_FORMAT=FILE` has the
//! version of the format in which a program writes and reads (see `session`).
//! `LAB_BROKEN=FILE`: while the file exists, a new program does what it says: `exit`, `hang`, `panic`,
//! `fds` (it has room for few descriptors).

#[path = "../common/mod.rs"]
mod common;
mod pattern;
mod session;

use heirloom::{
    Alarm, ConnId, Drain, Hold, Io, Move, Net, Origin, Reason, Restart, Result, Server, Service,
    Start, Timer, Verdict, codec,
};
use nix::sys::resource::{Resource, setrlimit};
use session::{Fails, Fate, Session, State};
use std::{
    env, fs, path::Path, process, process::ExitCode, str::FromStr, sync::mpsc, thread,
    time::Duration,
};

/// The longest request line, unless the test is about the reactor's own limit.
const LINE: usize = 1024 * 1024;

/// What the requests leave behind.
#[derive(Default)]
struct Lab {
    /// Threads that wait; each ends when its sender goes.
    threads: Vec<(mpsc::Sender<()>, thread::JoinHandle<()>)>,
    holds: Vec<Hold>,
    /// What a new program is told, too.
    state: State,
    /// Events of the process since it began, for `events`.
    events: Vec<String>,
    /// Connections closed, with their reasons, for `closes`.
    closes: Vec<String>,
}

/// Keys of `waiting`; a dial's tag is above them.
const RESTART: u64 = 0;
const ALARM: u64 = 1;
const WAIT: u64 = 2;
const DIAL: u64 = 3;

impl Lab {
    /// Answers the one who waits under `key`, if it is still there.
    fn answer(&mut self, net: &mut Net, key: u64, text: &str) {
        let id = self.state.waiting.remove(&key);
        if let Some(mut io) = id.and_then(|id| net.to(id)) {
            io.send(text.as_bytes());
            io.send(b"\n");
            io.resume();
        }
    }

    /// Makes the connection wait for an answer under `key`.
    fn wait(&mut self, io: &mut Io<'_>, key: u64) {
        self.state.waiting.insert(key, io.id());
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
    fn handle(
        &mut self,
        io: &mut Io<'_>,
        session: &mut Session,
        line: &str,
    ) -> Result<Option<String>> {
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
                self.holds.drain(..).for_each(|hold| net.unhold(hold));
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
            _ => return self.handle_moving(io, session, verb, rest),
        }))
    }

    /// The requests that are about a connection's way through restarts.
    fn handle_moving(
        &mut self,
        io: &mut Io<'_>,
        session: &mut Session,
        verb: &str,
        rest: &str,
    ) -> Result<Option<String>> {
        match verb {
            "peer" => return Ok(Some(io.peer().to_string())),
            "id" => return Ok(Some(io.id().to_string())),
            "keep" => self.state.kept = Some(io.id()),
            "tell" => {
                let told =
                    self.state.kept.and_then(|id| io.to(id).map(|mut io| say(&mut io, rest)));
                return Ok(Some(if told.is_some() { "told" } else { "nobody" }.to_owned()));
            }
            "stay" => session.fate = Fate::Stay,
            "no-export" => session.fate = Fate::NoExport,
            "no-import" => session.fate = Fate::NoImport,
            "no-save" => self.state.fails = Fails::Save,
            "no-load" => self.state.fails = Fails::Load,
            "load" => self.state.fails = Fails::Nothing,
            "outlive-eof" => session.outlives_eof = true,
            "fin" => io.shutdown_write(),
            "note" => session.note = rest.into(),
            "noted" => return Ok(Some(String::from_utf8_lossy(&session.note).into_owned())),
            "format" => return Ok(Some(session::version().to_string())),
            _ => return self.handle_later(io, session, verb, rest),
        }
        Ok(Some("ok".to_owned()))
    }

    /// The requests whose answer comes later, or is more than a line.
    fn handle_later(
        &mut self,
        io: &mut Io<'_>,
        session: &mut Session,
        verb: &str,
        rest: &str,
    ) -> Result<Option<String>> {
        match verb {
            "restart" => {
                let how = if rest == "fork" { Restart::fork() } else { Restart::fork_exec() };
                io.net().restart(adjust(how));
                self.wait(io, RESTART);
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
            "wait" => self.wait(io, WAIT),
            "answer" => {
                self.answer(io.net(), WAIT, rest);
                return Ok(Some("ok".to_owned()));
            }
            "arm" => io.arm(Timer(1), Duration::from_millis(number(rest)?)),
            "close" => io.close(),
            "abort" => io.abort(),
            "flood" => {
                session.left = number(rest)?;
                (session.of, session.seed) = (session.left, None);
                pour(io, session);
            }
            "reply" => {
                let (count, seed) = rest.split_once(' ').ok_or("reply COUNT SEED")?;
                session.left = number(count)?;
                (session.of, session.seed) = (session.left, Some(number(seed)?));
                pour(io, session);
            }
            "burst" => io.send(&vec![b'x'; number(rest)?]), // all at once, whatever the marks say
            _ => return Ok(Some(format!("unknown: {verb}"))),
        }
        Ok(None)
    }
}

/// Sends of a flood what the marks allow.
fn pour(io: &mut Io<'_>, session: &mut Session) {
    let mut piece = [b'x'; 16 * 1024];
    while session.left > 0 && !io.is_congested() {
        let count = session.left.min(piece.len() as u64) as usize;
        if let Some(seed) = session.seed {
            pattern::fill(seed, session.of - session.left, &mut piece[..count]);
        }
        io.send(&piece[..count]);
        session.left -= count as u64;
    }
}

fn say(io: &mut Io<'_>, text: &str) {
    io.send(text.as_bytes());
    io.send(b"\n");
}

fn number<N: FromStr>(text: &str) -> Result<N> {
    text.parse().map_err(|_| format!("not a number: {text:?}").into())
}

impl Service for Lab {
    type Session = Session;

    fn on_open(&mut self, io: &mut Io<'_>, origin: Origin) -> Result<Session> {
        if let Origin::Dialed { tag } = origin {
            let text = format!("dialed {}", io.peer());
            self.answer(io.net(), tag, &text);
        }
        Ok(Session::default())
    }

    fn on_data(&mut self, io: &mut Io<'_>, session: &mut Session, input: &[u8]) -> Result<usize> {
        let Some((line, taken)) = codec::line(input, LINE)? else { return Ok(0) };
        let line = String::from_utf8_lossy(line);
        if let Some(answer) = self.handle(io, session, &line)? {
            io.send(answer.as_bytes());
            io.send(b"\n");
        }
        Ok(taken)
    }

    fn on_writable(&mut self, io: &mut Io<'_>, session: &mut Session) -> Result {
        pour(io, session);
        Ok(())
    }

    fn on_timer(&mut self, io: &mut Io<'_>, _session: &mut Session, _timer: Timer) -> Result {
        io.send(b"timer\n");
        Ok(())
    }

    fn on_drain(&mut self, _io: &mut Io<'_>, _session: &mut Session) -> Result {
        self.events.push("drain".to_owned());
        Ok(())
    }

    fn on_close(&mut self, _net: &mut Net, _id: ConnId, _session: Session, why: Reason) {
        self.closes.push(why.to_string());
    }

    fn on_eof(&mut self, io: &mut Io<'_>, session: &mut Session) -> Result {
        if session.outlives_eof {
            say(io, "eof")
        } else {
            io.close()
        }
        Ok(())
    }

    fn on_move(&self, session: &Session) -> Move {
        if session.fate == Fate::Stay { Move::Stay } else { Move::Yes }
    }

    fn save(&self) -> Result<Vec<u8>> {
        self.state.write()
    }

    fn load(&mut self, saved: &[u8]) -> Result {
        self.state = State::read(saved)?;
        Ok(())
    }

    fn export(&self, session: &Session) -> Option<Vec<u8>> {
        (session.fate != Fate::NoExport).then(|| session.write())
    }

    fn import(&mut self, _io: &mut Io<'_>, saved: &[u8]) -> Result<Session> {
        Session::read(saved)
    }

    fn on_dial_failed(&mut self, net: &mut Net, tag: u64, why: std::io::Error) {
        self.answer(net, tag, &format!("dial failed: {}", why.kind()));
    }

    fn on_alarm(&mut self, net: &mut Net, key: Alarm) {
        self.events.push("alarm".to_owned());
        self.answer(net, key.0, "alarm");
    }

    fn on_start(&mut self, net: &mut Net, start: Start) {
        // Whoever has asked for this restart and was moved hears of it here.
        if matches!(start, Start::Forked | Start::Execed) {
            let text = format!("ok {} {}", net.generation(), process::id());
            self.answer(net, RESTART, &text);
        }
        if start != Start::Resumed {
            self.closes.clear(); // what a forked child has in memory are its parent's
            self.events.clear();
        }
        self.events.push(format!("{start:?}"));
    }

    fn on_retire(&mut self, _net: &mut Net) {
        self.events.push("retire".to_owned());
    }

    fn on_restart_ended(&mut self, net: &mut Net, verdict: &Verdict) {
        let text = match &verdict.outcome {
            Ok(pid) => format!("ok {} {pid}", verdict.generation),
            Err(why) => format!("error {}", why.to_string().replace('\n', " | ")),
        };
        self.answer(net, RESTART, &text);
    }
}

/// A number from the environment.
fn setting<N: FromStr>(name: &str) -> Option<N> {
    env::var(format!("LAB_{name}")).ok()?.parse().ok()
}

fn millis(name: &str) -> Option<Duration> {
    setting(name).map(Duration::from_millis)
}

fn moves() -> bool {
    setting::<u8>("MOVE").is_some() || env::args().any(|arg| arg == "--move")
}

fn adjust(mut how: Restart) -> Restart {
    if setting::<u8>("OR_FORK_EXEC").is_some() {
        how = how.or_fork_exec();
    }
    if let Some(limit) = millis("READY") {
        how = how.ready_within(limit);
    }
    if let Some(time) = millis("PROBATION") {
        how = how.probation(time);
    }
    if let Some(limit) = millis("STANDSTILL") {
        how = how.standstill(limit);
    }
    if moves() {
        how = how.move_connections();
    }
    how
}

fn tune(mut server: Server<Lab>) -> Server<Lab> {
    server = server
        .idle_timeout(millis("IDLE").unwrap_or(Duration::from_secs(60)))
        .first_message_timeout(millis("FIRST").unwrap_or(Duration::from_secs(60)))
        .write_timeout(millis("WRITE").unwrap_or(Duration::from_secs(30)))
        .close_timeout(millis("CLOSE").unwrap_or(Duration::from_secs(5)))
        .restart_on(libc::SIGHUP, adjust(Restart::fork()))
        .restart_on(libc::SIGUSR2, adjust(Restart::fork_exec()));
    if let Some(limit) = millis("DRAIN") {
        server =
            server.drain_on_restart(Drain::deadline(limit)).drain_on_stop(Drain::deadline(limit));
    }
    if let Some(count) = setting("CONNECTIONS") {
        server = server.max_connections(count);
    }
    if let Some(bytes) = setting("MESSAGE") {
        server = server.max_message(bytes);
    }
    if let Some(bytes) = setting("OUTPUT") {
        server = server.max_output(bytes);
    }
    server
}

/// What a new program does instead of serving, while the file is there.
fn break_if_told() {
    let told =
        env::var("LAB_BROKEN").ok().and_then(|path| fs::read_to_string(Path::new(&path)).ok());
    let is_heir = env::var_os("HEIRLOOM_LINK").is_some();
    match told.as_deref().map(str::trim) {
        Some("exit") if is_heir => {
            eprintln!("lab: the configuration is broken");
            process::exit(3);
        }
        Some("hang") if is_heir => thread::sleep(Duration::from_secs(3600)),
        Some("fds") if is_heir => {
            setrlimit(Resource::RLIMIT_NOFILE, 100, 100).expect("a lower limit");
        }
        Some("panic") if is_heir => panic!("lab: as told"),
        _ => {}
    }
}

fn main() -> ExitCode {
    break_if_told();
    session::version(); // what the file says later is for later programs
    let defaults = common::Defaults { listen: "127.0.0.1:7779", moves: moves() };
    common::serve(defaults, Lab::default(), tune)
}
