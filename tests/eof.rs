//! The end of input: it is seen when it rides along with bytes, it never overtakes them, and one
//! direction of a connection outlives the other.

use std::{thread, time::Duration};

use crate::common::{Server, stat, wait_for, while_stopped};
use heirloom::{Connection, Origin, Result, Service, codec, testing::Harness};

/// Answers each line with itself, and the end with `eof`.
struct Lines;

impl Service for Lines {
    type Session = ();

    fn on_open(&mut self, _conn: &mut Connection<'_>, _origin: Origin) -> Result {
        Ok(())
    }

    fn on_data(&mut self, conn: &mut Connection<'_>, _: &mut (), input: &[u8]) -> Result<usize> {
        let Some((_, taken)) = codec::line(input, 1000)? else { return Ok(0) };
        conn.send(&input[..taken]);
        Ok(taken)
    }

    fn on_eof(&mut self, conn: &mut Connection<'_>, _: &mut ()) -> Result {
        conn.send(b"eof\n");
        conn.close();
        Ok(())
    }
}

#[test]
fn a_fin_that_rides_along_with_the_last_bytes_is_seen() {
    let server = Server::of("lab").start();
    for round in 0..5 {
        let mut client = server.connect();
        client.ask("who"); // the connection is registered and drained
        while_stopped(server.pid(), || {
            client.send(format!("echo {round}\n"));
            client.finish();
        });
        let answer = client.read_to_end().expect("a FIN in answer to ours");
        assert_eq!(answer, format!("{round}\n").as_bytes());
    }
}

#[test]
fn a_connection_whose_first_packet_brings_the_fin_is_answered_and_closed() {
    let server = Server::of("lab").start();
    for _ in 0..5 {
        let mut client = None;
        while_stopped(server.pid(), || {
            let mut early = server.connect();
            early.send("echo early\n");
            early.finish();
            client = Some(early);
        });
        assert_eq!(client.unwrap().read_to_end().unwrap(), b"early\n");
    }
}

#[test]
fn the_end_does_not_overtake_input_that_waits_for_a_slow_reader() {
    let server = Server::of("lab").start();
    let mut client = server.connect();
    let size = 8_000_000; // more than the sockets hold, less than the cap
    client.send(format!("burst {size}\necho one\necho two\n"));
    client.finish();
    let mut other = server.connect();
    wait_for("the burst to begin", || stat(&mut other, "bytes_out") > 100_000);
    let answer = client.read_to_end().unwrap();
    assert_eq!(answer.len(), size + b"one\ntwo\n".len());
    assert!(answer.ends_with(b"xone\ntwo\n"));
}

#[test]
fn the_end_does_not_overtake_input_however_small_the_window_is() {
    for window in [1000, 40_000, 70_000] {
        let mut harness = Harness::new(Lines);
        let peer = harness.connect();
        harness.set_window(peer, window);
        let input: String = (0..40_000).map(|n| format!("line {n}\n")).collect();
        harness.feed_and_finish(peer, input.as_bytes());
        assert!(!harness.is_closed(peer), "closed before everything was offered");
        let answer = harness.take(peer);
        assert!(answer == format!("{input}eof\n").as_bytes(), "window {window}: it differs");
        assert!(harness.is_closed(peer));
    }
}

#[test]
fn the_end_is_told_once_and_after_a_pause() {
    let mut harness = Harness::new(Lines);
    let peer = harness.connect();
    let id = harness.id(peer);
    harness.net().get(id).unwrap().pause();
    harness.feed_and_finish(peer, b"one\n");
    harness.finish(peer); // the kernel may say it twice
    assert_eq!(harness.take(peer), b"");
    harness.net().get(id).unwrap().resume();
    assert_eq!(harness.take(peer), b"one\neof\n");
    assert!(harness.is_closed(peer));
}

#[test]
fn a_client_that_has_sent_its_fin_still_gets_300_kb() {
    let server = Server::of("echo").start();
    let mut client = server.connect();
    let bytes: Vec<u8> = (0..300_000u32).map(|n| (n % 251) as u8).collect();
    let (mut writer, sent) = (client.stream.try_clone().unwrap(), bytes.clone());
    let writer = thread::spawn(move || {
        use std::io::Write;
        writer.write_all(&sent).unwrap();
        writer.shutdown(std::net::Shutdown::Write).unwrap();
    });
    assert!(client.read_to_end().unwrap() == bytes, "what came back is not what was sent");
    writer.join().unwrap();
}

#[test]
fn a_server_that_has_sent_its_fin_still_takes_300_kb() {
    let server = Server::of("lab").env("RUST_LOG", "debug").start();
    let mut client = server.connect();
    let peer = client.stream.local_addr().unwrap();
    client.send("finish\n");
    assert_eq!(client.read_to_end().unwrap(), b"", "the server's FIN");
    let line = format!("echo {}\n", "x".repeat(994));
    for _ in 0..300 {
        client.send(&line); // answered by nothing: that direction is closed
    }
    client.finish();
    let line = server.wait_line(&format!("peer={peer} reason=\"peer closed\""));
    assert!(line.contains(&format!(" in={} out=0 ", 300 * 1000 + b"finish\n".len())), "{line}");
}

#[test]
fn a_message_that_is_cut_off_by_the_end_is_not_offered_as_whole() {
    let mut harness = Harness::new(Lines);
    let peer = harness.connect();
    harness.feed_and_finish(peer, b"whole\ncut o");
    harness.advance(Duration::from_secs(1));
    assert_eq!(harness.take(peer), b"whole\neof\n");
}
