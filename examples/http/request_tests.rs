//! Tests of `request`: each head whole, at every split, and byte by byte.

use proptest::prelude::*;

use super::*;

/// What the service sees: it calls again with more until there is a verdict.
fn parse_in_pieces<'a>(
    input: &'a [u8],
    ends: impl Iterator<Item = usize>,
) -> Result<Option<(Request<'a>, usize)>, Refusal> {
    let mut verdict = Ok(None);
    for end in ends {
        verdict = parse(&input[..end]);
        if verdict != Ok(None) {
            break;
        }
    }
    verdict
}

/// The verdict on `input`, which must not depend on how it arrives.
fn parse_at_every_split(input: &[u8]) -> Result<Option<(Request<'_>, usize)>, Refusal> {
    let whole = parse(input);
    for cut in 1..input.len() {
        let split = parse_in_pieces(input, [cut, input.len()].into_iter());
        assert_eq!(split, whole, "cut after byte {cut} of {:?}", String::from_utf8_lossy(input));
    }
    assert_eq!(parse_in_pieces(input, 1..=input.len()), whole, "byte by byte");
    whole
}

/// Checks what a head with these lines is read as; `\n` stands for CRLF.
#[track_caller]
fn check(lines: &str, expected: Request<'_>) {
    let head = lines.replace('\n', "\r\n") + "\r\n";
    let input = format!("{head}the body");
    assert_eq!(parse_at_every_split(input.as_bytes()), Ok(Some((expected, head.len()))), "{lines}");
}

#[track_caller]
fn check_refused(lines: &str, status: Status) {
    let head = lines.replace('\n', "\r\n") + "\r\n";
    let verdict = parse_at_every_split(head.as_bytes());
    assert_eq!(verdict.map_err(|refusal| refusal.status), Err(status), "{lines}");
}

const PLAIN: Request<'static> = Request {
    method: Method::Get,
    path: "/",
    framing: Framing::Length(0),
    after: After::Keep,
    expects: Expectation::Nothing,
    from: Whence { host: b"a", origin: None },
};

#[test]
fn a_head_says_what_to_do() {
    check("GET / HTTP/1.1\nHost: a\n", PLAIN);
    check("\n\nGET / HTTP/1.1\nHost: a\n", PLAIN);
    check("GET /a/b?c=/d HTTP/1.1\nhOST:a\n", Request { path: "/a/b", ..PLAIN });
    check("POST / HTTP/1.1\nHost: a\n", Request { method: Method::Post, ..PLAIN });
    check("PATCH / HTTP/1.1\nHost: a\n", Request { method: Method::Unused, ..PLAIN });
    check("get / HTTP/1.1\nHost: a\n", Request { method: Method::Unknown, ..PLAIN });
    let upload = Request { method: Method::Put, framing: Framing::Length(42), ..PLAIN };
    check("PUT / HTTP/1.1\nHost: a\nContent-Length: \t 042 \n", upload);
    let upload = Request { framing: Framing::Chunked, expects: Expectation::Continue, ..PLAIN };
    check("GET / HTTP/1.1\nHost: a\nTransfer-Encoding: Chunked\nExpect: 100-Continue\n", upload);
}

#[test]
fn a_target_may_be_absolute() {
    let check_path = |target: &str, path| {
        check(&format!("GET {target} HTTP/1.1\nHost: a\n"), Request { path, ..PLAIN });
    };
    check_path("http://a:80/x?y", "/x");
    check_path("HTTPS://a", "/");
    check_path("http://a?y", "/");
    check("OPTIONS * HTTP/1.1\nHost: a\n", Request { method: Method::Options, path: "*", ..PLAIN });
    let connect = Request { method: Method::Unknown, path: "a:80", ..PLAIN };
    check("CONNECT a:80 HTTP/1.1\nHost: a\n", connect);
    for target in ["*", "x", "a:80", "ftp://a/", "/\u{e4}", "/a#b", "/a\\b"] {
        check_refused(&format!("GET {target} HTTP/1.1\nHost: a\n"), Status::BadRequest);
    }
}

