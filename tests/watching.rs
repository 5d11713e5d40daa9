//! Descriptors that are none of ours: real ones, watched by real processes that are replaced.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::Write,
    os::fd::AsFd,
    path::PathBuf,
};

use crate::common::{
    Dir,
    journal::{Entry, Journaled},
    ops::Operated,
    restart::{Engine, Lab},
    stat, wait_for,
};
use heirloom::{
    Connection, Interest, Net, Origin, Readiness, Result, Service, Start, Watch, testing::Harness,
};
use nix::{pty::openpty, unistd::ttyname};

for_both_engines!(
    a_file_that_is_replaced_is_read_again_by_who_serves,
    what_is_watched_stays_with_the_process_that_did_it,
);

/// A directory that each process watches, beside what else `more` sets.
fn with_directory(more: &[(&str, &str)]) -> (Journaled, Dir) {
    let dir = Dir::new();
    let watched = dir.path("watched");
    fs::create_dir(&watched).expect("a directory");
    let lab = Journaled::with(50, |setup| {
        let setup = setup.env("LAB_WATCH_DIR", watched.display());
        more.iter().fold(setup, |setup, (name, value)| setup.env(name, value))
    });
    (lab, dir)
}

/// Puts a file there whole, by rename.
fn put(dir: &Dir, name: &str, text: &str) {
    let (new, path): (PathBuf, PathBuf) = (dir.path("new"), dir.path("watched").join(name));
    fs::write(&new, text).expect("a file");
    fs::rename(new, path).expect("in one file system");
}

/// What was journaled under a word, without it.
fn all(lab: &Journaled, word: &str) -> Vec<Entry> {
    let rest = |entry: Entry| {
        let rest = entry.what.strip_prefix(word)?.strip_prefix(' ')?.to_owned();
        Some(Entry { what: rest, ..entry })
    };
    lab.entries().into_iter().filter_map(rest).collect()
}

fn sum(entries: &[Entry]) -> u64 {
    entries.iter().map(|entry| entry.what.parse::<u64>().expect("a number")).sum()
}

fn a_file_that_is_replaced_is_read_again_by_who_serves(engine: Engine) {
    let (lab, dir) = with_directory(&[]);
    let mut stays = lab.lab.connect();
    stays.who();
    put(&dir, "config", "0");
    lab.wait("config 0", 1);
    for version in 1..=4 {
        let new = lab.lab.restart_by(engine);
        put(&dir, "config", &version.to_string());
        let heard = lab.wait(&format!("config {version}"), 1);
        assert_eq!(heard.iter().map(|it| it.pid).collect::<Vec<_>>(), [new]);
        // The older ones live, and have had time to say so.
        assert_eq!(stays.ask("watches"), "");
        assert_eq!(lab.of(&format!("config {version}")).len(), 1);
        lab.lab.wait_lines("restart: done", version);
    }
}

/// One queue that goes from process to process: nobody reads beside another, and nothing is missed.
#[test]
fn what_a_child_takes_over_is_handled_once_by_one_of_both() {
    let (lab, dir) = with_directory(&[("LAB_HAND_ON", "1")]);
    let mut names = 0;
    for _ in 0..6 {
        let done = lab.lab.count_lines("restart: done");
        lab.lab.signal(Engine::Fork.signal());
        let mut waits = true;
        while waits || names % 50 != 0 {
            put(&dir, &format!("file-{names}"), "");
            names += 1;
            waits = lab.lab.count_lines("restart: done") == done;
        }
    }
    wait_for("the last one", || all(&lab, "file").len() >= names);
    lab.lab.connect().who();
    let mut counts = BTreeMap::new();
    let handled = all(&lab, "file");
    handled.iter().for_each(|entry| *counts.entry(&entry.what).or_insert(0) += 1);
    assert!(counts.len() == names && counts.values().all(|&count| count == 1), "{counts:?}");
    let processes: std::collections::BTreeSet<_> = handled.iter().map(|entry| entry.pid).collect();
    assert!(processes.len() > 2, "it was handed on under load: {processes:?}");
}

#[test]
fn a_timer_that_is_handed_on_loses_no_beat() {
    let lab = Journaled::with(50, |setup| setup.env("LAB_HAND_ON", 1));
    assert_eq!(lab.lab.connect().ask("heed timer 5"), "ok");
    for count in 1..=5 {
        lab.lab.restart_by(Engine::Fork);
        wait_for("a beat here", || {
            all(&lab, "ticks").iter().any(|it| it.generation == count && it.pid == lab.lab.pid())
        });
    }
    let mut client = lab.lab.connect();
    let beats: u64 = client.ask("beats").parse().expect("a number");
    wait_for("those beats", || sum(&all(&lab, "ticks")) >= beats);
    let told = sum(&all(&lab, "ticks"));
    let beats: u64 = client.ask("beats").parse().expect("a number");
    assert!(told <= beats, "{told} beats of {beats}: some were told twice");
}

