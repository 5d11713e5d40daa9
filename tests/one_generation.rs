//! Whatever the new program is, and whoever is told to stop when: afterwards one generation serves, or
//! none where that was asked for, and nobody else has its descriptors.

use std::{
    fs,
    net::TcpStream,
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
};

use crate::common::{
    Client, Dir, Setup, copy, example,
    ops::{Control, Operated, newcomer, wait_settled},
    place,
    restart::{Engine, Lab, is_stopped, listening, resume, slay, stop, tell, wait_for_events},
    wait_for, wait_gone,
};
use nix::sys::signal::Signal::{SIGSTOP, SIGTERM, SIGUSR2};

for_both_engines!(
    a_stop_in_the_probation_is_heard_by_an_old_side_that_is_busy,
    a_stop_right_after_the_commit_is_heard_by_an_old_side_that_is_busy,
    a_stop_of_a_new_side_that_hands_back_is_heard,
    a_stop_outlives_the_one_that_has_heard_it,
    a_stop_waits_for_room_on_the_link,
);

/// A lab whose program can be replaced by a script, which finds the lab at `real`.
struct Wrapped {
    lab: Lab,
    dir: Dir,
}

impl Wrapped {
    fn start(adjust: impl FnOnce(Setup) -> Setup) -> Wrapped {
        let dir = Dir::new();
        copy(&example("lab"), &dir.path("server"));
        copy(&example("lab"), &dir.path("real"));
        let lab = Lab::with(|setup| {
            adjust(setup).program(dir.path("server")).env("REAL", dir.path("real").display())
        });
        Wrapped { lab, dir }
    }

    /// What runs at the next restart.
    fn wrap(&self, script: &str) {
        place(format!("#!/bin/sh\n{script}\n"), 0o755, &self.dir.path("server"));
    }

    fn real(&self) -> PathBuf {
        self.dir.path("real")
    }

    /// Nobody is left of a new side, and the old one is as it was.
    fn assert_alone(&self, what: &str, old: i32) {
        wait_for(&format!("nobody else to be left by {what}"), || running(&self.real()).is_empty());
        assert_eq!(wait_settled(&self.lab).pid, old, "{what}");
    }
}

/// The processes that run the program at `path`, wherever they come from.
fn running(path: &Path) -> Vec<i32> {
    let pids = fs::read_dir("/proc").expect("proc").flatten();
    let pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let runs = |pid: &i32| fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|exe| exe == path);
    pids.filter(runs).collect()
}

/// A process that a script has left behind, with the link that it inherited; ended with the test.
struct Straggler(i32);

impl Straggler {
    /// By the file into which the script has written its number.
    fn of(file: &Path) -> Straggler {
        let number = || fs::read_to_string(file).ok()?.trim().parse().ok();
        let mut pid = None;
        wait_for("a script to leave somebody behind", || {
            pid = number();
            pid.is_some()
        });
        Straggler(pid.expect("a number"))
    }
}

impl Drop for Straggler {
    fn drop(&mut self) {
        slay(self.0);
    }
}

fn assert_refused(address: &str) {
    let refused = TcpStream::connect(address).map_err(|e| e.kind());
    assert_eq!(refused.err(), Some(std::io::ErrorKind::ConnectionRefused), "the port is open");
    assert_eq!(listening(address), [0; 0]);
}

/// The process that was started ends, or waits, while another one would serve.
#[test]
fn a_program_that_was_not_started_by_the_server_itself_is_refused_with_the_reason() {
    for moves in [false, true] {
        let wrapped = Wrapped::start(|setup| match moves {
            true => setup.env("LAB_MOVE", 1),
            false => setup,
        });
        let lab = &wrapped.lab;
        let old = lab.pid();
        let mut client = lab.connect();
        for (what, script) in [
            ("a shell that waits for it", "\"$REAL\" \"$@\""),
            ("a shell that does not", "\"$REAL\" \"$@\" &"),
            ("a session of its own", "setsid \"$REAL\" \"$@\" &"),
            ("a grandchild that nobody waits for", "(setsid \"$REAL\" \"$@\" &)"),
            ("a pipeline", "\"$REAL\" \"$@\" | cat"),
            ("one that ends later", "\"$REAL\" \"$@\" &\nsleep 0.05"),
        ] {
            wrapped.wrap(script);
            let answer = client.ask("restart fork-exec");
            assert!(answer.starts_with("error restart: the new side "), "{what}: {answer}");
            assert!(answer.contains("a script must `exec` the program"), "{what}: {answer}");
            wrapped.assert_alone(what, old);
            assert_eq!(client.who().pid, old, "{what}: its connections");
        }
        wrapped.wrap("exec \"$REAL\" \"$@\"");
        drop(client);
        let new = lab.restart_by(Engine::ForkExec);
        wait_gone(old);
        assert_eq!((running(&wrapped.real()), wait_settled(lab).pid), (vec![new], new));
    }
}