#[test]
fn a_connection_stays_if_both_sides_want_it() {
    let check_after = |head: &str, after| check(head, Request { after, ..PLAIN });
    check_after("GET / HTTP/1.1\nHost: a\nConnection: keep-alive\n", After::Keep);
    check_after("GET / HTTP/1.1\nHost: a\nConnection: x, Close\n", After::Close);
    let check_1_0 = |fields: &str, after| {
        let from = Whence::default(); // a Host is not asked for
        check(&format!("GET / HTTP/1.0\n{fields}"), Request { after, from, ..PLAIN });
    };
    check_1_0("", After::Close);
    check_1_0("Connection: Keep-Alive\n", After::SayKeepAlive);
    check_1_0("Connection: keep-alive\nConnection: close\n", After::Close);
    check_1_0("Expect: 100-continue\n", After::Close);
    check_1_0("Expect: the moon\n", After::Close);
}

/// RFC 9110, section 2.5: such a client speaks 1.1 as well.
#[test]
fn a_later_minor_version_is_answered_as_1_1() {
    for minor in 2..=9 {
        check(&format!("GET / HTTP/1.{minor}\nHost: a\n"), PLAIN);
    }
    let posted = Request { method: Method::Post, framing: Framing::Length(3), ..PLAIN };
    check("\n\nPOST / HTTP/1.2\nHost: a\nContent-Length: 3\n", posted);
    check_refused("GET / HTTP/1.2\n", Status::BadRequest);
    check_refused("GET / HTTP/1.2\nHost: a\nX : y\n", Status::BadRequest);
    check_refused("GET / HTTP/1.2 \nHost: a\n", Status::BadRequest);
    let fields = "X: y\n".repeat(MAX_FIELDS);
    check_refused(&format!("GET / HTTP/1.2\nHost: a\n{fields}"), Status::FieldsTooLarge);
    let bare = b"GET / HTTP/1.2\r\nHost: a\nX: y\r\n\r\n";
    assert_eq!(parse_at_every_split(bare).unwrap_err().status, Status::BadRequest);
}

#[test]
fn an_expectation_is_met_or_told() {
    let check_expects = |value: &str, expects| {
        check(&format!("GET / HTTP/1.1\nHost: a\nExpect: {value}\n"), Request { expects, ..PLAIN });
    };
    check_expects("", Expectation::Nothing);
    check_expects("100-continue, ,100-Continue", Expectation::Continue);
    check_expects("the moon", Expectation::Unknown);
    check_expects("the moon, 100-continue", Expectation::Unknown);
    check_expects("100-continue\nExpect: 100-continue=x", Expectation::Unknown);
}

#[test]
fn whose_page_asks_is_known() {
    let from = Whence { host: b"a:80", origin: Some(b"http://b") };
    check("GET / HTTP/1.1\nHost: a:80\nOrigin: http://b\n", Request { from, ..PLAIN });
    check_refused("GET / HTTP/1.1\nHost: a\nOrigin: x\nOrigin: x\n", Status::BadRequest);
}

#[test]
fn what_could_be_read_in_two_ways_is_refused() {
    for fields in [
        "Content-Length: 1\nContent-Length: 2",
        "Content-Length: 1\nContent-Length: 1",
        "Content-Length: 1, 1",
        "Content-Length: +1",
        "Content-Length: -1",
        "Content-Length: 0x1",
        "Content-Length: 1 1",
        "Content-Length:",
        "Content-Length: 18446744073709551616",
        "Content-Length: 1\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\nContent-Length: 0",
        "Transfer-Encoding:",
        "Transfer-Encoding: gzip",
        "Transfer-Encoding: identity",
        "Transfer-Encoding: chunked, gzip",
        "Transfer-Encoding: chunked, chunked",
        "Transfer-Encoding: chunked\nTransfer-Encoding: chunked",
        "Transfer-Encoding: gzip, chunked\nTransfer-Encoding: identity",
        "Transfer-Encoding: chunked,",
        "Transfer-Encoding: chunked;q=1",
        "Transfer-Encoding : chunked",
        "Transfer-Encoding\t: chunked",
        "X: a\n folded",
        "X: a\rb",
        "X: a\0b",
        "X y: a",
        "no colon",
        ": no name",
        "Host: b",
    ] {
        check_refused(&format!("POST / HTTP/1.1\nHost: a\n{fields}\n"), Status::BadRequest);
    }
    check_refused("POST / HTTP/1.0\nTransfer-Encoding: chunked\n", Status::BadRequest);
    check_refused("GET / HTTP/1.1\n", Status::BadRequest);
    for host in ["", "a b", "a/b", "a@b", "a\tb", "\u{e4}"] {
        check_refused(&format!("GET / HTTP/1.1\nHost: {host}\n"), Status::BadRequest);
    }
    for bare in [
        "GET / HTTP/1.1\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n\n",
        "\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
    ] {
        let verdict = parse_at_every_split(bare.as_bytes());
        assert_eq!(verdict.unwrap_err().status, Status::BadRequest, "{bare:?}");
    }
}