#[test]
fn an_eventfd_that_is_handed_on_is_rung_by_anybody_and_heard_by_one() {
    let lab = Journaled::with(50, |setup| setup.env("LAB_HAND_ON", 1));
    let mut first = lab.lab.connect();
    assert_eq!(first.ask("heed event"), "ok");
    let mut rung = 0;
    for generation in 1..=3 {
        let new = lab.lab.restart_by(Engine::Fork);
        let before = all(&lab, "rung").len();
        for (client, count) in [(&mut first, 3), (&mut lab.lab.connect(), 4)] {
            assert_eq!(client.ask(&format!("ring {count}")), "ok");
            rung += count;
        }
        wait_for("all of it", || sum(&all(&lab, "rung")) >= rung);
        let heard = all(&lab, "rung");
        assert!(heard[before..].iter().all(|it| (it.generation, it.pid) == (generation, new)));
        assert_eq!(sum(&heard), rung);
    }
}

/// A new generation begins with none. After a fork it has the descriptor itself, and none of our copies.
fn what_is_watched_stays_with_the_process_that_did_it(engine: Engine) {
    let lab = Journaled::with(50, |setup| setup);
    let (old, mut client) = (lab.lab.pid(), lab.lab.connect());
    for request in ["heed event", "heed timer 3600000"] {
        assert_eq!(client.ask(request), "ok");
    }
    assert_eq!(client.ask("watches"), "2,3");
    let new = lab.lab.restart_by(engine);
    let mut other = lab.lab.connect();
    assert_eq!((other.who().pid, other.ask("watches").as_str()), (new, ""));
    let copies = |pid: i32, kind: &str| {
        let names = fs::read_dir(format!("/proc/{pid}/fd")).expect("a process");
        let links = names.flatten().filter_map(|it| fs::read_link(it.path()).ok());
        links.filter(|it| it.to_string_lossy().contains(kind)).count()
    };
    let inherited = usize::from(engine == Engine::Fork);
    for kind in ["[eventfd]", "[timerfd]"] {
        assert_eq!(copies(old, kind), 2, "{kind}: the owner's and ours");
        assert_eq!(copies(new, kind), inherited, "{kind}");
    }
    assert_eq!((copies(old, "[eventpoll]"), copies(new, "[eventpoll]")), (2, 1));
    assert_eq!(client.ask("ring 1"), "ok");
    assert_eq!(lab.wait("rung 1", 1)[0].pid, old);
}

#[test]
fn a_serial_line_is_read_and_its_end_is_told_once() {
    let lab = Journaled::with(50, |setup| setup);
    let line = openpty(None, None).expect("a pseudo terminal");
    let name = ttyname(&line.slave).expect("its name");
    let mut client = lab.lab.connect();
    assert_eq!(client.ask(&format!("heed tty {}", name.display())), "ok");
    drop(line.slave);
    let mut device = File::from(line.master);
    for text in ["21.5 C", "21.6 C"] {
        device.write_all(format!("{text}\n").as_bytes()).expect("room");
        lab.wait(&format!("tty {text}"), 1);
    }
    drop(device);
    lab.wait("tty end hangup", 1);
    assert_eq!(client.ask("watches"), "");
    assert_eq!(lab.of("tty end hangup").len(), 1);
    assert_sleeps(&lab.lab);
}

/// Nothing is left that keeps the loop turning.
fn assert_sleeps(lab: &Lab) {
    let mut client = lab.connect();
    let before = stat(&mut client, "turns");
    let after = (0..10).map(|_| stat(&mut client, "turns")).last().expect("ten");
    assert!(after - before <= 30, "{} turns for ten requests", after - before);
}

#[test]
fn a_child_says_something_and_ends() {
    let lab = Journaled::with(50, |setup| setup);
    let mut client = lab.lab.connect();
    assert_eq!(client.ask("heed child echo hello"), "ok");
    lab.wait("child hello", 1);
    lab.wait("child end hangup", 1);
    assert_eq!((client.ask("watches").as_str(), lab.entries().len()), ("", 2));
    assert_sleeps(&lab.lab);
}

