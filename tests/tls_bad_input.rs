//! What is no TLS, or not the one that was agreed on: one alert, one clear reason in the log, and nobody else notices.

use std::{
    io::{Read, Write},
    os::fd::AsRawFd,
    process::Command,
    time::{Duration, Instant},
};

use crate::common::{
    self, Client, Server, example, run_to_end, stat,
    tls::{BOTH, Pki, Secured},
    wait_for,
};
use heirloom::tls::rustls::{CipherSuite, version::TLS13};
use nix::sys::socket::{MsgFlags, send};

/// Alert records, as long as nothing is encrypted.
fn alert(number: u8) -> Vec<u8> {
    vec![21, 3, 3, 0, 2, 2, number]
}

const UNEXPECTED_MESSAGE: u8 = 10;
const HANDSHAKE_FAILURE: u8 = 40;
const DECODE_ERROR: u8 = 50;

/// A record of this type with this body.
fn record(kind: u8, body: &[u8]) -> Vec<u8> {
    [&[kind, 3, 1], &(body.len() as u16).to_be_bytes()[..], body].concat()
}

/// What a client says first.
fn hello(pki: &Pki) -> Vec<u8> {
    let config = pki.client(BOTH).into();
    let name = "localhost".try_into().expect("a name");
    let mut client = heirloom::tls::rustls::ClientConnection::new(config, name).expect("a config");
    let mut hello = Vec::new();
    client.write_tls(&mut hello).expect("room");
    hello
}

/// Of a hello that offers TLS 1.0 and nothing newer (RFC 2246, 7.4.1.2).
fn old_hello() -> Vec<u8> {
    let body = [&[3, 1], &[7; 32][..], &[0], &[0, 2, 0, 0x2f], &[1, 0]].concat();
    let length = (body.len() as u32).to_be_bytes();
    record(22, &[&[1], &length[1..], &body[..]].concat())
}

#[test]
fn what_is_no_handshake_gets_one_alert_and_one_reason() {
    let lab = Secured::start();
    let mut other = lab.connect();
    assert_eq!(other.ask("echo here"), "here");
    let hello = hello(&lab.pki);
    let mut twice = hello.clone();
    twice.extend(&hello);
    let mut cut = hello.clone();
    cut[6..9].copy_from_slice(&[0, 0, 3]); // its message is shorter than its record
    for (input, number, why) in [
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(), DECODE_ERROR, "what came is no TLS"),
        (vec![0x80, 0x2e, 1, 0, 2, 0, 0x15], DECODE_ERROR, "what came is no TLS"), // SSL 2
        (vec![22, 3, 1, 0x60, 0, 1], DECODE_ERROR, "what came is no TLS"), // longer than a record may be
        (vec![22, 9, 9, 0, 5, 1, 0, 0, 1, 0], DECODE_ERROR, "what came is no TLS"),
        (old_hello(), HANDSHAKE_FAILURE, "as before TLS 1.2"),
        (record(23, b"data"), UNEXPECTED_MESSAGE, "unexpected message"),
        (record(22, &[20, 0, 0, 1, 0]), UNEXPECTED_MESSAGE, "unexpected handshake message"),
        (cut, DECODE_ERROR, "corrupt message"),
        (record(21, &[2, 40]), 0, "the peer has sent handshake_failure"),
    ] {
        let mut conn = lab.connect_plain();
        let own = conn.stream.local_addr().expect("an address");
        conn.send(&input);
        let got = conn.read_to_end().expect("a FIN, and no reset that overtakes the alert");
        let expected = if number == 0 { Vec::new() } else { alert(number) };
        assert_eq!(got, expected, "{why}");
        drop(conn); // the server waits for it before it tells
        let line = lab.server.wait_line(&format!("peer={own} "));
        assert!(line.contains("reason=\"TLS: ") && line.contains(why), "{line}");
    }
    // A client that leaves in the middle, and one that was only looking.
    let mut conn = lab.connect_plain();
    let own = conn.stream.local_addr().expect("an address");
    conn.send(&hello[..100]);
    conn.finish();
    assert_eq!(conn.read_to_end().unwrap_or_default(), b"");
    drop(conn);
    lab.server
        .wait_line(&format!("peer={own} reason=\"TLS: the peer has left during the handshake\""));
    let mut conn = lab.connect_plain();
    let own = conn.stream.local_addr().expect("an address");
    conn.finish();
    assert_eq!(conn.read_to_end().expect("a FIN"), b"");
    drop(conn);
    assert_eq!(other.ask("echo still here"), "still here");
    let mut plain = lab.server.connect();
    wait_for("all to be gone", || stat(&mut plain, "connections") == 2);
    assert_eq!(lab.server.count_lines(&format!("peer={own} ")), 0, "nothing is wrong with looking");
}

