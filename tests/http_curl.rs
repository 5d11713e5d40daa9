//! The HTTP example as curl sees it.

use std::{
    io::Write,
    process::{Command, Stdio},
    thread,
};

use crate::common::{
    Server,
    http::{LINE, check_bytes, start},
};
use nix::sys::signal::Signal::{SIGHUP, SIGUSR2};

fn curl(server: &Server, args: &[&str], input: &[u8]) -> Vec<u8> {
    let urls = args.iter().map(|arg| match arg.strip_prefix('/') {
        Some(path) => format!("http://{}/{path}", server.address),
        None => (*arg).to_owned(),
    });
    let mut child = Command::new("curl")
        .args(["-sS", "--max-time", "20"])
        .args(urls)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("curl");
    let mut stdin = child.stdin.take().expect("a pipe");
    let input = input.to_vec();
    let feeder = thread::spawn(move || stdin.write_all(&input));
    let output = child.wait_with_output().expect("curl ends");
    feeder.join().expect("no panic").expect("curl reads its input");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{args:?}: {said}");
    output.stdout
}

#[test]
#[ignore = "needs curl"]
fn curl_gets_what_it_asks_for() {
    let server = start();
    let answer = curl(&server, &["-i", "/"], b"");
    let answer = String::from_utf8_lossy(&answer);
    assert!(
        answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.contains("\r\nX-Generation: 0\r\n")
    );
    assert!(answer.ends_with("\r\n\r\nhello, world\n"), "{answer}");
    let answer = curl(&server, &["-I", "/bytes/1000000"], b"");
    assert!(String::from_utf8_lossy(&answer).contains("Content-Length: 1000000\r\n"));
    let upload: Vec<u8> = LINE.repeat(50_000);
    assert_eq!(curl(&server, &["-T", "-", "/count"], &upload), b"3200000\n");
    let echo = ["--data-binary", "@-", "-H", "Expect: 100-continue", "/echo"];
    assert!(curl(&server, &echo, &upload) == upload);
    let chunked = ["-X", "POST", "-T", "-", "/echo"];
    assert!(curl(&server, &chunked, &upload) == upload);
    check_bytes(&curl(&server, &["/bytes/20000000"], b""), 0);
}

#[test]
#[ignore = "needs curl"]
fn curl_reuses_its_connection() {
    let server = start();
    let connects = ["-w", "%{num_connects}\n", "/bytes/1", "/bytes/1", "/bytes/1"];
    assert_eq!(curl(&server, &connects, b""), b"a1\na0\na0\n");
}

#[test]
#[ignore = "needs curl"]
fn curl_sees_no_restart() {
    let server = start();
    let download = ["--limit-rate", "8M", "/bytes/16000000"];
    thread::scope(|scope| {
        let download = scope.spawn(|| curl(&server, &download, b""));
        for signal in [SIGHUP, SIGUSR2] {
            server.restart(signal);
            assert_eq!(curl(&server, &["/"], b""), b"hello, world\n");
        }
        let bytes = download.join().expect("no panic");
        assert_eq!(bytes.len(), 16_000_000);
        check_bytes(&bytes, 0);
    });
}
