//! Programs that others have written hold one TLS session each through ten restarts by each engine, in the middle of a
//! download and of an upload, and notice nothing: no error, no wrong byte, no second connection.
//!
//! They are needed, so these tests are asked for: `cargo test --features tls --test promises tls_clients:: -- --ignored`.

mod scripts;
mod site;

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    process::{ChildStdout, Command},
};

use crate::common::{
    Server,
    browser::Browser,
    ends,
    restart::{Engine, is_asleep, resume, stop},
    tool::{Tool, wait_line},
    wait_for,
};
use site::{DOWNLOAD, PIECE, ROUNDS, Site, UPLOAD, body, cksum};

/// Reads the head of a reply, which has to be a good one.
fn head(from: &mut impl BufRead) {
    assert_eq!(wait_line(from, "HTTP/1.1"), "HTTP/1.1 200 OK\r\n");
    while wait_line(from, "") != "\r\n" {}
}

/// Nothing more comes.
fn ends(mut from: BufReader<ChildStdout>) {
    let mut rest = String::new();
    from.read_to_string(&mut rest).expect("text");
    assert_eq!(rest, "");
}

#[test]
#[ignore = "needs openssl"]
fn openssl_loads_down_and_up() {
    for version in ["-tls1_3", "-tls1_2"] {
        let site = Site::start("http");
        let mut openssl = Command::new("openssl");
        openssl.args(["s_client", "-quiet", "-connect", &site.server.address, version]);
        openssl.args(["-servername", "localhost", "-CAfile", &site.pki.path("ca.pem")]);
        let mut openssl = Tool::of(openssl.args(["-verify_quiet", "-verify_return_error"]));
        let (mut to, mut from) = (openssl.input(), openssl.lines());
        write!(to, "GET /bytes/{DOWNLOAD} HTTP/1.1\r\nHost: a\r\n\r\n").expect("it reads");
        head(&mut from);
        site.download(&mut from);
        let close = "Connection: close";
        write!(
            to,
            "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: {DOWNLOAD}\r\n{close}\r\n\r\n"
        )
        .expect("it reads");
        // The head comes with the first bytes of the body.
        let mut from = Headed { from, is_headed: true };
        site.echo(&mut to, &mut from);
        ends(from.from);
        openssl.succeeds();
        site.check();
    }
}

/// A reply whose head is read before the first byte of its body.
struct Headed {
    from: BufReader<ChildStdout>,
    is_headed: bool,
}

impl Read for Headed {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if std::mem::take(&mut self.is_headed) {
            head(&mut self.from);
        }
        self.from.read(buffer)
    }
}

#[test]
#[ignore = "needs curl"]
fn curl_loads_down_and_up() {
    for version in [&["--tlsv1.3"][..], &["--tls-max", "1.2"]] {
        let site = Site::start("http");
        let authority = site.pki.path("ca.pem");
        let common = ["-sS", "--no-buffer", "--http1.1", "--cacert", &authority];
        let mut curl = Command::new("curl");
        curl.args(common).args(version).arg(site.url(&format!("/bytes/{DOWNLOAD}")));
        curl.arg("--next").args(common).args(version);
        curl.args(["-H", "Expect:", "-X", "POST", "-T", "-", &site.url("/echo")]);
        let mut curl = Tool::of(&mut curl);
        let (to, mut from) = (curl.input(), curl.lines());
        site.download(&mut from);
        site.echo(to, &mut from);
        ends(from);
        curl.succeeds();
        site.check();
    }
}

#[test]
#[ignore = "needs python3"]
fn http_client_of_python_loads_down_and_up() {
    for version in ["TLSv1_3", "TLSv1_2"] {
        let site = Site::start("http");
        let (authority, length) = (site.pki.path("ca.pem"), DOWNLOAD.to_string());
        let args = ["-c", scripts::PYTHON, site.port(), &authority, version, &length];
        let mut python = Tool::start("python3", &args);
        let (mut to, mut from) = (python.input(), python.lines());
        site.download(&mut from);
        site.upload(&mut to);
        drop(to); // it is over
        assert_eq!(wait_line(&mut from, ""), cksum(&body(UPLOAD)));
        ends(from);
        python.succeeds();
        site.check();
    }
}

#[test]
#[ignore = "needs node"]
fn an_agent_of_node_loads_down_and_up() {
    for version in ["TLSv1.3", "TLSv1.2"] {
        let site = Site::start("http");
        let script = site.pki.path("client.mjs");
        fs::write(&script, scripts::NODE).expect("a file");
        let (authority, length) = (site.pki.path("ca.pem"), DOWNLOAD.to_string());
        let args = [&script, site.port(), &authority, version, &length];
        let mut node = Tool::start("node", &args);
        let (to, mut from) = (node.input(), node.lines());
        site.download(&mut from);
        site.echo(to, &mut from);
        ends(from);
        node.succeeds();
        site.check();
    }
}

