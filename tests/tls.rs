//! A service sees with TLS what it sees without: bytes, their order, and the end. And what it may know beside.

use std::{
    io::{Read, Write},
    net::{Shutdown, TcpListener},
    thread,
};

use crate::common::{
    self, Client, DEADLINE, read_line, stat,
    tls::{self, BOTH, Pki, Secured, TlsClient, serve},
    wait_for, while_stopped,
};
use heirloom::tls::rustls::{
    CipherSuite,
    version::{TLS12, TLS13},
};

const SUITES: [(CipherSuite, &str); 6] = [
    (CipherSuite::TLS13_AES_128_GCM_SHA256, "TLSv1_3 TLS13_AES_128_GCM_SHA256"),
    (CipherSuite::TLS13_AES_256_GCM_SHA384, "TLSv1_3 TLS13_AES_256_GCM_SHA384"),
    (CipherSuite::TLS13_CHACHA20_POLY1305_SHA256, "TLSv1_3 TLS13_CHACHA20_POLY1305_SHA256"),
    (
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
        "TLSv1_2 TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
    ),
    (
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
        "TLSv1_2 TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
    ),
    (
        CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
        "TLSv1_2 TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
    ),
];

#[test]
fn every_suite_carries_lines_and_a_megabyte_each_way() {
    let lab = Secured::with("tls", "alpn x/1,y/2", |setup| setup);
    for (suite, name) in SUITES {
        let mut config = lab.pki.client_with(suite);
        config.alpn_protocols = vec![b"y/2".to_vec()];
        let mut client = lab.connect_by(config);
        assert_eq!(client.ask("echo hello"), "hello", "{name}");
        assert_eq!(client.ask("tls"), format!("{name} Some(\"y/2\") Some(\"localhost\") 0"));
        let text = "x".repeat(1_000_000);
        assert!(client.ask(&format!("echo {text}")) == text, "{name}");
        client.send("reply 1000000 7\n");
        let mut expected = vec![0; 1_000_000];
        common::pattern::fill(7, 0, &mut expected);
        assert!(client.read_exact(1_000_000) == expected, "{name}");
        client.send("echo one\necho two\n".repeat(1000));
        for _ in 0..1000 {
            assert_eq!((client.line(), client.line()), ("one".into(), "two".into()));
        }
    }
    let mut plain = lab.server.connect();
    assert_eq!(plain.ask("tls"), "none");
    assert_eq!(stat(&mut plain, "handshakes"), SUITES.len() as u64);
}

#[test]
fn both_sides_derive_the_same_secrets() {
    let lab = Secured::start();
    for version in BOTH {
        let mut client = lab.connect_by(lab.pki.client(&[version]));
        let theirs = client.ask("export EXPORTER-heirloom a context");
        let ours =
            client.tls().export_keying_material([0; 32], b"EXPORTER-heirloom", Some(b"a context"));
        let ours = ours.expect("a secret");
        assert_eq!(theirs, ours.iter().map(|byte| format!("{byte:02x}")).collect::<String>());
    }
    let mut plain = lab.server.connect();
    plain.send("export EXPORTER-heirloom\n");
    assert_eq!(plain.read_to_end().expect("an end"), b"");
    lab.server.wait_line("there is no TLS");
}

#[test]
fn keys_that_are_updated_in_mid_conversation_change_nothing() {
    let lab = Secured::start();
    let mut client = lab.connect_by(lab.pki.client(&[&TLS13]));
    client.shake().expect("hands are shaken");
    for round in 0..20 {
        // The server is asked for new keys, too.
        client.tls().refresh_traffic_keys().expect("TLS 1.3");
        assert_eq!(client.ask(&format!("echo {round}")), round.to_string());
    }
}

#[test]
fn a_certificate_is_chosen_by_name() {
    let pki = Pki::new();
    ["localhost", "a.example", "b.example"].iter().for_each(|name| pki.make(name));
    let names = ["a.example", "b.example"].map(|name| format!("name {name} {}", pki.pair(name)));
    let lab = Secured::of(pki, "tls", &names.join("\n"), |setup| setup);
    for name in ["a.example", "b.example", "localhost"] {
        let config = lab.pki.client(BOTH).into();
        let mut client = TlsClient::connect(&lab.address, config, name);
        assert!(client.ask("tls").contains(&format!("Some({name:?})"))); // who else would be refused here
    }
}

