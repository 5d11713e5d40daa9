//! The HTTP example's promises, as transcripts over real sockets: what goes in, what comes out.

use crate::common::{
    Server,
    http::{GET, ask, check_bytes, read_head, read_reply, start, without_dates},
};

const TEXT: &str = "text/plain; charset=utf-8";
const BYTES: &str = "application/octet-stream";

/// A reply of generation 0 without its date, with more fields behind `X-Generation`.
fn reply(status: &str, content_type: &str, more: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\nContent-Length: {}\r\nContent-Type: {content_type}\r\n\
         X-Generation: 0\r\n{more}\r\n{body}",
        body.len()
    )
}

fn hello() -> String {
    reply("200 OK", TEXT, "", "hello, world\n")
}

fn refusal(status: &str, why: &str) -> String {
    reply(status, TEXT, "Connection: close\r\n", &format!("{why}\n"))
}

/// Sends `input` (in a transcript `\n` stands for CRLF) and our FIN; all that comes back must be `output`.
#[track_caller]
fn check(server: &Server, input: &str, output: &str) {
    let mut client = server.connect();
    client.send(input.replace('\n', "\r\n"));
    client.finish();
    let answer = client.read_to_end().expect("an answer and a FIN");
    assert_eq!(without_dates(&String::from_utf8_lossy(&answer)), output, "to {input:?}");
}

#[test]
fn what_there_is_can_be_asked_for() {
    let server = start();
    let head = |text: String| text[..text.find("\r\n\r\n").unwrap() + 4].to_owned();
    check(&server, "GET / HTTP/1.1\nHost: a\n\n", &hello());
    check(&server, "GET http://a/?x=/y HTTP/1.1\nHost: a\n\n", &hello());
    check(&server, "HEAD / HTTP/1.1\nHost: a\n\n", &head(hello()));
    let json = format!("{{\"generation\":0,\"pid\":{},\"engine\":\"none\"}}\n", server.pid());
    let json = reply("200 OK", "application/json", "", &json);
    check(&server, "GET /generation HTTP/1.1\nHost: a\n\n", &json);
    check(&server, "HEAD /generation HTTP/1.1\nHost: a\n\n", &head(json));
    let bytes = reply("200 OK", BYTES, "", "abcdefg");
    check(&server, "GET /bytes/7 HTTP/1.1\nHost: a\n\n", &bytes);
    check(&server, "HEAD /bytes/7 HTTP/1.1\nHost: a\n\n", &head(bytes));
    check(&server, "GET /bytes/0 HTTP/1.1\nHost: a\n\n", &reply("200 OK", BYTES, "", ""));
}

#[test]
fn the_methods_can_be_asked_for() {
    let server = start();
    let told = |allow: &str| {
        format!("HTTP/1.1 204 No Content\r\nX-Generation: 0\r\nAllow: {allow}\r\n\r\n")
    };
    let all = told("GET, HEAD, POST, PUT, OPTIONS");
    check(&server, "OPTIONS * HTTP/1.1\nHost: a\n\n", &all);
    check(&server, "OPTIONS /echo HTTP/1.1\nHost: a\n\n", &told("POST, OPTIONS"));
}

#[test]
fn bodies_come_by_length_and_in_chunks() {
    let server = start();
    let count = |count: &str| reply("200 OK", TEXT, "", count);
    let by_length = "POST /count HTTP/1.1\nHost: a\nContent-Length: 5\n\nhello";
    check(&server, by_length, &count("5\n"));
    let chunked = "PUT /count HTTP/1.1\nHost: a\nTransfer-Encoding: chunked\n\n\
        5\nhello\nA;x=y\n0123456789\n0\nTrailer: x\n\n";
    check(&server, chunked, &count("15\n"));
    check(&server, "POST /count HTTP/1.1\nHost: a\n\n", &count("0\n"));
    let sum = "PUT /cksum HTTP/1.1\nHost: a\nContent-Length: 9\n\n123456789";
    check(&server, sum, &count("930766865 9\n"));
    let echo = "POST /echo HTTP/1.1\nHost: a\nContent-Length: 5\n\nhello";
    check(&server, echo, &reply("200 OK", BYTES, "", "hello"));
    let echo = "POST /echo HTTP/1.1\nHost: a\nTransfer-Encoding: chunked\n\n5\nhello\n0\n\n";
    let echoed = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Type: \
        application/octet-stream\r\nX-Generation: 0\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
    check(&server, echo, echoed);
    // A body that nobody wants is read, and the next request is found behind it.
    let unwanted = "GET / HTTP/1.1\nHost: a\nContent-Length: 27\n\nGET /bytes/1 HTTP/1.1\nHost";
    check(&server, &format!("{unwanted}GET / HTTP/1.1\nHost: a\n\n"), &hello().repeat(2));
}

