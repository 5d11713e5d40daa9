//! What whoever starts a server hands to it, of signals, limits and descriptors, is no reason to serve worse.

use std::{
    fs,
    io::ErrorKind,
    process::{Command, Stdio},
};

use crate::common::{
    Client, DEADLINE, Dir, Server, example, in_session,
    ops::{Operated, newcomer},
    restart::{Engine, Lab},
    wait_for, wait_gone,
};
use nix::{
    sys::signal::{Signal, kill, killpg},
    unistd::Pid,
};

/// Starts `command` by way of another program, which leaves something behind.
fn by_way_of(words: &[&str], command: Command) -> Command {
    let mut starter = in_session(words[0]);
    starter.args(&words[1..]).arg(example("lab")).args(command.get_args().skip(1));
    let env = command.get_envs().filter_map(|(name, value)| Some((name, value?)));
    starter.envs(env);
    starter
}

/// With `SIGCHLD` ignored a child leaves no exit status.
#[test]
fn a_starter_that_ignores_sigchld_does_not_keep_checks_from_passing() {
    let lab = Operated::started(30, |setup| {
        let setup = setup.env("LAB_CHECKED", 1);
        setup.start_as(|command| by_way_of(&["env", "--ignore-signal=CHLD"], command))
    });
    let old = lab.pid();
    assert_eq!(lab.heirloom(&["restart", "--fork-exec"]).status, Some(0));
    assert_ne!(lab.pid(), old);
    // And how it ended is known where it is no good.
    lab.break_programs("exit");
    let ran = lab.heirloom(&["restart", "--fork-exec"]);
    assert!(ran.err.contains("exit status 3"), "{ran:?}");
}

/// As under `nohup(1)`, or by a shell that has them blocked.
#[test]
fn signals_are_heard_however_they_were_left() {
    for way in ["--ignore-signal", "--block-signal"] {
        let mut lab =
            Lab::started(|setup| setup.start_as(|command| by_way_of(&["env", way], command)));
        for engine in [Engine::Fork, Engine::ForkExec] {
            let old = lab.pid();
            assert_ne!(lab.restart_by(engine), old);
        }
        let last = lab.pid();
        lab.signal(Signal::SIGTERM);
        wait_gone(last);
        lab.wait_exit();
    }
}

/// `ulimit -f`, which holds for a sealed state as for any file: the signal would end the old process.
#[test]
fn a_limit_on_the_size_of_files_fails_a_restart_and_not_the_server() {
    let dir = Dir::new();
    let mut command = in_session("prlimit");
    command.args(["--fsize=8192", "--core=0"]).arg(example("kv"));
    command.args(["--listen", "127.0.0.1:0", "--pid-file"]).arg(dir.path("pid"));
    command.args(["--probation", "0.05"]);
    let server = Server::spawn(command, dir);
    let ready = server.wait_line("ready: generation 0");
    let mut client = Client::connect(ready.rsplit(' ').next().expect("an address"));
    let old = server.pid();
    // The state goes through a pipe, and has no such limit. Half a command goes along in a file of memory.
    assert_eq!(client.ask(&format!("SET key {}\r", "x".repeat(20_000))), "+OK");
    let mut asks = Client::connect(ready.rsplit(' ').next().expect("an address"));
    let half = "x".repeat(10_000);
    client.send(format!("*3\r\n$3\r\nSET\r\n$3\r\nkey\r\n$20000\r\n{half}"));
    assert_eq!(asks.ask("PING\r"), "+PONG", "so it has read that");
    server.signal(Signal::SIGUSR2);
    server.wait_line("ERROR: restart: the new side failed: seal connections: File too large");
    client.send(format!("{half}\r\n"));
    assert_eq!((client.line(), server.pid()), ("+OK".to_owned(), old));
    // What fits is handed over.
    assert_eq!(client.ask("SET key x\r"), "+OK");
    assert_ne!(server.restart(Signal::SIGUSR2), old);
}