#[test]
fn a_client_has_to_show_a_certificate_where_that_is_asked_for() {
    let pki = Pki::new();
    ["localhost", "client"].iter().for_each(|name| pki.make(name));
    let clients = format!("clients {}", pki.path("ca.pem"));
    let lab = Secured::of(pki, "tls", &clients, |setup| setup);
    for version in BOTH {
        let builder = heirloom::tls::rustls::ClientConfig::builder_with_provider(
            heirloom::tls::rustls::crypto::ring::default_provider().into(),
        );
        let config = builder
            .with_protocol_versions(&[version])
            .expect("a version")
            .with_root_certificates(lab.pki.roots())
            .with_client_auth_cert(
                vec![tls::certificate(&lab.pki.dir.path("client.pem"))],
                tls::private_key(&lab.pki.dir.path("client.key")),
            )
            .expect("a pair");
        let mut client = lab.connect_by(config);
        assert!(client.ask("tls").ends_with(" 1"));
        let mut nobody = lab.connect_by(lab.pki.client(&[version]));
        let _ = nobody.shake(); // of TLS 1.3 it is over before the server has looked
        let got = nobody.read_to_end().expect_err("an alert").to_string();
        assert!(got.contains("CertificateRequired") || got.contains("HandshakeFailure"), "{got}");
    }
    lab.server.wait_lines("reason=\"TLS: the client has no certificate (", 2);
}

#[test]
fn a_lab_dials_with_tls_and_hears_when_hands_are_shaken() {
    let lab = Secured::start();
    let upstream = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = upstream.local_addr().expect("an address");
    let config = lab.pki.server("localhost");
    let served = thread::spawn(move || {
        let (stream, _) = upstream.accept().expect("it dials");
        let mut stream = serve(stream, config);
        stream.write_all(b"tls\nexport EXPORTER-heirloom x\n").expect("hands are shaken");
        let (tls, secret) = (read_line(&mut stream), read_line(&mut stream));
        let ours = stream.conn.export_keying_material([0; 32], b"EXPORTER-heirloom", Some(b"x"));
        let ours = ours.expect("a secret").iter().map(|it| format!("{it:02x}")).collect::<String>();
        (tls, secret == ours)
    });
    let mut client = lab.server.connect();
    assert_eq!(client.ask(&format!("dial_tls {address} localhost")), format!("dialed {address}"));
    let (tls, is_same) = served.join().expect("no panic");
    assert!(tls.starts_with("TLSv1_3 ") && tls.ends_with(" None None 1") && is_same, "{tls}");
}

#[test]
fn a_dial_that_cannot_trust_its_peer_fails_with_the_reason() {
    let lab = Secured::start();
    let mut client = lab.server.connect();
    let got = client.ask(&format!("dial_tls {} elsewhere.example", lab.address));
    assert!(got.starts_with("dial failed: invalid data: invalid peer certificate: "), "{got}");
    assert!(got.ends_with("(bad_certificate was sent)"), "{got}");
    // And the other side, which is the same server, hears it.
    lab.server.wait_line("reason=\"TLS: the peer has sent bad_certificate\"");
    let plain = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = plain.local_addr().expect("an address");
    let greeted = thread::spawn(move || {
        let (mut stream, _) = plain.accept().expect("it dials");
        stream.write_all(b"220 mail.example\r\n").expect("it listens");
        std::io::copy(&mut stream, &mut std::io::sink()).map(drop)
    });
    let got = client.ask(&format!("dial_tls {address} localhost"));
    greeted.join().expect("no panic").expect("an orderly end, behind the alert");
    assert_eq!(got, "dial failed: invalid data: what came is no TLS (decode_error was sent)");
    let silent = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = silent.local_addr().expect("an address");
    let cut = thread::spawn(move || {
        let (mut stream, _) = silent.accept().expect("it dials");
        stream.read(&mut [0; 4096]).expect("a hello") // or the end would be a reset
    });
    let got = client.ask(&format!("dial_tls {address} localhost"));
    assert_eq!(got, "dial failed: unexpected end of file: the peer has left during the handshake");
    cut.join().expect("no panic");
    wait_for("both to be gone", || stat(&mut client, "connections") == 1);
}