#[test]
fn what_this_server_cannot_do_has_its_own_status() {
    for coding in ["gzip, chunked", "x,chunked", "gzip\nTransfer-Encoding: chunked", ", chunked"] {
        let head = format!("POST / HTTP/1.1\nHost: a\nTransfer-Encoding: {coding}\n");
        check_refused(&head, Status::NotImplemented);
    }
    for version in ["HTTP/2.0", "HTTP/0.9", "HTTP/9.9", "HTTP/3.0"] {
        check_refused(&format!("GET / {version}\nHost: a\n"), Status::VersionNotSupported);
    }
    check_refused("PRI * HTTP/2.0\n", Status::VersionNotSupported);
    for line in ["GET /", "GET", "GET / HTTP/1.x", "GET / HTTP/11.1", "GET / http/1.1", "GET / X"] {
        check_refused(&format!("{line}\nHost: a\n"), Status::BadRequest);
    }
    for line in ["GET  / HTTP/1.1", "GET /  HTTP/1.1", "GET / HTTP/1.1 ", " GET / HTTP/1.1"] {
        check_refused(&format!("{line}\nHost: a\n"), Status::BadRequest);
    }
}

#[test]
fn a_head_has_its_limits() {
    let head_of = |bytes: usize| {
        let frame = "GET / HTTP/1.1\r\nHost: a\r\nX: \r\n\r\n".len();
        format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "x".repeat(bytes - frame))
    };
    let verdict_by_byte = |text: &str| {
        let ends = (MAX_HEAD - 8..=text.len()).chain([text.len()]);
        let verdict = parse_in_pieces(text.as_bytes(), ends);
        assert_eq!(verdict, parse(text.as_bytes()));
        verdict.map(|_| ()).map_err(|refusal| refusal.status)
    };
    assert_eq!(verdict_by_byte(&head_of(MAX_HEAD)), Ok(()));
    assert_eq!(verdict_by_byte(&head_of(MAX_HEAD + 1)), Err(Status::FieldsTooLarge));
    let method = |letters: usize| format!("{} / HTTP/1.1\nHost: a\n", "A".repeat(letters));
    check(&method(MAX_METHOD), Request { method: Method::Unknown, ..PLAIN });
    check_refused(&method(MAX_METHOD + 1), Status::BadRequest);
    check_refused(&method(1000), Status::BadRequest);
    let version = format!("GET / HTTP/{}", "9".repeat(MAX_HEAD));
    assert_eq!(verdict_by_byte(&version), Err(Status::FieldsTooLarge));
    let fields = |count| format!("GET / HTTP/1.1\nHost: a\n{}", "X: y\n".repeat(count - 1));
    check(&fields(MAX_FIELDS), PLAIN);
    check_refused(&fields(MAX_FIELDS + 1), Status::FieldsTooLarge);
}

proptest! {
    #[test]
    fn the_verdict_is_the_same_however_it_arrives(
        pieces in prop::collection::vec(prop::sample::select(vec![
            "GET ", "/", " HTTP/1.1\r\n", "HTTP/1.0", " HTTP/2.0", " HTTP/1.7\r\n", "\r\n", "\n", "\r", " ", "Host: a\r\n",
            "Content-Length: 1\r\n", "Transfer-Encoding: chunked\r\n", ":", "x", "\0", "\t", "\u{e4}",
        ]), 0..12),
    ) {
        let _ = parse_at_every_split(pieces.concat().as_bytes());
    }
}