/// The numbers would be given to sockets, and what is written to stderr be sent to a client.
#[test]
fn a_starter_that_has_closed_everything_leaves_no_socket_in_the_place_of_stderr() {
    let dir = Dir::new();
    let (pid_file, socket) = (dir.path("pid"), dir.path("socket"));
    let mut command = in_session("sh");
    command.args(["-c", "exec \"$@\" 0<&- 1>&- 2>&-", "sh"]).arg(example("lab"));
    command.arg("--listen").arg(format!("unix:{}", socket.display()));
    command.arg("--pid-file").arg(&pid_file).env("LAB_PROBATION", "30").env("RUST_LOG", "debug");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().expect("it starts");
    let pid = || fs::read_to_string(&pid_file).ok().and_then(|pid| pid.trim().parse::<i32>().ok());
    wait_for("it to serve", || pid().is_some());
    for signal in [None, Some(Signal::SIGHUP), Some(Signal::SIGUSR2)] {
        let old = pid();
        if let (Some(signal), Some(old)) = (signal, old) {
            kill(Pid::from_raw(old), signal).expect("it is there");
            wait_gone(old);
        }
        let now = pid().expect("a pid");
        for number in 0..=2 {
            let leads = fs::read_link(format!("/proc/{now}/fd/{number}"));
            assert_eq!(leads.expect("it is open").to_str(), Some("/dev/null"), "{number}");
        }
        let mut client = std::os::unix::net::UnixStream::connect(&socket).expect("it listens");
        client.set_read_timeout(Some(DEADLINE)).expect("a timeout");
        let mut answer = [0; 5];
        std::io::Write::write_all(&mut client, b"print noise\necho hello\n").expect("it is there");
        std::io::Read::read_exact(&mut client, &mut answer[..3]).expect("an answer");
        assert_eq!(&answer[..3], b"ok\n");
        std::io::Read::read_exact(&mut client, &mut answer).expect("an answer");
        assert_eq!(&answer, b"hello");
    }
    let _ = killpg(Pid::from_raw(child.id() as i32), Signal::SIGKILL);
    let _ = child.wait();
}

/// A mask that hides nothing opens nothing of ours.
#[test]
fn a_starter_without_a_umask_opens_the_control_socket_to_nobody() {
    use std::os::unix::fs::PermissionsExt;
    let lab = Operated::started(30, |setup| {
        setup.start_as(|command| by_way_of(&["sh", "-c", "umask 0; exec \"$@\"", "sh"], command))
    });
    for engine in [None, Some(Engine::Fork), Some(Engine::ForkExec)] {
        let _ = engine.map(|engine| lab.restart_by(engine));
        let mode = fs::metadata(lab.control()).expect("it is there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    assert!(newcomer(&lab).generation == 2);
}

/// Somebody else's flag on a description that is shared: what does not fit is an error of the moment.
#[test]
fn a_stderr_that_does_not_block_is_written_to_all_the_same() {
    use std::{io::Read, os::fd::OwnedFd};
    let (mut reader, writer) = std::os::unix::net::UnixStream::pair().expect("a pair");
    writer.set_nonblocking(true).expect("a flag");
    let dir = Dir::new();
    let mut command = in_session(example("lab"));
    command.args(["--listen", "127.0.0.1:0", "--pid-file"]).arg(dir.path("pid"));
    command.stdin(Stdio::null()).stderr(Stdio::from(OwnedFd::from(writer)));
    let mut child = command.spawn().expect("it starts");
    reader.set_read_timeout(Some(DEADLINE)).expect("a timeout");
    let mut said = String::new();
    let mut piece = [0; 1024];
    while !said.contains("ready: generation 0") {
        match reader.read(&mut piece) {
            Ok(count) => said += &String::from_utf8_lossy(&piece[..count]),
            Err(e) => assert_eq!(e.kind(), ErrorKind::Interrupted, "{said}"),
        }
    }
    let _ = killpg(Pid::from_raw(child.id() as i32), Signal::SIGKILL);
    let _ = child.wait();
}

/// What is told on stdout, to a reader who has left (`| head -1`) or on a disk that is full.
#[test]
fn help_that_nobody_reads_is_no_panic() {
    for name in
        ["echo", "chat", "kv", "http", "jobs", "dashboard", "flows", "lab", "demo", "lessons"]
    {
        let (reader, left) = std::io::pipe().expect("a pipe");
        drop(reader);
        let full = fs::File::options().write(true).open("/dev/full").expect("a device");
        for stdout in [Stdio::from(left), full.into()] {
            let mut program = Command::new(example(name));
            let ran = program.arg("--help").stdout(stdout).output().expect("it runs");
            assert!(ran.status.success() && ran.stderr.is_empty(), "{name}: {ran:?}");
        }
    }
}
