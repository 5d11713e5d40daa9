//! Every timeout comes, and none comes early. The defaults by a clock in the test's hand, the
//! settings over real sockets.

use std::time::{Duration, Instant};

use crate::common::{Client, Server};
use heirloom::{
    Connection, Net, Origin, Reason, Result, Service, Timeouts, codec, testing::Harness,
};

const LIMIT: Duration = Duration::from_millis(300);

/// A lab with one timeout at [`LIMIT`], and the others out of the way.
fn lab(timeout: &str) -> Server {
    Server::of("lab").env(&format!("LAB_{timeout}"), LIMIT.as_millis()).start()
}

/// Reads to the end of a connection, and checks that it did not come before its time.
fn ends_after(client: &mut Client, since: Instant, limit: Duration) {
    assert_eq!(client.read_to_end().expect("a FIN, not a reset"), b"");
    assert!(since.elapsed() >= limit, "it ended after {:?}, too early", since.elapsed());
}

#[test]
fn an_idle_connection_ends_after_the_idle_timeout_and_any_byte_moves_it() {
    let server = lab("IDLE");
    let mut client = server.connect();
    let begun = Instant::now();
    let mut last = begun;
    while begun.elapsed() < 3 * LIMIT {
        last = Instant::now();
        client.send("x"); // no message, but a byte
        std::thread::sleep(LIMIT / 6);
    }
    ends_after(&mut client, last, LIMIT);
    drop(client); // our FIN, after which the line comes
    // Who believes that it may be silent finds here that it may not.
    let line = server.wait_line("close ");
    let words = "reason=\"idle timeout: nothing came or was sent for 0.";
    assert!(line.contains(words) && line.contains("s, the limit is 300ms\""), "{line}");
    assert!(line.contains("INFO"), "{line}");
}

#[test]
fn output_counts_as_activity() {
    let server = lab("IDLE");
    let mut client = server.connect();
    let begun = Instant::now();
    for at in (100..1000).step_by(100) {
        client.send(format!("arm {at} {at}\n")); // an answer every 100 ms, and no further request
    }
    for at in (100..1000).step_by(100) {
        assert_eq!(client.line(), format!("timer {at}"));
    }
    ends_after(&mut client, begun, Duration::from_millis(900) + LIMIT);
}

#[test]
fn a_first_message_that_never_ends_is_not_waited_for() {
    let server = lab("FIRST");
    let mut greeted = server.connect();
    assert_eq!(greeted.ask("echo hello"), "hello");
    let mut slow = server.connect();
    let begun = Instant::now();
    while begun.elapsed() < LIMIT / 2 {
        slow.send("x"); // bytes are no excuse
        std::thread::sleep(LIMIT / 10);
    }
    ends_after(&mut slow, begun, LIMIT);
    server.wait_line("no first message in time");
    assert_eq!(greeted.ask("echo still"), "still", "who has said something may be quiet");
}

#[test]
fn a_peer_that_reads_nothing_ends_after_the_write_timeout_and_one_that_reads_slowly_does_not() {
    let limit = Duration::from_secs(1);
    let size = 50_000_000;
    let server = Server::of("lab").env("LAB_WRITE", 1000).env("LAB_OUTPUT", 2 * size).start();
    let (mut deaf, mut slow) = (server.connect(), server.connect());
    let begun = Instant::now();
    deaf.send(format!("burst {size}\n"));
    slow.send(format!("burst {size}\n"));
    let pieces = 25;
    for _ in 0..pieces {
        std::thread::sleep(limit / 10); // all pieces take longer than the limit
        assert_eq!(slow.read_exact(size / pieces).len(), size / pieces);
    }
    assert!(begun.elapsed() > 2 * limit, "the test reads too fast to mean anything");
    let line = server.wait_line("write timeout");
    assert!(line.contains(&format!("peer={} ", deaf.stream.local_addr().unwrap())), "{line}");
    assert_eq!(slow.ask("echo well"), "well");
    assert!(age(&line) >= limit, "{line}");
}

#[test]
fn a_peer_that_never_closes_its_side_ends_after_the_close_timeout() {
    let server = Server::of("lab").env("LAB_CLOSE", LIMIT.as_millis()).start();
    let mut client = server.connect();
    client.send("close\n");
    assert_eq!(client.read_to_end().unwrap(), b"", "the server's FIN");
    let line = server.wait_line("close timeout");
    assert!(age(&line) >= LIMIT, "{line}");
}

