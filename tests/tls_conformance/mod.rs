//! What the RFCs say of records and of what comes in them, asked by tlslite-ng, a client that sends whatever it is told to:
//! key updates, empty records, records at their limits and over them, padding, alerts, messages that may not come any more,
//! sessions that are resumed, clients that leave. In each case a connection is refused by the alert that the RFC names, and its
//! service is told so; or it goes on; and somebody else is served before and after.
//!
//! Sections are of RFC 8446 for TLS 1.3, and of RFC 5246 for TLS 1.2. Where an RFC leaves a limit to us (records
//! without data in a row), that is named as our own. What comes before there are keys is answered by rustls, so there the answer
//! is to be the one of rustls alone.

mod cases;
mod client;
mod handshakes;

use std::{
    fs,
    io::Write,
    net::{Shutdown, TcpListener},
    path::Path,
    process::Command,
    thread,
};

use crate::common::tls::Secured;
use heirloom::tls::rustls::{ServerConfig, ServerConnection};

/// A server of rustls that shakes hands, and listens until the client has left.
fn rustls_alone(config: ServerConfig) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("an address").port();
    let config = std::sync::Arc::new(config);
    thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let mut conn = ServerConnection::new(config.clone()).expect("a config");
            // What is wrong it has said to the client by then.
            while conn.complete_io(&mut stream).is_ok_and(|(read, _)| read > 0) {}
            let _ = stream.flush().and_then(|()| stream.shutdown(Shutdown::Write));
            let _ = std::io::copy(&mut stream, &mut std::io::sink()); // or a reset overtakes it
        }
    });
    port
}

/// Where `.ci/run` has installed tlslite-ng, or whatever Python there is.
fn python() -> Command {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/tlslite/bin/python3");
    Command::new(if own.exists() { own } else { "python3".into() })
}

#[test]
#[ignore = "needs tlslite-ng"]
fn what_may_come_is_served_and_what_may_not_is_refused_by_its_alert() {
    let lab = Secured::with("tls", "tickets 3600", |setup| setup);
    let alone = rustls_alone(lab.pki.server("localhost"));
    let port = |address: &str| address.rsplit(':').next().expect("a port").to_owned();
    let script = lab.pki.path("client.py");
    let all = [client::CLIENT, cases::CASES, handshakes::HANDSHAKES].concat();
    fs::write(&script, all).expect("a file");
    let mut python = python();
    python.args([&script, &port(&lab.address), &port(&lab.server.address), &alone.to_string()]);
    let output = python.output().expect("python3 is installed");
    let said = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    let failed: Vec<_> = said.lines().filter(|line| line.starts_with("FAILED ")).collect();
    assert!(output.status.success() && failed.is_empty(), "{}\n{errors}", failed.join("\n"));
    let passed = said.lines().filter(|line| line.starts_with("ok ")).count();
    assert!(passed > 250, "{passed} cases only:\n{said}\n{errors}");
}
