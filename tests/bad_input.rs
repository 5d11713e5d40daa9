//! Bad input from the one who starts the server: one line that names what and why, status 2, and
//! nothing served before. And signals that come too early for it.

use std::{
    fs,
    net::TcpListener,
    process::{Command, Output},
    time::Instant,
};

use crate::common::{DEADLINE, Dir, Server, example, in_session, run_to_end};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

/// Starts echo with these arguments, which must not let it run.
fn refused(args: &[&str]) -> String {
    let Output { status, stdout, stderr } = run_to_end(Command::new(example("echo")).args(args));
    let stderr = String::from_utf8(stderr).unwrap();
    assert_eq!(status.code(), Some(2), "{args:?}: {stderr}");
    assert_eq!(stderr.lines().count(), 1, "{args:?}: one line, not {stderr:?}");
    assert!(stdout.is_empty(), "{args:?}: nothing on stdout");
    assert!(stderr.starts_with("echo: "), "{stderr}");
    stderr.trim_end().to_owned()
}

#[test]
fn an_address_in_use() {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap().to_string();
    let line = refused(&["--listen", &address]);
    assert!(
        line.starts_with(&format!("echo: listen on {address}: Address already in use")),
        "{line}"
    );
}

#[test]
fn an_address_that_is_none() {
    for wrong in ["", "80", "127.0.0.1", "127.0.0.1:99999", "127.0.0.1:http:80", "unix:", "[::1"] {
        let line = refused(&["--listen", wrong]);
        assert!(line.starts_with(&format!("echo: listen on {wrong}: ")), "{line}");
    }
    assert!(refused(&["--listen", "80"]).ends_with("an address is host:port or unix:/path"));
}

#[test]
fn an_address_that_is_not_ours() {
    let line = refused(&["--listen", "192.0.2.1:7777"]);
    assert!(line.starts_with("echo: listen on 192.0.2.1:7777: "), "{line}");
}

#[test]
fn a_missing_directory_for_a_socket_or_a_pid_file() {
    let dir = Dir::new();
    let socket = format!("unix:{}", dir.path("missing/socket").display());
    let line = refused(&["--listen", &socket]);
    assert!(line.starts_with(&format!("echo: listen on {socket}: No such file")), "{line}");
    let pid_file = dir.path("missing/pid");
    let line = refused(&["--listen", "127.0.0.1:0", "--pid-file", pid_file.to_str().unwrap()]);
    let start = format!("echo: write pid file {}: No such file", pid_file.display());
    assert!(line.starts_with(&start), "{line}");
}

#[test]
fn a_path_that_is_too_long_for_a_socket() {
    let long = format!("unix:/tmp/{}", "x".repeat(200));
    let line = refused(&["--listen", &long]);
    assert!(line.starts_with(&format!("echo: listen on {long}: ")), "{line}");
}

#[test]
fn a_flag_that_is_none_or_lacks_its_value() {
    assert!(refused(&["--frobnicate"]).contains("--frobnicate"));
    assert!(refused(&["-x"]).contains("-x"));
    assert!(refused(&["127.0.0.1:7777"]).contains("127.0.0.1:7777"));
    assert!(refused(&["--listen"]).contains("--listen"));
}

#[test]
fn a_bad_listener_after_good_ones_leaves_nothing_behind() {
    let dir = Dir::new();
    let good = dir.path("good");
    let good_address = format!("unix:{}", good.display());
    refused(&["--listen", &good_address, "--listen", "nonsense"]);
    assert!(!good.exists(), "the path of a server that never was");
    let (pid_file, missing) = (dir.path("pid"), dir.path("missing/pid"));
    refused(&["--listen", &good_address, "--pid-file", missing.to_str().unwrap()]);
    assert!(!good.exists());
    refused(&["--listen", "nonsense", "--pid-file", pid_file.to_str().unwrap()]);
    assert_eq!(fs::read_dir(dir.path("")).unwrap().count(), 0);
}

/// Starts echo with so many listeners that it takes a while, sends `signal` as soon as there is a
/// server, long before it runs, and answers it.
fn signalled_early(signal: Signal) -> Server {
    let dir = Dir::new();
    let mut command = in_session(example("echo"));
    for _ in 0..200 {
        command.args(["--listen", "127.0.0.1:0"]);
    }
    command.arg("--pid-file").arg(dir.path("pid"));
    let server = Server::spawn(command, dir);
    let pid = server.child.id() as i32;
    // Its epoll set is the first that a server makes. Before that a signal finds a program that is
    // not ours yet, and nothing could keep it from being killed.
    let until = Instant::now() + DEADLINE;
    while !has_epoll_set(pid) {
        assert!(Instant::now() < until, "no server comes of {pid}");
    }
    kill(Pid::from_raw(pid), signal).expect("the process is there");
    server
}

fn has_epoll_set(pid: i32) -> bool {
    let Ok(fds) = fs::read_dir(format!("/proc/{pid}/fd")) else { return false };
    let targets = fds.flatten().filter_map(|fd| fs::read_link(fd.path()).ok());
    targets.into_iter().any(|target| target.to_string_lossy().contains("[eventpoll]"))
}

#[test]
fn a_stop_that_comes_too_early_is_heard_when_the_server_is_ready() {
    for _ in 0..10 {
        let mut server = signalled_early(Signal::SIGTERM);
        let status = server.wait_exit();
        assert!(status.success(), "{status}: {}", server.log());
        server.wait_line("drained: generation 0 ends");
    }
}

#[test]
fn a_restart_that_is_asked_for_too_early_is_made_when_the_server_is_ready() {
    for signal in [Signal::SIGHUP, Signal::SIGUSR2, Signal::SIGHUP, Signal::SIGUSR2] {
        let mut server = signalled_early(signal);
        server.wait_line("restart: done");
        assert!(server.wait_exit().success(), "generation 0 has no connection and leaves");
        server.wait_line("ready: generation 1");
    }
}
