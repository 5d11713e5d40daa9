//! How a connection with TLS ends: who has said that no more will come is told apart from who was cut off.

use std::{
    io::{ErrorKind, Read, Write},
    net::Shutdown,
    time::{Duration, Instant},
};

use crate::common::{
    self, stat,
    tls::{BOTH, Secured},
    wait_for,
};
use heirloom::tls::rustls::version::{TLS12, TLS13};

#[test]
fn a_fin_without_close_notify_is_no_end() {
    let lab = Secured::start();
    let mut plain = lab.server.connect();
    for (number, version) in BOTH.iter().enumerate() {
        let mut client = lab.connect_by(lab.pki.client(&[version]));
        client.send("outlive-eof\n");
        assert_eq!(client.line(), "ok");
        // What has come before is used, and a request that is cut is none.
        client.send("keep before\nkeep cut");
        assert_eq!(client.line(), if number == 0 { "" } else { "before" });
        client.wire().shutdown(Shutdown::Write).expect("still connected");
        let mut rest = Vec::new();
        let got = client.stream.read_to_end(&mut rest).map_err(|e| e.kind());
        assert_eq!(
            (got, rest),
            (Err(ErrorKind::UnexpectedEof), Vec::new()),
            "nor is it answered by one"
        );
        drop(client);
        lab.server
            .wait_lines("reason=\"TLS: the peer's FIN came before its close_notify\"", number + 1);
        assert_eq!(plain.ask("kept"), "before");
        let closes = plain.ask("closes");
        assert_eq!(
            closes.matches("the peer's FIN came before its close_notify").count(),
            number + 1
        );
    }
}

/// Whatever of it has come is nobody's.
#[test]
fn nor_is_one_in_the_middle_of_a_record() {
    let lab = Secured::start();
    for (number, version) in BOTH.iter().enumerate() {
        let mut client = lab.connect_by(lab.pki.client(&[version]));
        assert_eq!(client.ask("echo here"), "here");
        client.tls().writer().write_all(b"keep half\n").expect("room");
        let mut record = Vec::new();
        client.tls().write_tls(&mut record).expect("room");
        client.wire().write_all(&record[..record.len() - 1]).expect("it listens");
        client.wire().shutdown(Shutdown::Write).expect("still connected");
        let got = client.read_to_end().map_err(|e| e.kind());
        assert_eq!(got, Err(ErrorKind::UnexpectedEof));
        let why = "reason=\"TLS: the peer's FIN came before its close_notify\"";
        lab.server.wait_lines(why, number + 1);
    }
    assert_eq!(lab.server.connect().ask("kept"), "");
}

#[test]
fn after_its_close_notify_a_peer_may_go_on_listening() {
    let lab = Secured::start();
    for version in BOTH {
        let mut client = lab.connect_by(lab.pki.client(&[version]));
        client.send("outlive-eof\n");
        assert_eq!(client.line(), "ok");
        client.send("burst 1000000\n"); // all of it is queued by the time that the end is told
        client.close_notify();
        assert!(client.read_exact(1_000_000) == [b'x'; 1_000_000]);
        assert_eq!(client.line(), "eof");
        // With a FIN behind it, too.
        client.wire().shutdown(Shutdown::Write).expect("still connected");
        let mut plain = lab.server.connect();
        assert_eq!(plain.ask("who").split(' ').next(), Some("0"));
        assert_eq!(stat(&mut plain, "failed"), 0);
    }
}

#[test]
fn a_close_says_so_before_the_fin() {
    let lab = Secured::start();
    for version in BOTH {
        for (request, has_answer) in [("close", false), ("finish", false), ("fail as asked", false)]
        {
            let mut client = lab.connect_by(lab.pki.client(&[version]));
            client.send(format!("echo first\n{request}\n"));
            assert_eq!(client.line(), "first");
            assert_eq!(client.read_to_end().expect("a close_notify").is_empty(), !has_answer);
        }
    }
    // After our half of it a peer is heard as before.
    let mut client = lab.connect_by(lab.pki.client(&[&TLS13]));
    client.send("finish\n");
    assert_eq!(client.read_to_end().expect("a close_notify"), b"");
    client.send("keep behind\n");
    let mut plain = lab.server.connect();
    wait_for("the last words to be heard", || plain.ask("kept") == "behind");
}

