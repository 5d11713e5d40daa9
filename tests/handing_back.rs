//! A roll back is a restart in the other direction: what the new side has accepted, its clients have been told
//! and its alarms are is with the old one afterwards, and so are the very connections that move.

use std::{
    collections::BTreeSet,
    fs,
    io::{ErrorKind, Read},
    net::TcpListener,
    thread,
    time::{Duration, Instant},
};

use crate::common::{
    Client, Dir, Setup,
    ops::{Operated, Running, newcomer, wait_settled},
    pattern,
    restart::{Engine, listening, resume, slay, stop, tell, wait_for_events, wait_stopped},
    wait_for, wait_gone,
};
use nix::sys::signal::Signal::SIGTERM;

/// Longer than any of these tests: no commit comes by itself.
const LONG: u64 = 60_000;

/// What is different about labs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Mode {
    engine: Engine,
    moves: bool,
    tracks: bool,
}

/// All of them.
fn modes() -> impl Iterator<Item = Mode> {
    let engines = [Engine::Fork, Engine::ForkExec].into_iter();
    let moving = |engine| [true, false].map(|moves| (engine, moves));
    let tracking = |(engine, moves)| [true, false].map(|tracks| Mode { engine, moves, tracks });
    engines.flat_map(moving).flat_map(tracking)
}

impl Mode {
    fn setup(self, mut setup: Setup) -> Setup {
        if self.moves {
            setup = setup.env("LAB_MOVE", 1);
        }
        if self.tracks {
            setup = setup.env("LAB_TRACK", 1);
        }
        setup.env("LAB_IDLE", 600_000)
    }

    fn lab(self) -> Operated {
        Operated::with(LONG, |setup| self.setup(setup))
    }

    /// Whether what the new side has accepted comes back.
    fn returns_state(self) -> bool {
        self.moves || self.tracks
    }
}

/// A restart up to where the new side serves. Whoever waits for its verdict, and the new pid.
fn begin(lab: &Operated, engine: Engine) -> (Running, i32) {
    let old = lab.pid();
    let restart = lab.heirloom_later(&["restart", &format!("--{}", engine.name())]);
    let mut new = old;
    wait_for("the new side to serve", || {
        new = newcomer(lab).pid;
        new != old
    });
    (restart, new)
}

/// Who asks for a roll back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asker {
    Operator,
    Service,
}

fn roll_back(lab: &Operated, restart: Running, asker: Asker) {
    match asker {
        Asker::Operator => {
            let ran = lab.heirloom(&["rollback"]);
            assert_eq!(ran.status, Some(0), "{ran:?}\n{}", lab.log());
            assert!(ran.out.ends_with("serves again\n"), "{ran:?}");
        }
        Asker::Service => assert_eq!(lab.connect().ask("roll-back unfit"), "ok"),
    }
    let ran = restart.wait();
    let why = if asker == Asker::Operator { "on request" } else { "unfit" };
    assert_eq!(ran.err, format!("heirloom: restart: rolled back: {why}\n"), "{}", lab.log());
}

#[test]
fn what_was_acknowledged_is_there_after_a_roll_back() {
    for mode in modes() {
        for asker in [Asker::Operator, Asker::Service] {
            println!("{mode:?} {asker:?}");
            let lab = mode.lab();
            let old = lab.pid();
            let mut early = lab.connect();
            assert_eq!(early.ask("put a before"), "ok");
            assert_eq!(early.ask("put b before"), "ok");
            let (restart, new) = begin(&lab, mode.engine);
            let mut late = lab.connect();
            assert_eq!(late.ask("put b during"), "ok");
            assert_eq!(late.ask("put c during"), "ok");
            roll_back(&lab, restart, asker);
            assert_eq!(newcomer(&lab).pid, old);
            let mut client = lab.connect();
            let got = ["a", "b", "c"].map(|key| client.ask(&format!("get {key}")));
            match mode.returns_state() {
                true => assert_eq!(got, ["before", "during", "during"], "{mode:?} {asker:?}"),
                false => assert_eq!(got, ["before", "before", ""], "{mode:?}: as at the copy"),
            }
            // The very connections, if they move: those that came to the new side, too.
            assert_eq!(early.who().pid, old);
            assert_eq!(late.who().pid, if mode.moves { old } else { new });
            drop((early, late, client));
            wait_gone(new);
            assert_eq!(wait_settled(&lab).pid, old);
        }
    }
}

