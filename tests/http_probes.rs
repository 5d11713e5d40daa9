//! What testers of HTTP servers try, each probe against the HTTP example over a real socket: requests that the
//! standards allow and some servers do not know, and requests that two parties on the way could read in two ways.
//!
//! The list follows public ones (Http11Probe 2026-02 has most of them), the words are ours. Where a standard leaves
//! it to the server, this is what it has decided.

use crate::common::{Server, http::start};

/// Comes behind each probe. It is answered if, and only if, it is clear where the probe ends.
const NEXT: &str = "GET /generation HTTP/1.1\r\nHost: a\r\n\r\n";

/// The statuses of what comes back for `input` with [`NEXT`] behind it.
fn statuses(server: &Server, input: &[u8]) -> (Vec<u16>, String) {
    let mut client = server.connect();
    client.send([input, NEXT.as_bytes()].concat());
    client.finish();
    let answer = client.read_to_end().expect("an answer and a FIN, no reset");
    let answer = String::from_utf8_lossy(&answer).into_owned();
    // A body need not end in a line of its own.
    let heads = answer.split("HTTP/1.1 ").skip(1);
    (heads.filter_map(|head| head.split(' ').next()?.parse().ok()).collect(), answer)
}

/// The probe is answered with this status, and the connection goes on.
#[track_caller]
fn accepted(server: &Server, status: u16, input: &str) -> String {
    let (found, answer) = statuses(server, input.replace('\n', "\r\n").as_bytes());
    assert_eq!(found, [status, 200], "{input:?}: {answer}");
    answer
}

/// It is refused, and whatever hides behind it is not heard. `\n` stands for CRLF.
#[track_caller]
fn refused(server: &Server, status: u16, input: &str) {
    refused_raw(server, status, input.replace('\n', "\r\n"));
}

/// As it stands.
#[track_caller]
fn refused_raw(server: &Server, status: u16, input: impl AsRef<[u8]>) {
    let input = input.as_ref();
    let (found, answer) = statuses(server, input);
    let shown = String::from_utf8_lossy(&input[..input.len().min(300)]);
    assert_eq!(found, [status], "{shown:?}: {answer}");
    assert!(answer.contains("\r\nConnection: close\r\n"), "{shown:?}: {answer}");
}

/// `POST /echo` with these fields.
fn post(fields: &str, body: &str) -> String {
    format!("POST /echo HTTP/1.1\nHost: a\n{fields}\n\n{body}")
}

fn chunked(body: &str) -> String {
    post("Transfer-Encoding: chunked", body)
}

#[test]
fn first_lines() {
    let server = start();
    accepted(&server, 200, "\n\nGET / HTTP/1.1\nHost: a\n\n");
    accepted(&server, 200, "GET http://elsewhere.example/ HTTP/1.1\nHost: a\n\n");
    accepted(&server, 200, "GET / HTTP/1.2\nHost: a\n\n");
    accepted(&server, 501, "get / HTTP/1.1\nHost: a\n\n");
    accepted(&server, 501, "FROB / HTTP/1.1\nHost: a\n\n");
    accepted(&server, 501, "CONNECT example.com:443 HTTP/1.1\nHost: example.com:443\n\n");
    accepted(&server, 404, &format!("GET /{} HTTP/1.1\nHost: a\n\n", "a".repeat(8000)));
    accepted(&server, 404, "GET /a%00.html HTTP/1.1\nHost: a\n\n");
    accepted(&server, 404, "GET /a%0d%0aX:%20y HTTP/1.1\nHost: a\n\n");
    for line in [
        "GET  / HTTP/1.1",
        "GET\t/ HTTP/1.1",
        "GET / HTTP/1.1 ",
        "GET /a b HTTP/1.1",
        "GET HTTP/1.1",
        "GET /",
        "GET * HTTP/1.1",
        "GET /a#b HTTP/1.1",
        "GET /a\\b HTTP/1.1",
        "GET /a\0b HTTP/1.1",
        "GET /\u{fffd} HTTP/1.1",
        "GET / http/1.1",
        "GET / HTTP/1",
        "GET / HTTP/01.01",
        "GET / HTTP/ 1.1",
        "GET / HTTP/1.1\n ",
    ] {
        refused(&server, 400, &format!("{line}\nHost: a\n\n"));
    }
    refused_raw(&server, 400, b"GET /\xc0\xaf HTTP/1.1\r\nHost: a\r\n\r\n");
    refused(&server, 505, "GET / HTTP/9.9\nHost: a\n\n");
    refused(&server, 505, "PRI * HTTP/2.0\n\nSM\n\n");
}

