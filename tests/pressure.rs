//! Pressure: the marks, the pause, and `read_at_least`, which decide when input is offered.

use std::{cell::RefCell, rc::Rc, time::Duration};

use heirloom::{
    Connection, Origin, Result, Service, Timer,
    limits::{HIGH_MARK, LOW_MARK},
    testing::{Harness, Peer},
};

/// One byte is one request: `s`end a lot, `p`ause, `w`ant four more; a digit is answered by itself.
#[derive(Default)]
struct Valve {
    /// What was called, in order.
    calls: Rc<RefCell<Vec<String>>>,
}

impl Valve {
    fn note(&self, text: impl Into<String>) {
        self.calls.borrow_mut().push(text.into());
    }
}

const PAUSE: Timer = Timer(7);

impl Service for Valve {
    type Session = bool; // whether the four bytes after `w` are awaited

    fn on_open(&mut self, _conn: &mut Connection<'_>, _origin: Origin) -> Result<bool> {
        Ok(false)
    }

    fn on_data(
        &mut self,
        conn: &mut Connection<'_>,
        wanting: &mut bool,
        input: &[u8],
    ) -> Result<usize> {
        self.note(format!("data {}", input.len().min(9)));
        if std::mem::take(wanting) {
            assert!(input.len() >= 4, "called with {} bytes, 4 were wanted", input.len());
            conn.send(&input[..4]);
            return Ok(4);
        }
        match input[0] {
            b's' => conn.send(&vec![b'x'; HIGH_MARK + 1]),
            b'm' => conn.send(&vec![b'x'; HIGH_MARK]),
            b'p' => {
                conn.pause();
                conn.set_timer(PAUSE, Duration::from_secs(1));
            }
            b'w' => {
                *wanting = true;
                conn.read_at_least(4);
            }
            _ => conn.send(&input[..1]),
        }
        Ok(1)
    }

    fn on_writable(&mut self, conn: &mut Connection<'_>, _: &mut bool) -> Result {
        assert!(conn.queued() <= LOW_MARK && !conn.is_congested());
        self.note("writable");
        Ok(())
    }

    fn on_timer(&mut self, conn: &mut Connection<'_>, _: &mut bool, _timer: Timer) -> Result {
        conn.resume();
        Ok(())
    }
}

fn valve() -> (Harness<Valve>, Peer, Rc<RefCell<Vec<String>>>) {
    let mut harness = Harness::new(Valve::default());
    let peer = harness.connect();
    let calls = Rc::clone(&harness.service().calls);
    (harness, peer, calls)
}

fn writables(calls: &Rc<RefCell<Vec<String>>>) -> usize {
    calls.borrow().iter().filter(|call| *call == "writable").count()
}

#[test]
fn above_the_high_mark_no_input_is_offered() {
    let (mut harness, peer, calls) = valve();
    harness.set_window(peer, 10);
    harness.feed(peer, b"s12");
    harness.feed(peer, b"3");
    assert_eq!(*calls.borrow(), ["data 3"]);
    let id = harness.id(peer);
    assert!(harness.net().get(id).unwrap().is_congested());
    let answer = harness.take(peer);
    assert_eq!(answer.len(), HIGH_MARK + 1 + 3);
    assert!(answer.ends_with(b"123"));
}

#[test]
fn at_the_high_mark_input_is_still_offered() {
    let (mut harness, peer, calls) = valve();
    harness.set_window(peer, 0);
    harness.feed(peer, b"m");
    assert_eq!(*calls.borrow(), ["data 1"]);
    let id = harness.id(peer);
    assert!(!harness.net().get(id).unwrap().is_congested());
    harness.feed(peer, b"12"); // the first of these goes over the mark
    assert_eq!(*calls.borrow(), ["data 1", "data 2"]);
}

#[test]
fn on_writable_comes_once_for_each_crossing() {
    let (mut harness, peer, calls) = valve();
    for crossing in 1..=3 {
        harness.set_window(peer, 0);
        harness.feed(peer, b"s");
        assert_eq!(writables(&calls), crossing - 1, "too early");
        harness.set_window(peer, 100); // it drains in many small writes
        harness.take(peer);
        assert_eq!(writables(&calls), crossing);
    }
    // What never goes over the mark never comes back under it.
    harness.set_window(peer, 0);
    harness.feed(peer, b"m");
    harness.set_window(peer, 100);
    harness.take(peer);
    assert_eq!(writables(&calls), 3);
}

#[test]
fn on_writable_waits_for_the_low_mark() {
    let (mut harness, peer, calls) = valve();
    harness.set_window(peer, HIGH_MARK - LOW_MARK); // one byte short of the low mark
    harness.feed(peer, b"s1");
    assert_eq!(writables(&calls), 0);
    let id = harness.id(peer);
    assert_eq!(harness.net().get(id).unwrap().queued(), LOW_MARK + 1);
    harness.set_window(peer, HIGH_MARK - LOW_MARK + 1); // and that byte
    harness.feed(peer, b""); // an event without bytes is no reason
    assert_eq!(writables(&calls), 0);
    harness.take(peer);
    assert_eq!(writables(&calls), 1);
}

#[test]
fn a_paused_connection_is_offered_nothing_until_it_is_resumed() {
    let (mut harness, peer, calls) = valve();
    harness.feed(peer, b"1p2");
    harness.feed(peer, b"3");
    harness.advance(Duration::from_millis(999));
    assert_eq!(harness.take(peer), b"1");
    assert_eq!(calls.borrow().len(), 2, "{:?}", calls.borrow());
    harness.advance(Duration::from_millis(1));
    assert_eq!(harness.take(peer), b"23", "what was kept, then what waited in the socket");
}

#[test]
fn a_paused_connection_reads_nothing_from_its_socket() {
    let (mut harness, peer, _calls) = valve();
    harness.feed(peer, b"p");
    let reads = harness.net().stats().reads;
    for _ in 0..10 {
        harness.feed(peer, b"1");
    }
    assert_eq!(harness.net().stats().reads, reads);
    harness.advance(Duration::from_secs(1));
    assert_eq!(harness.take(peer), b"1111111111");
}

#[test]
fn wanting_saves_the_calls_in_between() {
    let (mut harness, peer, calls) = valve();
    harness.feed(peer, b"w");
    for byte in ["a", "b", "c"] {
        harness.feed(peer, byte.as_bytes());
        assert_eq!(calls.borrow().len(), 1, "called before four bytes were there");
    }
    harness.feed(peer, b"d5");
    assert_eq!(harness.take(peer), b"abcd5");
    assert_eq!(*calls.borrow(), ["data 1", "data 5", "data 1"], "and it holds once");
}

#[test]
fn wanting_holds_for_input_that_is_there_already() {
    heirloom::testing::every_split(Valve::default, b"1wabcd2wefgh3", b"1abcd2efgh3");
}
