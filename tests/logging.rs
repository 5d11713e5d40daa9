//! The log holds nobody up, says a thing once, and says it in one line, whoever reads it and whatever others do.

use std::{
    fs::{self, File, OpenOptions},
    io::{BufRead, BufReader, Read, Write},
    os::{
        fd::OwnedFd,
        unix::{fs::PermissionsExt, net::UnixStream, process::CommandExt},
    },
    process::{Child, Command, Stdio},
};

use crate::common::{
    DEADLINE, Dir, Server, example, in_session,
    ops::Operated,
    restart::{Engine, Lab},
    wait_for, wait_gone,
};
use heirloom::limits::LOG_BURST;
use nix::{
    fcntl::{FcntlArg, fcntl},
    pty::openpty,
    sys::{
        signal::{Signal, kill, killpg},
        stat::Mode,
    },
    unistd::{Pid, mkfifo, pipe},
};

/// A lab whose stderr nobody reads until the test does.
struct Unread {
    child: Child,
    dir: Dir,
}

impl Unread {
    fn start(stderr: impl Into<OwnedFd>) -> Unread {
        let dir = Dir::new();
        let mut command = in_session(example("lab"));
        command.arg("--listen").arg(format!("unix:{}", dir.path("socket").display()));
        command.arg("--pid-file").arg(dir.path("pid")).args(["--probation", "0.05"]);
        command.env("LAB_PROBATION", "30").env("RUST_LOG", "debug");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::from(stderr.into()));
        let child = command.spawn().expect("it starts");
        let unread = Unread { child, dir };
        wait_for("it to serve", || unread.pid().is_some());
        unread
    }

    fn pid(&self) -> Option<i32> {
        fs::read_to_string(self.dir.path("pid")).ok()?.trim().parse().ok()
    }

    /// The answers to some requests, in order.
    fn ask(&self, requests: &str) -> Vec<String> {
        let mut stream = UnixStream::connect(self.dir.path("socket")).expect("it listens");
        stream.set_read_timeout(Some(DEADLINE)).expect("a timeout");
        stream.write_all(requests.as_bytes()).expect("it is there");
        stream.shutdown(std::net::Shutdown::Write).expect("it is there");
        let lines: Result<Vec<_>, _> = BufReader::new(stream).lines().collect();
        lines.expect("answers in time, for its log is full")
    }

    /// Has more said than any pipe here holds, and a restart on top.
    fn talk(&self) {
        let long = "x".repeat(1000);
        for _ in 0..100 {
            assert_eq!(self.ask(&format!("echo well\nfail {long}\n")), ["well"]);
        }
        let old = self.pid().expect("a pid");
        kill(Pid::from_raw(old), Signal::SIGHUP).expect("it is there");
        wait_gone(old);
        assert_ne!(self.pid().expect("a pid"), old);
        assert_eq!(self.ask("echo well\n"), ["well"]);
    }
}

impl Drop for Unread {
    fn drop(&mut self) {
        let _ = killpg(Pid::from_raw(self.child.id() as i32), Signal::SIGKILL);
        let _ = self.child.wait();
    }
}

#[test]
fn a_pipe_that_nobody_reads_holds_nobody_up_and_says_later_what_is_missing() {
    let (reader, writer) = pipe().expect("a pipe");
    fcntl(&writer, FcntlArg::F_SETPIPE_SZ(4096)).expect("a size");
    let before = fcntl(&writer, FcntlArg::F_GETFL).expect("its flags");
    let ours = writer.try_clone().expect("another descriptor of it");
    let lab = Unread::start(writer);
    lab.talk();
    assert_eq!(fcntl(&ours, FcntlArg::F_GETFL), Ok(before), "the description is everybody's");
    drop(ours);
    let pid = lab.pid().expect("a pid");
    let mut lines = BufReader::new(File::from(reader)).lines().map(|line| line.expect("a line"));
    let first = lines.next().expect("what was there first");
    assert!(first.contains("ready: generation 0") || first.contains("DEBUG"), "{first}");
    // As soon as there is room the process that has something to say says what it has not said.
    let missing = format!("[{pid}] ");
    std::thread::scope(|scope| {
        scope.spawn(|| lab.ask("fail now\n"));
        let line = lines.find(|line| line.starts_with(&missing)).expect("it goes on");
        assert!(line.ends_with(" lines of the log are missing here"), "{line}");
        let next = lines.find(|line| line.contains("reason=\"failed: now\""));
        assert!(next.is_some_and(|line| line.starts_with(&missing)));
    });
}

#[test]
fn nor_does_any_other_stderr_that_nobody_reads() {
    let (reader, writer) = UnixStream::pair().expect("a pair");
    Unread::start(writer).talk();
    drop(reader);

    let dir = Dir::new();
    let path = dir.path("log");
    mkfifo(&path, Mode::S_IRWXU).expect("a named pipe");
    let reader = OpenOptions::new().read(true).write(true).open(&path).expect("both ends");
    Unread::start(OpenOptions::new().write(true).open(&path).expect("one end")).talk();
    drop(reader);

    let terminal = openpty(None, None).expect("a terminal");
    Unread::start(terminal.slave).talk();
    drop(terminal.master);
}

#[test]
fn a_pipe_whose_reader_has_gone_ends_nothing() {
    let (reader, writer) = pipe().expect("a pipe");
    let lab = Unread::start(writer);
    drop(reader);
    lab.talk();
}

/// What is said of `count` events of a kind, in the log of a server that has ended.
fn assert_bounded(log: &str, line: &str, kind: &str, count: usize) {
    let said = log.lines().filter(|it| it.contains(line)).count();
    assert_eq!(said, LOG_BURST as usize, "{line}:\n{log}");
    let kind = format!("repeated: kind=\"{kind}\" more=");
    let more = log.lines().filter_map(|it| it.split_once(&kind)?.1.split(' ').next());
    let more: usize = more.map(|more| more.parse::<usize>().expect("a number")).sum();
    assert_eq!(said + more, count, "{kind}:\n{log}");
}