fn read_pattern(client: &mut Client, seed: u64, position: u64, count: usize) {
    let mut expected = vec![0; count];
    pattern::fill(seed, position, &mut expected);
    let got = client.read_exact(count);
    let wrong = (0..count).find(|&at| got[at] != expected[at]);
    assert_eq!(wrong, None, "a byte of {count} from {position} on is wrong");
}

/// Modes in which connections come back.
fn moving() -> impl Iterator<Item = Mode> {
    modes().filter(|mode| mode.moves)
}

/// In whatever state they are; those that have come to the new side as well.
#[test]
fn the_very_connections_go_on_where_they_were() {
    for mode in moving() {
        let lab = mode.lab();
        let old = lab.pid();
        let (mut asks, mut reads) = (lab.connect(), lab.connect());
        let (mut finished, mut other) = (lab.connect(), lab.connect());
        let id = asks.ask("id");
        reads.send("reply 3000000 7\n");
        read_pattern(&mut reads, 7, 0, 1000);
        finished.ask("outlive-eof");
        let (restart, new) = begin(&lab, mode.engine);
        let (mut late_asks, mut late_reads) = (lab.connect(), lab.connect());
        let late_id = late_asks.ask("id");
        assert_eq!(late_reads.who().pid, new);
        late_reads.send("burst 1000000\n"); // all of it is queued
        late_reads.read_exact(1000);
        read_pattern(&mut reads, 7, 1000, 500_000);
        finished.ask("keep-id");
        finished.finish();
        assert_eq!(finished.line(), "eof");
        asks.send("ec");
        late_asks.send("ech");
        roll_back(&lab, restart, Asker::Operator);
        asks.send("ho early\nid\nwho\n");
        assert_eq!((asks.line(), asks.line()), ("early".to_owned(), id));
        assert_eq!(asks.line(), format!("0 {old} none"));
        late_asks.send("o late\nid\n");
        assert_eq!((late_asks.line(), late_asks.line()), ("late".to_owned(), late_id));
        assert_eq!(late_asks.who().pid, old);
        read_pattern(&mut reads, 7, 501_000, 3_000_000 - 501_000);
        assert_eq!(reads.who().pid, old);
        assert!(late_reads.read_exact(999_000).iter().all(|&byte| byte == b'x'));
        assert_eq!(late_reads.who().pid, old);
        if !mode.tracks {
            // The name is in the state, and leads there.
            assert_eq!(other.ask("tell hello"), "told");
            assert_eq!(finished.line(), "hello");
        }
        wait_gone(new); // it has nobody left
        assert_eq!(wait_settled(&lab).pid, old);
    }
}

/// Their slots are taken by others meanwhile: those that have not moved, and an operator.
#[test]
fn who_comes_to_the_new_side_takes_no_place_of_those_that_have_stayed() {
    for mode in moving() {
        let lab = mode.lab();
        let mut clients: Vec<_> = (0..20).map(|_| lab.connect()).collect();
        clients.iter_mut().step_by(2).for_each(|client| drop(client.ask("stay")));
        clients.iter_mut().skip(1).step_by(2).for_each(|client| drop(client.who()));
        let (old, (restart, new)) = (lab.pid(), begin(&lab, mode.engine));
        clients.extend((0..40).map(|_| lab.connect()));
        let ids: Vec<_> = clients.iter_mut().map(|client| client.ask("id")).collect();
        assert_eq!(clients[59].who().pid, new);
        roll_back(&lab, restart, Asker::Operator);
        for (client, id) in clients.iter_mut().zip(&ids) {
            assert_eq!((client.ask("id"), client.who().pid), (id.clone(), old));
        }
        let mut newer: Vec<_> = (0..40).map(|_| lab.connect()).collect();
        let mut all: BTreeSet<_> = ids.into_iter().collect();
        all.extend(newer.iter_mut().map(|client| client.ask("id")));
        assert_eq!(all.len(), 100, "a name was given twice");
    }
}

