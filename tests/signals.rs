//! Signals that are the service's, and those that nobody has claimed.

use std::{fs, os::unix::process::ExitStatusExt, process::Command};

use crate::common::{
    self, Dir, Setup, in_session,
    journal::{Entry, Journaled},
    ops::Operated,
    restart::{Engine, Lab, resume, tell, wait_stopped},
    wait_for, wait_gone, while_stopped,
};
use heirloom::{Connection, Net, Origin, Restart, Result, Server, Service, testing::Harness};
use nix::sys::signal::Signal::{SIGALRM, SIGHUP, SIGPROF, SIGTERM, SIGUSR1, SIGWINCH};

for_both_engines!(
    what_comes_to_a_new_side_before_it_serves_is_told_then_and_there,
    what_comes_to_an_old_side_in_a_restart_is_its_own,
    what_comes_while_connections_are_on_their_way_waits,
    one_that_was_replaced_hears_its_own_to_the_end,
    a_waiting_side_that_dies_of_one_leaves_the_old_one,
    a_new_generation_hears_what_only_it_wants,
    who_was_replaced_dies_of_one_and_takes_nothing_along,
    what_was_ignored_from_the_start_stays_so,
);

/// A lab whose service has these signals.
fn with_signals(probation: u64, numbers: &[i32]) -> (Journaled, Dir) {
    let dir = Dir::new();
    name_signals(&dir, numbers);
    let lab =
        Journaled::with(probation, |setup| setup.env("LAB_SIGNALS", dir.path("signals").display()));
    (lab, dir)
}

/// What the next program claims.
fn name_signals(dir: &Dir, numbers: &[i32]) {
    let lines: Vec<_> = numbers.iter().map(|number| format!("{number}\n")).collect();
    fs::write(dir.path("signals"), lines.concat()).expect("a file for the lab");
}

/// Any signal, real-time ones included.
fn send(pid: i32, number: i32) {
    let sent = Command::new("kill").arg(format!("-{number}")).arg(pid.to_string()).status();
    assert!(sent.expect("kill runs").success());
}

/// A set of signals as `/proc` tells it.
fn has_signal(pid: i32, set: &str, number: i32) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("a living process");
    let line = status.lines().find_map(|line| line.strip_prefix(&format!("{set}:")));
    let set = line.map(|hex| u64::from_str_radix(hex.trim(), 16).expect("a set of signals"));
    set.expect("its line") & 1 << (number - 1) != 0
}

fn signals(lab: &Journaled) -> Vec<Entry> {
    let entries = lab.entries().into_iter();
    entries.filter(|entry| entry.what.starts_with("signal ")).collect()
}

#[test]
fn each_is_told_and_standard_ones_that_wait_as_one() {
    let queued = libc::SIGRTMIN() + 3;
    let (lab, _dir) = with_signals(50, &[SIGUSR1 as i32, SIGWINCH as i32, queued]);
    let pid = lab.lab.pid();
    while_stopped(pid, || {
        for _ in 0..5 {
            send(pid, SIGUSR1 as i32);
            send(pid, queued);
        }
        send(pid, SIGWINCH as i32);
    });
    lab.wait(&format!("signal {queued}"), 5);
    lab.wait("signal 28", 1);
    // All that has come was told before this answer.
    lab.lab.connect().who();
    assert_eq!(signals(&lab).len(), 7, "{:?}", signals(&lab));
}

fn what_comes_to_a_new_side_before_it_serves_is_told_then_and_there(engine: Engine) {
    let (lab, _dir) = with_signals(50, &[SIGUSR1 as i32]);
    let new = lab.lab.hold(engine);
    tell(new, SIGUSR1);
    resume(new);
    let told = lab.wait("signal 10", 1);
    assert_eq!((told[0].generation, told[0].pid), (1, new));
    let by_new = lab.entries().into_iter().filter(|entry| entry.pid == new);
    assert_eq!(by_new.map(|entry| entry.what).collect::<Vec<_>>(), ["start", "signal 10"]);
    lab.lab.wait_line("restart: done");
    lab.lab.connect().who();
    assert_eq!(signals(&lab).len(), 1);
}

