//! Nobody is called silent before what has come was used, and each time counts from when it is set: however
//! long a callback takes, the process is stopped, or connections stand still.

use std::{
    io::{Read, Write},
    thread,
    time::Duration,
};

use crate::common::{
    self, Client, Server, load,
    ops::Operated,
    restart::{Engine, Lab, resume, slay, wait_for_events, wait_stopped},
    wait_for, wait_gone, while_stopped,
};
use heirloom::{
    Alarm, Connection, Net, Origin, Result, Service, Timeouts, Timer, codec,
    limits::RESUME_PATIENCE,
    testing::{Clock, Harness, Peer},
};
use nix::sys::signal::Signal;

for_both_engines!(
    a_probation_begins_when_on_start_is_over,
    a_probation_goes_on_while_the_new_side_is_deaf,
    a_server_whose_turns_are_all_long_proves_itself,
    an_on_start_that_takes_long_is_not_given_up_in_its_probation,
    an_old_side_that_takes_long_to_retire_is_not_killed,
    an_old_side_that_was_deaf_gives_nobody_up_for_it,
    an_old_side_that_was_stopped_gives_nobody_up_for_it,
    a_restart_that_has_waited_for_room_has_its_full_time,
    after_a_standstill_what_waits_is_read_before_anybody_is_judged,
    time_in_which_connections_stand_still_does_not_count,
);

const CLIENTS: usize = 50;
/// In milliseconds: time for a client to come, however busy the machine is.
const PROBATION: u64 = 3000;
const IDLE: Duration = Duration::from_millis(400);
/// Long enough for every timeout of these tests to pass.
const LONG: Duration = Duration::from_millis(1000);

/// Clients that are known to the server.
fn clients(server: &Server, count: usize) -> Vec<Client> {
    let mut clients: Vec<_> = (0..count).map(|_| server.connect()).collect();
    clients.iter_mut().for_each(|client| client.send("who\n"));
    clients.iter_mut().for_each(|client| drop(client.line()));
    clients
}

fn ask_all(clients: &mut [Client]) {
    for (n, client) in clients.iter_mut().enumerate() {
        client.send(format!("echo {n}\n"));
    }
}

/// Each has a timer of the service's own, for a moment at which nobody is served.
fn arm_all(clients: &mut [Client], time: Duration) {
    for (n, client) in clients.iter_mut().enumerate() {
        client.send(format!("arm {} {}\nwho\n", time.as_millis(), n + 100));
    }
    clients.iter_mut().for_each(|client| drop(client.line()));
}

/// What has come is offered before a timer goes off that is due since then, and that does go off.
fn assert_all_are_answered_in_order(clients: &mut [Client]) {
    assert_all_are_answered(clients);
    for (n, client) in clients.iter_mut().enumerate() {
        assert_eq!(client.line(), format!("timer {}", n + 100));
    }
}

fn assert_all_are_answered(clients: &mut [Client]) {
    for (n, client) in clients.iter_mut().enumerate() {
        let line = client.read_line().expect("no reset");
        assert_eq!(String::from_utf8_lossy(&line), format!("{n}\n"), "client {n}");
    }
}

// The two sides of a restart.

/// By the server's own account: however busy the machine is, it is never sooner.
fn a_probation_begins_when_on_start_is_over(engine: Engine) {
    let lab = Operated::with(600, |setup| setup);
    lab.slow_down("start", Duration::from_millis(800));
    let answer = lab.request(&format!("restart {}", engine.name()));
    lab.speed_up();
    assert!(committed_after(&answer) >= 1400.0, "{answer:?}");
}

/// So many milliseconds after it was asked for.
fn committed_after(answer: &[String]) -> f64 {
    let committed = answer.iter().find_map(|line| line.strip_prefix("committed="));
    committed.map(millis).unwrap_or_else(|| panic!("no commit: {answer:?}"))
}

/// It is to prove itself by serving, and does not serve in a callback that blocks.
fn a_probation_goes_on_while_the_new_side_is_deaf(engine: Engine) {
    let lab = Operated::with(PROBATION, |setup| setup);
    let answer = thread::scope(|scope| {
        let restarted = scope.spawn(|| lab.request(&format!("restart {}", engine.name())));
        lab.wait_line("ready: generation 1");
        assert_eq!(lab.connect().ask("block 1000"), "ok");
        assert_eq!(lab.count_lines("committed: generation 1"), 0, "it was asked too late");
        restarted.join().expect("a verdict")
    });
    // Of each turn the first 100 ms are no deafness.
    assert!(committed_after(&answer) >= (PROBATION + 900) as f64, "{answer:?}");
}

