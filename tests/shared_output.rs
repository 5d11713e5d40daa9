//! What many subscribers wait for goes along once, and is there once afterwards.

use std::fs;

use crate::common::{
    Dir, Server,
    ops::Control,
    wire::{Wire, command},
};

const SUBSCRIBERS: usize = 100;

/// More than a Unix socket has room for, so that it waits in the server.
const MESSAGE: usize = 900_000;

const MESSAGES: usize = 2;

fn message(number: usize) -> Vec<u8> {
    (0..MESSAGE).map(|at| (at / 251 + at * 31 + number) as u8).collect()
}

/// What a process has of its own in memory, in bytes: all but what is in files.
fn memory(pid: i32) -> usize {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("the process is there");
    let line = status.lines().find(|line| line.starts_with("RssAnon:")).expect("a line of it");
    let kib = line.split_whitespace().nth(1).and_then(|number| number.parse::<usize>().ok());
    kib.expect("a number") * 1024
}

/// A kv on a Unix socket with a control socket.
struct Kv {
    server: Server,
    files: Dir,
}

impl Kv {
    fn start() -> Kv {
        let files = Dir::new();
        let control = files.path("control").display().to_string();
        let setup = Server::of("kv").listen(format!("unix:{}", files.path("kv").display()));
        let server = setup.arg("--control").arg(control).start();
        Kv { server, files }
    }

    /// So many that read nothing of what is published.
    fn subscribers(&self, count: usize) -> Vec<Wire> {
        let subscribe = |_| {
            let mut wire = Wire::connect(&self.server.address);
            assert!(wire.ask("SUBSCRIBE news").contains("subscribe"));
            wire
        };
        (0..count).map(subscribe).collect()
    }

    fn publish(&self, number: usize) {
        let mut publisher = Wire::connect(&self.server.address);
        let told = publisher.call(&[b"PUBLISH", b"news", &message(number)]);
        assert!(told.starts_with(b":"), "{told:?}");
    }

    /// Moves everybody to a new program; a number of the answer.
    fn upgrade(&self, name: &str) -> usize {
        let control = Control::connect(&self.files.path("control")).expect("it is there");
        let answer = { control }.ask("restart fork-exec move");
        let number = answer.iter().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        number.map_or(0, |number| number.parse().unwrap_or_else(|_| panic!("{answer:?}")))
    }
}

/// The next thing that each of them is told is this message.
fn assert_all_told<'a>(subscribers: impl IntoIterator<Item = &'a mut Wire>, number: usize) {
    let told = command(&[b"message", b"news", &message(number)]);
    for (at, subscriber) in subscribers.into_iter().enumerate() {
        assert!(subscriber.reply() == told, "message {number} of subscriber {at}");
    }
}

#[test]
fn what_a_hundred_wait_for_goes_along_once() {
    let kv = Kv::start();
    let mut subscribers = kv.subscribers(SUBSCRIBERS);
    (0..MESSAGES).for_each(|number| kv.publish(number));
    let old = kv.server.pid();
    let before = memory(old);
    let moved = kv.upgrade("moved_bytes");
    let new = kv.server.pid();
    assert_ne!(new, old);
    let once = MESSAGES * MESSAGE;
    assert!(moved > once / 2, "{moved} bytes: they were not waiting here");
    assert!(moved < once + SUBSCRIBERS * 1024, "{moved} bytes for {once}");
    let after = memory(new);
    println!(
        "{moved} bytes went along for {once} that {SUBSCRIBERS} wait for; memory: {before}, then {after}"
    );
    // Each once, as it came and as it waits; nowhere near a hundred times.
    assert!(after < before + 2 * once, "{after} bytes, before {before}");
    kv.publish(MESSAGES); // and it goes on
    for number in 0..=MESSAGES {
        assert_all_told(&mut subscribers, number);
    }
}

/// Of those who have read a part, each has the rest; a second move has it from the first.
#[test]
fn who_has_read_a_part_gets_the_rest_through_move_after_move() {
    let kv = Kv::start();
    let mut subscribers = kv.subscribers(20);
    (0..3).for_each(|number| kv.publish(number));
    let (reads, rest) = subscribers.split_at_mut(10);
    assert_all_told(&mut *reads, 0);
    let first = kv.upgrade("moved_bytes");
    kv.publish(3);
    let second = kv.upgrade("moved_bytes");
    for (moved, messages) in [(first, 3), (second, 4)] {
        assert!(moved < messages * MESSAGE + 20 * 1024, "{moved} bytes");
    }
    assert_all_told(&mut *rest, 0);
    for number in 1..4 {
        assert_all_told(&mut subscribers, number);
    }
}