#[test]
fn where_nothing_is_in_common_both_sides_hear_what() {
    let lab = Secured::with("tls", "alpn one\ntls12", |setup| setup);
    let mut other = lab.connect();
    assert_eq!(other.ask("echo here"), "here");
    let mut strange = lab.pki.client(BOTH);
    strange.alpn_protocols = vec![b"two".to_vec()];
    let rsa = CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256;
    for (config, alert, why) in [
        (
            strange,
            "NoApplicationProtocol",
            "no application protocol in common (no_application_protocol was sent)",
        ),
        (
            lab.pki.client(&[&TLS13]),
            "ProtocolVersion",
            "no version in common (protocol_version was sent)",
        ),
        (
            lab.pki.client_with(rsa),
            "HandshakeFailure",
            "no cipher suite in common (handshake_failure was sent)",
        ),
    ] {
        let mut client = lab.connect_by(config);
        let got = client.shake().expect_err("an alert").to_string();
        assert!(got.contains(alert), "{got}");
        lab.server.wait_line(&format!("reason=\"TLS: {why}\""));
    }
    assert_eq!(other.ask("echo still here"), "still here");
}

/// Records that come after the handshake, and may not: `spoil` makes them of a good one.
#[test]
fn records_that_may_not_come_end_their_connection_and_no_other() {
    let lab = Secured::start();
    let mut other = lab.connect();
    assert_eq!(other.ask("echo here"), "here");
    type Spoil = fn(Vec<u8>) -> Vec<u8>;
    let spoiled: [(Spoil, &str, &str); 5] = [
        (
            |mut good| {
                *good.last_mut().expect("a tag") ^= 1;
                good
            },
            "BadRecordMac",
            "a record is not authentic (bad_record_mac was sent)",
        ),
        (
            |_| vec![23, 3, 3, 0x60, 0, 1, 2, 3],
            "RecordOverflow",
            "a record is longer than it may be (record_overflow was sent)",
        ),
        (|_| b"GET / HTTP/1.1\r\n\r\n".to_vec(), "", ""),
        (
            |good| [good.clone(), good].concat(),
            "BadRecordMac",
            "a record is not authentic (bad_record_mac was sent)",
        ),
        (|_| vec![22, 3, 3, 0, 4, 1, 0, 0, 0], "", ""),
    ];
    for version in BOTH {
        for (spoil, alert, why) in spoiled {
            let mut client = lab.connect_by(lab.pki.client(&[version]));
            assert_eq!(client.ask("echo one"), "one");
            let own = client.wire().local_addr().expect("an address");
            let mut good = Vec::new();
            let tls = client.tls();
            tls.writer().write_all(b"echo two\n").expect("room");
            tls.write_tls(&mut good).expect("room");
            client.wire().write_all(&spoil(good)).expect("it listens");
            let mut rest = Vec::new();
            let got = client.stream.read_to_end(&mut rest).expect_err("an alert").to_string();
            assert!(got.contains("received fatal alert") && got.contains(alert), "{got}");
            drop(client); // the server waits for it before it tells
            let line = lab.server.wait_line(&format!("peer={own} "));
            assert!(line.contains("reason=\"TLS: ") && line.contains(why), "{line}");
        }
    }
    assert_eq!(other.ask("echo still here"), "still here");
}

#[test]
fn a_handshake_that_is_not_over_in_time_is_given_up() {
    let limit = Duration::from_millis(300);
    let lab = Secured::with("tls", "", |setup| setup.env("LAB_HANDSHAKE", limit.as_millis()));
    let hello = hello(&lab.pki);
    let begun = Instant::now();
    let mut silent = lab.connect_plain();
    let mut slow = lab.connect_plain();
    slow.send(&hello[..hello.len() - 1]);
    for conn in [&mut silent, &mut slow] {
        assert_eq!(conn.read_to_end().unwrap_or_default(), b""); // or a reset, for what was not read
        assert!(begun.elapsed() >= limit);
    }
    lab.server.wait_lines("reason=\"TLS: the handshake was not over in time\"", 2);
    // In mid-conversation it is the same.
    let mut plain = lab.server.connect();
    assert_eq!(plain.ask("starttls"), "ok");
    assert_eq!(plain.read_to_end().unwrap_or_default(), b"");
    lab.server.wait_lines("reason=\"TLS: the handshake was not over in time\"", 3);
    // Who has shaken hands has all the time that others have.
    let mut client = lab.connect();
    assert_eq!(client.ask("echo here"), "here");
    let mut other = lab.server.connect();
    wait_for("the limit to be over", || begun.elapsed() > 3 * limit && other.ask("echo x") == "x");
    assert_eq!(client.ask("echo still here"), "still here");
}