/// It has been given the listeners by then.
#[test]
fn a_program_that_goes_into_the_background_late_ends_when_it_is_given_up() {
    for moves in [false, true] {
        let lab = Lab::with(|setup| if moves { setup.env("LAB_MOVE", 1) } else { setup });
        let (old, sockets) = (lab.pid(), listening(&lab.address));
        let mut client = lab.connect();
        client.who();
        lab.break_programs("daemon");
        let answer = client.ask("restart fork-exec");
        assert!(answer.contains("which must not go into the background"), "{answer}");
        lab.wait_line("it lives and does without this process");
        lab.mend_programs();
        assert_eq!(client.who().pid, old);
        assert_eq!((wait_settled(&lab).pid, listening(&lab.address)), (old, sockets));
        drop(client);
        lab.restart_by(Engine::ForkExec);
    }
}

/// It may have said everything before the old side hears that the process which was started has ended.
#[test]
fn a_program_that_goes_into_the_background_is_refused_however_quick_it_is() {
    if !cfg!(debug_assertions) {
        return; // faults are in debug builds only
    }
    for moves in [false, true] {
        let wrapped = Wrapped::start(|setup| if moves { setup.env("LAB_MOVE", 1) } else { setup });
        let (lab, old) = (&wrapped.lab, wrapped.lab.pid());
        let mut client = lab.connect();
        lab.break_programs("daemon");
        fs::write(lab.scratch("fault"), "OldOffered hang").expect("a file");
        client.send("restart fork-exec\n");
        let mut late = None;
        wait_for("the new one to be in the background", || {
            let others = running(&wrapped.dir.path("server"));
            late = others.into_iter().find(|&pid| pid != old && group(pid) == Some(pid));
            late.is_some()
        });
        wait_for_events(late.expect("a process")); // it has asked for the rest
        resume(old);
        let answer = client.line();
        assert!(answer.contains("which must not go into the background"), "{answer}");
        wait_gone(late.expect("a process"));
        assert_eq!(client.who().pid, old);
        assert_eq!(lab.count_lines("ready: generation 1"), 0, "it has served");
    }
}

/// The process group of a process that lives.
fn group(pid: i32) -> Option<i32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit(") ").next()?.split(' ').nth(2)?.parse().ok()
}

/// And where it does not come to an end, nobody waits in its queue.
#[test]
fn at_the_last_stop_a_port_is_closed_whoever_has_it() {
    let dir = Dir::new();
    let unix = dir.path("socket");
    let address = format!("unix:{}", unix.display());
    let mut wrapped = Wrapped::start(|setup| setup.arg("--listen").arg(address));
    let old = wrapped.lab.pid();
    wrapped.lab.break_programs("daemon hang");
    let answer = wrapped.lab.connect().ask("restart fork-exec");
    assert!(answer.contains("has left somebody behind"), "{answer}");
    let left = running(&wrapped.dir.path("server")).into_iter().filter(|&pid| pid != old);
    let left: Vec<_> = left.map(Straggler).collect();
    assert_eq!(left.len(), 1);
    let copy = dir.path("same socket");
    fs::hard_link(&unix, &copy).expect("in one directory");
    wrapped.lab.signal(SIGTERM);
    assert!(wrapped.lab.wait_exit().success());
    assert_refused(&wrapped.lab.address);
    assert!(UnixStream::connect(copy).is_err() && !unix.exists());
}