/// Once each, whoever has set it.
#[test]
fn alarms_go_back_as_they_stand() {
    for mode in modes() {
        let dir = Dir::new();
        let path = dir.path("journal");
        let lab =
            Operated::with(LONG, |setup| mode.setup(setup).env("LAB_JOURNAL", path.display()));
        let journal = || fs::read_to_string(&path).unwrap_or_default();
        let mut client = lab.connect();
        client.ask("once 1 100000 2 100000");
        let (restart, _) = begin(&lab, mode.engine);
        let mut late = lab.connect();
        late.ask("once 3 1");
        wait_for("the new side's alarm", || journal().lines().count() == 1);
        late.ask("clear 2");
        late.ask("once 4 100000 5 400");
        roll_back(&lab, restart, Asker::Operator);
        let in_time = journal().lines().count() == 1; // on a machine that is not too slow
        let mut client = lab.connect();
        wait_for("the old side's alarm", || journal().lines().count() == 2);
        assert_eq!(client.ask("alarms"), "1,4");
        let (journal, old) = (journal(), lab.pid());
        let lines: Vec<_> = journal.lines().collect();
        assert!(lines[0].ends_with(" alarm 3"), "{lines:?}");
        assert!(lines[1].ends_with(" alarm 5"), "{lines:?}");
        assert!(!in_time || lines[1] == format!("0 {old} alarm 5"), "{lines:?}");
    }
}

#[test]
fn after_a_roll_back_the_next_restart_is_like_any_other() {
    for mode in modes() {
        let lab = mode.lab();
        let old = lab.pid();
        let mut client = lab.connect();
        for round in 0..3 {
            let (restart, _) = begin(&lab, mode.engine);
            let mut late = lab.connect();
            assert_eq!(late.ask(&format!("put round {round}")), "ok");
            roll_back(&lab, restart, Asker::Operator);
            assert_eq!(client.who().pid, old);
            let value = if mode.returns_state() { round.to_string() } else { String::new() };
            assert_eq!(lab.connect().ask("get round"), value, "{mode:?}");
        }
        drop(client);
        assert_eq!(wait_settled(&lab).pid, old);
        // The one that stays has everything by then.
        let value = lab.connect().ask("get round");
        let (restart, new) = begin(&lab, mode.engine);
        assert_eq!(lab.connect().ask("get round"), value);
        drop(restart);
        let mut client = lab.connect();
        assert_eq!(client.who().pid, new);
    }
}

/// The new side goes on with everything, and whoever has asked is told why.
#[test]
fn what_the_old_side_cannot_load_stays_where_it_is() {
    for mode in modes().filter(|mode| mode.returns_state()) {
        let lab = mode.lab();
        let old = lab.pid();
        let mut client = lab.connect();
        client.who();
        let (restart, new) = begin(&lab, mode.engine);
        let mut late = lab.connect();
        late.ask("put key new");
        let callback = if mode.tracks { "load_changes" } else { "load" };
        lab.break_programs(&format!("panic in {callback}"));
        let ran = lab.heirloom(&["rollback"]);
        lab.mend_programs();
        let why = format!("heirloom: generation 1 stays: panicked: {callback}: lab: as told");
        assert!(ran.status == Some(1) && ran.err.starts_with(&why), "{ran:?}");
        assert_eq!(late.ask("get key"), "new");
        assert_eq!(newcomer(&lab).pid, new);
        assert_eq!(client.who().pid, if mode.moves { new } else { old });
        // Nothing was lost: it works the next time.
        late.ask("put other new");
        roll_back(&lab, restart, Asker::Operator);
        let mut after = lab.connect();
        assert_eq!((after.ask("get key"), after.ask("get other")), ("new".into(), "new".into()));
        assert_eq!(after.who().pid, old);
    }
}

