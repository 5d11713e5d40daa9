//! What a service manager hears of restarts, in which order and from whom, and what waits for it.

use std::{
    fs,
    time::{Duration, Instant},
};

use crate::common::{
    Dir, Server, Setup, example, in_session,
    manager::{Manager, Word},
    ops::Control,
    wait_gone,
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

const ENGINES: [Signal; 2] = [Signal::SIGHUP, Signal::SIGUSR2];

/// A server with a manager.
fn managed(dir: &Dir, probation_ms: u32) -> (Manager, Setup) {
    let manager = Manager::new(&dir.path("notify"));
    let setup = Server::of("lab")
        .env("NOTIFY_SOCKET", manager.path.display())
        .env("LAB_PROBATION", probation_ms);
    (manager, setup)
}

fn send(pid: i32, signal: Signal) {
    kill(Pid::from_raw(pid), signal).expect("it is there");
}

/// Makes a process that leaves turn twice: where nothing kept it, it would be gone after the first.
fn assert_stays(server: &Server, pid: i32) {
    let refused = format!("[{pid}] ERROR: restart refused: this process is draining");
    for count in 1..=2 {
        send(pid, Signal::SIGHUP);
        server.wait_lines(&refused, count);
    }
}

fn assert_reloading(word: &Word) {
    assert!(word.has("RELOADING=1"), "{word:?}");
    let time: u64 = word.get("MONOTONIC_USEC").expect("a time").parse().expect("a number");
    let uptime = fs::read_to_string("/proc/uptime").expect("the uptime");
    let uptime: f64 = uptime.split(' ').next().and_then(|t| t.parse().ok()).expect("a number");
    // A container may count its uptime from its own start, so only the unit is checked.
    assert!(time > 0 && (time as f64) < (uptime + 1e9) * 1e6, "{time} of {uptime} s");
}

fn assert_ready(word: &Word, main: i32) {
    assert!(word.has("READY=1") && word.has(&format!("MAINPID={main}")), "{word:?}");
    assert!(word.get("STATUS").is_some(), "{word:?}");
}

/// The pids of both sides, of which the new one is in its probation.
fn restart_into_probation(server: &Server, manager: &mut Manager, engine: Signal) -> (i32, i32) {
    let old = server.pid();
    manager.next();
    server.signal(engine);
    assert_reloading(&manager.next());
    server.wait_line("ready: generation 1");
    (old, server.pid())
}

#[test]
fn scenario_13_a_restart_is_told_in_order_and_the_old_process_waits_for_the_barrier() {
    for engine in ENGINES {
        let dir = Dir::new();
        let (mut manager, setup) = managed(&dir, 100);
        let mut server = setup.start();
        let old = server.pid();
        let word = manager.next();
        assert!(word.has("READY=1") && word.has("STATUS=generation 0 serves"), "{word:?}");

        server.signal(engine);
        assert_reloading(&manager.next());
        let word = manager.next();
        let new = server.pid();
        assert_ne!(new, old);
        assert_ready(&word, new);
        assert!(word.has("STATUS=generation 1 serves"), "{word:?}");
        // Where the kernel gives processes numbers that nobody else has (since Linux 6.9).
        let id = word.get("MAINPIDFDID").map(|id| id.parse::<u64>());
        assert!(id.is_none_or(|id| id.is_ok_and(|id| id > 0)), "{word:?}");
        let barrier = manager.next();
        assert_eq!((barrier.text.as_str(), barrier.pid), ("BARRIER=1", old));

        // It has no connections, and nothing else to do.
        server.wait_line("restart: done");
        assert_stays(&server, old);
        barrier.close_pipe();
        assert!(server.wait_exit().success());
        assert_eq!(server.count_lines("has not answered"), 0);
        assert!(manager.words().iter().all(|word| !word.has("STOPPING=1")));

        send(new, Signal::SIGTERM);
        let word = manager.next();
        assert!(word.has("STOPPING=1") && word.pid == new, "{word:?}");
        wait_gone(new);
        assert_eq!(manager.check_senders(old), new);
    }
}

#[test]
fn a_new_side_that_is_killed_in_its_probation_leaves_the_old_one_as_main() {
    for engine in ENGINES {
        let dir = Dir::new();
        let (mut manager, setup) = managed(&dir, 60_000);
        let server = setup.start();
        let (old, new) = restart_into_probation(&server, &mut manager, engine);
        assert_ne!(new, old);
        send(new, Signal::SIGKILL);
        let word = manager.next();
        assert_ready(&word, old);
        assert!(word.get("STATUS").is_some_and(|status| status.contains("killed by SIGKILL")));
        assert_eq!(server.pid(), old, "the pid file names the one that serves again");
        assert_eq!(server.connect().ask("who"), format!("0 {old} none"));
        assert_eq!(manager.check_senders(old), old);
        assert_eq!(manager.words().len(), 3, "and no barrier: {:#?}", manager.words());
    }
}

#[test]
fn a_new_side_that_hands_back_says_nothing() {
    for (engine, moves) in ENGINES.into_iter().flat_map(|it| [(it, false), (it, true)]) {
        let dir = Dir::new();
        let (mut manager, mut setup) = managed(&dir, 60_000);
        if moves {
            setup = setup.arg("--move");
        }
        let control = dir.path("control");
        let server = setup.arg("--control").arg(control.display().to_string()).start();
        let mut client = server.connect();
        client.ask("echo x");
        let (old, new) = restart_into_probation(&server, &mut manager, engine);
        send(new, Signal::SIGHUP); // refused, and nobody else's business
        server.wait_line("another one is in progress");
        let mut operator = Control::connect(&control).expect("the control socket");
        operator.send("rollback\n");
        assert_ready(&manager.next(), old);
        wait_gone(new);
        let reply = operator.read_to_end();
        assert!(reply.starts_with("ok"), "{reply}");
        assert_eq!(server.pid(), old);
        assert!(client.ask("who").starts_with("0 "));
        assert_eq!(manager.check_senders(old), old);
        assert_eq!(manager.words().len(), 3, "{:#?}", manager.words());
    }
}

#[test]
fn a_restart_that_fails_or_is_refused_ends_the_reload() {
    let dir = Dir::new();
    let (mut manager, setup) = managed(&dir, 100);
    let broken = dir.path("broken");
    let server = setup.env("LAB_BROKEN", broken.display()).start();
    let old = server.pid();
    manager.next();

    fs::write(&broken, "exit").expect("a file");
    server.signal(Signal::SIGUSR2);
    assert_reloading(&manager.next());
    let word = manager.next();
    assert_ready(&word, old);
    assert!(word.text.contains("exit status 3") && word.text.lines().count() == 3, "{word:?}");

    // Refused before there was a new process.
    assert_eq!(server.connect().ask("threads 2"), "ok");
    server.signal(Signal::SIGHUP);
    assert_reloading(&manager.next());
    let word = manager.next();
    assert_ready(&word, old);
    assert!(word.text.contains("fork refused"), "{word:?}");
    assert_eq!(manager.check_senders(old), old);
}

#[test]
fn a_request_during_a_restart_is_answered_when_that_one_is_over() {
    let dir = Dir::new();
    let (mut manager, setup) = managed(&dir, 60_000);
    let server = setup.start();
    let (old, new) = restart_into_probation(&server, &mut manager, Signal::SIGHUP);
    send(old, Signal::SIGHUP);
    assert_reloading(&manager.next()); // of after the second request
    server.wait_line("another one is in progress");
    send(new, Signal::SIGKILL);
    assert_ready(&manager.next(), old);
    assert_eq!(manager.words().len(), 4, "{:#?}", manager.words());
}

#[test]
fn the_watchdog_hears_a_ping_in_time_through_restarts() {
    const LIMIT: Duration = Duration::from_secs(1);
    let dir = Dir::new();
    let manager = Manager::new(&dir.path("notify"));
    let mut command = in_session("sh");
    command
        .args(["-c", "exec env WATCHDOG_PID=$$ \"$0\" \"$@\""])
        .arg(example("lab"))
        .args(["--listen", "127.0.0.1:0", "--pid-file"])
        .arg(dir.path("pid"))
        .env("NOTIFY_SOCKET", &manager.path)
        .env("WATCHDOG_USEC", LIMIT.as_micros().to_string())
        .env("LAB_PROBATION", "300");
    let server = Server::spawn(command, dir);
    server.wait_line("ready: generation 0");
    let first = server.pid();
    let is_ping = |word: &&Word| word.has("WATCHDOG=1");
    let pings_of = |words: &[Word], pid| words.iter().filter(is_ping).any(|word| word.pid == pid);

    manager.wait("a ping of generation 0", |words| pings_of(words, first));
    for (number, engine) in ENGINES.into_iter().enumerate() {
        server.signal(engine);
        server.wait_lines("restart: done", number + 1);
        let new = server.pid();
        manager.wait("a ping of its own", |words| pings_of(words, new));
    }
    let words = manager.words();
    let pings: Vec<_> = words.iter().filter(is_ping).collect();
    for pair in pings.windows(2) {
        let gap = pair[1].at - pair[0].at;
        assert!(gap < LIMIT, "nothing heard for {gap:?}: {words:#?}");
    }
    assert_eq!(manager.check_senders(first), server.pid());
}

#[test]
fn a_watchdog_for_another_process_hears_nothing() {
    let dir = Dir::new();
    let (manager, setup) = managed(&dir, 100);
    let server = setup.env("WATCHDOG_USEC", 2000).env("WATCHDOG_PID", 1).start();
    assert_eq!(server.connect().ask("arm 20"), "timer"); // ten pings later
    assert!(manager.words().iter().all(|word| !word.has("WATCHDOG=1")));
}

#[test]
fn a_manager_that_does_not_answer_keeps_the_old_process_for_five_seconds() {
    let dir = Dir::new();
    let (mut manager, setup) = managed(&dir, 50);
    let mut server = setup.start();
    manager.next();
    server.signal(Signal::SIGHUP);
    let words = manager.wait("a barrier", |words| words.iter().any(|word| word.has("BARRIER=1")));
    let begun = words.iter().find(|word| word.has("BARRIER=1")).expect("it was waited for").at;
    assert!(server.wait_exit().success());
    let kept = Instant::now() - begun;
    assert!(kept > Duration::from_millis(4900), "it waited for {kept:?}");
    server.wait_line("the service manager has not answered");
}

#[test]
fn a_manager_that_is_not_there_is_mentioned_once_and_no_more() {
    let mut server =
        Server::of("lab").env("NOTIFY_SOCKET", "/nowhere/notify").env("LAB_PROBATION", 50).start();
    let old = server.pid();
    server.restart(Signal::SIGUSR2);
    assert!(server.wait_exit().success());
    let new = server.pid();
    send(new, Signal::SIGTERM);
    wait_gone(new);
    for pid in [old, new] {
        server.wait_line(&format!("[{pid}] INFO: drained"));
        let line = format!("[{pid}] WARN: the service manager cannot be told");
        assert_eq!(server.count_lines(&line), 1, "{}", server.log());
    }
}

#[test]
fn the_main_process_outlives_the_others_at_a_stop() {
    let dir = Dir::new();
    let (mut manager, setup) = managed(&dir, 50);
    let mut server = setup.start();
    let old = server.pid();
    let mut client = server.connect();
    assert_eq!(client.ask("who"), format!("0 {old} none"));
    let new = server.restart(Signal::SIGHUP);
    manager.wait("a barrier", |words| words.iter().any(|word| word.has("BARRIER=1")));
    (0..4)
        .map(|_| manager.next())
        .filter(|word| word.pipe.is_some())
        .for_each(|word| word.close_pipe());

    // The manager would end all others with the main process.
    send(new, Signal::SIGTERM);
    assert!(manager.next().has("STOPPING=1"));
    server.wait_line("dismissed by another generation");
    assert_stays(&server, new);
    assert_eq!(client.ask("who"), format!("0 {old} none"));
    drop(client);
    assert!(server.wait_exit().success());
    wait_gone(new);
    assert_eq!(manager.check_senders(old), new);

    // A second signal means now.
    let mut server = managed_anew(&dir).start();
    let client = server.connect();
    let new = server.restart(Signal::SIGHUP);
    send(new, Signal::SIGTERM);
    server.wait_line(&format!("[{new}] INFO: draining"));
    assert_stays(&server, new);
    send(new, Signal::SIGTERM);
    wait_gone(new);
    drop(client);
    assert!(server.wait_exit().success());
}

#[test]
fn a_stop_that_reaches_every_generation_lets_each_serve_what_it_has() {
    let dir = Dir::new();
    let (_manager, setup) = managed(&dir, 50);
    let mut server = setup.start();
    let old = server.pid();
    let mut client = server.connect();
    assert_eq!(client.ask("who"), format!("0 {old} none"));
    let new = server.restart(Signal::SIGHUP);
    send(new, Signal::SIGTERM);
    server.wait_line("dismissed by another generation");
    send(old, Signal::SIGTERM); // the same stop, and no second one
    server.wait_line(&format!("[{old}] INFO: SIGTERM: heard"));
    assert_eq!(client.ask("who"), format!("0 {old} none"));
    send(old, Signal::SIGTERM);
    assert!(client.read_to_end().map_or(true, |rest| rest.is_empty()), "it means now");
    server.wait_exit();
    wait_gone(new);
}

#[test]
fn a_stop_in_a_probation_ends_both_sides_and_the_main_one_last() {
    for engine in ENGINES {
        let dir = Dir::new();
        let (mut manager, setup) = managed(&dir, 60_000);
        let mut server = setup.start();
        let (old, new) = restart_into_probation(&server, &mut manager, engine);
        let mut client = server.connect();
        assert!(client.ask("who").starts_with(&format!("1 {new} ")));
        send(old, Signal::SIGTERM);
        assert!(manager.next().has("STOPPING=1"));
        server.wait_line(&format!("[{new}] INFO: draining"));
        assert_stays(&server, old);
        assert!(client.ask("who").starts_with(&format!("1 {new} ")));
        drop(client);
        assert!(server.wait_exit().success());
        wait_gone(new);
        assert_eq!(manager.check_senders(old), old);
    }
}

fn managed_anew(dir: &Dir) -> Setup {
    let (manager, setup) = (Manager::new(&dir.path("notify-2")), Server::of("lab"));
    setup.env("NOTIFY_SOCKET", manager.path.display()).env("LAB_PROBATION", 50)
}

/// Whichever generation speaks, the process that the manager knows is the supervisor.
#[test]
fn a_supervisor_stays_the_main_process() {
    for engine in ENGINES {
        let dir = Dir::new();
        let (mut manager, setup) = managed(&dir, 50);
        let mut server = setup.arg("--supervised").start();
        let supervisor = server.child.id() as i32;
        assert_ready(&manager.next(), supervisor);
        send(supervisor, engine);
        assert_reloading(&manager.next());
        assert_ready(&manager.next(), supervisor);
        manager.next().close_pipe();
        send(supervisor, Signal::SIGTERM);
        let word = manager.next();
        assert!(word.has("STOPPING=1"), "{word:?}");
        assert!(server.wait_exit().success());
    }
}

/// Each word takes a socket for a moment, and the barrier a pipe.
#[test]
fn a_manager_is_told_when_clients_have_all_descriptors() {
    for engine in ENGINES {
        let dir = Dir::new();
        let (mut manager, setup) = managed(&dir, 100);
        let server = setup.start();
        let old = server.pid();
        manager.next();
        let mut client = server.connect();
        client.ask("nofile 0");
        server.signal(engine);
        assert_reloading(&manager.next());
        assert_ready(&manager.next(), server.pid());
        let barrier = manager.next();
        assert_eq!((barrier.text.as_str(), barrier.pid), ("BARRIER=1", old));
        barrier.close_pipe();
        assert_eq!(client.who().pid, old);
    }
}
