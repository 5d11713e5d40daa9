//! Descriptors that a program was started with: whoever has passed them, they are neither lost, nor taken for
//! something that they are not.

use std::{
    path::Path,
    process::{Command, Output},
};

use crate::common::{
    Dir, Server, example, in_session,
    restart::{Engine, Lab},
    run_to_end, wait_gone,
};

/// Runs a lab that is to be refused: a shell does `before`, and becomes it.
fn refused(before: &str) -> String {
    let script = format!("{before} exec \"$0\" --listen 127.0.0.1:0");
    let output: Output = run_to_end(Command::new("sh").args(["-c", &script]).arg(example("lab")));
    let why = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{before}: {:?}, {why}", output.status);
    why
}

fn is_locked(path: &Path) -> bool {
    let status = Command::new("flock").arg("-n").arg(path).arg("true").status();
    !status.expect("flock(1) runs").success()
}

/// `flock -n LOCK server` leaves the lock to the server as its descriptor 3, where a link would be.
#[test]
fn a_lock_that_was_passed_to_the_program_outlives_restarts() {
    let dir = Dir::new();
    let (first, second) = (dir.path("first"), dir.path("second"));
    let script = format!(
        "exec 3>{} 5>{}; flock -n 3 && flock -n 5 && exec \"$0\" \"$@\"",
        first.display(),
        second.display()
    );
    let lab = Lab::started(|setup| {
        setup.start_as(|command| {
            let mut shell = in_session("sh");
            shell.args(["-c", &script]).args(command.get_args());
            let envs = command.get_envs().filter_map(|(name, value)| Some((name, value?)));
            shell.envs(envs);
            shell
        })
    });
    for engine in [Engine::ForkExec, Engine::ForkExec, Engine::Fork, Engine::ForkExec] {
        let old = lab.pid();
        let new = lab.restart_by(engine);
        wait_gone(old);
        assert_eq!(lab.connect().who().pid, new);
        assert!(is_locked(&first) && is_locked(&second), "a lock is lost after {engine:?}");
    }
    let last = lab.pid();
    lab.signal(nix::sys::signal::Signal::SIGTERM);
    wait_gone(last);
    assert!(!is_locked(&first) && !is_locked(&second));
}

/// Nobody is at the number, so it is free for what the server opens itself: to take that for the link would
/// be to own it twice, which ends in an abort.
#[test]
fn a_marker_that_leads_to_no_link_is_an_error() {
    for number in ["3", "4", "5", "200"] {
        let why = refused(&format!("HEIRLOOM_LINK={number}; export HEIRLOOM_LINK;"));
        let expected = format!("take over from HEIRLOOM_LINK={number}: no such descriptor");
        assert!(why.contains(&expected), "{why}");
    }
    for (number, expected) in [
        ("1", "a standard stream"),
        ("-1", "no such descriptor"),
        ("", "not a number"),
        ("three", "not a number"),
        ("99999999999", "not a number"),
    ] {
        let why = refused(&format!("HEIRLOOM_LINK={number}; export HEIRLOOM_LINK;"));
        assert!(why.contains(expected), "{why}");
    }
    for (opened, expected) in [("</dev/null", "not a socket"), ("</", "not a socket")] {
        let why = refused(&format!("exec 3{opened}; HEIRLOOM_LINK=3; export HEIRLOOM_LINK;"));
        assert!(why.contains(expected), "{opened}: {why}");
    }
}

/// A socket, but not of the kind that a link is: the standard input is one, and the shell moves it.
#[test]
fn a_socket_that_is_no_link_is_an_error() {
    let (ours, theirs) = std::os::unix::net::UnixStream::pair().expect("a pair");
    let script = "exec 3<&0 0</dev/null; HEIRLOOM_LINK=3 exec \"$0\" --listen 127.0.0.1:0";
    let mut command = Command::new("sh");
    command.args(["-c", script]).arg(example("lab"));
    let theirs = std::os::fd::OwnedFd::from(theirs);
    let output = command.stdin(theirs).output().expect("it ends");
    let why = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{why}");
    assert!(why.contains("take over from HEIRLOOM_LINK=3: not a link"), "{why}");
    drop(ours);
}

#[test]
fn activated_sockets_that_are_not_there_are_an_error() {
    let ours = "LISTEN_PID=$$; export LISTEN_PID LISTEN_FDS LISTEN_FDNAMES;";
    for (variables, expected) in [
        ("LISTEN_FDS=1;", "descriptor 3: no such descriptor"),
        ("LISTEN_FDS=2; exec 4</dev/null;", "descriptor 3: no such descriptor"),
        ("LISTEN_FDS=1; exec 3</dev/null;", "descriptor 3: not a socket"),
        ("LISTEN_FDS=65535;", "descriptor 3: no such descriptor"),
        ("LISTEN_FDS=many;", "invalid LISTEN_FDS"),
        ("LISTEN_FDS=-1;", "invalid LISTEN_FDS"),
        ("LISTEN_FDS=1; LISTEN_FDNAMES=a:b;", "invalid LISTEN_FDNAMES"),
    ] {
        // With the names there are to be as many as sockets; where nothing is said, none are set.
        let unset = if variables.contains("NAMES") { "" } else { "unset LISTEN_FDNAMES;" };
        let why = refused(&format!("{variables} {ours} {unset}"));
        assert!(why.contains(&format!("activated sockets: {expected}")), "{variables} {why}");
    }
}

/// The manager's own account of none.
#[test]
fn no_activated_sockets_are_no_error() {
    let script = "LISTEN_FDS=0 LISTEN_FDNAMES= LISTEN_PID=$$ exec \"$0\" --listen 127.0.0.1:0";
    let mut command = in_session("sh");
    command.args(["-c", script]).arg(example("lab"));
    let server = Server::spawn(command, Dir::new());
    server.wait_line("ready: generation 0");
}
