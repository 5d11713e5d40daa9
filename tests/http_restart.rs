//! The HTTP example and its clients while the process changes: every request has its answer, byte for
//! byte, and `X-Generation` tells whose. By default connections go along; where they stay, it says so (`start_staying`).

use std::{io::Write, thread, time::Instant};

use crate::common::{
    DEADLINE,
    http::{GET, ask, check_bytes, read_head, read_reply, start, start_staying},
    wait_gone,
};
use nix::sys::signal::Signal::{self, SIGHUP, SIGTERM, SIGUSR2};

/// What http.client of Python does between two requests of its user: nothing. It would not repeat a POST whose
/// connection has been closed meanwhile. The old process has gone before the client asks, so no grace is in it.
#[test]
fn a_client_that_is_silent_during_restarts_finds_its_connection_open() {
    let server = start();
    let mut client = server.connect();
    let post = "POST /count HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi";
    assert_eq!(ask(&mut client, post).generation(), 0);
    for (generation, signal) in (1..).zip([SIGHUP, SIGUSR2, SIGHUP]) {
        let old = server.pid();
        server.restart(signal);
        wait_gone(old);
        let reply = ask(&mut client, post);
        assert!(!reply.closes() && reply.body == b"2\n", "{reply:?}");
        assert_eq!(reply.generation(), generation);
    }
}

/// The head names the one that has begun it; the others send the rest.
#[test]
fn a_download_goes_along_with_restarts() {
    let server = start();
    let size = 64 << 20;
    let mut client = server.connect();
    client.send(format!("GET /bytes/{size} HTTP/1.1\r\nHost: a\r\n\r\n"));
    assert_eq!(read_head(&mut client).generation(), 0);
    let mut taken = 0;
    for signal in [SIGHUP, SIGUSR2] {
        check_bytes(&client.read_exact(1 << 20), taken);
        taken += 1 << 20;
        let old = server.pid();
        server.restart(signal);
        wait_gone(old);
    }
    check_bytes(&client.read_exact(size - taken), taken);
    let next = ask(&mut client, GET);
    assert!(!next.closes() && next.generation() == 2, "{next:?}");
}

#[test]
fn a_download_goes_on_through_restarts() {
    let server = start_staying();
    let size = 64 << 20; // more than the buffers of both sockets hold
    let mut client = server.connect();
    client.send(format!("GET /bytes/{size} HTTP/1.1\r\nHost: a\r\n\r\n"));
    let head = read_head(&mut client);
    assert_eq!(head.field("Content-Length"), Some(size.to_string().as_str()));
    let old = server.pid();
    let mut taken = 0;
    for signal in [SIGHUP, SIGUSR2] {
        check_bytes(&client.read_exact(1 << 20), taken);
        taken += 1 << 20;
        server.restart(signal);
    }
    client.send(GET); // while the download waits for its reader, so that no grace has an end before
    while taken < size {
        let piece = client.read_exact((1 << 20).min(size - taken));
        check_bytes(&piece, taken);
        taken += piece.len();
    }
    // The reply had begun before the restart, so the next one is the last.
    let last = read_reply(&mut client);
    assert!(last.closes() && last.generation() == 0, "{last:?}");
    assert_eq!(client.read_to_end().unwrap(), b"");
    wait_gone(old);
    assert_eq!(ask(&mut server.connect(), GET).generation(), 2);
}