#[test]
fn a_client_may_wait_before_it_sends_a_body() {
    let server = start();
    let mut client = server.connect();
    client.send(
        "POST /count HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n",
    );
    assert_eq!(client.read_exact(25), b"HTTP/1.1 100 Continue\r\n\r\n");
    assert_eq!(ask(&mut client, "hello").body, b"5\n");
    // Who would be refused is told at once, and spares the body.
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n");
    let refused = read_reply(&mut client);
    assert!(refused.head.starts_with("HTTP/1.1 405 ") && refused.closes(), "{refused:?}");
    assert_eq!(client.read_to_end().unwrap(), b"");
}

#[test]
fn who_wants_the_connection_closed_says_so() {
    let server = start();
    let body = "hello, world\n";
    let closed = reply("200 OK", TEXT, "Connection: close\r\n", body);
    let kept = reply("200 OK", TEXT, "Connection: keep-alive\r\n", body);
    let next = "GET / HTTP/1.1\nHost: a\n\n";
    check(&server, &format!("GET / HTTP/1.1\nHost: a\nConnection: close\n\n{next}"), &closed);
    check(&server, &format!("GET / HTTP/1.0\n\n{next}"), &closed);
    let http_1_0 = format!("GET / HTTP/1.0\nConnection: keep-alive\n\n{next}");
    check(&server, &http_1_0, &(kept + &hello()));
}

#[test]
fn what_cannot_be_done_is_refused_and_the_connection_stays() {
    let server = start();
    let check_next = |request: &str, answer: &str| {
        check(
            &server,
            &format!("{request}GET / HTTP/1.1\nHost: a\n\n"),
            &(answer.to_owned() + &hello()),
        );
    };
    let nothing = "there is nothing here\n";
    check_next("GET /x HTTP/1.1\nHost: a\n\n", &reply("404 Not Found", TEXT, "", nothing));
    let not_found = reply("404 Not Found", TEXT, "", nothing);
    check_next("GET /bytes/9999999999 HTTP/1.1\nHost: a\n\n", &not_found);
    let refused = |allow: &str| {
        let status = "405 Method Not Allowed";
        reply(status, TEXT, &format!("Allow: {allow}\r\n"), "not by this method\n")
    };
    check_next("DELETE / HTTP/1.1\nHost: a\n\n", &refused("GET, HEAD, OPTIONS"));
    check_next("GET /count HTTP/1.1\nHost: a\n\n", &refused("POST, PUT, OPTIONS"));
    check_next("PUT /echo HTTP/1.1\nHost: a\nContent-Length: 2\n\nhi", &refused("POST, OPTIONS"));
    let unknown = reply("501 Not Implemented", TEXT, "", "unknown method\n");
    check_next("BREW /pot HTTP/1.1\nHost: a\n\n", &unknown);
    let why = "no expectation but 100-continue is met\n";
    let not_met = reply("417 Expectation Failed", TEXT, "", why);
    check_next("GET / HTTP/1.1\nHost: a\nExpect: miracles\n\n", &not_met);
}

/// After these nobody knows where the next request begins, so none is answered.
#[test]
fn what_is_wrong_is_refused_and_the_connection_closed() {
    let server = start();
    let check_last = |request: &str, status: &str, why: &str| {
        let input = format!("{request}GET /generation HTTP/1.1\nHost: a\n\n");
        check(&server, &input, &refusal(status, why));
    };
    let post = |fields: &str| format!("POST /count HTTP/1.1\nHost: a\n{fields}\n\n");
    let bad = "400 Bad Request";
    check_last("hello\n\n", bad, "malformed head");
    check_last("\x16\x03\x01\x02\0", bad, "malformed head"); // a TLS client
    check_last("GET / HTTP/1.1\n\n", bad, "no Host");
    check_last("GET / HTTP/1.1\nHost: a\nHost: b\n\n", bad, "more than one Host");
    check_last("GET / HTTP/1.1\nHost : a\n\n", bad, "malformed head");
    check_last(&post("Content-Length: -1"), bad, "malformed Content-Length");
    let chunk = "zz\nGET / HTTP/1.1\nHost: a\n\n";
    let chunked = post("Transfer-Encoding: chunked");
    check_last(&format!("{chunked}{chunk}"), bad, "malformed chunk size");
    check_last(&format!("{chunked}1\nabc\n"), bad, "a chunk is longer than its size");
    let version = "505 HTTP Version Not Supported";
    check_last("GET / HTTP/2.0\nHost: a\n\n", version, "this is an HTTP/1.1 server");
    let coding = "501 Not Implemented";
    check_last(&post("Transfer-Encoding: gzip, chunked"), coding, "unknown transfer coding");
    let long = "431 Request Header Fields Too Large";
    let cookie = format!("GET / HTTP/1.1\nHost: a\nCookie: {}\n\n", "x".repeat(20_000));
    check_last(&cookie, long, "the head is too long");
    let fields = format!("GET / HTTP/1.1\nHost: a\n{}\n", "X: y\n".repeat(100));
    check_last(&fields, long, "too many fields");
    let large = "413 Content Too Large";
    check_last(&post("Content-Length: 1073741825"), large, "the body is too long");
    check_last(&format!("{chunked}40000001\n"), large, "the body is too long");
}