/// It has done so by the edge that tells of the connection, and there is no other.
#[test]
fn a_dialed_peer_that_has_spoken_or_left_before_anybody_looks_is_heard_at_once() {
    let lab = Secured::start();
    let (mut client, mut other) = (lab.server.connect(), lab.server.connect());
    client.ask("who");
    other.ask("who");
    for (says, why) in [
        (&b"220 mail.example\r\n"[..], "invalid data: what came is no TLS (decode_error was sent)"),
        (b"", "unexpected end of file: the peer has left during the handshake"),
    ] {
        let upstream = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = upstream.local_addr().expect("an address");
        while_stopped(lab.server.pid(), || {
            client.send(format!("dial_tls {address} localhost\n"));
            other.send("block 300\n");
        });
        let (mut stream, _) = upstream.accept().expect("it dials");
        stream.write_all(says).expect("it listens");
        stream.shutdown(Shutdown::Write).expect("a FIN");
        assert_eq!(client.line(), format!("dial failed: {why}"));
        other.line();
    }
}

#[test]
fn a_plain_conversation_goes_on_with_tls() {
    let lab = Secured::start();
    for version in BOTH {
        let mut plain = lab.server.connect();
        assert_eq!(
            (plain.ask("tls"), plain.ask("note here"), plain.ask("starttls")),
            ("none".into(), "ok".into(), "ok".into())
        );
        let config = lab.pki.client(&[version]).into();
        let mut client = TlsClient::on(plain.stream, config, "localhost");
        assert!(client.ask("tls").starts_with("TLSv1_"));
        assert_eq!(client.ask("noted"), "here", "it is the same session");
        client.send("starttls\n");
        assert_eq!(client.line(), "ok");
        assert_eq!(client.read_to_end().expect("an orderly end"), b"");
        lab.server.wait_line("it has TLS");
    }
}

#[test]
fn what_comes_in_plain_text_behind_starttls_is_not_obeyed() {
    let lab = Secured::start();
    let mut plain = lab.server.connect();
    plain.send("starttls\nkeep stolen\n");
    assert_eq!(plain.line(), "ok");
    let rest = plain.read_to_end().expect("an end");
    assert_eq!(rest[..], [21, 3, 3, 0, 2, 2, 50]); // decode_error, and nothing else
    lab.server.wait_line("reason=\"TLS: what came is no TLS (decode_error was sent)\"");
    assert_eq!(lab.server.connect().ask("kept"), "");
}

#[test]
fn a_dialed_conversation_goes_on_with_tls() {
    let lab = Secured::start();
    let upstream = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = upstream.local_addr().expect("an address");
    let mut client = lab.server.connect();
    assert_eq!(client.ask(&format!("dial {address}")), format!("dialed {address}"));
    let (mut stream, _) = upstream.accept().expect("it has dialed");
    stream.set_read_timeout(Some(DEADLINE)).expect("a timeout");
    assert_eq!(client.ask("starttls-dialed localhost"), "ok");
    assert_eq!(read_line(&mut stream), "starttls");
    let mut stream = serve(stream, lab.pki.server("localhost"));
    assert_eq!(read_line(&mut stream), "tls", "it was queued before the keys were there");
    stream.write_all(b"echo hello\n").expect("it listens");
    assert_eq!(read_line(&mut stream), "hello");
}

#[cfg(feature = "names")]
#[test]
fn a_host_is_dialed_by_name_and_has_to_prove_one() {
    let dir = common::Dir::new();
    std::fs::write(dir.path("hosts"), "127.0.0.1 db.example\n").expect("a file");
    let lab =
        Secured::with("tls", "", |setup| setup.env("LAB_HOSTS_FILE", dir.path("hosts").display()));
    let port = lab.address.rsplit(':').next().expect("a port");
    let mut client = lab.server.connect();
    let dialed = format!("dialed {}", lab.address);
    assert_eq!(client.ask(&format!("dial_host_tls db.example:{port} localhost")), dialed);
    let got = client.ask(&format!("dial_host_tls db.example:{port} db.example"));
    assert!(got.contains("invalid peer certificate: "), "{got}");
    // An address is one, too.
    assert_eq!(client.ask(&format!("dial_host_tls {} localhost", lab.address)), dialed);
}

