//! Generations that live side by side tell each other something: each word once, in the order in which it was told, whatever
//! becomes of a restart or of the processes in between; or it comes back.

use std::fs;

use crate::common::{
    self, Client, Setup,
    journal::{Entry, Journaled},
    restart::{Engine, resume, slay, stop, tell, wait_for_events},
    wait_for, wait_gone,
};
use nix::sys::signal::Signal::SIGTERM;

/// Ends a probation that is to be survived, in milliseconds; and one in which something happens.
const SHORT: u64 = 50;
const LONG: u64 = 20_000;

/// Labs, and a client of each generation, in their order.
struct Rooms {
    labs: Journaled,
    clients: Vec<Client>,
    pids: Vec<i32>,
}

impl Rooms {
    /// One generation.
    fn begin(probation: u64, adjust: impl FnOnce(Setup) -> Setup) -> Rooms {
        let labs = Journaled::with(probation, adjust);
        let mut rooms = Rooms { labs, clients: Vec::new(), pids: Vec::new() };
        rooms.come();
        rooms
    }

    /// So many, each of which was replaced by the next one.
    fn of(count: usize, engine: Engine, adjust: impl FnOnce(Setup) -> Setup) -> Rooms {
        let mut rooms = Rooms::begin(SHORT, adjust);
        (1..count).for_each(|_| rooms.restart(engine));
        rooms
    }

    fn restart(&mut self, engine: Engine) {
        self.labs.lab.restart_by(engine);
        self.come();
    }

    /// A restart as far as its probation.
    fn begin_restart(&mut self, engine: Engine) {
        self.labs.begin_restart(engine);
        self.come();
    }

    /// Somebody comes to the one that serves.
    fn come(&mut self) {
        let mut client = self.labs.lab.connect();
        let who = client.who();
        assert_eq!(who.generation, self.pids.len() as u64);
        self.clients.push(client);
        self.pids.push(who.pid);
    }

    fn ask(&mut self, room: usize, line: &str) -> String {
        self.clients[room].ask(line)
    }

    /// Has one tell another `count` words.
    fn tell_many(&mut self, from: usize, to: usize, count: usize) {
        let said = self.ask(from, &format!("word-many {to} {count} 20"));
        assert_eq!(said, format!("ok {count}"));
    }

    /// Stops one that has said of all that it has taken that it has: who ends within the turn in which it takes a word has told nobody.
    fn stop(&mut self, room: usize) {
        self.ask(room, "generations");
        stop(self.pids[room]);
    }

    /// Waits until a generation knows of these others.
    fn wait_known(&mut self, room: usize, others: &str) {
        wait_for(&format!("{room} to know {others:?}"), || {
            self.clients[room].ask("generations") == others
        });
    }

    /// What a generation wrote down of the kind (`word 0`): the rest of each line.
    fn noted(&self, room: usize, kind: &str) -> Vec<String> {
        let entries = self.labs.entries().into_iter();
        let own = entries.filter(|entry: &Entry| entry.generation == room as u64);
        let rest = |entry: Entry| {
            entry.what.strip_prefix(kind).and_then(|it| it.strip_prefix(' ')).map(str::to_owned)
        };
        own.filter_map(rest).collect()
    }

    /// Waits until it has `count` lines of it, and compares them with those of `tell_many`.
    fn assert_many(&self, room: usize, kind: &str, counts: &[usize]) {
        let expected: Vec<_> = counts.iter().flat_map(|&count| many(count)).collect();
        self.assert_noted(room, kind, &expected);
    }

    fn assert_noted(&self, room: usize, kind: &str, expected: &[impl AsRef<str>]) {
        wait_for(&format!("{} times {kind:?} in {room}", expected.len()), || {
            self.noted(room, kind).len() >= expected.len()
        });
        let expected: Vec<_> = expected.iter().map(|it| it.as_ref().to_owned()).collect();
        assert_eq!(self.noted(room, kind), expected, "{kind} in {room}");
    }
}

/// What `word-many` tells.
fn many(count: usize) -> Vec<String> {
    (0..count).map(|at| format!("{at:.<20}")).collect()
}

fn both_sides_hear_each_other_in_order(engine: Engine) {
    let mut rooms = Rooms::of(2, engine, |setup| setup.env("LAB_TELLS", 1));
    rooms.wait_known(0, "1*");
    assert_eq!(rooms.ask(1, "generations"), "0");
    let mut told = vec!["start".to_owned()];
    for round in 1..4 {
        rooms.tell_many(0, 1, 1000);
        rooms.tell_many(1, 0, 1000);
        told.extend(many(1000));
        rooms.assert_noted(0, "word 1", &told);
        rooms.assert_many(1, "word 0", &vec![1000; round]);
    }
    assert_eq!(rooms.ask(0, "word 1 ask a question"), "ok");
    told.push("a question".to_owned());
    rooms.assert_noted(0, "word 1", &told);
}