/// It is told in each turn, and everybody else is served as before.
#[test]
fn one_that_is_always_ready_starves_nobody() {
    let lab = Journaled::with(50, |setup| setup);
    let mut client = lab.lab.connect();
    assert_eq!(client.ask("heed spin"), "ok");
    for number in 0..100 {
        assert_eq!(client.ask(&format!("echo {number}")), number.to_string());
    }
    let turns = stat(&mut client, "turns");
    let spins: u64 = client.ask("spins").parse().expect("a number");
    let later = stat(&mut client, "turns");
    assert!(spins > 100, "{spins} times");
    assert!(spins <= later, "{spins} times in {later} turns, {turns} before");
    // By either engine; a new program knows nothing of it.
    for engine in [Engine::Fork, Engine::ForkExec] {
        lab.lab.restart_by(engine);
    }
    assert_eq!(client.ask("unwatch 6"), "ok");
    assert_sleeps(&lab.lab);
}

#[test]
fn a_file_and_a_directory_are_refused_in_words() {
    let lab = Lab::start();
    let mut client = lab.connect();
    for path in ["/etc/passwd", "/etc"] {
        // The lab ends the connection of who asks.
        client.send(format!("heed {path}\n"));
        let _ = client.read_to_end();
        lab.wait_line("a regular file or a directory is always ready (epoll_ctl(2))");
        client = lab.connect();
    }
}

/// What a fork would share is the author's descriptor, and its key is said; our copy of it is not counted.
#[test]
fn the_inventory_knows_what_is_watched() {
    let lab = Operated::with(50, |setup| setup);
    let mut client = lab.connect();
    assert_eq!(client.ask("heed timer 3600000"), "ok");
    let checked = lab.heirloom(&["check"]).out;
    let found: Vec<_> = checked.lines().filter(|line| line.contains("  fd:")).collect();
    assert_eq!(found.len(), 1, "{checked}");
    assert!(found[0].contains("timerfd") && found[0].contains("watched as 3"), "{checked}");
    assert_eq!(client.ask("unwatch 3"), "ok");
    let checked = lab.heirloom(&["check"]).out;
    assert!(checked.contains("timerfd") && !checked.contains("watched"), "{checked}");
}

/// Watches an event, and a second one that the first one's callback takes back.
#[derive(Default)]
struct Watcher {
    told: Vec<(Watch, Readiness)>,
}

const ONE: Watch = Watch(1);
const TWO: Watch = Watch(2);

impl Service for Watcher {
    type Session = ();

    fn on_open(&mut self, _conn: &mut Connection<'_>, _origin: Origin) -> Result {
        Ok(())
    }

    fn on_data(&mut self, _conn: &mut Connection<'_>, _: &mut (), input: &[u8]) -> Result<usize> {
        Ok(input.len())
    }

    fn on_start(&mut self, net: &mut Net, _start: Start) {
        let stdin = std::io::stdin();
        net.watch(stdin.as_fd(), Interest::READABLE, ONE).expect("in memory");
        net.watch(stdin.as_fd(), Interest::READABLE | Interest::WRITABLE, TWO).expect("in memory");
    }

    fn on_ready(&mut self, net: &mut Net, key: Watch, ready: Readiness) {
        self.told.push((key, ready));
        if key == ONE && ready.is_hangup() {
            net.unwatch(TWO);
        }
    }
}

#[test]
fn in_memory_it_is_told_of_what_was_asked_for() {
    let mut harness = Harness::new(Watcher::default());
    harness.ready(ONE, Readiness::WRITABLE); // nobody has asked
    harness.ready(Watch(9), Readiness::READABLE);
    assert_eq!(harness.service().told, []);
    harness.ready(TWO, Readiness::READABLE | Readiness::WRITABLE);
    harness.ready(ONE, Readiness::HANGUP);
    harness.ready(TWO, Readiness::READABLE);
    let told = &harness.service().told;
    let both = Readiness::READABLE | Readiness::WRITABLE;
    assert_eq!(told[..], [(TWO, both), (ONE, Readiness::HANGUP)]);
    assert_eq!(harness.net().watches(), [ONE]);
    harness.net().rewatch(ONE, Interest::WRITABLE).expect("it is watched");
    harness.ready(ONE, Readiness::WRITABLE);
    assert_eq!(harness.service().told.len(), 3);
    // A new generation begins with what its own `on_start` watches.
    let mut sides = harness.begin_restart(Watcher::default()).expect("a restart");
    assert_eq!((sides.old.net().watches(), sides.new.net().watches()), (vec![ONE], vec![ONE, TWO]));
}