/// What has the link by inheritance has nothing else of the server's, be it ever so patient.
#[test]
fn whoever_a_script_leaves_behind_keeps_no_listener_open() {
    let keeps = "sleep 600 &\necho $! >\"$LEFT\"\n";
    for (what, script, serves) in [
        ("a script that is no server", "wait", false),
        ("one that ends well", "exit 0", false),
        ("one that fails", "exit 3", false),
        ("a server in its place", "exec \"$REAL\" \"$@\"", true),
    ] {
        let left = Dir::new();
        let mut wrapped = Wrapped::start(|setup| {
            setup.env("LEFT", left.path("pid").display()).env("LAB_READY", 600)
        });
        wrapped.wrap(&format!("{keeps}{script}"));
        let answer = wrapped.lab.connect().ask("restart fork-exec");
        let straggler = Straggler::of(&left.path("pid"));
        let lab = &mut wrapped.lab;
        if serves {
            lab.wait_line("restart: done");
        } else {
            assert!(answer.starts_with("error restart: the new side "), "{what}: {answer}");
        }
        lab.signal(SIGTERM);
        assert!(lab.wait_exit().success());
        // The last one ends a moment after it has closed them.
        wait_for(&format!("the port to be closed after {what}"), || {
            listening(&lab.address).is_empty()
        });
        assert_refused(&lab.address);
        assert!(fs::read_link(format!("/proc/{}/exe", straggler.0)).is_ok(), "{what}: it has gone");
    }
}

/// A supervisor makes generations as well.
#[test]
fn a_supervisor_refuses_who_it_has_not_started() {
    let wrapped = Wrapped::start(|setup| setup.arg("--supervised"));
    let lab = &wrapped.lab;
    let first = lab.connect().who();
    wrapped.wrap("setsid \"$REAL\" \"$@\" &");
    slay(first.pid);
    lab.wait_line("a script must `exec` the program");
    wait_for("nobody to be left", || running(&wrapped.real()).is_empty());
    wrapped.wrap("exec \"$REAL\" \"$@\"");
    let who = newcomer(lab);
    assert_eq!(running(&wrapped.real()), [who.pid]);
    for _ in 0..20 {
        assert_eq!(newcomer(lab), who);
    }
}

/// A lab with every kind of thing that is there while a service is.
fn operated(probation: u64, unix: &Path) -> Operated {
    let unix = format!("unix:{}", unix.display());
    Operated::with(probation, |setup| setup.arg("--listen").arg(unix).env("LAB_STOP", 500))
}

fn assert_stopped(lab: &Operated, unix: &Path) {
    wait_for("everybody to leave", || lab.generations().is_empty());
    assert_refused(&lab.address);
    assert!(UnixStream::connect(unix).is_err() && !unix.exists(), "the socket path is there");
    assert!(!lab.control().exists(), "the control path is there");
    assert!(!lab.dir.path("pid").exists(), "the pid file is there");
}

/// A restart up to where the new side serves and the old one stands still. Answers both.
fn busy_in_probation(lab: &Operated, engine: Engine) -> (i32, i32) {
    let old = lab.pid();
    lab.signal(engine.signal());
    wait_for("the new one to serve", || newcomer(lab).generation == 1);
    wait_for_events(old);
    stop(old);
    (old, newcomer(lab).pid)
}

/// Longer than any of these tests.
const LONG: u64 = 15_000;

fn a_stop_in_the_probation_is_heard_by_an_old_side_that_is_busy(engine: Engine) {
    for how in ["TERM", "TERM TERM", "stop", "drain"] {
        let dir = Dir::new();
        let unix = dir.path("socket");
        let lab = operated(LONG, &unix);
        let (old, new) = busy_in_probation(&lab, engine);
        if how.starts_with("TERM") {
            how.split(' ').for_each(|_| tell(new, SIGTERM));
        } else {
            Control::connect(&lab.control()).expect("the new one answers").ask(how);
        }
        wait_gone(new); // it has nobody to wait for
        resume(old);
        assert_stopped(&lab, &unix);
        assert_eq!(lab.count_lines("ready: generation 0"), 1, "{how}: it served again");
    }
}

/// A link takes so many messages for a side that is busy, and the others wait for it.
fn a_stop_waits_for_room_on_the_link(engine: Engine) {
    for how in ["drain", "stop"] {
        let dir = Dir::new();
        let unix = dir.path("socket");
        let lab = operated(LONG, &unix);
        let (old, new) = busy_in_probation(&lab, engine);
        let mut client = lab.connect();
        // Each turn says what is new about the alarms, which may become the old side's again.
        for key in 0..1000 {
            assert_eq!(client.ask(&format!("once {key} 60000")), "ok");
        }
        drop(client);
        Control::connect(&lab.control()).expect("the new one answers").ask(how);
        wait_for_events(new);
        resume(old);
        assert_stopped(&lab, &unix);
        assert_eq!(lab.count_lines("ready: generation 0"), 1, "{how}: it served again");
    }
}