#[test]
fn an_upload_goes_on_through_restarts() {
    let server = start_staying();
    let size = 24 << 20;
    // Before it connects: on a busy machine this takes longer than a silent client is waited for.
    let body: Vec<u8> =
        (0..size).map(|at: u32| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let mut client = server.connect();
    client.send(format!("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: {size}\r\n\r\n"));
    let mut sink = client.stream.try_clone().expect("a second handle");
    thread::scope(|scope| {
        scope.spawn(|| {
            let (third, rest) = body.split_at(body.len() / 3);
            sink.write_all(third).expect("the server takes it");
            server.restart(SIGHUP);
            let (third, rest) = rest.split_at(third.len());
            sink.write_all(third).expect("the old process takes it");
            server.restart(SIGUSR2);
            sink.write_all(rest).expect("the old process takes it");
        });
        let echo = read_reply(&mut client);
        assert_eq!(echo.generation(), 0);
        assert!(echo.body == body, "{} bytes, and some of them wrong", echo.body.len());
    });
    assert_eq!(ask(&mut server.connect(), GET).generation(), 2);
}

/// The request is sent when the old process has just begun to drain: it is answered by it, with the
/// announcement, and the next connection leads to the new one.
fn a_request_as_the_drain_begins(signal: Signal, engine: &str) {
    let server = start_staying();
    let old = server.pid();
    let mut clients: Vec<_> = (0..20).map(|_| server.connect()).collect();
    for client in &mut clients {
        assert!(!ask(client, GET).closes());
    }
    let mut half = server.connect();
    half.send(&GET[..20]);
    let new = server.restart(signal);
    for client in &mut clients[..10] {
        client.send(GET);
    }
    clients[10].send(GET.repeat(3)); // pipelined: the last one is told
    for client in &mut clients[..10] {
        let reply = read_reply(client);
        assert!(reply.closes() && reply.generation() == 0, "{reply:?}");
        assert_eq!(client.read_to_end().unwrap(), b"");
    }
    for last in [false, false, true] {
        assert_eq!(read_reply(&mut clients[10]).closes(), last);
    }
    for client in &mut clients[10..] {
        assert_eq!(client.read_to_end().unwrap(), b""); // a FIN, not a reset
    }
    let reply = ask(&mut half, &GET[20..]);
    assert!(reply.closes() && reply.generation() == 0, "{reply:?}");
    drop((clients, half));
    wait_gone(old);
    let reply = ask(&mut server.connect(), "GET /generation HTTP/1.1\r\nHost: a\r\n\r\n");
    let json = format!("{{\"generation\":1,\"pid\":{new},\"engine\":\"{engine}\"}}\n");
    assert_eq!(String::from_utf8_lossy(&reply.body), json);
    assert_eq!(reply.generation(), 1);
}

#[test]
fn a_request_as_the_drain_begins_fork() {
    a_request_as_the_drain_begins(SIGHUP, "fork");
}

#[test]
fn a_request_as_the_drain_begins_fork_exec() {
    a_request_as_the_drain_begins(SIGUSR2, "fork-exec");
}

/// Clients that ask without a break, through six restarts: each request has its answer, and whoever
/// is told to close finds the new generation.
#[test]
fn busy_clients_lose_nothing_in_a_restart() {
    let server = start_staying();
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let (mut client, mut seen) = (server.connect(), 0);
                let until = Instant::now() + DEADLINE;
                while seen < 6 {
                    assert!(Instant::now() < until, "still with generation {seen}");
                    let reply = ask(&mut client, GET);
                    assert_eq!(reply.body, b"hello, world\n");
                    assert!(reply.generation() >= seen, "back from {seen}: {reply:?}");
                    seen = reply.generation();
                    if reply.closes() {
                        assert_eq!(client.read_to_end().unwrap(), b"");
                        client = server.connect();
                    }
                }
            });
        }
        for signal in [SIGHUP, SIGUSR2].repeat(3) {
            server.restart(signal);
        }
    });
}

#[test]
fn a_stop_lets_the_last_requests_finish() {
    let mut server = start_staying();
    let (mut idle, mut busy) = (server.connect(), server.connect());
    ask(&mut idle, GET);
    busy.send("POST /count HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhe");
    // A request is read when a later one of another connection is answered.
    ask(&mut idle, GET);
    server.signal(SIGTERM);
    server.wait_line("draining:");
    let reply = ask(&mut busy, "llo");
    assert!(reply.closes() && reply.body == b"5\n", "{reply:?}");
    assert_eq!(idle.read_to_end().unwrap(), b"");
    drop((idle, busy));
    assert!(server.wait_exit().success());
}
