//! What the tests share: an example binary started as a server, its log, and clients of it.
//!
//! Everything waits for an event with a deadline; nothing sleeps. What was started is ended when
//! the [`Server`] goes, with all its generations.
#![allow(dead_code)] // what no test uses that a feature leaves out

pub mod booted;
pub mod browser;
pub mod churn;
#[cfg(feature = "names")]
pub mod dns;
pub mod ends;
pub mod events;
pub mod flows;
#[cfg_attr(feature = "tls", path = "held_tls.rs")]
pub mod held;
pub mod http;
pub mod huge;
pub mod imports;
pub mod journal;
#[path = "../../examples/common/load.rs"]
pub mod load;
mod log;
pub mod manager;
pub mod monitors;
pub mod mqtt;
#[cfg(feature = "metrics")]
pub mod openmetrics;
pub mod ops;
#[path = "../../examples/lab/pattern.rs"]
pub mod pattern;
pub mod ports;
pub mod postgres;
#[macro_use]
pub mod promises;
pub mod readers;
pub mod redis;
#[path = "../../examples/kv/reply.rs"]
pub mod reply;
#[path = "../../examples/kv/resp.rs"]
pub mod resp;
#[macro_use]
pub mod restart;
pub mod rude;
#[cfg(feature = "tls")]
pub mod sealed;
#[cfg(feature = "tls")]
pub mod tls;
pub mod tool;
pub mod wire;