/// Through the newest, which has a link to each.
fn of_three_each_hears_each(engine: Engine) {
    let mut rooms = Rooms::of(3, engine, |setup| setup);
    rooms.wait_known(0, "1 2*");
    rooms.wait_known(1, "0 2*");
    assert_eq!(rooms.ask(2, "generations"), "0 1");
    for (from, to) in [(0, 1), (1, 0), (0, 2), (2, 0), (1, 2), (2, 1)] {
        rooms.tell_many(from, to, 500);
    }
    for (from, to) in [(0, 1), (1, 0), (0, 2), (2, 0), (1, 2), (2, 1)] {
        rooms.assert_many(to, &format!("word {from}"), &[500]);
    }
    // One of them ends: the others know, and what it was told comes back, in order.
    let pids = rooms.pids.clone();
    rooms.stop(0);
    rooms.tell_many(1, 0, 100);
    rooms.tell_many(2, 0, 50);
    slay(pids[0]);
    rooms.assert_many(1, "back 0", &[100]);
    rooms.assert_many(2, "back 0", &[50]);
    rooms.wait_known(1, "2*");
    assert_eq!(rooms.ask(2, "generations"), "1");
    assert_eq!(rooms.ask(1, "word 0 hello"), "error tell generation 0: there is none");
}

/// Whoever is left when the newest has died has no way to the others.
#[test]
fn without_the_newest_what_was_told_comes_back() {
    let mut rooms = Rooms::of(3, Engine::Fork, |setup| setup);
    rooms.wait_known(0, "1 2*");
    let pids = rooms.pids.clone();
    stop(pids[2]);
    rooms.tell_many(0, 1, 100);
    rooms.tell_many(0, 2, 100);
    slay(pids[2]);
    rooms.assert_many(0, "back 1", &[100]);
    rooms.assert_many(0, "back 2", &[100]);
    assert_eq!(rooms.ask(0, "generations"), "");
    assert_eq!(rooms.noted(1, "word 0"), [""; 0]);
}

#[test]
fn what_may_wait_is_bounded_in_bytes_and_in_number_and_nothing_of_it_is_lost() {
    let mut rooms = Rooms::of(2, Engine::Fork, |setup| setup);
    rooms.wait_known(0, "1*");
    assert_eq!(rooms.ask(0, "word 7 hello"), "error tell generation 7: there is none");
    assert_eq!(rooms.ask(0, "word 0 hello"), "error tell generation 0: there is none");
    let long = rooms.ask(0, "word-many 1 1 32769");
    assert_eq!(long, "0 tell a generation: 32769 bytes are more than 32768");
    let new = rooms.pids[1];
    stop(new);
    let full = rooms.ask(0, "word-many 1 40 32768");
    assert_eq!(full, "32 tell generation 1: 32 words (1048576 bytes) wait for it already");
    resume(new);
    let words: Vec<_> = (0..32).map(|at| format!("{at:.<32768}")).collect();
    rooms.assert_noted(1, "word 0", &words);
    rooms.stop(1);
    let full = rooms.ask(0, "word-many 1 5000 20");
    assert_eq!(full, "4096 tell generation 1: 4096 words (81920 bytes) wait for it already");
    resume(new);
    rooms.assert_noted(1, "word 0", &[words, many(4096)].concat());
}

fn what_was_told_to_one_that_dies_comes_back(engine: Engine) {
    // The new one, when it stays; and the old one then.
    for (dies, lives) in [(1, 0), (0, 1)] {
        let mut rooms = Rooms::of(2, engine, |setup| setup);
        rooms.wait_known(0, "1*");
        let pids = rooms.pids.clone();
        rooms.tell_many(dies, lives, 10); // what it has said is heard nonetheless
        stop(pids[dies]);
        rooms.tell_many(lives, dies, 1000);
        slay(pids[dies]);
        rooms.assert_many(lives, &format!("back {dies}"), &[1000]);
        rooms.assert_many(lives, &format!("word {dies}"), &[10]);
        rooms.wait_known(lives, "");
    }
}

fn nor_is_anything_lost_in_a_probation(engine: Engine) {
    for (dies, lives) in [(1, 0), (0, 1)] {
        let mut rooms = Rooms::begin(LONG, |setup| setup);
        rooms.begin_restart(engine);
        rooms.wait_known(0, "1*");
        assert_eq!(rooms.ask(1, "generations"), "0");
        let pids = rooms.pids.clone();
        rooms.tell_many(0, 1, 100);
        rooms.tell_many(1, 0, 100);
        rooms.assert_many(1, "word 0", &[100]);
        rooms.assert_many(0, "word 1", &[100]);
        rooms.stop(dies);
        rooms.tell_many(lives, dies, 1000);
        slay(pids[dies]);
        rooms.assert_many(lives, &format!("back {dies}"), &[1000]);
        rooms.wait_known(lives, "");
        assert_eq!(
            rooms.ask(lives, "whence").split(' ').next(),
            match lives {
                0 => Some("Resumed"),
                _ => Some(engine.start()),
            }
        );
    }
}