/// It takes longer than connections may stand still: the new side does not wait.
#[test]
fn an_old_side_that_takes_too_long_gets_nothing() {
    for mode in modes().filter(|mode| mode.returns_state()) {
        let lab = Operated::with(LONG, |setup| mode.setup(setup).env("LAB_MAX_DOWNTIME", 1000));
        let old = lab.pid();
        let (restart, new) = begin(&lab, mode.engine);
        let (mut late, mut closes) = (lab.connect(), lab.connect());
        late.ask("put key new");
        closes.who();
        stop(old);
        let ran = lab.heirloom(&["rollback"]);
        let why = "heirloom: generation 1 stays: the old side has not answered for 1s\n";
        assert_eq!((ran.status, &*ran.err), (Some(1), why));
        assert_eq!(late.who().pid, new);
        late.ask("put other newer");
        // Although a copy of it is on its way.
        closes.send("abort\n");
        let ended = closes.read_to_end().map_err(|e| e.kind());
        assert!(matches!(ended, Ok(_) | Err(ErrorKind::ConnectionReset)), "{mode:?}: {ended:?}");
        resume(old);
        // What it says by then is no answer to the next time.
        roll_back(&lab, restart, Asker::Operator);
        let mut after = lab.connect();
        let got = (after.ask("get key"), after.ask("get other"));
        assert_eq!((after.who().pid, got), (old, ("new".to_owned(), "newer".to_owned())));
        if mode.tracks {
            // Each piece once.
            assert_eq!(after.ask("events"), "Fresh,retire,changes,changes,Resumed,error");
        }
    }
}

/// The new side has everything until the old one serves.
#[test]
fn an_old_side_that_dies_meanwhile_takes_nothing_along() {
    for mode in modes() {
        let lab = mode.lab();
        let old = lab.pid();
        let mut client = lab.connect();
        client.who();
        let (restart, new) = begin(&lab, mode.engine);
        let mut late = lab.connect();
        late.ask("put key new");
        stop(old);
        let rollback = lab.heirloom_later(&["rollback"]);
        lab.wait_line("rolled back: on request");
        slay(old);
        let ran = rollback.wait();
        let why = "heirloom: the old generation is gone, so this one stays\n";
        assert_eq!((ran.status, &*ran.err), (Some(1), why));
        assert_eq!((late.ask("get key"), late.who().pid), ("new".to_owned(), new));
        if mode.moves {
            assert_eq!(client.who().pid, new);
        }
        drop((restart.wait(), client, late));
        assert_eq!(wait_settled(&lab).pid, new);
    }
}

/// What it had sent by then is served, and nothing else.
#[test]
#[cfg_attr(not(debug_assertions), ignore = "faults are in debug builds only")]
fn a_new_side_that_dies_meanwhile_takes_along_what_it_had_not_sent() {
    for mode in modes() {
        for (step, all) in [("NewSavedBack", false), ("NewHandedBack", true), ("NewReturned", true)]
        {
            println!("{mode:?} {step}");
            let lab = mode.lab();
            let old = lab.pid();
            let mut client = lab.connect();
            client.who();
            let (restart, _) = begin(&lab, mode.engine);
            let mut late = lab.connect();
            late.ask("put key new");
            fs::write(lab.scratch("fault"), format!("{step} die")).expect("a file");
            let ran = lab.heirloom(&["rollback"]);
            assert_ne!(ran.status, Some(0), "it has died with the answer: {ran:?}");
            assert_eq!(restart.wait().status, Some(1));
            let mut after = lab.connect();
            assert_eq!(after.who().pid, old);
            let value = if mode.returns_state() { "new" } else { "" };
            assert_eq!(after.ask("get key"), value, "{mode:?} {step}");
            if all || !mode.moves {
                assert_eq!(client.who().pid, old, "{mode:?} {step}");
            }
            if all && mode.moves {
                assert_eq!(late.who().pid, old, "{mode:?} {step}");
            }
            drop((client, late, after));
            assert_eq!(wait_settled(&lab).pid, old);
        }
    }
}

