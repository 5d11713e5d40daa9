//! Programs that others have written, as clients of a listener with TLS.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    process::{Child, ChildStdin, ChildStdout, Command, Output, Stdio},
};

use crate::common::{
    self, Server, run_to_end,
    tls::{Pki, Secured},
};

/// Runs a command that reads `input`, and answers what it has said.
fn run_with(command: &mut Command, input: &[u8]) -> Output {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it is installed");
    child.stdin.take().expect("a pipe").write_all(input).expect("it reads");
    child.wait_with_output().expect("what it said")
}

fn said(output: &Output) -> String {
    let (out, err) = (&output.stdout, &output.stderr);
    format!("{}\n{}", String::from_utf8_lossy(out), String::from_utf8_lossy(err))
}

#[test]
#[ignore = "needs openssl"]
fn openssl_speaks_each_suite_and_knows_a_fin_from_an_end() {
    let lab = Secured::with("tls", "alpn line/1", |setup| setup);
    for (version, suite) in [
        ("-tls1_3", "TLS_AES_128_GCM_SHA256"),
        ("-tls1_3", "TLS_AES_256_GCM_SHA384"),
        ("-tls1_3", "TLS_CHACHA20_POLY1305_SHA256"),
        ("-tls1_2", "ECDHE-ECDSA-AES128-GCM-SHA256"),
        ("-tls1_2", "ECDHE-ECDSA-AES256-GCM-SHA384"),
        ("-tls1_2", "ECDHE-ECDSA-CHACHA20-POLY1305"),
    ] {
        let kind = if version == "-tls1_3" { "-ciphersuites" } else { "-cipher" };
        let mut openssl = Command::new("timeout");
        openssl.args(["45", "openssl", "s_client", "-connect", &lab.address, version, kind, suite]);
        openssl.args(["-alpn", "line/1", "-servername", "localhost", "-verify_return_error"]);
        openssl.args(["-CAfile", &lab.pki.path("ca.pem"), "-ign_eof"]);
        let output = run_with(&mut openssl, b"tls\nclose\n");
        let all = said(&output);
        assert!(output.status.success(), "{all}");
        assert!(all.contains("Verify return code: 0 (ok)"), "{all}");
        assert!(
            all.contains("ALPN protocol: line/1") && all.contains("Some(\"localhost\")"),
            "{all}"
        );
        assert!(!all.contains("unexpected eof"), "{all}"); // it says so, where no close_notify came
    }
}

/// It reads commands where a line begins, so each is awaited before the next.
struct Session {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Session {
    fn start(address: &str, version: &str) -> Session {
        let command = format!("exec timeout 45 openssl s_client -connect {address} {version} 2>&1");
        let mut child = Command::new("sh")
            .args(["-c", &command])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("it is installed");
        let input = child.stdin.take().expect("a pipe");
        let output = BufReader::new(child.stdout.take().expect("a pipe"));
        Session { child, input, output }
    }