#[test]
fn ends_of_lines() {
    let server = start();
    for raw in [
        "GET / HTTP/1.1\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n",
        "GET / HTTP/1.1\rHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX: y\rz\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n\n",
    ] {
        refused_raw(&server, 400, raw);
    }
}

#[test]
fn fields() {
    let server = start();
    for fields in [
        "X: y\n folded",
        "X : y",
        "X\t: y",
        ": y",
        "X[y: z",
        "X\u{e4}: y",
        "no colon",
        "X: a\0b",
        "X: a\x07\x08\x0bb",
        "Host: b",
        "Host: a",
    ] {
        refused(&server, 400, &format!("GET / HTTP/1.1\nHost: a\n{fields}\n\n"));
    }
    refused(&server, 400, "GET / HTTP/1.1\n\n");
    refused(&server, 400, "GET / HTTP/1.1\n \nHost: a\n\n");
    for host in ["", "user@a", "a/path", "a, b", "a b"] {
        refused(&server, 400, &format!("GET / HTTP/1.1\nHost: {host}\n\n"));
    }
    let many: String = (0..10_000).map(|number| format!("X-{number}: y\n")).collect();
    refused(&server, 431, &format!("GET / HTTP/1.1\nHost: a\n{many}\n"));
    let long = "a".repeat(100_000);
    refused(&server, 431, &format!("GET / HTTP/1.1\nHost: a\nX: {long}\n\n"));
    refused(&server, 431, &format!("GET / HTTP/1.1\nHost: a\n{long}: x\n\n"));
    refused(&server, 431, &format!("GET /{long} HTTP/1.1\nHost: a\n\n"));
    refused(&server, 400, &format!("{long} / HTTP/1.1\nHost: a\n\n"));
}

#[test]
fn what_is_not_known_is_left_aside() {
    let server = start();
    let upgrade = "Upgrade: websocket\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==";
    for fields in [
        format!("Connection: Upgrade\n{upgrade}\nSec-WebSocket-Version: 13"),
        format!("Connection: Upgrade\n{upgrade}\nSec-WebSocket-Version: 99"),
        format!("{upgrade}\nSec-WebSocket-Version: 13"),
        "Connection: Upgrade\nUpgrade: never-heard-of/1.0".to_owned(),
        "Range: bytes=x-y".to_owned(),
        format!("Range: bytes={}", "0-,".repeat(200)),
        "Accept: application/x-nothing".to_owned(),
    ] {
        accepted(&server, 200, &format!("GET / HTTP/1.1\nHost: a\n{fields}\n\n"));
    }
    let ranged = post("Content-Length: 5\nRange: bytes=0-2", "hello");
    assert!(accepted(&server, 200, &ranged).contains("\r\n\r\nhelloHTTP/1.1 "));
    let types = "Content-Length: 5\nContent-Type: text/plain\nContent-Type: x/y";
    accepted(&server, 200, &post(types, "hello"));
    let traced =
        "TRACE / HTTP/1.1\nHost: a\nAuthorization: Bearer secret\nContent-Length: 5\n\nhello";
    assert!(!accepted(&server, 405, traced).contains("secret"));
}

#[test]
fn methods_are_told() {
    let server = start();
    let all = accepted(&server, 204, "OPTIONS * HTTP/1.1\nHost: a\n\n");
    assert!(all.contains("\r\nAllow: GET, HEAD, POST, PUT, OPTIONS\r\n"), "{all}");
    let one =
        accepted(&server, 204, "OPTIONS /count HTTP/1.1\nHost: a\nContent-Length: 5\n\nhello");
    assert!(one.contains("\r\nAllow: POST, PUT, OPTIONS\r\n"), "{one}");
    let head = one.split("\r\n\r\n").next().unwrap();
    assert!(!head.contains("Content-") && !head.contains("Transfer-"), "{one}");
    accepted(&server, 404, "OPTIONS /none HTTP/1.1\nHost: a\n\n");
    let not = accepted(&server, 405, "DELETE / HTTP/1.1\nHost: a\n\n");
    assert!(not.contains("\r\nAllow: GET, HEAD, OPTIONS\r\n"), "{not}");
    let head = accepted(&server, 200, "HEAD / HTTP/1.1\nHost: a\nContent-Length: 5\n\nhello");
    assert!(!head.contains("hello"), "{head}");
}