use std::{
    env,
    ffi::OsStr,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    os::unix::net::{UnixListener, UnixStream},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use nix::{
    sys::{
        signal::{Signal, kill, killpg},
        socket::{Backlog, listen},
    },
    unistd::Pid,
};

use self::log::Log;

/// How long a test waits for anything before it fails. Generous: machines are loaded at times.
pub const DEADLINE: Duration = Duration::from_secs(45);

/// The built binary of an example: `cargo test` puts it beside the tests. `EXAMPLES` names another folder, for what is to be measured.
pub fn example(name: &str) -> PathBuf {
    let tests = env::current_exe().expect("the test's own path");
    let profile = tests.parent().and_then(Path::parent).expect("target/<profile>/deps/<test>");
    let folder = env::var_os("EXAMPLES").map_or_else(|| profile.join("examples"), PathBuf::from);
    let path = folder.join(name);
    assert!(path.exists(), "{} is not built: run `cargo build --examples`", path.display());
    path
}

/// A directory of its own for a test, removed when it goes.
pub struct Dir(PathBuf);

impl Dir {
    pub fn new() -> Dir {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = env::temp_dir().join(format!("heirloom-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a directory for the test");
        Dir(path)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// How to start a server; `start` does.
pub struct Setup {
    program: PathBuf,
    args: Vec<String>,
    env: Vec<(String, String)>,
    listen: String,
}

impl Setup {
    pub fn arg(mut self, arg: impl Into<String>) -> Setup {
        self.args.push(arg.into());
        self
    }

    pub fn env(mut self, name: &str, value: impl ToString) -> Setup {
        self.env.push((name.to_owned(), value.to_string()));
        self
    }

    /// Another program than the example's, such as a copy of it.
    pub fn program(mut self, path: impl Into<PathBuf>) -> Setup {
        self.program = path.into();
        self
    }

    /// Another address than a free port.
    pub fn listen(mut self, address: impl Into<String>) -> Setup {
        self.listen = address.into();
        self
    }

    /// Starts it and waits until it is ready.
    pub fn start(self) -> Server {
        self.start_as(|command| command)
    }

    /// The same, but `adjust` has the last word about the command.
    pub fn start_as(self, adjust: impl FnOnce(Command) -> Command) -> Server {
        let dir = Dir::new();
        let mut command = in_session(&self.program);
        command
            .args(["--listen", &self.listen, "--pid-file"])
            .arg(dir.path("pid"))
            .args(&self.args);
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        let mut server = Server::spawn(adjust(command), dir);
        let ready = server.wait_line("ready: generation 0");
        let listeners = ready.rsplit("listening on ").next().unwrap_or_default();
        server.address = listeners.split(", ").next().unwrap_or_default().to_owned();
        server
    }
}

/// A running server: the first process and all generations that come of it.
pub struct Server {
    pub child: Child,
    /// Where it listens: `ip:port`, or `unix:/path`; the first, if there are several.
    pub address: String,
    pub dir: Dir,
    log: Arc<Log>,
}

impl Server {
    /// An example, on a free port.
    pub fn of(name: &str) -> Setup {
        Setup {
            program: example(name),
            // The default is for operators; a test has no time to lose.
            args: vec!["--probation".to_owned(), "0.05".to_owned()],
            env: Vec::new(),
            listen: "127.0.0.1:0".to_owned(),
        }
    }

    /// Starts a command that is [`in_session`], whose generations end with the test.
    pub fn spawn(mut command: Command, dir: Dir) -> Server {
        command.stdin(Stdio::null());
        Server::spawn_with_stdin(command, dir)
    }

    /// The same, with the standard input that `command` has.
    pub fn spawn_with_stdin(mut command: Command, dir: Dir) -> Server {
        command.stderr(Stdio::piped());
        let mut child = command.spawn().expect("the server starts");
        let log = Log::of(child.stderr.take().expect("a pipe"));
        Server { child, address: String::new(), dir, log }
    }

    /// Waits until the log has a line with `text`, and answers the first one.
    pub fn wait_line(&self, text: &str) -> String {
        self.wait_lines(text, 1).pop().expect("one line")
    }

    /// Waits until the log has `count` lines with `text`, and answers these.
    pub fn wait_lines(&self, text: &str, count: usize) -> Vec<String> {
        self.log.wait(text, count, DEADLINE)
    }

    /// How many lines with `text` the log has so far.
    pub fn count_lines(&self, text: &str) -> usize {
        self.log.count(text)
    }

    /// The whole log so far.
    pub fn log(&self) -> String {
        self.log.all()
    }

    /// The generation that serves, by the pid file.
    pub fn pid(&self) -> i32 {
        let file = self.dir.path("pid");
        let text = std::fs::read_to_string(&file).expect("the pid file of a server that is ready");
        text.trim().parse().expect("a number in the pid file")
    }

    /// Signals the generation that serves.
    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.pid()), signal).expect("the serving generation is there");
    }

    /// Restarts by signal (HUP: fork, USR2: fork-exec), waits until the new generation serves and
    /// the old one has retired, and answers the new pid.
    pub fn restart(&self, signal: Signal) -> i32 {
        let done = self.count_lines("restart: done");
        self.signal(signal);
        let line = self.wait_lines("restart: done", done + 1).pop().expect("a line");
        let pid = line.rsplit(' ').next().and_then(|pid| pid.parse().ok());
        pid.unwrap_or_else(|| panic!("no pid in {line:?}"))
    }

    /// A client of it, over TCP.
    pub fn connect(&self) -> Client {
        Client::connect(&self.address)
    }

    /// Waits until the first process has exited.
    pub fn wait_exit(&mut self) -> ExitStatus {
        let mut status = None;
        wait_or(
            || {
                status = self.child.try_wait().expect("our child");
                status.is_some()
            },
            || panic!("the first process does not exit:\n{}", self.log.all()),
        );
        status.expect("what it has waited for")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill(); // if it has no group yet
        // The group is ours: `setsid` made it, and only generations of this server are in it.
        let _ = killpg(Pid::from_raw(self.child.id() as i32), Signal::SIGKILL);
        let _ = self.child.wait();
        if thread::panicking() {
            eprintln!("--- the server's log:\n{}\n---", self.log());
        }
    }
}

/// A program in a session of its own, by `setsid(1)`, under the pid that it is started with.
///
/// In the session of the test, the end of a generation could make an orphan of their process group, and
/// the kernel then sends `SIGHUP` and `SIGCONT` to a member that a test has stopped: see `_exit(2)`. A group
/// whose parent is in another session is an orphan from the start, and is let alone.
pub fn in_session(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new("setsid");
    command.arg(program);
    command
}

/// Waits until a process is gone (or a zombie that somebody else has to reap).
pub fn wait_gone(pid: i32) {
    wait_for(&format!("process {pid} to end"), || {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let state = stat.rsplit(") ").next().and_then(|rest| rest.chars().next());
        matches!(state, None | Some('Z' | 'X'))
    });
}

/// Waits until `done`; for what has no event of its own, such as another process's state.
pub fn wait_for(what: &str, done: impl FnMut() -> bool) {
    wait_or(done, || panic!("waited {DEADLINE:?} for {what}"));
}

/// Looks again after a millisecond, or after four times as long as the look takes: one through all processes would keep a core
/// busy, and other tests from theirs.
fn wait_or(mut done: impl FnMut() -> bool, late: impl FnOnce()) {
    let until = Instant::now() + DEADLINE;
    loop {
        let begun = Instant::now();
        if done() {
            return;
        }
        if begun >= until {
            return late();
        }
        let pause = 4 * begun.elapsed();
        thread::sleep(pause.clamp(Duration::from_millis(1), Duration::from_millis(20)));
    }
}

/// Another process does it: a file that this one has open for writing could not be run while some
/// other test forks.
pub fn copy(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg(from).arg(to).status().expect("cp runs");
    assert!(copied.success());
}

/// Puts a file at `path`, by rename.
pub fn place(content: impl AsRef<[u8]>, mode: u32, path: &Path) {
    let (source, next) = (path.with_extension("source"), path.with_extension("next"));
    std::fs::write(&source, content).expect("a file");
    copy(&source, &next);
    std::fs::set_permissions(&next, std::os::unix::fs::PermissionsExt::from_mode(mode))
        .expect("a mode");
    std::fs::rename(&next, path).expect("in one directory");
}

/// A Unix socket at `path` that nobody listens on any more.
pub fn leave_socket(path: &Path) {
    drop(UnixListener::bind(path).expect("a socket"));
    // A process that another test is just starting has a copy of it until it execs.
    wait_for("the socket to be stale", || UnixStream::connect(path).is_err());
}

/// Leaves no room in a listener's accept queue: further clients get no answer, as long as these are there.
pub fn fill_queue(listener: &TcpListener) -> Vec<TcpStream> {
    listen(listener, Backlog::new(1).expect("a length")).expect("a shorter queue");
    let address = listener.local_addr().expect("its address");
    let mut queued = Vec::new();
    wait_for("the queue to be full", || {
        let stream = TcpStream::connect_timeout(&address, Duration::from_millis(300));
        let full = stream.is_err();
        queued.extend(stream);
        full
    });
    queued
}

/// Byte by byte: nothing behind the line is taken.
pub fn read_line(stream: &mut (impl Read + ?Sized)) -> String {
    let mut line = Vec::new();
    let mut byte = [0];
    while !line.ends_with(b"\n") {
        stream.read_exact(&mut byte).expect("a line in time");
        line.push(byte[0]);
    }
    String::from_utf8_lossy(&line).trim_end().to_owned()
}

/// One line to a Unix socket, on a connection of its own, and one line back.
pub fn ask_unix(path: &Path, line: &str) -> String {
    let mut stream = UnixStream::connect(path).expect("the server accepts");
    stream.set_read_timeout(Some(DEADLINE)).expect("a timeout");
    stream.write_all(format!("{line}\n").as_bytes()).expect("it takes a line");
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer).expect("an answer in time");
    answer.trim_end().to_owned()
}