/// It has no other place for it: both have made a connection of their own there. And it is not taken for the
/// other one.
#[test]
fn whose_place_is_taken_stays_with_the_new_side() {
    for mode in moving() {
        let lab = mode.lab();
        let elsewhere = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = elsewhere.local_addr().expect("bound");
        let mut stays = lab.connect();
        stays.ask("stay");
        lab.signal(mode.engine.signal());
        lab.wait_line("ready: generation 1");
        let mut late: Vec<_> = (0..3).map(|_| lab.connect()).collect();
        let ids: Vec<_> = late.iter_mut().map(|client| client.ask("id")).collect();
        let new = late[0].who().pid;
        let dial = || {
            assert!(stays.ask(&format!("dial {address}")).starts_with("dialed "));
            elsewhere.accept().expect("it was dialed").0
        };
        let dialed: Vec<_> = std::iter::repeat_with(dial).take(3).collect();
        assert_eq!(lab.heirloom(&["rollback"]).status, Some(0));
        assert!(late.iter_mut().all(|client| client.who().pid == new));
        let after: Vec<_> = late.iter_mut().map(|client| client.ask("id")).collect();
        assert_eq!(after, ids);
        for id in ids {
            stays.send(format!("kill {id}\n")); // which leads nowhere
        }
        stays.who();
        for mut stream in dialed {
            stream.set_nonblocking(true).expect("a socket");
            let read = stream.read(&mut [0]).map_err(|e| e.kind());
            assert_eq!(read, Err(ErrorKind::WouldBlock), "{mode:?}: it was ended");
        }
        drop(late);
        wait_gone(new);
    }
}

/// What the service has forgotten without having written it down: then all of it goes back, where it may.
#[test]
fn changes_that_were_not_saved_are_not_forgotten() {
    for mode in modes().filter(|mode| mode.tracks) {
        let lab = mode.lab();
        let (restart, new) = begin(&lab, mode.engine);
        let mut late = lab.connect();
        late.ask("put key new");
        lab.break_programs("panic in save_changes");
        let ran = lab.heirloom(&["rollback"]);
        lab.mend_programs();
        let why = "heirloom: generation 1 stays: panicked: save_changes: lab: as told";
        assert!(ran.status == Some(1) && ran.err.starts_with(why), "{ran:?}");
        late.ask("put other new");
        if mode.moves {
            roll_back(&lab, restart, Asker::Operator);
            let mut after = lab.connect();
            assert_eq!(
                (after.ask("get key"), after.ask("get other")),
                ("new".into(), "new".into())
            );
        } else {
            let ran = lab.heirloom(&["rollback"]);
            assert!(ran.err.contains("some of its changes were lost"), "{ran:?}");
            assert_eq!(late.who().pid, new);
        }
    }
}

/// Whose time is over, whoever's code takes it.
#[test]
fn a_limit_holds_while_the_service_takes_its_time() {
    thread::scope(|scope| {
        for mode in modes().filter(|mode| mode.returns_state()) {
            scope.spawn(move || hold_to_the_limit(mode));
        }
    });
}

fn hold_to_the_limit(mode: Mode) {
    let lab = Operated::with(LONG, |setup| mode.setup(setup).env("LAB_MAX_DOWNTIME", 1000));
    let old = lab.pid();
    let (restart, new) = begin(&lab, mode.engine);
    let mut late = lab.connect();
    late.ask("put key new");
    let [saves, loads] = match mode.tracks {
        true => ["save_changes", "load_changes"],
        false => ["save", "load"],
    };
    for (slow, why) in
        [(saves, "to write down what goes back"), (loads, "the old side has not answered for 1s")]
    {
        lab.slow_down(slow, Duration::from_millis(3000));
        let begun = Instant::now();
        let ran = lab.heirloom(&["rollback"]);
        let took = begun.elapsed();
        lab.speed_up();
        assert!(ran.status == Some(1) && ran.err.contains(why), "{mode:?} {slow}: {ran:?}");
        // The new side is the one that decides, and has nothing to wait for.
        assert!(slow == saves || took < Duration::from_millis(2700), "{took:?}");
        assert_eq!(late.who().pid, new);
    }
    lab.wait_line("taken back: "); // and forgotten, for it was too late
    wait_for_events(old);
    roll_back(&lab, restart, Asker::Operator);
    assert_eq!((newcomer(&lab).pid, lab.connect().ask("get key")), (old, "new".to_owned()));
}