#[test]
fn expectations() {
    let server = start();
    accepted(&server, 417, "GET / HTTP/1.1\nHost: a\nExpect: 200-ok\n\n");
    let both = "Expect: 100-continue, more\nContent-Length: 5";
    let input = post(both, "").replace('\n', "\r\n");
    let (found, answer) = statuses(&server, input.as_bytes());
    assert_eq!(found, [417], "whether the body comes is not clear: {answer}");
    assert!(answer.contains("\r\nConnection: close\r\n"), "{answer}");
    let input = post("Expect: 100-continue\nContent-Length: 5", "hello").replace('\n', "\r\n");
    assert_eq!(statuses(&server, input.as_bytes()).0, [100, 200, 200]);
    let old = "POST /echo HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nhello";
    assert_eq!(statuses(&server, old.as_bytes()).0, [200], "HTTP/1.0 knows no 100");
}

#[test]
fn lengths() {
    let server = start();
    for (length, body) in
        [("0", ""), ("5", "hello"), ("\t5", "hello"), ("  5 ", "hello"), ("005", "hello")]
    {
        let answer = accepted(&server, 200, &post(&format!("Content-Length: {length}"), body));
        assert!(answer.contains(&format!("\r\n\r\n{body}HTTP/1.1 ")), "{length:?}: {answer}");
    }
    accepted(&server, 200, "POST /echo HTTP/1.1\nHost: a\n\n");
    for length in [
        "",
        "-1",
        "-0",
        "+5",
        "5, 5",
        "5, 10",
        "5, 5, 5",
        "0x5",
        "0o5",
        "1_0",
        "1 0",
        "abc",
        "5x",
        "99999999999999999999",
    ] {
        refused(&server, 400, &post(&format!("Content-Length: {length}"), "helloworld"));
    }
    refused(&server, 400, &post("Content-Length: 5\nContent-Length: 10", "helloworld"));
    refused(&server, 400, &post("Content-Length: 5\nContent-Length : 5", "hello"));
    refused(&server, 400, &post("Content-Length: 5\nContent\tLength: 9", "hello"));
    // A name is what it is: an underscore is no hyphen.
    let names = post("Content-Length: 5\nContent_Length: 9\nTransfer_Encoding: chunked", "hello");
    assert!(accepted(&server, 200, &names).contains("\r\n\r\nhelloHTTP/1.1 "));
}

#[test]
fn transfer_codings() {
    let server = start();
    for coding in [
        "Transfer-Encoding: chunked",
        "Transfer-Encoding: Chunked",
        "TRANSFER-ENCODING: chunked",
        "Transfer-Encoding: chunked ",
        "Transfer-Encoding:\tchunked",
        "Transfer-Encoding:\n chunked",
        "Transfer-Encoding : chunked",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: identity",
        "Transfer-Encoding: ",
        "Transfer-Encoding: , chunked",
        "Transfer-Encoding: chunked,",
        "Transfer-Encoding: chunked, chunked",
        "Transfer-Encoding: chunked;a=b",
        "Transfer-Encoding: \x0bchunked",
        "Transfer-Encoding: \x0cchunked",
        "Transfer-Encoding: chunked\0",
        "Transfer-Encoding: chunked\nTransfer-Encoding: identity",
    ] {
        // A length beside it is what makes it a trap, whichever comes first. The second request in
        // here is the one that must not be heard.
        let hidden = format!("0\n\n{}", NEXT.replace("\r\n", "\n"));
        let length = hidden.replace('\n', "\r\n").len();
        for length in
            ["5".to_owned(), length.to_string(), format!("+{length}"), format!("{length}x")]
        {
            let length = format!("Content-Length: {length}");
            refused(&server, 400, &post(&format!("{coding}\n{length}"), &hidden));
            refused(&server, 400, &post(&format!("{length}\n{coding}"), &hidden));
        }
    }
    refused(&server, 400, &post("Transfer-Encoding: gzip", ""));
    refused(&server, 400, &post("Transfer-Encoding: chunked, gzip", "0\n\n"));
    refused(&server, 501, &post("Transfer-Encoding: gzip, chunked", "0\n\n"));
    refused(&server, 400, "POST /echo HTTP/1.0\nTransfer-Encoding: chunked\n\n0\n\n");
}

