//! The end of a connection: what the client sees of it, what the service is told, what the log and
//! the counters say.

use std::io::ErrorKind;

use crate::common::{self, Client, Server, ports::DeadPort, stat, wait_for};
use heirloom::{ConnId, Connection, Net, Origin, Reason, Result, Service, testing::Harness};

#[test]
fn close_sends_everything_and_then_a_fin() {
    let server = Server::of("lab").start();
    let mut client = server.connect();
    client.send("burst 3000000\nclose\necho never answered\n");
    let answer = client.read_to_end().expect("a FIN");
    assert_eq!(answer.len(), 3_000_000);
}

#[test]
fn a_client_that_goes_on_sending_still_reads_everything_up_to_the_fin() {
    // Its bytes come to a connection that the server has closed. Closed outright, the kernel would
    // answer with a reset, and that destroys what the client has not read.
    let server = Server::of("lab").start();
    let mut client = server.connect();
    client.send("burst 100000\nclose\n");
    for _ in 0..100 {
        client.send("echo who listens?\n".repeat(100));
    }
    assert_eq!(client.read_to_end().expect("a FIN").len(), 100_000);
}

#[test]
fn abort_throws_away_what_is_queued() {
    let size = 15_000_000; // more than the sockets hold
    let server = Server::of("lab").start();
    let (mut victim, mut neighbour) = (server.connect(), server.connect());
    let id = victim.ask("id");
    victim.send(format!("burst {size}\n"));
    neighbour.send(format!("burst {size}\n"));
    let mut control = server.connect();
    wait_for("both bursts", || stat(&mut control, "bytes_out") > 200_000);
    control.send(format!("kill {id}\n"));
    wait_for("the abort", || stat(&mut control, "closed") == 1);
    assert!(victim.read_to_end().map_or(0, |bytes| bytes.len()) < size);
    assert_eq!(neighbour.read_exact(size).len(), size);
}

#[test]
fn abort_is_seen_as_a_reset_where_bytes_were_unread() {
    let server = Server::of("lab").start();
    let mut client = server.connect();
    client.ask("who");
    common::while_stopped(server.pid(), || {
        client.send("abort\n");
        client.send("x".repeat(200_000)); // more than one read takes
    });
    assert_eq!(client.read_to_end().unwrap_err().kind(), ErrorKind::ConnectionReset);
}

#[test]
fn an_error_closes_its_connection_after_what_was_queued_and_no_other() {
    let server = Server::of("lab").start();
    let (mut failing, mut other) = (server.connect(), server.connect());
    failing.send("echo before\nfail out of paper\necho after\n");
    assert_eq!(failing.read_to_end().unwrap(), b"before\n");
    failing.finish();
    server.wait_line("reason=\"failed: out of paper\"");
    assert_eq!(other.ask("echo well"), "well");
}

#[test]
fn a_message_over_its_limit_closes_its_connection_and_no_other() {
    let server = Server::of("lab").env("LAB_MESSAGE", 10_000).start();
    let (mut long, mut other) = (server.connect(), server.connect());
    assert_eq!(long.ask(&format!("echo {}", "x".repeat(9_000))).len(), 9_000);
    long.send("x".repeat(10_001));
    assert_eq!(long.read_to_end().unwrap(), b"");
    long.finish();
    server.wait_line("reason=\"message over its limit\"");
    assert_eq!(other.ask("echo well"), "well");
}

/// Ends one connection in each way, and answers the clients' addresses with the reason for each.
fn end_in_every_way(server: &Server) -> Vec<(String, &'static str)> {
    let mut ends = Vec::new();
    let mut end = |mut client: Client, request: &str, reason: &'static str| {
        ends.push((client.stream.local_addr().unwrap().to_string(), reason));
        client.send(request);
        if request.is_empty() {
            client.finish();
        }
        let _ = client.read_to_end();
    };
    end(server.connect(), "", "peer closed");
    end(server.connect(), "close\n", "closed");
    end(server.connect(), "abort\n", "aborted");
    end(server.connect(), "fail as told\n", "failed: as told");
    end(server.connect(), "burst 2000000\n", "output over its limit, the peer reads too slowly");
    ends
}

#[test]
fn each_end_is_one_line_with_id_peer_reason_bytes_and_age() {
    let server = Server::of("lab").env("RUST_LOG", "debug").env("LAB_OUTPUT", 1_000_000).start();
    let ends = end_in_every_way(&server);
    for (peer, reason) in &ends {
        let line = server.wait_line(&format!("peer={peer} reason=\"{reason}\" in="));
        let (_, line) = line.split_once("close #").expect("it begins so");
        let words: Vec<_> = line.split(' ').collect();
        let (serial, slot) = words[0].split_once('@').expect("an id");
        assert!(serial.parse::<u64>().is_ok() && slot.parse::<u64>().is_ok(), "{line}");
        let [.., input, output, age] = words[..] else { panic!("{line}") };
        let number = |word: &str, name: &str| -> f64 {
            let value = word.strip_prefix(name).unwrap_or_else(|| panic!("no {name} in {line}"));
            value.trim_end_matches('s').parse().unwrap_or_else(|_| panic!("{word} in {line}"))
        };
        number(input, "in=");
        number(output, "out=");
        assert!(number(age, "age=") < 60.0);
        assert_eq!(server.count_lines(&format!("peer={peer} ")), 1, "one line for {reason}");
    }
}