fn what_comes_to_an_old_side_in_a_restart_is_its_own(engine: Engine) {
    let (lab, _dir) = with_signals(50, &[SIGUSR1 as i32]);
    let old = lab.lab.pid();
    let mut stays = lab.lab.connect();
    stays.who();
    let new = lab.lab.hold_old(engine);
    tell(old, SIGUSR1);
    resume(old);
    lab.lab.wait_line("restart: done");
    assert_eq!(lab.wait("signal 10", 1)[0].pid, old);
    assert_eq!(lab.lab.connect().who().pid, new);
    assert_eq!(signals(&lab).len(), 1);
}

/// What it changed then would be in nobody's copy.
fn what_comes_while_connections_are_on_their_way_waits(engine: Engine) {
    let dir = Dir::new();
    name_signals(&dir, &[SIGUSR1 as i32]);
    let lab = Journaled::with(50, |setup| {
        let setup = setup.env("LAB_SIGNALS", dir.path("signals").display());
        setup.env("LAB_MOVE", 1).env("LAB_MAX_DOWNTIME", 40_000)
    });
    let old = lab.lab.pid();
    let mut moves = lab.lab.connect();
    moves.who();
    let new = match engine {
        Engine::Fork => lab.lab.hold(engine),
        Engine::ForkExec => {
            fs::write(lab.lab.scratch("fault"), "NewTaken hang").expect("a file for the lab");
            lab.lab.signal(engine.signal());
            let line = lab.lab.wait_line("by fork-exec is pid");
            let new = line.rsplit(' ').next().and_then(|pid| pid.parse().ok()).expect("a pid");
            wait_stopped(new);
            new
        }
    };
    tell(old, SIGUSR1);
    tell(old, SIGHUP); // which is heard at once, and behind it
    lab.lab.wait_line("restart refused: another one is in progress");
    assert_eq!(signals(&lab), []);
    resume(new);
    lab.lab.wait_line("restart: done");
    assert_eq!(moves.who().pid, new);
    assert_eq!(lab.wait("signal 10", 1)[0].pid, old);
    assert_eq!(signals(&lab).len(), 1);
}

fn one_that_was_replaced_hears_its_own_to_the_end(engine: Engine) {
    let (lab, _dir) = with_signals(50, &[SIGUSR1 as i32]);
    let old = lab.lab.pid();
    let mut stays = lab.lab.connect();
    stays.who();
    let new = lab.lab.restart_by(engine);
    tell(old, SIGUSR1);
    lab.wait("signal 10", 1);
    tell(new, SIGUSR1);
    let told: Vec<_> = lab.wait("signal 10", 2).into_iter().map(|entry| entry.pid).collect();
    assert_eq!(told, [old, new]);
}

/// It is no signal of the service then, and ends the process: before the new side serves there is no harm.
fn a_waiting_side_that_dies_of_one_leaves_the_old_one(engine: Engine) {
    let lab = Lab::start();
    let old = lab.pid();
    let new = lab.hold(engine);
    tell(new, SIGALRM);
    resume(new);
    wait_gone(new);
    lab.wait_line("SIGALRM");
    assert_eq!(lab.connect().who().pid, old);
    assert_eq!(lab.pid(), old);
    assert_ne!(lab.restart_by(engine), old);
}

/// What the old program has held back is let go of by one that does not want it, and the other way round.
fn a_new_generation_hears_what_only_it_wants(engine: Engine) {
    let queued = libc::SIGRTMIN() + 3;
    let (lab, dir) = with_signals(50, &[SIGWINCH as i32, queued]);
    name_signals(&dir, &[libc::SIGURG]);
    let new = lab.lab.restart_by(engine);
    let claimed = match engine {
        Engine::Fork => libc::SIGWINCH, // it is the same program
        Engine::ForkExec => libc::SIGURG,
    };
    for number in [libc::SIGWINCH, libc::SIGURG] {
        assert_eq!(has_signal(new, "SigBlk", number), number == claimed, "{number}");
    }
    send(new, claimed);
    assert_eq!(lab.wait(&format!("signal {claimed}"), 1)[0].pid, new);
}