#[test]
fn chunks() {
    let server = start();
    let echoed = |body: &str, answer: &str| {
        let found = accepted(&server, 200, &chunked(body)).replace("\r\n", "\n");
        let body = found.split_once("\n\n").expect("a head").1;
        assert!(body.starts_with(&format!("{answer}HTTP/1.1 ")), "{found}");
    };
    echoed("5\nhello\n0\n\n", "5\nhello\n0\n\n");
    echoed("5\nhello\n6\n world\n0\n\n", "5\nhello\n6\n world\n0\n\n");
    echoed("A\nhelloworld\n0\n\n", "a\nhelloworld\n0\n\n");
    echoed("0\n\n", "0\n\n");
    echoed("5;name=value;other=\"a;b\"\nhello\n0;last\n\n", "5\nhello\n0\n\n");
    for trailer in ["X-Sum: 1", "Content-Length: 50", "Transfer-Encoding: chunked", "Host: b"] {
        echoed(&format!("5\nhello\n0\n{trailer}\n\n"), "5\nhello\n0\n\n");
    }
    for size in
        ["0x5", "+5", "-1", " 5", "5 ", "1_0", "5;", "5;a[=x", "5;\0a", "g", "FFFFFFFFFFFFFFFF0"]
    {
        refused(&server, 400, &chunked(&format!("{size}\nhello\n0\n\n")));
    }
    refused(&server, 400, &chunked("+0\n\nX"));
    refused(&server, 431, &chunked(&format!("5;{}\nhello\n0\n\n", "a".repeat(65_536))));
    let head = "POST /count HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    for raw in [
        "5;\nhello\r\n0\r\n\r\n",
        "5;a\rX\r\nhello\r\n0\r\n\r\n",
        "5\rhello\r\n0\r\n\r\n",
        "5\r\nhello!!\r\n0\r\n\r\n",
        "5\r\nhello\n0\r\n\r\n",
        "5\r\nhello0\r\n\r\n",
        "5\r\nhello\r\n0\r\n\n",
    ] {
        refused_raw(&server, 400, format!("{head}{raw}"));
    }
}

/// What comes behind a request is the next one, and nothing else.
#[test]
fn leftovers() {
    let server = start();
    let one = "GET /bytes/1 HTTP/1.1\r\nHost: a\r\n";
    // The length says that this is a body, so it is.
    let body = format!("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{one}", one.len());
    assert_eq!(statuses(&server, body.as_bytes()).0, [200, 200]);
    // And here there is none.
    let (found, _) =
        statuses(&server, b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\nX");
    assert_eq!(found, [200, 501], "XGET is no method, and not GET");
    assert_eq!(statuses(&server, format!("{one}\r\n").as_bytes()).0, [200, 200]);
}

/// Who says only half gets no answer to it.
#[test]
fn halves() {
    let server = start();
    for half in [
        "",
        "GET / HTTP/1.1\r\nHost: a\r\nX: y",
        "POST /count HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhello",
        "POST /count HTTP/1.1\r\nHost: a\r\nContent-Length: 999999999\r\n\r\n",
        "POST /count HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
    ] {
        let mut client = server.connect();
        client.send(half);
        client.finish();
        assert_eq!(client.read_to_end().expect("a FIN"), b"", "{half:?}");
    }
    refused_raw(&server, 400, b"\x80\x00\xff\xfe\x01\x02");
    refused_raw(&server, 400, b"   \r\n\r\n");
}

#[test]
fn a_version_says_how_long_a_connection_lasts() {
    let server = start();
    for last in [
        "GET / HTTP/1.0\r\n\r\n",
        "GET / HTTP/1.0\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    ] {
        let (found, answer) = statuses(&server, last.as_bytes());
        assert_eq!(found, [200], "{last:?}");
        assert!(answer.contains("\r\nConnection: close\r\n"), "{answer}");
    }
}