/// Connects to a Unix socket again and again until `done`, and answers how often.
pub fn connect_until(done: &AtomicBool, path: &Path) -> std::io::Result<usize> {
    let mut count = 0;
    while !done.load(Ordering::Relaxed) {
        UnixStream::connect(path)?;
        count += 1;
    }
    Ok(count)
}

/// How many descriptors a process has.
pub fn open_fds(pid: i32) -> usize {
    std::fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count)
}

/// A blocking client with deadlines, for a conversation that the test itself leads: whatever is not as it should be
/// fails the test. Where failures are to be counted, it is a client of [`load`].
pub struct Client {
    pub stream: TcpStream,
    pub reader: BufReader<TcpStream>,
}

impl Client {
    pub fn connect(address: &str) -> Client {
        let address = address.parse().expect("an address of digits");
        let stream = TcpStream::connect_timeout(&address, DEADLINE).expect("the server accepts");
        stream.set_read_timeout(Some(DEADLINE)).expect("a timeout");
        stream.set_write_timeout(Some(DEADLINE)).expect("a timeout");
        stream.set_nodelay(true).expect("an option");
        let reader = BufReader::new(stream.try_clone().expect("a second handle"));
        Client { stream, reader }
    }

    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).expect("the server takes it");
    }

    /// One line, without its end.
    pub fn line(&mut self) -> String {
        let mut line = String::new();
        self.reader.read_line(&mut line).expect("a line in time");
        assert!(line.ends_with('\n'), "the connection ended after {line:?}");
        line.trim_end().to_owned()
    }

    /// What comes up to the next line end, or up to the end of the connection.
    pub fn read_line(&mut self) -> std::io::Result<Vec<u8>> {
        let mut line = Vec::new();
        self.reader.read_until(b'\n', &mut line).map(|_| line)
    }

    /// Sends a line and answers the reply line.
    pub fn ask(&mut self, line: &str) -> String {
        self.send(format!("{line}\n"));
        self.line()
    }

    pub fn read_exact(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        self.reader.read_exact(&mut bytes).expect("all bytes in time");
        bytes
    }

    /// Everything up to the server's FIN (or reset).
    pub fn read_to_end(&mut self) -> std::io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.reader.read_to_end(&mut bytes).map(|_| bytes)
    }

    /// Sends our FIN.
    pub fn finish(&mut self) {
        self.stream.shutdown(std::net::Shutdown::Write).expect("still connected");
    }
}