fn a_stop_right_after_the_commit_is_heard_by_an_old_side_that_is_busy(engine: Engine) {
    let dir = Dir::new();
    let unix = dir.path("socket");
    let lab = operated(100, &unix);
    let old = lab.pid();
    lab.signal(engine.signal());
    wait_for("the new one to serve", || newcomer(&lab).generation == 1);
    let new = newcomer(&lab).pid;
    tell(old, SIGSTOP);
    let is_late = || lab.count_lines("restart: done") > 0;
    wait_for("the old one to stop, if it has not left by then", || is_stopped(old) || is_late());
    if is_late() {
        return resume(old); // too slow a machine: it was not busy then
    }
    lab.wait_line("committed: generation 1 stays");
    tell(new, SIGTERM);
    wait_gone(new);
    resume(old);
    assert_stopped(&lab, &unix);
    assert_eq!(lab.count_lines("ready: generation 0"), 1, "it served again");
}

/// Between asking the old side to serve again and knowing that it does.
fn a_stop_of_a_new_side_that_hands_back_is_heard(engine: Engine) {
    let dir = Dir::new();
    let unix = dir.path("socket");
    let lab = operated(LONG, &unix);
    let (old, new) = busy_in_probation(&lab, engine);
    Control::connect(&lab.control()).expect("the new one answers").send("rollback\n");
    lab.wait_line("rolled back: on request");
    tell(new, SIGTERM);
    wait_gone(new);
    resume(old);
    assert_stopped(&lab, &unix);
}

/// It dies when it has said so, and before it has done anything.
fn a_stop_outlives_the_one_that_has_heard_it(engine: Engine) {
    if !cfg!(debug_assertions) {
        return; // faults are in debug builds only
    }
    let dir = Dir::new();
    let unix = dir.path("socket");
    let lab = operated(LONG, &unix);
    let (old, new) = busy_in_probation(&lab, engine);
    fs::write(lab.scratch("fault"), "NewStopping die").expect("a file");
    tell(new, SIGTERM);
    wait_gone(new);
    resume(old);
    wait_for("everybody to leave", || lab.generations().is_empty());
    assert_refused(&lab.address);
    assert!(!unix.exists() && !lab.control().exists(), "a path is there");
}

/// Nothing of what it was to take over has reached it: it does not begin with nothing.
#[test]
fn a_new_program_whose_old_side_ends_before_it_has_the_state_does_not_serve() {
    for (what, reason) in [
        ("OldMade", "does without this process"),
        ("OldSaving", "it ended before it had handed over its state"),
    ] {
        if !cfg!(debug_assertions) {
            return; // faults are in debug builds only
        }
        let mut lab = Lab::start();
        fs::write(lab.scratch("fault"), format!("{what} die")).expect("a file");
        lab.signal(SIGUSR2);
        assert!(!lab.wait_exit().success());
        lab.wait_line(reason);
        wait_for("nobody to be left", || lab.generations().is_empty());
        assert_refused(&lab.address);
    }
}

/// With the state it has what it needs.
#[test]
fn a_new_program_whose_old_side_ends_when_it_has_the_state_serves() {
    if !cfg!(debug_assertions) {
        return; // faults are in debug builds only
    }
    let lab = Lab::with(|setup| setup.env("LAB_MOVE", 1));
    let mut client = lab.connect();
    client.ask("keep-id"); // which is in the state
    fs::write(lab.scratch("fault"), "OldSaved die").expect("a file");
    lab.signal(SIGUSR2);
    lab.wait_line("ready: generation 1");
    let mut late = lab.connect();
    assert_eq!(late.who().generation, 1);
    assert_eq!(late.ask("tell you"), "nobody", "an id is given twice");
}

/// Somebody has to, and there is nobody who knows more.
#[test]
fn a_supervisor_makes_another_generation_instead() {
    if !cfg!(debug_assertions) {
        return; // faults are in debug builds only
    }
    let lab = Lab::with(|setup| setup.arg("--supervised"));
    let first = lab.connect().who();
    fs::write(lab.scratch("fault"), "OldSaving die").expect("a file");
    tell(first.pid, SIGUSR2);
    lab.wait_line("it ended before it had handed over its state");
    let who = newcomer(&lab);
    assert_eq!((who.generation, &*who.engine), (1, "none"));
    let mut client = Client::connect(&lab.address);
    assert!(client.ask("restart fork-exec").starts_with("ok 2 "));
}
