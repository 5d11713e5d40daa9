//! The service without sockets and without waiting: order of replies, congestion, farewells. What a
//! real client sees is in `tests/http.rs`.

use std::time::{Duration, Instant};

use heirloom::testing::{Harness, Peer, every_split};

use super::*;

const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";

/// Long enough for any timer that says goodbye, shorter than any timeout.
const FAREWELL_TIME: Duration = Duration::from_secs(2);

/// A server in whose world it is always the same second.
fn http() -> Http {
    let mut http = Http::new(date::example);
    http.look_at_the_clock(Instant::now());
    http.prepare_hello();
    http
}

fn text(harness: &mut Harness<Http>, peer: Peer) -> String {
    String::from_utf8(harness.take(peer)).expect("text")
}

fn start() -> (Harness<Http>, Peer) {
    let mut harness = Harness::new(http());
    let peer = harness.connect();
    (harness, peer)
}

/// The harness stands in for a restart: it makes the process drain.
fn drain(harness: &mut Harness<Http>) {
    harness.net().drain();
    harness.advance(Duration::ZERO);
}

#[test]
fn answers_do_not_depend_on_how_requests_arrive() {
    let hello = http().hello;
    let input = b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nGET\
        POST /count HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;x\r\nabc\r\n0\r\nX: y\r\n\r\n\
        GET /bytes/5 HTTP/1.1\r\nHost: a\r\n\r\n\
        POST /echo HTTP/1.1\r\nHost: a\r\n\r\n\
        GET / HTTP/1.1\r\nHost: a\r\n\r\n\
        X";
    let head = |length: usize, content_type: &str| {
        format!(
            "HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Length: {length}\r\n\
             Content-Type: {content_type}\r\nX-Generation: 0\r\n\r\n"
        )
    };
    let count = head(2, TEXT) + "3\n";
    let bytes = head(5, reply::BYTES) + "abcde";
    let echo = head(0, reply::BYTES);
    let output = [&hello, &count, &bytes, &echo, &hello].map(String::as_str).concat();
    every_split(http, input, output.as_bytes());
}

/// What differs is who says it.
#[test]
fn a_restart_between_any_two_bytes_is_not_noticed() {
    let input = b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nGET\
        POST /count HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;x\r\nabc\r\n0\r\nX: y\r\n\r\n\
        PUT /cksum HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n123456789\
        POST /none HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody\
        POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n12345\
        X";
    let mut whole = None;
    for cut in 0..=input.len() {
        let (mut harness, peer) = start();
        harness.feed(peer, &input[..cut]);
        let mut harness = harness.restart(http()).expect("nothing is saved");
        harness.feed(peer, &input[cut..]);
        let said = text(&mut harness, peer).replace("X-Generation: 1", "X-Generation: 0");
        assert!(said.contains("\r\n930766865 9\nHTTP/1.1 404"));
        assert_eq!(said, *whole.get_or_insert(said.clone()), "cut after byte {cut}");
    }
}

#[test]
fn an_echo_in_chunks_goes_on_after_a_restart_at_any_byte() {
    let head = "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    let input = format!("{head}3;x\r\nabc\r\n5\r\n12345\r\n0\r\n\r\n");
    for cut in 0..=input.len() {
        let (mut harness, peer) = start();
        harness.feed(peer, &input.as_bytes()[..cut]);
        let mut harness = harness.restart(http()).expect("nothing is saved");
        harness.feed(peer, &input.as_bytes()[cut..]);
        let said = text(&mut harness, peer);
        let body = said.split_once("\r\n\r\n").expect("a head").1;
        let lines: Vec<_> = body.split("\r\n").collect();
        let data: String = lines.iter().skip(1).step_by(2).copied().collect();
        assert_eq!(data, "abc12345", "cut after byte {cut}: {body:?}");
        assert!(body.ends_with("\r\n0\r\n\r\n"), "cut after byte {cut}: {body:?}");
    }
}

/// The connection is paused and congested meanwhile, and its next request is waiting.
#[test]
fn a_download_goes_on_after_each_of_many_restarts() {
    let (mut harness, peer) = start();
    harness.set_window(peer, 1000);
    harness.feed(peer, b"GET /bytes/300000 HTTP/1.1\r\nHost: a\r\n\r\n");
    harness.feed(peer, GET);
    let mut answer = Vec::new();
    for _ in 0..20 {
        harness = harness.restart(http()).expect("nothing is saved");
        harness.set_window(peer, 20_000);
        answer.extend(harness.take(peer));
    }
    let answer = String::from_utf8(answer).expect("text");
    let body = answer.split_once("\r\n\r\n").expect("a head").1;
    let line = "abcdefghijklmnopqrstuvwxyz-ABCDEFGHIJKLMNOPQRSTUVWXYZ-123456789\n";
    assert_eq!(body[..300_000], line.repeat(5000)[..300_000]);
    assert!(body[300_000..].starts_with("HTTP/1.1 200 OK") && body.ends_with(HELLO));
}

#[test]
fn the_next_request_waits_for_a_slow_download() {
    let (mut harness, peer) = start();
    harness.set_window(peer, 1000);
    harness.feed(peer, b"GET /bytes/300000 HTTP/1.1\r\nHost: a\r\n\r\n");
    harness.feed(peer, GET);
    let mut answer = Vec::new();
    loop {
        let piece = harness.take(peer);
        if piece.is_empty() {
            break;
        }
        answer.extend(piece);
    }
    let body = answer.windows(4).position(|end| end == b"\r\n\r\n").expect("a head") + 4;
    let (body, rest) = answer[body..].split_at(300_000);
    let block = http().block;
    assert!(body.iter().eq(block.iter().cycle().take(300_000)));
    assert_eq!(String::from_utf8_lossy(rest), http().hello);
}