/// Of a proxy that does not speak TLS itself.
#[cfg(feature = "proxy-protocol")]
#[test]
fn the_header_of_a_proxy_comes_before_the_handshake_wherever_it_is_cut() {
    const HEADER: &[u8] = b"PROXY TCP4 192.0.2.1 198.51.100.2 4660 80\r\n";
    let lab = Secured::with("proxy tls", "", |setup| setup);
    let mut other = lab.server.connect();
    for cut in 0..=HEADER.len() {
        let mut plain = Client::connect(&lab.address);
        plain.send(&HEADER[..cut]);
        other.ask("who"); // by then that was read
        plain.send(&HEADER[cut..]);
        let config = lab.pki.client(BOTH).into();
        let mut client = TlsClient::on(plain.stream, config, "localhost");
        assert_eq!(client.ask("peer"), "192.0.2.1:4660");
        assert_eq!(client.ask("listener"), "Some(1)");
        assert!(client.ask("tls").starts_with("TLSv1_3"));
    }
    // Header and hello in one packet, which is what a proxy sends.
    let mut plain = Client::connect(&lab.address);
    let mut hello = HEADER.to_vec();
    let config = lab.pki.client(&[&TLS12]).into();
    let mut client = TlsClient::on(plain.stream.try_clone().expect("a copy"), config, "localhost");
    client.tls().write_tls(&mut hello).expect("room");
    plain.send(&hello);
    assert_eq!(client.ask("peer"), "192.0.2.1:4660");
}

#[cfg(feature = "proxy-protocol")]
mod behind_a_proxy {
    use std::fs;

    use nix::sys::signal::Signal;

    use super::*;
    use crate::common::restart::Engine;

    const HEADER: &[u8] = b"PROXY TCP4 192.0.2.1 198.51.100.2 4660 80\r\n";

    /// Sends the header from there on, and shakes hands.
    fn shake_behind(mut half: Client, from: usize, lab: &Secured) -> TlsClient {
        half.send(&HEADER[from..]);
        let mut client = TlsClient::on(half.stream, lab.pki.client(BOTH).into(), "localhost");
        client.shake().expect("a handshake, and no plain text");
        client
    }

    fn bids_farewell(mut client: TlsClient) {
        assert_eq!(client.line(), "farewell");
        assert_eq!(client.read_to_end().expect("a close_notify"), b"");
    }

    #[test]
    fn who_has_yet_to_send_its_header_shakes_hands_when_the_listeners_are_gone() {
        for engine in [Engine::Fork, Engine::ForkExec] {
            let lab = Secured::with("proxy tls", "", |setup| setup.env("LAB_FAREWELL", 1));
            let mut half = Client::connect(&lab.address);
            half.send(&HEADER[..20]);
            lab.server.connect().ask("who"); // by then that was read
            lab.server.restart(engine.signal());
            bids_farewell(shake_behind(half, 20, &lab));
        }
        let lab = Secured::with("proxy tls", "", |setup| setup.env("LAB_FAREWELL", 1));
        let mut half = Client::connect(&lab.address);
        half.send(&HEADER[..20]);
        lab.server.connect().ask("who");
        let mut queued = None;
        while_stopped(lab.server.pid(), || {
            let mut client = Client::connect(&lab.address);
            client.send(HEADER);
            queued = Some(client);
            lab.server.signal(Signal::SIGTERM);
        });
        lab.server.wait_line("draining: ");
        bids_farewell(shake_behind(queued.expect("it has connected"), HEADER.len(), &lab));
        bids_farewell(shake_behind(half, 20, &lab));
    }

    #[test]
    fn where_a_program_has_no_such_listener_it_is_closed_and_never_heard_in_plain_text() {
        let lab = Secured::with("proxy tls", "", |setup| {
            setup.arg("--move").env("LAB_PROBATION", 0).env("LAB_IDLE", 600_000)
        });
        let mut half = Client::connect(&lab.address);
        half.send(&HEADER[..20]);
        lab.server.connect().ask("who");
        fs::write(lab.pki.path("listen"), "").expect("a file");
        lab.server.restart(Signal::SIGUSR2);
        half.send([&HEADER[20..], b"who\n"].concat());
        assert_eq!(half.read_to_end().unwrap_or_default(), b"");
        lab.server.wait_line("its listener has TLS, and this process has no certificate for it");
    }
}