/// The word that it has died of comes back: nobody knows how far it came.
#[test]
fn one_that_dies_of_a_word_has_not_taken_it() {
    let mut rooms = Rooms::of(2, Engine::Fork, |setup| setup);
    rooms.wait_known(0, "1*");
    assert_eq!(rooms.ask(0, "word 1 hello"), "ok");
    rooms.assert_noted(1, "word 0", &["hello"]);
    assert_eq!(rooms.ask(0, "word 1 die"), "ok");
    rooms.assert_noted(0, "back 1", &["die"]);
    assert_eq!(rooms.noted(1, "word 0"), ["hello", "die"]);
}

/// In all three generations, while they change places.
fn a_roll_back_loses_no_word_and_keeps_their_order(engine: Engine) {
    let mut rooms = Rooms::of(2, engine, |setup| setup);
    rooms.wait_known(0, "1*");
    fs::write(rooms.labs.lab.scratch("broken"), "roll back").expect("a file");
    let pairs = [(0, 1), (1, 0)];
    let mut rounds = Vec::new();
    for _ in 0..4 {
        // A new side comes, is the way between the two, and goes again, all at once.
        let undone = rooms.labs.lab.count_lines("rolled back");
        rooms.labs.lab.signal(engine.signal());
        while rooms.labs.lab.count_lines("rolled back") == undone {
            for (from, to) in pairs {
                rooms.tell_many(from, to, 100);
            }
            rounds.push(100);
            for (from, to) in pairs {
                rooms.assert_many(to, &format!("word {from}"), &rounds);
            }
        }
        wait_for("the old one to serve again", || rooms.labs.lab.pid() == rooms.pids[1]);
    }
    for (from, to) in pairs {
        rooms.tell_many(from, to, 100);
        rooms.assert_many(to, &format!("word {from}"), &[&rounds[..], &[100]].concat());
    }
    let backs = rooms.labs.entries().into_iter().filter(|it| it.what.starts_with("back"));
    assert_eq!(backs.collect::<Vec<_>>(), []);
}

/// The sides of a roll back still talk, each in its new place.
fn after_a_roll_back_both_talk_on(engine: Engine) {
    let mut rooms = Rooms::begin(LONG, |setup| setup);
    rooms.begin_restart(engine);
    rooms.wait_known(0, "1*");
    rooms.tell_many(0, 1, 1000);
    rooms.tell_many(1, 0, 1000);
    rooms.clients[1].send("roll-back as told\n");
    assert_eq!(rooms.clients[1].line(), "ok");
    rooms.wait_known(0, "1");
    rooms.wait_known(1, "0*");
    rooms.tell_many(0, 1, 1000);
    rooms.tell_many(1, 0, 1000);
    rooms.assert_many(1, "word 0", &[1000, 1000]);
    rooms.assert_many(0, "word 1", &[1000, 1000]);
    // And beside a new one that stays.
    rooms.labs.lab.signal(engine.signal());
    wait_for("another one", || rooms.labs.lab.pid() != rooms.pids[0]);
    rooms.come();
    rooms.wait_known(0, "1 2*");
    rooms.wait_known(1, "0 2*");
    rooms.tell_many(0, 1, 1000);
    rooms.tell_many(1, 2, 1000);
    rooms.assert_many(1, "word 0", &[1000, 1000, 1000]);
    rooms.assert_many(2, "word 1", &[1000]);
}

/// It dies as the way between two others, when it has read words of theirs.
fn words_that_a_new_side_has_passed_on_outlive_it(engine: Engine) {
    let mut rooms = Rooms::begin(5000, |setup| setup);
    rooms.begin_restart(engine);
    rooms.labs.lab.wait_line("committed: generation 1 stays");
    rooms.begin_restart(engine);
    rooms.wait_known(0, "1 2*");
    let [_, middle, new] = rooms.pids[..] else { panic!("three") };
    stop(middle);
    assert_eq!(rooms.ask(0, "word-many 1 32 30000"), "ok 32");
    wait_for_events(rooms.pids[0]);
    wait_for_events(new);
    slay(new);
    resume(middle);
    let expected: Vec<_> = (0..32).map(|at| format!("{at:.<30000}")).collect();
    rooms.assert_noted(1, "word 0", &expected);
    assert_eq!(rooms.noted(0, "back 1"), [""; 0]);
}