/// One counter of lab's `stats`.
pub fn stat(client: &mut Client, name: &str) -> u64 {
    let stats = client.ask("stats");
    let (_, rest) = stats.split_once(&format!(" {name}: ")).expect("a counter of that name");
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().expect("a number")
}

/// Does `work` while the process stands still, so that all of it is there when it goes on.
pub fn while_stopped(pid: i32, work: impl FnOnce()) {
    kill(Pid::from_raw(pid), Signal::SIGSTOP).expect("the process is there");
    wait_for("the process to stand still", || {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('T'))
    });
    work();
    kill(Pid::from_raw(pid), Signal::SIGCONT).expect("the process is there");
}

/// Runs a command that is to end by itself, and ends it if it does not.
pub fn run_to_end(command: &mut Command) -> std::process::Output {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("it starts");
    let until = Instant::now() + DEADLINE;
    while child.try_wait().expect("our child").is_none() {
        if Instant::now() >= until {
            let _ = child.kill();
            panic!("{command:?} does not end: {:?}", child.wait_with_output());
        }
        thread::sleep(Duration::from_millis(1));
    }
    child.wait_with_output().expect("what it said")
}

/// For [`Setup::start_as`]: what the server leaves in its temporary directory goes with the test's own,
/// also when it is killed.
pub fn with_own_temp(mut command: Command) -> Command {
    let mut args = command.get_args().skip_while(|arg| *arg != "--pid-file").skip(1);
    let dir = args.next().and_then(|file| Path::new(file).parent()).map(Path::to_owned);
    command.env("TMPDIR", dir.expect("a pid file in the test's directory"));
    command
}