fn end(lab: &mut Server) -> String {
    lab.signal(Signal::SIGTERM);
    lab.wait_exit();
    lab.wait_line("drained: generation 0 ends");
    lab.log()
}

#[test]
fn clients_that_fail_as_fast_as_they_can_do_not_fill_the_log() {
    let mut lab = Server::of("lab").start();
    for _ in 0..100 {
        for request in ["fail again\n", "panic again\n"] {
            let mut client = lab.connect();
            client.send(request);
            client.read_to_end().expect("a FIN");
        }
    }
    let mut rare = lab.connect();
    rare.send("burst 100000000\n");
    let _ = rare.read_to_end();
    lab.wait_line("reason=\"output over its limit"); // it has its own count
    let log = end(&mut lab);
    assert_bounded(&log, "reason=\"failed: again\"", "close failed", 100);
    assert_bounded(&log, "reason=\"panicked: ", "close panicked", 100);
}

/// Also where nothing more happens.
#[test]
fn what_was_counted_is_told_when_its_time_is_over() {
    let lab = Server::of("lab").start();
    for _ in 0..LOG_BURST + 7 {
        let mut client = lab.connect();
        client.send("fail again\n");
        client.read_to_end().expect("a FIN");
    }
    lab.wait_line("repeated: kind=\"close failed\" more=7 within=5.0");
}

#[test]
fn somebody_else_at_the_control_socket_does_not_fill_the_log() {
    const NOBODY: u32 = 65_534;
    if !nix::unistd::geteuid().is_root() {
        return println!("skipped: only root can become somebody else");
    }
    let mut lab = Operated::with(20, |setup| setup);
    let dir = lab.control().parent().expect("a directory").to_owned();
    let program = dir.join("heirloom");
    fs::copy(env!("CARGO_BIN_EXE_heirloom"), &program).expect("a copy");
    for (path, mode) in [(&dir, 0o755), (&program, 0o755), (&lab.control(), 0o666)] {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("a mode");
    }
    let count = LOG_BURST as usize + 10;
    for _ in 0..count {
        let mut command = Command::new(&program);
        command.arg("--control").arg(lab.control()).arg("status").uid(NOBODY).gid(NOBODY);
        assert_eq!(command.output().expect("it runs").status.code(), Some(1));
    }
    let log = end(&mut lab);
    assert_bounded(&log, "is somebody else: refused", "control refused", count);
}

#[test]
fn restarts_and_roll_backs_that_are_refused_do_not_fill_the_log() {
    let mut lab = Operated::with(20, |setup| setup);
    let new = lab.hold(Engine::Fork); // one is in progress
    for _ in 0..80 {
        assert!(lab.request("restart")[0].starts_with("error: "));
        assert!(lab.request("rollback")[0].starts_with("error: "));
    }
    let old = lab.pid();
    kill(Pid::from_raw(new), Signal::SIGKILL).expect("it is there");
    lab.wait_line("restart: the new side ended");
    assert_eq!(lab.pid(), old);
    let log = end(&mut lab);
    assert_bounded(&log, "another one is in progress", "restart refused", 80);
    assert_bounded(&log, "WARN: roll back: there is nothing", "roll back refused", 80);
}

#[test]
fn what_a_client_says_does_not_end_the_line() {
    let server = Server::of("lab").start();
    let mut client = server.connect();
    client.send("fail \"quoted\" \\ \u{1b}[2J \u{85}\u{2028} in=7 ü\r\n");
    client.read_to_end().expect("a FIN");
    client.finish();
    let line = server.wait_line("INFO: close #");
    let reason = r#" reason="failed: \"quoted\" \\ \u001b[2J \u0085\u2028 in=7 ü" in="#;
    assert!(line.contains(reason), "{line}");
}

/// The last words of a new program are lines. The reason why there is no new generation is one.
#[test]
fn why_a_restart_failed_is_one_line() {
    let lab = Lab::start();
    lab.break_programs("panic"); // before it has a log: three lines and more
    lab.signal(Signal::SIGUSR2);
    let line = lab.wait_line("ERROR: restart: the new side ended before it was ready: ");
    let (_, stderr) = line.split_once("; its stderr ends: ").expect(&line);
    assert!(stderr.contains("panicked at ") && stderr.contains(":\\nlab: as told\\n"), "{line}");
}

/// It says less than it could, and what it says is whole.
#[test]
fn lines_of_all_generations_are_whole() {
    let (reader, writer) = pipe().expect("a pipe");
    fcntl(&writer, FcntlArg::F_SETPIPE_SZ(4096)).expect("a size");
    let lab = Unread::start(writer);
    let said = std::thread::scope(|scope| {
        let reader = scope.spawn(move || {
            let mut text = Vec::new();
            File::from(reader).read_to_end(&mut text).expect("all of it");
            String::from_utf8(text).expect("text")
        });
        for _ in 0..3 {
            lab.talk();
        }
        drop(lab);
        reader.join().expect("the reader")
    });
    assert!(said.lines().count() > 100);
    for line in said.lines() {
        let words = line.strip_prefix('[').and_then(|rest| rest.split_once("] "));
        let is_whole = words.is_some_and(|(pid, rest)| {
            pid.parse::<u32>().is_ok() && (rest.contains(": ") || rest.ends_with("missing here"))
        });
        assert!(is_whole, "{line}");
        assert_eq!(line.matches("] ").count(), 1, "two in one: {line}");
    }
}
