//! A TLS session goes to the new process as it is, by either engine: no client shakes hands again, in whatever state
//! its connection is, and no byte is wrong. And nobody but the new process has its keys then.

use std::{
    fs::{self, File},
    io::{BufRead, BufReader, Write},
    net::{Shutdown, TcpListener},
    os::unix::fs::FileExt,
    process::{Command, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::Instant,
};

use crate::common::{
    Dir, Setup, pattern, read_line, stat,
    tls::{BOTH, Secured, TlsClient, serve},
    wait_for,
};
use heirloom::tls::rustls::{
    CipherSuite, KeyLog,
    version::{TLS12, TLS13},
};
use nix::sys::{
    signal::Signal,
    socket::{setsockopt, sockopt::Linger},
};

const ENGINES: [Signal; 2] = [Signal::SIGHUP, Signal::SIGUSR2];

/// A lab with TLS whose connections move, and whose new sides prove themselves at once.
fn lab() -> Secured {
    Secured::with("tls", "alpn x/1", moving)
}

fn moving(setup: Setup) -> Setup {
    setup.arg("--move").env("LAB_PROBATION", 0).env("LAB_IDLE", 600_000)
}

fn pid(client: &mut TlsClient) -> i32 {
    let who = client.ask("who");
    who.split(' ').nth(1).and_then(|pid| pid.parse().ok()).unwrap_or_else(|| panic!("{who:?}"))
}

/// Reads `count` bytes of a pattern from `position` on, and compares each.
fn read_pattern(client: &mut TlsClient, seed: u64, position: u64, count: usize) {
    let mut expected = vec![0; count];
    pattern::fill(seed, position, &mut expected);
    let got = client.read_exact(count);
    if let Some(at) = (0..count).find(|&at| got[at] != expected[at]) {
        panic!("byte {at} of {count} from {position} on is wrong");
    }
}

#[test]
fn a_session_lives_through_twenty_restarts_in_mid_record_both_ways() {
    for version in BOTH {
        let lab = lab();
        let mut client = lab.connect_by(lab.pki.client(&[version]));
        let told = client.ask("tls");
        let exported = client.ask("export EXPORTER-heirloom context");
        let id = client.ask("id");
        for round in 0..20_u64 {
            client.send(format!("reply 1048576 {round}\n"));
            read_pattern(&mut client, round, 0, 1000);
            // Half of the next request's record is there, and half of the reply is read.
            let record = client.seal(&format!("echo {round}\n"));
            let (before, behind) = record.split_at(record.len() * (round as usize % 5 + 1) / 6);
            client.wire().write_all(before).expect("the server takes it");
            if round % 2 == 0 {
                read_pattern(&mut client, round, 1000, 500_000);
            }
            let new = lab.server.restart(ENGINES[round as usize % 2]);
            let read = if round % 2 == 0 { 501_000 } else { 1000 };
            read_pattern(&mut client, round, read, (1 << 20) - read as usize);
            client.wire().write_all(behind).expect("the server takes it");
            assert_eq!(client.line(), round.to_string());
            assert_eq!(pid(&mut client), new);
        }
        assert_eq!(client.ask("tls"), told, "what was agreed on");
        assert_eq!(client.ask("export EXPORTER-heirloom context"), exported);
        assert_eq!(client.ask("id"), id);
        lab.sealed.check_by(21);
        // Of all of them no more than one was made.
        assert_eq!(stat(&mut lab.server.connect(), "handshakes"), 0, "none here");
    }
}

#[test]
fn keys_are_updated_by_both_before_and_after() {
    let lab = lab();
    let mut client = lab.connect_by(lab.pki.client(&[&TLS13]));
    client.ask("who");
    for round in 0..12 {
        client.tls().refresh_traffic_keys().expect("TLS 1.3 has it");
        if round % 3 == 0 {
            // The update is on its way while nobody serves, and is answered by the new side.
            let update = client.seal("");
            lab.server.signal(ENGINES[round % 2]);
            client.wire().write_all(&update).expect("the server takes it");
            lab.server.wait_lines("restart: done", round / 3 + 1);
        }
        for _ in 0..50 {
            assert_eq!(client.ask(&format!("echo {round}")), round.to_string());
        }
    }
}

#[test]
fn a_client_that_closes_or_resets_meanwhile_is_heard() {
    for engine in ENGINES {
        let lab = lab();
        let (mut closes, mut leaves) = (lab.connect(), lab.connect());
        let (mut cuts, mut stays) = (lab.connect(), lab.connect());
        for client in [&mut closes, &mut leaves, &mut cuts, &mut stays] {
            client.ask("who");
        }
        lab.server.signal(engine);
        closes.send("echo last\n");
        closes.close_notify();
        leaves.wire().shutdown(Shutdown::Write).expect("a FIN");
        reset(cuts);
        assert_eq!(closes.line(), "last");
        assert_eq!(closes.read_to_end().expect("an orderly end"), b"");
        lab.server.wait_line("the peer's FIN came before its close_notify");
        assert_eq!(stays.ask("echo here"), "here");
        lab.server.wait_line("restart: done");
        let mut plain = lab.server.connect();
        wait_for("all others to be gone", || stat(&mut plain, "connections") == 2);
    }
}

/// They come in one piece, and the service hears nothing yet: it is read by the process that has shaken hands.
#[test]
fn a_request_that_came_with_the_end_of_the_handshake_is_answered_by_the_new_process() {
    for engine in ENGINES {
        let told = Dir::new();
        let slow = told.path("slow");
        let lab = Secured::with("tls", "", |setup| moving(setup).env("LAB_SLOW", slow.display()));
        let mut other = lab.server.connect();
        other.ask("who");
        fs::write(&slow, "paused 1500").expect("a file");
        let mut client = lab.connect();
        client.tls().writer().write_all(b"who\n").expect("it waits for the keys");
        client.shake().expect("a handshake");
        wait_for("the service to hear of it", || stat(&mut other, "handshakes") == 1);
        let new = lab.server.restart(engine);
        assert_eq!(client.line(), "resumed");
        let who = client.line();
        assert_eq!(who.split(' ').nth(1), Some(new.to_string().as_str()), "{who}");
    }
}

/// Ends a connection without a FIN.
fn reset(mut client: TlsClient) {
    let linger = libc::linger { l_onoff: 1, l_linger: 0 };
    setsockopt(&*client.wire(), Linger, &linger).expect("an option of TCP");
}

/// rustls alone knows all of it, so it stays where it has begun.
#[test]
fn a_handshake_that_is_under_way_is_finished_by_the_old_process() {
    for engine in ENGINES {
        let lab = lab();
        let mut cut = lab.connect();
        let mut hello = Vec::new();
        cut.tls().write_tls(&mut hello).expect("a vector takes all");
        cut.wire().write_all(&hello[..100]).expect("the server takes it");
        let old = lab.server.pid();
        let mut other = lab.connect();
        assert_eq!(pid(&mut other), old);
        let new = lab.server.restart(engine);
        cut.wire().write_all(&hello[100..]).expect("the server takes it");
        cut.shake().expect("a handshake");
        assert_eq!(pid(&mut cut), old);
        assert_eq!(pid(&mut other), new);
    }
}

#[test]
fn a_session_that_was_dialed_goes_along() {
    let lab = lab();
    let upstream = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = upstream.local_addr().expect("an address");
    let config = lab.pki.server("localhost");
    let (mut far, greeted) = thread::scope(|scope| {
        let far = scope.spawn(move || {
            let (stream, _) = upstream.accept().expect("it dials");
            let mut far = serve(stream, config);
            far.write_all(b"tls\n").expect("hands are shaken");
            let greeted = read_line(&mut far);
            (far, greeted)
        });
        let mut client = lab.server.connect();
        let dialed = client.ask(&format!("dial_tls {address} localhost"));
        assert_eq!(dialed, format!("dialed {address}"));
        far.join().expect("no panic")
    });
    for round in 0..10 {
        // A ticket and a key update on the way.
        far.conn.refresh_traffic_keys().expect("TLS 1.3 has it");
        let new = lab.server.restart(ENGINES[round % 2]).to_string();
        far.write_all(b"tls\nwho\n").expect("the lab takes it");
        assert_eq!(read_line(&mut far), greeted);
        assert_eq!(read_line(&mut far).split(' ').nth(1), Some(new.as_str()));
    }
}

/// It has been given on another one's side, and shakes hands on this one.
#[test]
fn how_long_a_handshake_may_take_goes_along_with_its_connection() {
    for engine in ENGINES {
        let lab = lab();
        let mut plain = lab.server.connect();
        assert_eq!(plain.ask("handshake 300"), "ok");
        let old = plain.ask("who");
        lab.server.restart(engine);
        assert_ne!(plain.ask("who"), old, "it has not moved");
        let begun = Instant::now();
        assert_eq!(plain.ask("starttls"), "ok");
        assert_eq!(plain.read_to_end().unwrap_or_default(), b"");
        lab.server.wait_line("reason=\"TLS: the handshake was not over in time\"");
        assert!(begun.elapsed() < heirloom::limits::HANDSHAKE, "it had the time of all others");
    }
}

#[test]
fn what_is_rolled_back_comes_back_with_its_keys() {
    for engine in ENGINES {
        let lab = Secured::with("tls", "", |setup| moving(setup).env("LAB_PROBATION", 600_000));
        let client = |version| lab.connect_by(lab.pki.client(&[version]));
        let mut clients = [client(&TLS13), client(&TLS12)];
        let old = pid(&mut clients[0]);
        assert_eq!(pid(&mut clients[1]), old);
        for _ in 0..3 {
            lab.server.signal(engine);
            for client in &mut clients {
                wait_for("the new process to serve", || pid(client) != old);
                assert_eq!(client.ask("echo there"), "there");
            }
            let record = clients[1].seal("echo cut\n");
            let (before, behind) = record.split_at(10);
            clients[1].wire().write_all(before).expect("the server takes it");
            assert_eq!(clients[0].ask("roll-back unfit"), "ok");
            wait_for("the old process to serve", || pid(&mut clients[0]) == old);
            clients[1].wire().write_all(behind).expect("the server takes it");
            assert_eq!(clients[1].line(), "cut");
            assert_eq!(pid(&mut clients[1]), old);
        }
        lab.sealed.check_by(4);
    }
}

/// openssl's own client, which updates the keys of both directions at a line with a `K`.
#[test]
#[ignore = "needs openssl"]
fn openssl_notices_no_restart() {
    for version in ["-tls1_3", "-tls1_2"] {
        let lab = lab();
        let command = format!(
            "exec timeout 120 openssl s_client {version} -servername localhost -connect {} -CAfile {} \
             -verify_return_error 2>&1",
            lab.address,
            lab.pki.path("ca.pem")
        );
        let mut client = Command::new("sh")
            .args(["-c", &command])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a shell");
        let mut says = client.stdin.take().expect("a pipe");
        let mut hears = BufReader::new(client.stdout.take().expect("a pipe")).lines();
        let mut ask = |line: &str, answer: &str| {
            says.write_all(line.as_bytes()).expect("it reads");
            let found = hears.by_ref().map_while(Result::ok).find(|line| line == answer);
            assert!(found.is_some(), "{version}: it has ended before {answer:?}");
        };
        ask("echo before\n", "before");
        for round in 0..20 {
            lab.server.restart(ENGINES[round % 2]);
            ask(&format!("echo after {round}\n"), &format!("after {round}"));
            if version == "-tls1_3" {
                ask("K\n", "KEYUPDATE");
            }
            ask(&format!("echo again {round}\n"), &format!("again {round}"));
        }
        drop(says);
        wait_for("it to end", || client.try_wait().expect("a child of ours").is_some());
    }
}

/// Every place in the memory of a process where these bytes are.
fn places(pid: i32, secret: &[u8]) -> usize {
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).expect("it lives");
    let memory = File::open(format!("/proc/{pid}/mem")).expect("it may be read");
    let private =
        maps.lines().filter(|line| line.split(' ').nth(1).is_some_and(|it| it.starts_with("rw")));
    let found = private.map(|line| {
        let range = line.split(' ').next().and_then(|range| range.split_once('-'));
        let (from, to) = range.expect("a range");
        let number = |text| u64::from_str_radix(text, 16).expect("an address");
        let mut bytes = vec![0; (number(to) - number(from)) as usize];
        // What is not there cannot be read, and has nothing.
        let read = memory.read_at(&mut bytes, number(from)).unwrap_or(0);
        bytes[..read].windows(secret.len()).filter(|window| *window == secret).count()
    });
    found.sum()
}