#[test]
fn an_abort_is_no_close() {
    let lab = Secured::start();
    let mut client = lab.connect_by(lab.pki.client(&[&TLS12]));
    client.send("abort\n");
    let got = client.read_to_end().map_err(|e| e.kind());
    assert!(matches!(got, Err(ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset)), "{got:?}");
}

#[test]
fn a_peer_that_reads_slowly_gets_every_byte_and_one_that_reads_nothing_is_given_up() {
    let lab = Secured::with("tls sndbuf=4096", "", |setup| setup.env("LAB_WRITE", 5000));
    let mut client = lab.connect();
    let mut expected = vec![0; 3_000_000];
    common::pattern::fill(9, 0, &mut expected);
    client.send("reply 3000000 9\nclose\n");
    let mut got = Vec::new();
    let mut piece = [0; 4099];
    while got.len() < expected.len() {
        let count = client.stream.read(&mut piece).expect("more in time");
        assert!(count > 0, "an end after {}", got.len());
        got.extend_from_slice(&piece[..count]);
    }
    assert!(got == expected);
    assert_eq!(client.read_to_end().expect("a close_notify"), b"");
    let mut stalled = lab.connect();
    stalled.send("burst 8000000\n");
    lab.server.wait_line("reason=\"write timeout, the peer reads nothing\"");
    assert!(stalled.read_to_end().is_err(), "a part is no whole");
}

/// It is opened when all of it is there, which takes longer than a client may be silent.
#[test]
fn a_record_that_comes_in_pieces_is_no_silence() {
    const LIMIT: Duration = Duration::from_secs(1);
    let lab = Secured::with("tls", "", |setup| setup.env("LAB_READ_IDLE", LIMIT.as_millis()));
    let text = "x".repeat(16_000);
    for version in BOTH {
        // On a machine that is busy a piece may come too late: then this has tested nothing.
        let is_told = (0..20).any(|_| {
            let mut client = lab.connect_by(lab.pki.client(&[version]));
            assert_eq!(client.ask("echo here"), "here");
            client.tls().writer().write_all(format!("echo {text}\n").as_bytes()).expect("room");
            let mut record = Vec::new();
            client.tls().write_tls(&mut record).expect("room");
            let (begun, mut last, mut longest) = (Instant::now(), Instant::now(), Duration::ZERO);
            for piece in record.chunks(record.len() / 12) {
                std::thread::sleep(LIMIT / 5); // that somebody is slow has no event
                longest = longest.max(last.elapsed());
                if client.wire().write_all(piece).is_err() {
                    break;
                }
                last = Instant::now();
            }
            let whole =
                last.elapsed() < LIMIT && longest < LIMIT / 2 && begun.elapsed() > 2 * LIMIT;
            whole && {
                assert_eq!(client.line(), text);
                true
            }
        });
        assert!(is_told, "the machine is too busy");
    }
    // Silence is silence, with a piece of a record or without.
    let mut client = lab.connect();
    assert_eq!(client.ask("echo here"), "here");
    client.wire().write_all(&[23, 3, 3, 1, 0, 7]).expect("it listens");
    assert_eq!(client.read_to_end().expect("a close_notify"), b"");
    lab.server.wait_line("reason=\"idle timeout: nothing came for 1.");
}

#[test]
fn the_peer_s_alert_is_the_reason() {
    let lab = Secured::start();
    let mut plain = lab.server.connect();
    let mut client = lab.connect();
    assert_eq!(client.ask("echo here"), "here");
    // It finds a record that nobody has sealed, and says so.
    let own = client.wire().local_addr().expect("an address");
    client.tls().read_tls(&mut &[23, 3, 3, 0, 3, 1, 2, 3][..]).expect("room");
    client.tls().process_new_packets().expect_err("it is not authentic");
    let mut alert = Vec::new();
    client.tls().write_tls(&mut alert).expect("room");
    client.wire().write_all(&alert).expect("it listens");
    let line = lab.server.wait_line(&format!("peer={own} "));
    assert!(line.contains("reason=\"TLS: the peer has sent bad_record_mac\""), "{line}");
    assert!(plain.ask("closes").contains("the peer has sent bad_record_mac"));
}