/// It dies as the way between two others, when it has not read them.
fn a_new_side_that_dies_takes_no_word_of_others_with_it(engine: Engine) {
    let mut rooms = Rooms::begin(SHORT, |setup| setup);
    rooms.restart(engine);
    rooms.wait_known(0, "1*");
    fs::write(rooms.labs.lab.scratch("fault"), "NewServing hang").expect("a file");
    rooms.labs.lab.signal(engine.signal());
    wait_for("the new side to hang", || rooms.clients[0].ask("generations").contains("2*"));
    for (from, to) in [(0, 1), (1, 0)] {
        rooms.tell_many(from, to, 1000);
        rooms.tell_many(from, 2, 10);
    }
    assert_eq!((rooms.noted(1, "word 0"), rooms.noted(0, "word 1")), (vec![], vec![]));
    let new = rooms.labs.lab.pid();
    assert!(!rooms.pids.contains(&new));
    slay(new);
    for (from, to) in [(0, 1), (1, 0)] {
        rooms.assert_many(to, &format!("word {from}"), &[1000]);
        rooms.assert_many(from, "back 2", &[10]);
    }
    rooms.wait_known(0, "1*");
}

/// The state is on its way to another process: nobody changes it here.
#[test]
fn while_connections_are_frozen_a_word_waits() {
    let callbacks = common::Dir::new();
    let path = callbacks.path("callbacks");
    let mut rooms =
        Rooms::begin(SHORT, |setup| setup.env("LAB_MOVE", 1).env("LAB_CALLBACKS", path.display()));
    assert_eq!(rooms.ask(0, "stay"), "ok");
    rooms.restart(Engine::ForkExec);
    assert_eq!(rooms.ask(1, "stay"), "ok");
    rooms.wait_known(0, "1*");
    rooms.labs.lab.slow_down("load", std::time::Duration::from_millis(500));
    rooms.labs.lab.signal(Engine::ForkExec.signal());
    let noted = || fs::read_to_string(&path).expect("a file of the lab");
    wait_for("the new one to load", || noted().matches(" load\n").count() == 2);
    assert_eq!(rooms.ask(0, "word 1 hello"), "ok");
    rooms.assert_noted(1, "word 0", &["hello"]);
    let all = noted();
    let at = |what: &str| all.find(&format!("{} {what}\n", rooms.pids[1])).expect(what);
    assert!(at("on_retire") < at("on_word"), "{all}");
}

/// A process that has nothing else to do stays until what it has told is taken.
fn a_stop_waits_for_words(engine: Engine) {
    let mut rooms = Rooms::of(2, engine, |setup| setup);
    rooms.wait_known(0, "1*");
    let [old, new] = rooms.pids[..] else { panic!("two") };
    stop(old);
    rooms.tell_many(1, 0, 4000);
    rooms.clients.truncate(1);
    tell(new, SIGTERM);
    rooms.labs.lab.wait_line(&format!("[{new}] INFO: draining: "));
    wait_for_events(new);
    assert!(rooms.labs.lab.generations().contains(&new), "it has not waited");
    resume(old);
    wait_gone(new);
    rooms.assert_many(0, "word 1", &[4000]);
    assert_eq!(rooms.noted(1, "back 0"), [""; 0]);
    rooms.clients.clear();
    wait_gone(old);
}

/// What has left is heard, and the rest comes back: each word is at one of both.
#[test]
fn a_stop_at_once_gives_back_what_has_not_left() {
    let mut rooms = Rooms::of(2, Engine::Fork, |setup| setup);
    rooms.wait_known(0, "1*");
    let [old, new] = rooms.pids[..] else { panic!("two") };
    stop(old);
    assert_eq!(rooms.ask(1, "word-many 0 32 30000"), "ok 32");
    rooms.clients[1].send("stop\n");
    wait_for("it to end", || {
        rooms.noted(1, "back 0").last().is_some_and(|it| it.starts_with("31"))
    });
    resume(old);
    wait_gone(new);
    wait_gone(old);
    let mut all = rooms.noted(0, "word 1");
    assert_eq!(all.len(), 2, "of one batch");
    all.extend(rooms.noted(1, "back 0"));
    let expected: Vec<_> = (0..32).map(|at| format!("{at:.<30000}")).collect();
    assert_eq!(all, expected);
}

for_both_engines!(
    both_sides_hear_each_other_in_order,
    of_three_each_hears_each,
    what_was_told_to_one_that_dies_comes_back,
    nor_is_anything_lost_in_a_probation,
    a_roll_back_loses_no_word_and_keeps_their_order,
    after_a_roll_back_both_talk_on,
    words_that_a_new_side_has_passed_on_outlive_it,
    a_new_side_that_dies_takes_no_word_of_others_with_it,
    a_stop_waits_for_words,
);