#[test]
fn timeouts_can_be_far_apart_and_each_keeps_its_time() {
    let mut builder = Server::of("lab").env("LAB_IDLE", 1500).env("LAB_FIRST", 300);
    builder = builder.env("RUST_LOG", "debug");
    let server = builder.start();
    let mut quiet = server.connect();
    let begun = Instant::now();
    let mut greeted = server.connect();
    assert_eq!(greeted.ask("echo hello"), "hello");
    let spoke = Instant::now();
    ends_after(&mut quiet, begun, Duration::from_millis(300));
    ends_after(&mut greeted, spoke, Duration::from_millis(1500));
}

/// The `age=` of a line about a connection's end.
fn age(line: &str) -> Duration {
    let age = line.rsplit("age=").next().and_then(|age| age.trim_end_matches('s').parse().ok());
    Duration::from_secs_f64(age.unwrap_or_else(|| panic!("no age in {line:?}")))
}

/// Answers lines, remembers why connections ended.
#[derive(Default)]
struct Plain(Vec<String>);

impl Service for Plain {
    type Session = ();

    fn on_open(&mut self, _conn: &mut Connection<'_>, _origin: Origin) -> Result {
        Ok(())
    }

    fn on_data(&mut self, conn: &mut Connection<'_>, _: &mut (), input: &[u8]) -> Result<usize> {
        let Some((line, taken)) = codec::line(input, 1000)? else { return Ok(0) };
        match line {
            b"pause" => conn.pause(),
            b"burst" => conn.send(&[b'x'; 100_000]),
            _ => conn.send(&input[..taken]),
        }
        Ok(taken)
    }

    fn on_close(&mut self, _net: &mut Net, _id: heirloom::ConnId, _: (), why: Reason) {
        self.0.push(why.to_string());
    }
}

const MOMENT: Duration = Duration::from_millis(1);

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

/// Lets time pass up to `limit`, checks that nothing has ended a moment before it and that it has then.
fn ends_exactly_after(harness: &mut Harness<Plain>, limit: Duration, reason: &str) {
    harness.advance(limit - MOMENT);
    assert_eq!(harness.service().0, [""; 0], "too early");
    harness.advance(MOMENT);
    assert_eq!(harness.service().0, [reason]);
}

#[test]
fn by_default_the_first_message_has_ten_seconds() {
    let mut harness = Harness::new(Plain::default());
    let peer = harness.connect();
    harness.advance(seconds(4));
    harness.feed(peer, b"never a whole li");
    ends_exactly_after(&mut harness, seconds(6), "no first message in time");
}

/// How long is for its protocol to say: a client in order is not cut off.
#[test]
fn by_default_a_connection_may_be_silent() {
    let mut harness = Harness::new(Plain::default());
    let peer = harness.connect();
    harness.feed(peer, b"hello\n");
    harness.advance(seconds(30 * 24 * 3600));
    harness.feed(peer, b"still here\n");
    assert_eq!(harness.take(peer), b"hello\nstill here\n");
}

/// Sixty seconds of silence.
const MINUTE: &str = "idle timeout: nothing came or was sent for 60.000s, the limit is 60s";

fn with_a_minute() -> Harness<Plain> {
    Harness::new(Plain::default()).timeouts(Timeouts::new().all_idle(seconds(60)))
}

#[test]
fn an_idle_connection_ends_at_its_limit_and_not_before() {
    let mut harness = with_a_minute();
    let peer = harness.connect();
    harness.feed(peer, b"hello\n");
    for _ in 0..5 {
        harness.advance(seconds(59));
        harness.feed(peer, b"hello\n");
    }
    ends_exactly_after(&mut harness, seconds(60), MINUTE);
}

#[test]
fn by_default_a_peer_that_reads_nothing_has_thirty_seconds() {
    let mut harness = Harness::new(Plain::default());
    let peer = harness.connect();
    harness.set_window(peer, 1000);
    harness.feed(peer, b"burst\n");
    harness.advance(seconds(29));
    assert_eq!(harness.service().0, [""; 0]);
    // Only the output is watched while it waits, however often the peer speaks.
    harness.feed(peer, b"hello\n");
    harness.advance(seconds(1));
    assert_eq!(harness.service().0, ["write timeout, the peer reads nothing"]);
}

#[test]
fn a_paused_connection_is_not_idle() {
    let mut harness = with_a_minute();
    let peer = harness.connect();
    harness.feed(peer, b"pause\n");
    harness.advance(seconds(3600));
    assert_eq!(harness.service().0, [""; 0]);
    let id = harness.id(peer);
    harness.net().get(id).unwrap().resume();
    ends_exactly_after(&mut harness, seconds(60), MINUTE);
}