/// It has given its place to others meanwhile.
#[test]
fn an_old_side_without_descriptors_takes_nothing_back() {
    for mode in moving() {
        let lab = mode.lab();
        let old = lab.pid();
        let mut stays = lab.connect();
        stays.ask("stay");
        let (restart, new) = begin(&lab, mode.engine);
        assert_eq!(stays.who().pid, old);
        assert_eq!(stays.ask("nofile 5"), "ok");
        let mut clients: Vec<_> = (0..300).map(|_| lab.connect()).collect();
        clients.iter_mut().for_each(|client| assert_eq!(client.who().pid, new));
        let ran = lab.heirloom(&["rollback"]);
        let why = "heirloom: generation 1 stays: no room for the descriptors of the other side\n";
        assert_eq!((ran.status, &*ran.err), (Some(1), why), "{}", lab.log());
        clients.iter_mut().for_each(|client| assert_eq!(client.who().pid, new));
        assert_eq!(stays.ask("nofile max"), "ok");
        roll_back(&lab, restart, Asker::Operator);
        clients.iter_mut().for_each(|client| assert_eq!(client.who().pid, old));
    }
}

/// It could have taken back what it was sent first, and has no room for what it is sent now.
#[test]
fn what_is_said_to_an_earlier_try_is_no_answer() {
    for mode in moving().filter(|mode| mode.tracks) {
        let lab = Operated::with(LONG, |setup| mode.setup(setup).env("LAB_MAX_DOWNTIME", 1500));
        let old = lab.pid();
        let mut stays = lab.connect();
        stays.ask("stay");
        let (restart, new) = begin(&lab, mode.engine);
        let mut clients = vec![lab.connect()];
        assert_eq!(stays.ask("nofile 30"), "ok");
        stop(old);
        assert_eq!(lab.heirloom(&["rollback"]).status, Some(1));
        clients.extend((0..100).map(|_| lab.connect()));
        clients.iter_mut().for_each(|client| assert_eq!(client.who().pid, new));
        let rollback = lab.heirloom_later(&["rollback"]);
        lab.wait_lines("rolled back: on request", 2);
        wait_for_events(new);
        resume(old);
        let ran = rollback.wait();
        assert!(ran.err.contains("no room for the descriptors"), "{ran:?}\n{}", lab.log());
        clients.iter_mut().for_each(|client| assert_eq!(client.who().pid, new));
        assert_eq!(stays.ask("nofile max"), "ok");
        roll_back(&lab, restart, Asker::Operator);
        clients.iter_mut().for_each(|client| assert_eq!(client.who().pid, old));
    }
}

/// Both leave, and each serves what it has until then.
#[test]
#[cfg_attr(not(debug_assertions), ignore = "faults are in debug builds only")]
fn a_stop_in_the_middle_of_it_ends_both_sides() {
    for mode in modes() {
        for stopped in ["old", "new"] {
            println!("{mode:?} {stopped}");
            let lab = mode.lab();
            let old = lab.pid();
            let mut early = lab.connect();
            early.who();
            let (restart, new) = begin(&lab, mode.engine);
            let mut late = lab.connect();
            late.who();
            if stopped == "old" {
                // It has taken everything in, and waits for the word of the other one.
                fs::write(lab.scratch("fault"), "NewHandedBack hang").expect("a file");
                let rollback = lab.heirloom_later(&["rollback"]);
                wait_stopped(new);
                wait_for_events(old);
                tell(old, SIGTERM);
                wait_for_events(old);
                resume(new);
                assert_eq!(rollback.wait().status, Some(0));
                assert_eq!(early.who().pid, old);
                assert_eq!(late.who().pid, if mode.moves { old } else { new });
            } else {
                stop(old);
                let rollback = lab.heirloom_later(&["rollback"]);
                lab.wait_line("rolled back: on request");
                tell(new, SIGTERM);
                lab.wait_line("draining: ");
                assert_eq!(late.who().pid, new);
                resume(old);
                assert_eq!(rollback.wait().status, Some(1));
                assert_eq!(early.who().pid, if mode.moves { new } else { old });
            }
            drop((early, late, restart));
            wait_for("everybody to leave", || lab.generations().is_empty());
            assert_eq!(listening(&lab.address), [0; 0]);
        }
    }
}