/// A part of each turn counts as deafness, and the old side does not wait for ever.
fn a_server_whose_turns_are_all_long_proves_itself(engine: Engine) {
    let lab = Lab::with(|setup| {
        let setup = setup.env("LAB_MOVE", 1).env("LAB_MAX_DOWNTIME", 10_000);
        setup.env("LAB_PROBATION", 300).env("LAB_READY", 3_000)
    });
    let mut client = lab.connect();
    assert_eq!(client.ask("block 250"), "ok");
    let new = thread::scope(|scope| {
        let restarted = scope.spawn(|| lab.restart_by(engine));
        while !restarted.is_finished() {
            assert_eq!(client.ask("block 250"), "ok");
        }
        restarted.join().expect("it stays")
    });
    assert_eq!(client.who().pid, new);
    assert_eq!(lab.count_lines("ERROR"), 0);
}

/// The old side counts from there, too. Both times together are shorter than what this takes.
fn an_on_start_that_takes_long_is_not_given_up_in_its_probation(engine: Engine) {
    let lab = Lab::with(|setup| setup.env("LAB_PROBATION", 500).env("LAB_READY", 1000));
    lab.slow_down("start", Duration::from_millis(1300));
    let new = lab.restart_by(engine);
    lab.speed_up();
    assert_eq!(lab.connect().who().pid, new);
}

/// Connections stand still meanwhile, so an old side that hangs would be killed.
#[test]
fn an_old_side_is_not_silent_while_the_new_one_loads() {
    for callback in ["load", "import"] {
        let lab = Lab::with(|setup| setup.env("LAB_MOVE", 1).env("LAB_MAX_DOWNTIME", 10_000));
        let (mut moves, mut stays) = (lab.connect(), lab.connect());
        moves.who();
        stays.ask("stay");
        lab.slow_down(callback, Duration::from_millis(1300));
        let old = lab.pid();
        let new = lab.restart_by(Engine::ForkExec);
        lab.speed_up();
        assert_eq!((moves.who().pid, stays.who().pid), (new, old), "{callback}");
        assert_eq!(lab.count_lines("holds up connections"), 0);
        let downtime = lab.wait_line("; none was served for ");
        let ms = downtime.split("served for ").nth(1).and_then(|rest| rest.split(' ').next());
        assert!(ms.and_then(|ms| ms.parse().ok()).is_some_and(|ms: f64| ms > 1300.0), "{downtime}");
    }
}

fn an_old_side_that_takes_long_to_retire_is_not_killed(engine: Engine) {
    let lab = Lab::with(|setup| setup.env("LAB_MOVE", 1).env("LAB_MAX_DOWNTIME", 10_000));
    let (mut moves, mut stays) = (lab.connect(), lab.connect());
    moves.who();
    stays.ask("stay");
    lab.slow_down("retire", Duration::from_millis(1300));
    let old = lab.pid();
    let new = lab.restart_by(engine);
    lab.speed_up();
    assert_eq!((moves.who().pid, stays.who().pid), (new, old));
    assert_eq!(lab.count_lines("the old side is silent"), 0);
}

/// Its word is waiting when the callback is over, and what it needs for the next one is still to be given.
fn an_old_side_that_was_deaf_gives_nobody_up_for_it(engine: Engine) {
    let lab = Lab::with(|setup| setup.env("LAB_READY", 1500));
    let mut client = lab.connect();
    let new = lab.hold(engine);
    client.send("block 2000\n");
    wait_for("the old side to sleep in a callback", || !is_waiting(lab.pid()));
    resume(new);
    assert_eq!(client.line(), "ok");
    lab.wait_line("restart: done");
    assert_eq!(lab.connect().who().pid, new);
}

/// The same where it was stopped.
fn an_old_side_that_was_stopped_gives_nobody_up_for_it(engine: Engine) {
    let lab = Lab::with(|setup| setup.env("LAB_READY", 700));
    let new = lab.hold(engine);
    wait_for_events(lab.pid());
    while_stopped(lab.pid(), || {
        resume(new);
        wait_for_its_word(new);
        std::thread::sleep(LONG);
    });
    lab.wait_line("restart: done");
    assert_eq!(lab.connect().who().pid, new);
}

