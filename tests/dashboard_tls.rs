//! The dashboard by TLS: its page, its buttons and its stream, and the certificate that a browser was told to take.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::common::{
    Server,
    events::{Stream, clients},
    http::{Reply, Talks, ask},
    tls::{BOTH, TlsClient, certificate},
    with_own_temp,
};
use heirloom::tls::rustls::{ClientConfig, RootCertStore, crypto::ring::default_provider};

impl Talks for TlsClient {
    fn says(&mut self, text: &str) {
        self.send(text);
    }

    fn hears_line(&mut self) -> String {
        self.line()
    }

    fn hears(&mut self, count: usize) -> Vec<u8> {
        self.read_exact(count)
    }
}

/// A dashboard that can be had in plain text and by TLS.
struct Board {
    server: Server,
    address: String,
    config: Arc<ClientConfig>,
}

impl Board {
    fn start() -> Board {
        let mut temp = PathBuf::new();
        let setup = Server::of("dashboard").arg("--probation").arg("0.05");
        let setup = setup.arg("--listen-tls").arg("127.0.0.1:0").arg("--tls-self-signed");
        let server = setup.start_as(|command| {
            let command = with_own_temp(command);
            let set = command.get_envs().find(|(name, _)| *name == "TMPDIR");
            temp = set.and_then(|(_, value)| value).expect("a directory").into();
            command
        });
        let ready = server.wait_line("ready: generation 0");
        let listeners = ready.rsplit("listening on ").next().expect("some");
        let address = listeners.split(", ").nth(1).expect("two").trim_end().to_owned();
        Board { server, address, config: trusting(&own_certificate(&temp)).into() }
    }

    fn connect(&self) -> TlsClient {
        TlsClient::connect(&self.address, Arc::clone(&self.config), "127.0.0.1")
    }

    /// On a connection of its own, which has to show the certificate that was there first.
    fn ask(&self, method: &str, path: &str, origin: &str) -> Reply {
        let host = &self.address;
        let head = format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\nOrigin: {origin}\r\n\r\n");
        ask(&mut self.connect(), &head)
    }

    fn press(&self, path: &str) {
        let reply = self.ask("POST", path, &format!("https://{}", self.address));
        assert!(reply.head.starts_with("HTTP/1.1 200 "), "{path}: {reply:?}");
    }
}

/// Where it keeps the one of this run.
fn own_certificate(temp: &Path) -> PathBuf {
    let all = fs::read_dir(temp).expect("a directory").map(|entry| entry.expect("an entry").path());
    let mut own = all.map(|path| path.join("cert.pem")).filter(|path| path.exists());
    own.next().expect("a certificate")
}

fn trusting(path: &Path) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(certificate(path)).expect("a certificate");
    ClientConfig::builder_with_provider(default_provider().into())
        .with_protocol_versions(BOTH)
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth()
}

#[test]
fn its_page_comes_by_tls_and_only_that_page_presses_buttons_there() {
    let board = Board::start();
    let mut stream = Stream::open(board.connect(), &board.address);
    stream.until("picture", |data| clients(data, 0) == 100);
    let own = format!("https://{}", board.address);
    let page = board.ask("GET", "/", &own);
    assert!(page.body.starts_with(b"<!doctype html>"), "{page:?}");
    for origin in [
        format!("http://{}", board.address), // whoever is in between can show such a page
        format!("https://{}", board.server.address),
        "https://evil.example".to_owned(),
    ] {
        let reply = board.ask("POST", "/clients/clear", &origin);
        assert!(reply.head.starts_with("HTTP/1.1 403 "), "{origin}: {reply:?}");
    }
    board.press("/clients/add");
    stream.until("picture", |data| clients(data, 0) == 200);
    // The other listener is as it is without TLS.
    let host = &board.server.address;
    let head =
        format!("POST /clients/add HTTP/1.1\r\nHost: {host}\r\nOrigin: http://{host}\r\n\r\n");
    assert!(ask(&mut board.server.connect(), &head).head.starts_with("HTTP/1.1 200 "));
    stream.until("picture", |data| clients(data, 0) == 300);
}

#[test]
fn its_stream_goes_through_restarts_and_each_process_shows_the_same_certificate() {
    let board = Board::start();
    let mut stream = Stream::open(board.connect(), &board.address);
    stream.until("picture", |data| clients(data, 0) == 100);
    let buttons = ["/restart/fork-exec/move", "/restart/fork/move", "/restart/fork-exec"];
    for (generation, path) in (1..).zip(buttons) {
        board.press(path);
        let by = format!("{{\"generation\":{generation},");
        stream.until("started", |data| data.starts_with(&by));
        let picture = stream.settled(generation);
        assert!(picture.contains("\"failed\":0,"), "{picture}");
    }
}