#[test]
fn with_a_supervisor_one_pid_hears_all() {
    let queued = libc::SIGRTMIN() + 3;
    let dir = Dir::new();
    name_signals(&dir, &[SIGUSR1 as i32, SIGWINCH as i32, queued]);
    let lab = Journaled::with(50, |setup| {
        setup.env("LAB_SIGNALS", dir.path("signals").display()).arg("--supervised")
    });
    let supervisor = lab.lab.child.id() as i32;
    let engines = [None, Some(Engine::Fork), Some(Engine::ForkExec)];
    for (generation, engine) in engines.into_iter().enumerate() {
        if let Some(engine) = engine {
            lab.lab.restart_by(engine);
        }
        for number in [SIGUSR1 as i32, SIGWINCH as i32, queued] {
            send(supervisor, number);
            let told = lab.wait(&format!("signal {number}"), generation + 1);
            assert_eq!(told[generation].generation, generation as u64);
        }
    }
}

/// Its status says by which, as that of any program.
#[test]
fn an_unclaimed_one_ends_the_process_and_leaves_nothing_behind() {
    for number in [SIGUSR1 as i32, SIGALRM as i32, SIGPROF as i32, libc::SIGRTMIN() + 1] {
        let dir = Dir::new();
        let [control, path] = ["control", "socket"].map(|name| dir.path(name));
        let mut server = common::Server::of("lab")
            .listen(format!("unix:{}", path.display()))
            .arg("--control")
            .arg(control.to_str().expect("utf-8"))
            .start();
        let pid_file = server.dir.path("pid");
        assert!([&control, &path, &pid_file].iter().all(|it| it.exists()));
        send(server.pid(), number);
        let status = server.wait_exit();
        assert_eq!(status.signal(), Some(number), "{status}");
        server.wait_line("nobody has claimed it");
        assert!(![&control, &path, &pid_file].iter().any(|it| it.exists()), "signal {number}");
    }
}

fn who_was_replaced_dies_of_one_and_takes_nothing_along(engine: Engine) {
    let lab = Operated::with(50, |setup| setup);
    let old = lab.pid();
    let mut stays = lab.connect();
    stays.who();
    let new = lab.restart_by(engine);
    tell(old, SIGALRM);
    wait_gone(old);
    assert_eq!(lab.pid(), new);
    assert_eq!(lab.heirloom(&["status"]).status, Some(0), "the control socket is there");
    assert_eq!(lab.connect().who().pid, new);
}

/// The signal is what the service was told, so nothing is started again.
#[test]
fn with_a_supervisor_an_unclaimed_one_ends_both() {
    let mut server = common::Server::of("lab").arg("--supervised").start();
    let mut client = server.connect();
    let main: i32 = client.ask("who").split(' ').nth(1).expect("a pid").parse().expect("a pid");
    let pid_file = server.dir.path("pid");
    send(server.child.id() as i32, SIGALRM as i32);
    wait_gone(main);
    assert_eq!(server.wait_exit().code(), Some(128 + SIGALRM as i32));
    assert!(!pid_file.exists());
}

/// As under `nohup(1)`.
fn what_was_ignored_from_the_start_stays_so(engine: Engine) {
    let by_env = |command: Command| {
        let mut starter = in_session("env");
        starter
            .arg("--ignore-signal=USR1,ALRM")
            .args([command.get_args().next().expect("a program")]);
        starter.args(command.get_args().skip(1));
        starter.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        starter
    };
    let lab = Lab::started(|setup: Setup| setup.start_as(by_env));
    for pid in [lab.pid(), lab.restart_by(engine), lab.restart_by(engine)] {
        for signal in [SIGUSR1, SIGALRM] {
            assert!(has_signal(pid, "SigIgn", signal as i32), "{signal}");
            assert!(!has_signal(pid, "SigBlk", signal as i32), "{signal}");
            // Those of the old one are over.
            if pid == lab.pid() {
                tell(pid, signal);
            }
        }
    }
    assert_eq!(lab.connect().who().pid, lab.pid());
    // No thread of it would be ended by one.
    assert!(!lab.log().contains("of this program's threads"), "{}", lab.log());
}