#[cfg(target_arch = "x86_64")]
const POLLS: [i64; 4] =
    [libc::SYS_epoll_wait, libc::SYS_epoll_pwait, libc::SYS_poll, libc::SYS_ppoll];
#[cfg(not(target_arch = "x86_64"))]
const POLLS: [i64; 2] = [libc::SYS_epoll_pwait, libc::SYS_ppoll];

/// Whether a process is in its poll, or a new program in that for its link.
fn is_waiting(pid: i32) -> bool {
    let call = std::fs::read_to_string(format!("/proc/{pid}/syscall")).unwrap_or_default();
    let number = call.split(' ').next().and_then(|number| number.parse().ok());
    number.is_some_and(|number| POLLS.contains(&number))
}

/// Waits until a new side has said what it had to say, and can do no more without an answer.
fn wait_for_its_word(pid: i32) {
    wait_for("a new side to wait for the old one", || is_waiting(pid));
}

fn a_restart_that_has_waited_for_room_has_its_full_time(engine: Engine) {
    let lab = Lab::with(|setup| {
        setup.env("LAB_GENERATIONS", 2).env("LAB_DISMISS", 1000).env("LAB_READY", 700)
    });
    let mut holds = lab.connect();
    holds.who();
    lab.restart_by(engine);
    let third = lab.restart_by(engine); // which waits until the first one is made to leave
    assert_eq!(lab.connect().who().pid, third);
    assert_eq!(lab.count_lines("restart: waits for generation 0"), 1);
}

/// What it asks for waits in the link, and it can do nothing before it is told.
#[test]
fn a_generation_is_not_given_up_because_its_supervisor_was_stopped() {
    let ready = 3 * LONG; // so long a busy machine may take until its supervisor is stopped as well
    let lab = Lab::with(|setup| setup.arg("--supervised").env("LAB_READY", ready.as_millis()));
    let (supervisor, main) = (lab.pid(), lab.connect().who().pid);
    lab.break_programs("stop");
    slay(main);
    let line = lab.wait_line("supervisor: generation 1 is pid ");
    let new = line.rsplit(' ').next().and_then(|pid| pid.parse().ok()).expect("a pid");
    wait_stopped(new);
    lab.mend_programs();
    while_stopped(supervisor, || {
        resume(new);
        wait_for_its_word(new);
        std::thread::sleep(ready);
    });
    assert_eq!(lab.connect().who().pid, new);
}

/// Its supervisor waits for somebody to serve again, and hears that before `on_start` is called.
#[test]
fn an_old_side_that_takes_long_to_resume_is_not_killed_by_its_supervisor() {
    let lab = Lab::with(|setup| setup.arg("--supervised").env("LAB_PROBATION", 60_000));
    let mut old = lab.connect();
    let who = old.who();
    lab.signal(Signal::SIGHUP);
    lab.wait_line("supervisor: generation 1 is main");
    lab.slow_down("start", RESUME_PATIENCE + LONG);
    slay(lab.connect().who().pid);
    lab.wait_lines("supervisor: generation 0 is main", 2);
    assert_eq!(old.who(), who);
    assert_eq!(lab.count_lines("is killed"), 0);
}

// What is written down takes its time, and nobody can decide anything meanwhile.

#[test]
fn a_save_that_takes_longer_than_the_limit_is_given_up_and_told() {
    let limit = 300;
    let piece = Duration::from_millis(50); // for each of the clients
    // With a second thread nobody else writes it down.
    for (name, moves, callback, time) in [
        ("LAB_MAX_DOWNTIME", true, "save", LONG),
        ("LAB_MAX_DOWNTIME", true, "export", piece),
        ("LAB_COPY", false, "save", LONG),
    ] {
        let lab = Lab::with(|setup| {
            let setup = setup.env(name, limit).env("LAB_IDLE", 600);
            if moves { setup.env("LAB_MOVE", 1) } else { setup }
        });
        let old = lab.pid();
        let mut clients = clients(&lab, CLIENTS);
        assert_eq!(clients[0].ask("threads 1"), "ok");
        lab.slow_down(callback, time);
        lab.signal(Signal::SIGUSR2);
        wait_for("the old side to save", || lab.count_lines("restart: generation 1") == 1);
        wait_for("it to sleep there", || !is_waiting(old));
        ask_all(&mut clients);
        assert_all_are_answered(&mut clients);
        let line = lab.wait_line("ERROR: restart: given up after ");
        assert!(line.contains("over the limit of 300ms"), "{line}");
        let saving = line.rsplit(" took ").next().map(millis).expect("a time");
        let (least, most) = if callback == "save" { (1000.0, 5000.0) } else { (250.0, 2400.0) };
        assert!((least..most).contains(&saving), "{line}");
        lab.speed_up();
        assert_eq!(lab.connect().who().pid, old);
        assert_ne!(lab.restart_by(Engine::ForkExec), old);
    }
}