#[test]
fn a_slow_echo_is_fed_no_more_than_it_gives() {
    let (mut harness, peer) = start();
    harness.set_window(peer, 1000);
    let id = harness.id(peer);
    harness.feed(peer, b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n");
    harness.feed(peer, &[b'x'; 1_000_000]);
    let queued = harness.net().get(id).expect("still there").queued();
    assert!(queued < 256 * 1024, "{queued} bytes are queued");
}

#[test]
fn a_head_has_its_time() {
    let (mut harness, peer) = start();
    harness.feed(peer, GET);
    harness.take(peer);
    harness.feed(peer, b"GET / HT");
    harness.advance(HEAD_TIME / 2);
    harness.feed(peer, b"TP/1.1\r\n");
    harness.advance(HEAD_TIME / 2 - Duration::from_millis(1));
    assert_eq!(text(&mut harness, peer), "");
    harness.advance(Duration::from_millis(1));
    assert!(text(&mut harness, peer).starts_with("HTTP/1.1 408 "));
    assert!(harness.is_closed(peer));
}

#[test]
fn an_idle_connection_is_closed_after_its_grace() {
    let (mut harness, peer) = start();
    harness.feed(peer, GET);
    harness.take(peer);
    drain(&mut harness);
    harness.advance(GRACE - Duration::from_millis(1));
    assert!(!harness.is_closed(peer));
    harness.advance(Duration::from_millis(1));
    assert!(harness.is_closed(peer));
    assert_eq!(text(&mut harness, peer), "");
}

#[test]
fn a_request_within_the_grace_is_answered_and_told() {
    let (mut harness, peer) = start();
    drain(&mut harness);
    harness.advance(GRACE / 2);
    harness.feed(peer, GET);
    let answer = text(&mut harness, peer);
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains("\r\nConnection: close\r\n"));
    assert!(harness.is_closed(peer));
}

/// Requests that were on their way together are answered together; the last answer says goodbye.
#[test]
fn pipelined_requests_are_all_answered_while_draining() {
    let echo = b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc\r\n";
    for requests in [GET.repeat(3), [GET, echo, GET, b"\r\n"].concat(), [GET, GET, echo].concat()] {
        let (mut harness, peer) = start();
        drain(&mut harness);
        harness.feed(peer, &requests);
        let answer = text(&mut harness, peer);
        let heads: Vec<_> = answer.split("HTTP/1.1 200 OK\r\n").skip(1).collect();
        let told = heads.iter().map(|head| head.contains("\r\nConnection: close\r\n"));
        assert_eq!(told.collect::<Vec<_>>(), [false, false, true], "{answer}");
        assert!(harness.is_closed(peer));
    }
}

#[test]
fn a_client_that_never_stops_to_send_is_told_after_the_grace() {
    let (mut harness, peer) = start();
    drain(&mut harness);
    let half = &GET[..GET.len() / 2];
    let rest = [&GET[GET.len() / 2..], GET, half].concat();
    harness.feed(peer, half);
    let wait = GRACE / 4;
    for _ in 0..3 {
        harness.advance(wait);
        harness.feed(peer, &rest);
        assert_eq!(text(&mut harness, peer).matches("HTTP/1.1 200 ").count(), 2);
    }
    assert!(!harness.is_closed(peer));
    harness.advance(wait);
    harness.feed(peer, &rest);
    assert_eq!(text(&mut harness, peer).matches("Connection: close").count(), 1);
    assert!(harness.is_closed(peer));
}

#[test]
fn a_head_request_gets_no_body_whatever_is_wrong_with_it() {
    for wrong in [
        "HEAD / HTTP/1.1\r\n\r\n",
        "HEAD /x HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999\r\n\r\n",
    ] {
        let (mut harness, peer) = start();
        harness.feed(peer, wrong.as_bytes());
        let answer = text(&mut harness, peer);
        assert!(answer.starts_with("HTTP/1.1 40") && answer.ends_with("\r\n\r\n"), "{answer}");
        assert_eq!(answer.matches("\r\n\r\n").count(), 1);
    }
}

#[test]
fn what_is_half_read_is_read_to_its_end() {
    for first in [3, GET.len() - 1] {
        let (mut harness, peer) = start();
        harness.feed(peer, &GET[..first]);
        drain(&mut harness);
        harness.advance(FAREWELL_TIME);
        assert!(!harness.is_closed(peer));
        harness.feed(peer, &GET[first..]);
        assert!(text(&mut harness, peer).contains("\r\nConnection: close\r\n"));
        assert!(harness.is_closed(peer));
    }
}

#[test]
fn an_upload_is_answered_after_the_drain() {
    for path in ["/count", "/echo"] {
        let (mut harness, peer) = start();
        let head = format!("POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n");
        harness.feed(peer, head.as_bytes());
        drain(&mut harness);
        harness.advance(FAREWELL_TIME);
        harness.feed(peer, b"abc");
        let answer = text(&mut harness, peer);
        assert!(answer.contains("\r\nConnection: close\r\n"), "{answer}");
        assert!(answer.ends_with(if path == "/echo" { "abc" } else { "3\n" }));
        assert!(harness.is_closed(peer));
    }
}

#[test]
fn a_reply_that_was_begun_is_sent_to_its_end() {
    let (mut harness, peer) = start();
    harness.feed(peer, b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\na");
    assert!(text(&mut harness, peer).ends_with("\r\n\r\na"));
    drain(&mut harness);
    harness.advance(FAREWELL_TIME);
    harness.feed(peer, b"bc");
    assert_eq!(text(&mut harness, peer), "bc");
    assert!(!harness.is_closed(peer), "nothing was said, so a next request may be on its way");
    harness.advance(GRACE);
    assert!(harness.is_closed(peer));
}