/// One byte of urgent data, and silence: the server span, and the time for the handshake was never over.
#[test]
fn urgent_data_in_a_handshake_keeps_nobody_busy() {
    let lab = Secured::with("tls", "", |setup| setup.env("LAB_HANDSHAKE", 1000));
    let mut asking = lab.server.connect();
    let mut plain = lab.server.connect();
    assert_eq!(plain.ask("starttls"), "ok");
    let before = stat(&mut asking, "turns");
    let mut conns = [lab.connect_plain(), plain];
    for conn in &conns {
        send(conn.stream.as_raw_fd(), b"!", MsgFlags::MSG_OOB).expect("urgent data");
    }
    lab.server.wait_lines("reason=\"TLS: the handshake was not over in time\"", 2);
    let turns = stat(&mut asking, "turns") - before;
    assert!(turns < 50, "{turns} turns");
    for conn in &mut conns {
        assert_eq!(conn.read_to_end().unwrap_or_default(), b"");
    }
}

/// Each comes at the same moment, and has a signature to be made for it.
#[test]
fn a_storm_of_handshakes_starves_nobody() {
    const CLIENTS: u64 = 300;
    let lab = Secured::start();
    let hello = hello(&lab.pki);
    let mut plain = lab.server.connect();
    plain.ask("who");
    let mut conns: Vec<Client> = Vec::new();
    common::while_stopped(lab.server.pid(), || {
        for _ in 0..CLIENTS {
            let mut conn = lab.connect_plain();
            conn.send(&hello);
            conns.push(conn);
        }
    });
    // One that is served already, meanwhile: in as many turns as it takes.
    let most = heirloom::limits::HANDSHAKE_BUDGET as u64;
    let (mut before, mut asked) = ((0, 0), 0);
    while before.1 < CLIENTS {
        let stats = plain.ask("stats");
        let number = |name: &str| {
            let (_, rest) = stats.split_once(name).expect("a counter");
            let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
            digits.parse::<u64>().expect("a number")
        };
        let now = (number("turns: "), number("handshake_steps: "));
        if asked > 0 {
            assert!(now.1 - before.1 <= most * (now.0 - before.0), "{before:?} {now:?}");
        }
        (before, asked) = (now, asked + 1);
    }
    assert!(asked as u64 >= CLIENTS / most / 8, "asked {asked} times only");
    for mut conn in conns {
        assert_eq!(conn.read_exact(3), [22, 3, 3], "each has its answer");
    }
}

#[test]
fn a_certificate_that_cannot_be_used_is_refused_by_its_file() {
    let pki = Pki::new();
    ["localhost", "other"].iter().for_each(|name| pki.make(name));
    let (certificate, key) = (pki.path("localhost.pem"), pki.path("localhost.key"));
    std::fs::write(pki.dir.path("empty"), "").expect("a file");
    for (certificate, key, why) in [
        (
            certificate.clone(),
            pki.path("other.key"),
            format!(
                "use key {}: it is not the key of the certificate in {certificate}",
                pki.path("other.key")
            ),
        ),
        (
            pki.path("none"),
            key.clone(),
            format!(
                "read certificate {}: No such file or directory (os error 2)",
                pki.path("none")
            ),
        ),
        (
            pki.path("empty"),
            key.clone(),
            format!("read certificate {}: it has none in PEM", pki.path("empty")),
        ),
        (
            certificate.clone(),
            certificate.clone(),
            format!("read key {certificate}: it has none in PEM"),
        ),
        (key.clone(), key.clone(), format!("read certificate {key}: it has none in PEM")),
    ] {
        for check in [&["--check"][..], &[]] {
            let mut command = Command::new(example("echo"));
            command.args([
                "--listen",
                "127.0.0.1:0",
                "--tls-cert",
                &certificate,
                "--tls-key",
                &key,
            ]);
            let output = run_to_end(command.args(check));
            let said = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(2), "{said}");
            assert_eq!(said.trim_end(), format!("echo: {why}"));
        }
    }
}

/// A client that speaks TLS where nobody does gets what any stranger gets.
#[test]
fn a_plain_service_has_its_own_answer_to_a_handshake() {
    let pki = Pki::new();
    let echo = Server::of("echo").start();
    let mut conn = echo.connect();
    let hello = hello(&pki);
    conn.send(&hello);
    assert_eq!(conn.read_exact(hello.len()), hello);
    let http = Server::of("http").start();
    let mut conn = http.connect();
    conn.send(&hello);
    let answer = conn.read_to_end().unwrap_or_default();
    assert!(answer.starts_with(b"HTTP/1.1 400 "), "{:?}", String::from_utf8_lossy(&answer));
}