/// What `Duration` shows, in milliseconds.
fn millis(text: &str) -> f64 {
    let (number, factor) = match text.strip_suffix("ms") {
        Some(number) => (number, 1.0),
        None => (text.trim_end_matches('s'), 1000.0),
    };
    factor * number.parse::<f64>().expect("a number")
}

/// A new side that has them cannot be made to give them back, so the truth is all that is left.
#[test]
fn a_downtime_over_its_limit_is_told() {
    let lab = Lab::with(|setup| setup.env("LAB_MOVE", 1).env("LAB_MAX_DOWNTIME", 500));
    let mut client = lab.connect();
    client.who();
    lab.slow_down("start", Duration::from_millis(800));
    let new = lab.restart_by(Engine::Fork);
    lab.speed_up();
    assert_eq!(client.who().pid, new);
    lab.wait_line("over the limit of 500ms");
}

// A process that was stopped, or held up.

/// A server that closes what is idle for [`IDLE`].
fn impatient(timeout: &str) -> Server {
    Server::of("lab").env(&format!("LAB_{timeout}"), IDLE.as_millis()).start()
}

#[test]
fn who_has_spoken_while_the_server_was_stopped_is_answered() {
    let server = impatient("IDLE");
    let mut clients = clients(&server, CLIENTS);
    arm_all(&mut clients, IDLE / 2);
    while_stopped(server.pid(), || {
        std::thread::sleep(2 * IDLE);
        ask_all(&mut clients);
    });
    assert_all_are_answered_in_order(&mut clients);
}

/// More than one poll reports.
#[test]
fn so_is_everybody_where_one_poll_cannot_report_all() {
    load::raise_file_limit().expect("room for the clients");
    let server = Server::of("lab").env("LAB_IDLE", 2000).start();
    let mut clients = clients(&server, 1200);
    arm_all(&mut clients, Duration::from_millis(1500));
    while_stopped(server.pid(), || {
        std::thread::sleep(Duration::from_millis(2200));
        ask_all(&mut clients);
    });
    assert_all_are_answered_in_order(&mut clients);
}

#[test]
fn a_first_message_of_many_reads_that_has_come_is_one() {
    let server = impatient("FIRST");
    let mut clients: Vec<_> = (0..3).map(|_| server.connect()).collect();
    let mut other = server.connect();
    wait_for("all to be accepted", || other.stat("accepted") == 4);
    while_stopped(server.pid(), || {
        for client in &mut clients {
            client.send("echo "); // the rest is more than one read brings
            client.send("x".repeat(400_000));
            client.send("\n");
        }
        std::thread::sleep(2 * IDLE);
    });
    for client in &mut clients {
        assert_eq!(client.line().len(), 400_000);
    }
}

/// The edge says that there is room, and output is offered only later in the turn.
#[test]
fn who_has_read_while_the_server_was_stopped_has_made_progress() {
    let size = 20_000_000;
    let server = Server::of("lab").env("LAB_WRITE", 400).env("LAB_OUTPUT", 2 * size).start();
    let mut client = server.connect();
    client.send(format!("burst {size}\n"));
    let first = client.read_exact(1).len();
    wait_for_events(server.pid()); // the socket is full
    let mut rest = size - first;
    while_stopped(server.pid(), || {
        std::thread::sleep(2 * IDLE);
        // All that the kernel has, in its buffers on both sides.
        client.stream.set_read_timeout(Some(Duration::from_millis(100))).expect("a timeout");
        while let Ok(count @ 1..) = client.reader.read(&mut [0; 65536]) {
            rest -= count;
        }
        client.stream.set_read_timeout(Some(common::DEADLINE)).expect("a timeout");
    });
    assert!(rest > 0, "all of it was under way: too short");
    assert_eq!(client.read_exact(rest).len(), rest);
}

#[test]
fn a_callback_that_blocks_ends_neither_who_speaks_meanwhile_nor_who_has_asked() {
    let server = impatient("IDLE");
    let mut clients = clients(&server, CLIENTS);
    let mut slow = server.connect();
    slow.send(format!("block {}\n", LONG.as_millis()));
    wait_for("the callback to begin", || !is_waiting(server.pid()));
    ask_all(&mut clients);
    assert_all_are_answered(&mut clients);
    assert_eq!(slow.line(), "ok");
    assert_eq!(slow.ask("echo still"), "still", "it was answered this moment");
}