/// By a library, before the server listens or after that.
#[test]
fn a_handler_that_somebody_has_installed_is_left_alone() {
    for when in ["main", "start"] {
        let lab = Lab::with(|setup| setup.env("LAB_HANDLES", when));
        let mut client = lab.connect();
        for count in 1..=3 {
            tell(lab.pid(), SIGUSR1);
            wait_for("the handler", || client.ask("handled") == count.to_string());
        }
        assert!(has_signal(lab.pid(), "SigCgt", SIGUSR1 as i32));
        assert_ne!(lab.restart_by(Engine::Fork), 0);
        let mut child = lab.connect();
        let before: u64 = child.ask("handled").parse().expect("a number");
        tell(lab.pid(), SIGUSR1);
        wait_for("the child's handler", || child.ask("handled") == (before + 1).to_string());
    }
}

#[derive(Debug, Default)]
struct Listener {
    heard: Vec<i32>,
}

impl Service for Listener {
    type Session = ();

    fn on_open(&mut self, _conn: &mut Connection<'_>, _origin: Origin) -> Result {
        Ok(())
    }

    fn on_data(&mut self, _conn: &mut Connection<'_>, _: &mut (), input: &[u8]) -> Result<usize> {
        Ok(input.len())
    }

    fn on_signal(&mut self, net: &mut Net, signal: i32) {
        self.heard.push(signal);
        if signal == libc::SIGTERM {
            net.drain();
        }
    }
}

#[test]
fn a_signal_has_one_meaning() {
    let server = || Server::dry_run(Listener::default()).expect("a server");
    for (number, words) in [
        (libc::SIGKILL, "listen for SIGKILL: it cannot be caught"),
        (libc::SIGSEGV, "listen for SIGSEGV: it tells of a fault, which ends the process"),
        (libc::SIGHUP, "listen for SIGHUP: it asks for a restart already"),
        (libc::SIGUSR1, "listen for SIGUSR1: it is the service's already"),
    ] {
        let server = server().restart_on(libc::SIGHUP, Restart::fork());
        let server = server.signal(libc::SIGUSR1).expect("a claim");
        assert_eq!(server.signal(number).expect_err("a second one").to_string(), words);
    }
    // What TERM means by itself gives way, once.
    let claimed = server().signal(libc::SIGTERM).expect("a claim");
    assert!(claimed.signal(libc::SIGTERM).is_err());
}

#[test]
#[should_panic(expected = "listen for SIGUSR1: it is the service's already")]
fn nor_does_a_restart_take_one_that_is_the_services() {
    let server = Server::dry_run(Listener::default()).expect("a server");
    let server = server.signal(libc::SIGUSR1).expect("a claim");
    let _ = server.restart_on(libc::SIGUSR1, Restart::fork());
}

/// Nobody but the service drains by it.
#[test]
fn a_service_that_has_claimed_term_leaves_when_it_says_so() {
    let (lab, _dir) = with_signals(50, &[SIGTERM as i32]);
    let mut lab = lab;
    let mut client = lab.lab.connect();
    tell(lab.lab.pid(), SIGTERM);
    lab.wait("signal 15", 1);
    client.who();
    assert_eq!(lab.lab.count_lines("draining"), 0);
    client.send("drain\n");
    assert_eq!(client.line(), "ok");
    drop(client);
    assert!(lab.lab.wait_exit().success());
}

#[test]
fn in_memory_each_side_hears_its_own() {
    let mut harness = Harness::new(Listener::default());
    harness.signal(libc::SIGUSR1);
    harness.signal(libc::SIGUSR1);
    assert_eq!(harness.service().heard, [libc::SIGUSR1; 2]);
    let mut sides = harness.begin_restart(Listener::default()).expect("a restart");
    sides.old.signal(libc::SIGHUP);
    sides.new.signal(libc::SIGUSR2);
    assert_eq!(sides.old.service().heard.last(), Some(&libc::SIGHUP));
    assert_eq!(sides.new.service().heard, [libc::SIGUSR2]);
    let (mut old, mut new) = sides.commit();
    new.signal(libc::SIGTERM);
    assert!(new.has_ended());
    assert_eq!(old.service().heard.len(), 3);
}