#[test]
#[ignore = "needs chromium"]
fn a_page_in_chromium_loads_down_and_up() {
    let server = Server::of("http").arg("--move").arg("--tls-self-signed").start();
    let port = server.address.rsplit(':').next().expect("a port");
    let url = format!("https://{}/", server.address);
    let page = Browser::open_with(&url, "light", &["--ignore-certificate-errors"]);
    page.wait("document.body.innerText.trim()", "hello, world");
    page.run("sync", &scripts::DOWNLOAD.replace("LENGTH", &DOWNLOAD.to_string()));
    let allow = |count: usize| {
        page.run("sync", &format!("state.allowed = {count}; state.more?.(); return ''"));
        page.wait("state.error", "");
        page.wait(&format!("state.count >= {count}"), "true");
    };
    allow(1);
    let sockets = ends::sockets(port);
    for (round, engine) in (1..).zip(Engine::alternating().take(ROUNDS)) {
        site::restart(&server, engine);
        allow(round * PIECE);
    }
    page.run("sync", "state.allowed = Infinity; state.more(); return ''");
    page.wait("state.isOver || state.error", "true");
    assert_eq!(page.eval("`${state.count} ${state.wrong}`"), format!("{DOWNLOAD} 0"));
    load_up(&server, &page);
    assert_eq!(ends::sockets(port), sockets, "no session but those that were there");
}

/// A browser sends a body as fast as it can, so it is a long one, and another follows if it is through before all restarts
/// are.
fn load_up(server: &Server, page: &Browser) {
    const LENGTH: usize = 64 << 20;
    let sum = cksum(&body(LENGTH));
    let is_over = || !page.eval("state.said + state.error").is_empty();
    let mut engines = Engine::alternating();
    let mut during = 0;
    while during < ROUNDS {
        page.run("sync", &scripts::UPLOAD.replace("LENGTH", &LENGTH.to_string()));
        while during < ROUNDS && !is_over() {
            site::restart(server, engines.next().expect("one of two"));
            during += usize::from(!is_over());
        }
        page.wait("state.said + state.error", &sum);
    }
}

/// What it is told to say and has not said yet waits, as long as it is stopped.
#[test]
#[ignore = "needs redis-tools"]
fn redis_cli_loads_down_and_up() {
    const LENGTH: usize = 12 << 20; // more than the buffers of two sockets hold
    let site = Site::start("kv");
    let authority = site.pki.path("ca.pem");
    let args = ["--tls", "--cacert", &authority, "-h", "127.0.0.1", "-p", site.port()];
    let mut cli = Tool::start("redis-cli", &args);
    let mut from = cli.lines();
    cli.say("client id\n");
    let id = wait_line(&mut from, "");
    let sockets = site.sockets();
    let mut engines = Engine::alternating();
    for round in 0..ROUNDS / 2 {
        let letter = |byte: u8| char::from(b'a' + byte.wrapping_add(round as u8) % 26);
        let text: String = body(LENGTH).into_iter().map(letter).collect();
        // Up: the server does not read before the client has begun, and then the client does not go on.
        caught(&site, &mut cli, &format!("set key {text}\n"));
        for engine in engines.by_ref().take(2) {
            site.restart(engine);
        }
        resume(cli.pid());
        assert_eq!(wait_line(&mut from, ""), "OK\n");
        // Down: the client does not read.
        caught(&site, &mut cli, "get key\n");
        wait_for("the reply to fill the buffers", || {
            let ends = ends::of(site.port());
            ends.iter().all(|end| if end.is_client { end.unread > 0 } else { end.unsent > 0 })
        });
        for engine in engines.by_ref().take(2) {
            site.restart(engine);
        }
        resume(cli.pid());
        assert!(wait_line(&mut from, "").trim_end() == text, "wrong bytes");
    }
    assert_eq!(site.sockets(), sockets, "one session");
    cli.say("client id\n");
    assert_eq!(wait_line(&mut from, ""), id);
    site.check();
}

/// The client is stopped behind saying this, or in the middle, where no more fits into the buffers.
fn caught(site: &Site, cli: &mut Tool, text: &str) {
    let server = site.server.pid();
    stop(server);
    cli.say(text);
    wait_for("the client to have said what it can", || {
        let has_begun = ends::of(site.port()).iter().any(|end| !end.is_client && end.unread > 0);
        has_begun && is_asleep(cli.pid())
    });
    stop(cli.pid());
    resume(server);
}