/// Who leaves has answered what it was asked in time.
#[test]
fn a_drain_that_was_held_up_answers_what_has_come_before_it_ends() {
    let server = Server::of("lab").env("LAB_STOP", 400).start();
    let mut clients = clients(&server, CLIENTS);
    server.signal(Signal::SIGTERM);
    server.wait_line("draining:");
    while_stopped(server.child.id() as i32, || {
        ask_all(&mut clients);
        std::thread::sleep(2 * IDLE);
    });
    assert_all_are_answered(&mut clients);
    wait_gone(server.child.id() as i32);
}

/// A drain has its time from when it begins, whatever `on_retire` takes.
#[test]
fn a_drain_begins_when_on_retire_is_over() {
    let lab = Lab::with(|setup| setup.env("LAB_STOP", 800));
    let mut client = lab.connect();
    client.who();
    lab.slow_down("retire", LONG);
    lab.signal(Signal::SIGTERM);
    lab.wait_line("draining:");
    client.send("block 0\n"); // in the middle of `on_retire`
    assert_eq!(client.line(), "ok");
    assert_eq!(client.ask("echo still"), "still", "it has 800 ms");
}

// A standstill that comes to nothing.

fn after_a_standstill_what_waits_is_read_before_anybody_is_judged(engine: Engine) {
    let lab = Lab::with(|setup| {
        setup.env("LAB_MOVE", 1).env("LAB_MAX_DOWNTIME", 800).env("LAB_IDLE", IDLE.as_millis())
    });
    let mut clients = clients(&lab, 20);
    arm_all(&mut clients, IDLE);
    let_stand_still(&lab, engine);
    ask_all(&mut clients);
    assert_all_are_answered_in_order(&mut clients);
    wait_given_up(&lab, engine);
}

fn wait_given_up(lab: &Lab, engine: Engine) {
    lab.wait_line(match engine {
        Engine::Fork => "restart: the new side was not ready within 800ms",
        Engine::ForkExec => "restart: the state was not copied within 800ms",
    });
}

/// Begins a restart whose new side has the connections, and does nothing with them.
fn let_stand_still(lab: &Lab, engine: Engine) {
    match engine {
        Engine::Fork => drop(lab.hold(engine)),
        Engine::ForkExec => {
            lab.slow_down("load", Duration::from_secs(5));
            lab.signal(engine.signal());
            lab.wait_line("restart: generation 1 by fork-exec");
        }
    }
}

fn time_in_which_connections_stand_still_does_not_count(engine: Engine) {
    let lab = Lab::with(|setup| {
        setup.env("LAB_MOVE", 1).env("LAB_MAX_DOWNTIME", 800).env("LAB_IDLE", 700)
    });
    let mut quiet = clients(&lab, 20);
    let_stand_still(&lab, engine);
    wait_given_up(&lab, engine);
    let mut other = lab.connect();
    other.stat("closed"); // a turn is over, in which all that were due would have been closed
    assert_eq!(other.stat("closed"), 0, "nobody has been quiet for 700 ms in which it was heard");
    quiet.iter_mut().for_each(|client| client.stream.write_all(b"echo x\n").expect("a connection"));
    quiet.iter_mut().for_each(|client| assert_eq!(client.line(), "x"));
}

// In memory, where a callback takes as long as it says.

/// Does what a line says: `block SECONDS`, `timer SECONDS`, `alarm SECONDS`, `hold SECONDS`; and answers it.
#[derive(Default)]
struct Slow {
    clock: Option<Clock>,
    /// How long `on_open` takes before it greets.
    opening: Duration,
    told: Vec<&'static str>,
}

impl Slow {
    fn block(&self, time: Duration) {
        self.clock.iter().for_each(|clock| clock.advance(time));
    }
}

impl Service for Slow {
    type Session = ();

    fn on_open(&mut self, conn: &mut Connection<'_>, _origin: Origin) -> Result {
        self.block(self.opening);
        conn.send(b"welcome\n");
        Ok(())
    }