#[test]
fn on_close_comes_once_per_connection_with_its_reason() {
    let server = Server::of("lab").env("LAB_OUTPUT", 1_000_000).start();
    let mut control = server.connect();
    let ends = end_in_every_way(&server);
    wait_for("all ends", || stat(&mut control, "closed") == ends.len() as u64);
    let closes = control.ask("closes");
    let mut rest = closes.as_str();
    for (_, reason) in &ends {
        rest = rest.strip_prefix(reason).unwrap_or_else(|| panic!("{reason} in {closes}"));
        rest = rest.trim_start_matches(',');
    }
    assert_eq!(rest, "");
}

#[test]
fn the_counters_add_up() {
    let server = Server::of("lab").env("LAB_OUTPUT", 1_000_000).start();
    let mut control = server.connect();
    let ends = end_in_every_way(&server);
    wait_for("all ends", || stat(&mut control, "closed") == ends.len() as u64);
    // A dial that is refused is no connection, one that stands is two: here and there.
    let dead = DeadPort::new();
    assert!(control.ask(&format!("dial {}", dead.address)).starts_with("dial failed"));
    assert!(control.ask(&format!("dial {}", server.address)).starts_with("dialed"));
    wait_for("the other end of the dial", || stat(&mut control, "accepted") == 7);
    let (accepted, dialed) = (stat(&mut control, "accepted"), stat(&mut control, "dialed"));
    let closed = stat(&mut control, "closed");
    assert_eq!((accepted, dialed), (ends.len() as u64 + 2, 1));
    let stats = control.ask("stats");
    let here: u64 = stats.rsplit(' ').next().unwrap().parse().unwrap();
    assert_eq!(accepted + dialed, closed + here, "{stats}");
    assert_eq!(stat(&mut control, "failed"), 2, "the service's error and the cap");
}

#[test]
fn the_byte_counters_are_exact() {
    let server = Server::of("lab").start();
    let mut client = server.connect();
    let first = client.ask("stats");
    assert!(first.contains("messages: 0, bytes_in: 6, bytes_out: 0,"), "{first}");
    for _ in 0..10 {
        assert_eq!(client.ask("echo 12345"), "12345");
    }
    let second = client.ask("stats");
    let (input, output) = (6 + 10 * 11 + 6, first.len() + 1 + 10 * 6);
    let exact = format!("messages: 11, bytes_in: {input}, bytes_out: {output},");
    assert!(second.contains(&exact), "{second} should say {exact}");
}

#[test]
fn a_reset_by_the_peer_ends_the_connection_with_the_systems_words() {
    let server = Server::of("lab").start();
    let mut client = server.connect();
    let peer = client.stream.local_addr().unwrap();
    // Unread output and a close: the kernel of the client resets.
    client.send("burst 1000000\n");
    let mut control = server.connect();
    wait_for("the burst", || stat(&mut control, "bytes_out") > 100_000);
    drop(client);
    let line = server.wait_line(&format!("peer={peer} reason=\"broken: "));
    assert!(line.contains("Connection reset") || line.contains("Broken pipe"), "{line}");
}

/// Tells everyone else when one leaves.
struct Farewell;

impl Service for Farewell {
    type Session = ();

    fn on_open(&mut self, _conn: &mut Connection<'_>, _origin: Origin) -> Result {
        Ok(())
    }

    fn on_data(&mut self, conn: &mut Connection<'_>, _: &mut (), input: &[u8]) -> Result<usize> {
        conn.abort();
        Ok(input.len())
    }

    fn on_close(&mut self, net: &mut Net, _id: ConnId, _: (), _why: Reason) {
        for id in net.ids() {
            net.get(id).expect("it is in service").send(b"one left\n");
        }
    }
}

#[test]
fn what_on_close_sends_leaves_in_the_same_turn() {
    let mut harness = Harness::new(Farewell);
    let (one, other) = (harness.connect(), harness.connect());
    let turns = harness.net().stats().turns;
    harness.feed(one, b"bye");
    assert_eq!(harness.net().stats().turns - turns, 1);
    assert_eq!(harness.net().stats().bytes_out, b"one left\n".len() as u64);
    assert_eq!(harness.take(other), b"one left\n");
}