    /// Types a line, and waits for one with this word.
    fn type_in(&mut self, line: &str, word: &str) {
        self.input.write_all(format!("{line}\n").as_bytes()).expect("it reads");
        let mut said = String::new();
        while !said.lines().last().is_some_and(|last| last.contains(word)) {
            let count = self.output.read_line(&mut said).expect("text");
            assert!(count > 0, "it has ended without {word:?}: {said}");
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
#[ignore = "needs openssl"]
fn openssl_updates_keys_and_is_refused_new_ones_in_tls_1_2() {
    let lab = Secured::start();
    let mut openssl = Session::start(&lab.address, "-tls1_3");
    for round in 0..5 {
        openssl.type_in(&format!("echo a{round}"), &format!("a{round}"));
        openssl.type_in("K", "KEYUPDATE"); // and ours, please
        openssl.type_in(&format!("echo b{round}"), &format!("b{round}"));
        openssl.type_in("k", "KEYUPDATE");
        openssl.type_in(&format!("echo c{round}"), &format!("c{round}"));
    }
    let mut openssl = Session::start(&lab.address, "-tls1_2");
    openssl.type_in("echo before", "before");
    openssl.type_in("R", "no renegotiation");
    assert_eq!(lab.connect().ask("echo here"), "here");
}

#[test]
#[ignore = "needs openssl"]
fn a_lab_dials_openssl() {
    let pki = Pki::new();
    ["localhost", "client"].iter().for_each(|name| pki.make(name));
    let port = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = port.local_addr().expect("an address").to_string();
    drop(port);
    let show = format!("show {}", pki.pair("client"));
    let lab = Secured::of(pki, "tls", &show, |setup| setup);
    for version in ["-tls1_3", "-tls1_2"] {
        let mut openssl = Command::new("openssl");
        openssl.args(["s_server", "-accept", &address, version, "-naccept", "1", "-quiet"]);
        openssl.args([
            "-cert",
            &lab.pki.path("localhost.pem"),
            "-key",
            &lab.pki.path("localhost.key"),
        ]);
        openssl.args(["-CAfile", &lab.pki.path("ca.pem"), "-Verify", "1", "-verify_return_error"]);
        let mut server = openssl
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("it is installed");
        let mut client = lab.server.connect();
        common::wait_for("it to listen", || {
            client.ask(&format!("dial_tls {address} localhost")) == format!("dialed {address}")
        });
        let mut input = server.stdin.take().expect("a pipe");
        input.write_all(b"echo hello\n").expect("it reads");
        let mut output = server.stdout.take().expect("a pipe");
        assert_eq!(common::read_line(&mut output), "hello");
        server.kill().expect("our child");
        server.wait().expect("our child");
    }
}

#[test]
#[ignore = "needs curl"]
fn curl_gets_a_page_over_https() {
    let pki = Pki::new();
    pki.make("localhost");
    let http = Server::of("http").arg("--tls-cert").arg(pki.path("localhost.pem"));
    let http = http.arg("--tls-key").arg(pki.path("localhost.key")).start();
    for version in ["--tlsv1.3", "--tls-max=1.2"] {
        let version = version.split_once('=').map_or(vec![version], |(flag, max)| vec![flag, max]);
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--show-error", "--include", "--cacert", &pki.path("ca.pem")]);
        curl.args(version)
            .args([format!("https://{}/", http.address), format!("https://{}/", http.address)]);
        let output = run_to_end(&mut curl);
        let all = said(&output);
        assert!(output.status.success(), "{all}");
        assert_eq!(all.matches("HTTP/1.1 200 OK").count(), 2, "{all}");
    }
    // In plain text, and by nobody who is trusted.
    let output =
        run_to_end(Command::new("curl").args(["-sS", &format!("http://{}/", http.address)]));
    assert!(!output.status.success());
    http.wait_line("reason=\"TLS: what came is no TLS (decode_error was sent)\"");
    let output =
        run_to_end(Command::new("curl").args(["-sS", &format!("https://{}/", http.address)]));
    assert_eq!(output.status.code(), Some(60), "{}", said(&output));
    http.wait_line("reason=\"TLS: the peer has sent unknown_ca\"");
}

/// Half-closes, resumes, and sends more than it reads for a while.
const PYTHON: &str = r#"
import socket, ssl, sys, threading
host, port, ca = sys.argv[1], int(sys.argv[2]), sys.argv[3]
context = ssl.create_default_context(cafile=ca)
session = None
for version in (ssl.TLSVersion.TLSv1_3, ssl.TLSVersion.TLSv1_2):
    context.minimum_version, context.maximum_version = ssl.TLSVersion.TLSv1_2, version
    for attempt in range(2):
        stream = context.wrap_socket(socket.create_connection((host, port)), server_hostname="localhost")
        data = bytes(range(256)) * 8192
        writer = threading.Thread(target=lambda: stream.sendall(data))
        writer.start()
        got = b""
        while len(got) < len(data):
            piece = stream.recv(65536)
            assert piece, "an end"
            got += piece
        writer.join()
        assert got == data
        assert stream.unwrap() is not None  # its close_notify is answered by ours
        print(stream.version() or version.name)
"#;

#[test]
#[ignore = "needs python3"]
fn python_echoes_two_megabytes_and_closes_in_good_order() {
    let pki = Pki::new();
    pki.make("localhost");
    let echo = Server::of("echo").arg("--tls-cert").arg(pki.path("localhost.pem"));
    let echo = echo.arg("--tls-key").arg(pki.path("localhost.key")).start();
    let script = pki.path("client.py");
    fs::write(&script, PYTHON).expect("a file");
    let (host, port) = echo.address.rsplit_once(':').expect("a port");
    let output =
        run_to_end(Command::new("python3").args([&script, host, port, &pki.path("ca.pem")]));
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(echo.count_lines("TLS: "), 0, "{}", echo.log());
}