    fn on_data(&mut self, conn: &mut Connection<'_>, _: &mut (), input: &[u8]) -> Result<usize> {
        let Some((line, taken)) = codec::line(input, 1_000_000)? else { return Ok(0) };
        let line = String::from_utf8_lossy(line);
        let (verb, seconds) = line.split_once(' ').unwrap_or((&line, ""));
        let time = Duration::from_secs(seconds.parse().unwrap_or(0));
        match verb {
            "block" => self.block(time),
            "timer" => conn.set_timer(Timer(1), time),
            "alarm" => conn.net.set_alarm(Alarm(1), time),
            "hold" => drop(conn.net.hold_within("a while", time)),
            _ => {}
        }
        conn.send(format!("{line}\n").as_bytes());
        Ok(taken)
    }

    fn on_timer(&mut self, _conn: &mut Connection<'_>, _: &mut (), _timer: Timer) -> Result {
        self.told.push("timer");
        Ok(())
    }

    fn on_alarm(&mut self, _net: &mut Net, _key: Alarm) {
        self.told.push("alarm");
    }
}

const SECOND: Duration = Duration::from_secs(1);

/// A service whose callbacks take time, and what it says to a first peer.
fn slow(opening: Duration) -> (Harness<Slow>, Peer) {
    let service = Slow { opening, ..Slow::default() };
    let mut harness = Harness::new(service).timeouts(Timeouts::new().all_idle(60 * SECOND));
    harness.service().clock = Some(harness.clock());
    let peer = harness.connect();
    assert_eq!(harness.take(peer), b"welcome\n");
    (harness, peer)
}

/// The block comes first and is longer than the time that is set behind it.
#[test]
fn what_a_late_callback_sets_counts_from_then() {
    for what in ["timer", "alarm"] {
        let (mut harness, peer) = slow(Duration::ZERO);
        harness.feed(peer, format!("block 9\n{what} 5\n").as_bytes());
        harness.advance(4 * SECOND);
        assert_eq!(harness.service().told, [""; 0], "{what}: 5 s are not over");
        harness.advance(SECOND);
        assert_eq!(harness.service().told, [what]);
    }
    let (mut harness, peer) = slow(Duration::ZERO);
    harness.feed(peer, b"block 9\nhold 5\n");
    harness.advance(4 * SECOND);
    assert_eq!(harness.net().stats().holds_expired, 0);
    harness.advance(SECOND);
    assert_eq!(harness.net().stats().holds_expired, 1);
}

/// The default is ten seconds, and a client waits for the greeting before it speaks.
#[test]
fn who_is_greeted_late_has_its_time_from_then() {
    let (mut harness, peer) = slow(20 * SECOND);
    harness.advance(9 * SECOND);
    assert!(!harness.is_closed(peer));
    harness.advance(2 * SECOND);
    assert!(harness.is_closed(peer), "it has had ten seconds");
}

#[test]
fn who_is_answered_late_is_not_idle() {
    let (mut harness, peer) = slow(Duration::ZERO);
    harness.feed(peer, b"block 100\n");
    assert_eq!(harness.take(peer), b"block 100\n");
    harness.advance(59 * SECOND);
    assert!(!harness.is_closed(peer));
    harness.advance(2 * SECOND);
    assert!(harness.is_closed(peer), "it has been idle for a minute");
}

/// It comes with the deadline, and takes many reads and turns to be used.
#[test]
fn what_has_come_is_used_before_anybody_is_judged() {
    let (mut harness, peer) = slow(Duration::ZERO);
    let long = format!("{}\n", "x".repeat(500_000));
    harness.feed_in(peer, 10 * SECOND, long.as_bytes());
    harness.advance(10 * SECOND);
    assert_eq!(harness.take(peer), long.as_bytes());
    assert!(!harness.is_closed(peer));
}

#[test]
fn who_speaks_during_a_callback_is_answered() {
    let (mut harness, first) = slow(Duration::ZERO);
    let second = harness.connect();
    harness.take(second);
    harness.feed_in(second, 5 * SECOND, b"hello\n");
    harness.feed(first, b"block 100\n");
    assert_eq!(harness.take(second), b"hello\n");
    assert!(!harness.is_closed(second));
}

/// A callback that takes long again and again may not keep the silent for ever.
#[test]
fn a_slow_service_still_ends_who_is_silent() {
    let (mut harness, asker) = slow(Duration::ZERO);
    let silent = harness.connect();
    for _ in 0..200 {
        harness.advance(Duration::from_millis(100));
        harness.feed(asker, b"block 1\n");
    }
    assert!(harness.is_closed(silent), "it has been listened to for twenty seconds");
}