/// What a client's key log is told.
#[derive(Debug, Default)]
struct Told(Mutex<Vec<(String, Vec<u8>)>>);

impl KeyLog for Told {
    fn log(&self, label: &str, _: &[u8], secret: &[u8]) {
        self.0.lock().expect("no panic").push((label.to_owned(), secret.to_vec()));
    }
}

/// Those of its own traffic secrets that a client's key log is told.
fn traffic_secrets(told: &Told) -> Vec<Vec<u8>> {
    let told = told.0.lock().expect("no panic").clone();
    let secrets = told.into_iter().filter(|(label, _)| label.ends_with("TRAFFIC_SECRET_0"));
    let secrets: Vec<_> = secrets.map(|(_, secret)| secret).collect();
    assert_eq!(secrets.len(), 2);
    secrets
}

/// A client, and the secrets of its session, as they are in the memory of whoever has it.
fn overheard(lab: &Secured) -> (TlsClient, Vec<Vec<u8>>) {
    let told = Arc::new(Told::default());
    let mut config = lab.pki.client_with(CipherSuite::TLS13_AES_256_GCM_SHA384);
    config.key_log = told.clone();
    let mut client = lab.connect_by(config);
    client.ask("who");
    (client, traffic_secrets(&told))
}

/// It has a copy of all memory at first, and of the session no use.
#[test]
#[ignore = "needs to read the memory of other processes (ptrace)"]
fn of_a_session_that_stays_a_forked_child_has_nothing() {
    let lab = lab();
    let (mut client, secrets) = overheard(&lab);
    let parent = lab.server.restart(Signal::SIGUSR2); // who has shaken hands has what rustls has left
    assert_eq!(pid(&mut client), parent);
    assert_eq!(client.ask("stay"), "ok");
    let child = lab.server.restart(Signal::SIGHUP);
    assert_eq!(pid(&mut client), parent);
    for secret in &secrets {
        assert_eq!(places(parent, secret), 1, "where it belongs");
        wait_for("the child to have none", || places(child, secret) == 0);
    }
    assert_eq!(client.ask("echo here"), "here");
}

#[test]
#[ignore = "needs to read the memory of other processes (ptrace)"]
fn the_keys_are_where_the_connection_is_and_nowhere_else() {
    let lab = lab();
    let (mut client, secrets) = overheard(&lab);
    // Who has shaken hands has them where rustls has left them. Of the next ones each has a guest that stays.
    let mut before = lab.server.restart(Signal::SIGUSR2);
    client.ask("who");
    let mut guests = Vec::new();
    for engine in [Signal::SIGUSR2, Signal::SIGHUP, Signal::SIGUSR2] {
        let mut guest = lab.server.connect();
        assert_eq!(guest.ask("stay"), "ok");
        guests.push(guest);
        let after = lab.server.restart(engine);
        assert_eq!(pid(&mut client), after);
        for secret in &secrets {
            assert_eq!(places(after, secret), 1, "where it belongs, {engine}");
            wait_for("the old side to have none", || places(before, secret) == 0);
        }
        before = after;
    }
}
