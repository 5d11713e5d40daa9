//! Certificates that are renewed, and what a restart is to who has shaken hands.

use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
};

use crate::common::{
    Server,
    restart::Engine,
    tls::{BOTH, Pki, Secured, TlsClient},
    wait_for,
};
use nix::sys::signal::Signal;

/// An echo whose certificate is in the files of `localhost`.
fn echo(pki: &Pki) -> Server {
    let echo = Server::of("echo").arg("--tls-cert").arg(pki.path("localhost.pem"));
    echo.arg("--tls-key").arg(pki.path("localhost.key")).start()
}

fn connect(pki: &Pki, echo: &Server) -> TlsClient {
    TlsClient::connect(&echo.address, pki.client(BOTH).into(), "localhost")
}

/// The certificate that a new client is shown.
fn shown(pki: &Pki, echo: &Server) -> Vec<u8> {
    let mut client = connect(pki, echo);
    assert_eq!(client.ask("hello"), "hello");
    client.tls().peer_certificates().expect("one")[0].to_vec()
}

#[test]
fn a_restart_by_either_engine_shows_what_is_in_the_files_by_then() {
    let pki = Pki::new();
    pki.make("localhost");
    let echo = echo(&pki);
    let mut before = connect(&pki, &echo);
    assert_eq!(before.ask("one"), "one");
    let mut last = shown(&pki, &echo);
    for signal in [Signal::SIGHUP, Signal::SIGUSR2, Signal::SIGHUP] {
        assert_eq!(shown(&pki, &echo), last);
        pki.make("localhost");
        assert_eq!(shown(&pki, &echo), last, "nobody has asked for it yet");
        echo.restart(signal);
        let next = shown(&pki, &echo);
        assert_ne!(next, last);
        last = next;
        assert_eq!(before.ask("on"), "on", "who is here goes on");
    }
}

/// By whoever has noticed, and nobody else does.
#[test]
fn a_listener_shows_another_certificate_from_when_it_is_told_so() {
    let lab = Secured::start();
    let shown = || {
        let mut client = lab.connect();
        assert_eq!(client.ask("echo here"), "here");
        client.tls().peer_certificates().expect("one")[0].to_vec()
    };
    let (mut before, mut asking) = (lab.connect(), lab.server.connect());
    assert_eq!(before.ask("echo one"), "one");
    let first = shown();
    lab.pki.make("localhost");
    assert_eq!(shown(), first, "nobody has asked for it yet");
    assert_eq!(asking.ask("renew 1"), "ok");
    assert_ne!(shown(), first);
    assert_eq!(before.ask("echo two"), "two", "who is here goes on");
    let last = shown();
    for (request, why) in [
        ("renew 0", "set TLS of listener 0: it has none"),
        ("renew 7", "set TLS of listener 7: there is none"),
    ] {
        let mut asking = lab.server.connect();
        asking.send(format!("{request}\n"));
        assert_eq!(asking.read_to_end().expect("an end"), b"");
        lab.server.wait_line(why);
    }
    fs::remove_file(lab.pki.path("localhost.key")).expect("it was there");
    asking.send("renew 1\n");
    assert_eq!(asking.read_to_end().expect("an end"), b"");
    assert_eq!(shown(), last, "what was there before serves on");
}

#[test]
fn a_bad_certificate_fails_the_restart_and_not_the_service() {
    let pki = Pki::new();
    ["localhost", "other"].iter().for_each(|name| pki.make(name));
    let echo = echo(&pki);
    let pid = echo.pid();
    let good = shown(&pki, &echo);
    fs::copy(pki.path("other.key"), pki.path("localhost.key")).expect("a file");
    let why = format!(
        "use key {}: it is not the key of the certificate in {}",
        pki.path("localhost.key"),
        pki.path("localhost.pem")
    );
    for signal in [Signal::SIGHUP, Signal::SIGUSR2] {
        let before = echo.count_lines("restart: the ");
        echo.signal(signal);
        let line = echo.wait_lines("restart: the ", before + 1).pop().expect("a line");
        assert!(echo.log().contains(&why), "{line}");
        assert_eq!((echo.pid(), shown(&pki, &echo)), (pid, good.clone()));
    }
}

/// Wherever they are then.
#[test]
fn who_has_shaken_hands_goes_on_through_restarts() {
    let pki = Pki::new();
    pki.make("localhost");
    for moves in ["--move", "--no-move"] {
        let echo = Server::of("echo").arg("--tls-cert").arg(pki.path("localhost.pem"));
        let echo = echo.arg("--tls-key").arg(pki.path("localhost.key")).arg(moves).start();
        let mut clients: Vec<_> = BOTH
            .iter()
            .map(|version| {
                TlsClient::connect(&echo.address, pki.client(&[version]).into(), "localhost")
            })
            .collect();
        for (round, engine) in [Engine::Fork, Engine::ForkExec, Engine::Fork].iter().enumerate() {
            for client in &mut clients {
                assert_eq!(client.ask(&format!("before {round}")), format!("before {round}"));
                client.send("half a ");
                assert_eq!(client.read_exact(7), b"half a ");
            }
            echo.restart(engine.signal());
            for client in &mut clients {
                assert_eq!(client.ask("line"), "line");
                let text = "x".repeat(300_000);
                assert!(client.ask(&text) == text);
            }
        }
    }
}

/// Tells who goes on in other threads that it is over, also where a test fails.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Each shakes hands, is answered and says goodbye; some of them in full, some with a ticket, and at any moment some in
/// the middle of it.
#[test]
fn who_comes_and_goes_sees_no_restart() {
    let pki = Pki::new();
    pki.make("localhost");
    for moves in ["--move", "--no-move"] {
        let echo = Server::of("echo").arg("--tls-cert").arg(pki.path("localhost.pem"));
        let echo = echo.arg("--tls-key").arg(pki.path("localhost.key")).arg(moves).start();
        let (is_over, count) = (AtomicBool::new(false), AtomicUsize::new(0));
        let come_and_go = |version| {
            let config: Arc<_> = pki.client(&[version]).into();
            while !is_over.load(Ordering::Relaxed) {
                let mut client =
                    TlsClient::connect(&echo.address, Arc::clone(&config), "localhost");
                let text = count.fetch_add(1, Ordering::Relaxed).to_string();
                assert_eq!(client.ask(&text), text);
                client.close_notify();
                assert_eq!(client.read_to_end().expect("an orderly end"), b"");
            }
        };
        thread::scope(|scope| {
            let _over = Over(&is_over);
            for version in BOTH.iter().cycle().take(4) {
                scope.spawn(|| come_and_go(version));
            }
            for engine in Engine::alternating().take(20) {
                let before = count.load(Ordering::Relaxed);
                wait_for("some more clients", || count.load(Ordering::Relaxed) > before + 4);
                echo.restart(engine.signal());
            }
        });
        assert_eq!(echo.count_lines("reason=\"TLS"), 0, "{}", echo.log());
    }
}