/// The second request is hidden in the first for whoever reads its length differently.
#[test]
fn no_request_hides_in_another() {
    let server = start();
    let hidden = "GET /generation HTTP/1.1\nHost: a\n\n";
    let length = format!("0\n\n{hidden}").replace('\n', "\r\n").len();
    for fields in [
        format!("Content-Length: {length}\nTransfer-Encoding: chunked"),
        format!("Transfer-Encoding: chunked\nContent-Length: {length}"),
        format!("Content-Length: 0\nContent-Length: {length}"),
        format!("Content-Length: {length}, 0"),
        "Transfer-Encoding: chunked, identity".into(),
        "Transfer-Encoding: xchunked".into(),
        "Transfer-Encoding: \x0bchunked".into(),
        "Transfer-Encoding: chunked\nTransfer-Encoding: x".into(),
        "X: y\n Transfer-Encoding: chunked".into(),
        "Transfer-Encoding : chunked".into(),
    ] {
        let mut client = server.connect();
        let request = format!("POST /count HTTP/1.1\nHost: a\n{fields}\n\n0\n\n{hidden}");
        client.send(request.replace('\n', "\r\n"));
        let refused = read_reply(&mut client);
        assert!(refused.head.starts_with("HTTP/1.1 400 ") && refused.closes(), "{fields}");
        assert_eq!(client.read_to_end().unwrap(), b"", "{fields}");
    }
    // A line feed alone ends no line here, as it does elsewhere.
    let mut client = server.connect();
    client.send("GET / HTTP/1.1\r\nHost: a\r\nX: y\nContent-Length: 5\r\n\r\n");
    assert!(read_reply(&mut client).head.starts_with("HTTP/1.1 400 "));
}

#[test]
fn a_hundred_requests_in_one_packet_are_answered_in_order() {
    let server = start();
    let request = |count| format!("GET /bytes/{count} HTTP/1.1\r\nHost: a\r\n\r\n");
    let mut client = server.connect();
    client.send((1..=100).map(request).collect::<String>());
    for count in 1..=100 {
        let reply = read_reply(&mut client);
        assert_eq!(reply.body.len(), count);
        check_bytes(&reply.body, 0);
    }
    assert_eq!(ask(&mut client, GET).body, b"hello, world\n");
}

#[test]
fn a_connection_serves_a_thousand_requests() {
    let server = start();
    let mut client = server.connect();
    for _ in 0..1000 {
        let reply = ask(&mut client, GET);
        assert!(reply.body == b"hello, world\n" && !reply.closes(), "{reply:?}");
    }
}

#[test]
fn a_chunked_upload_may_come_byte_by_byte() {
    let server = start();
    let chunks: String =
        (1..40).map(|size| format!("{size:x};e\r\n{}\r\n", "x".repeat(size))).collect();
    let mut client = server.connect();
    for path in ["/count", "/echo"] {
        let head = format!("POST {path} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
        for byte in (head + &chunks + "0\r\nX: y\r\n\r\n").into_bytes() {
            client.send([byte]); // a packet each: the client's socket waits for nothing
        }
        if path == "/count" {
            assert_eq!(read_reply(&mut client).body, b"780\n");
        }
    }
    assert_eq!(read_head(&mut client).field("Transfer-Encoding"), Some("chunked"));
    let mut echoed = 0;
    loop {
        let size = usize::from_str_radix(&client.line(), 16).expect("a chunk size");
        assert!(client.read_exact(size).iter().all(|&byte| byte == b'x'));
        assert_eq!(client.line(), "");
        if size == 0 {
            break;
        }
        echoed += size;
    }
    assert_eq!(echoed, 780);
}

#[test]
fn a_half_closed_client_gets_all_it_asked_for() {
    let server = start();
    let mut client = server.connect();
    client.send(format!("GET /bytes/5000000 HTTP/1.1\r\nHost: a\r\n\r\n{GET}"));
    client.finish();
    check_bytes(&read_reply(&mut client).body, 0);
    assert_eq!(read_reply(&mut client).body, b"hello, world\n");
    assert_eq!(client.read_to_end().unwrap(), b"");
}

/// Also the first head of a connection, which the reactor would only cut off.
#[test]
fn a_head_that_takes_too_long_is_told() {
    let server = start();
    let (mut first, mut second) = (server.connect(), server.connect());
    first.send("GET / HTTP/1.1\r\nHo");
    ask(&mut second, GET);
    second.send("G");
    for client in [&mut first, &mut second] {
        let answer = client.read_to_end().expect("an answer and a FIN");
        let late = refusal("408 Request Timeout", "the head takes too long");
        assert_eq!(without_dates(&String::from_utf8_lossy(&answer)), late);
    }
}
