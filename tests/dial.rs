//! Connections that the server makes itself: each ends in `on_open` or in `on_dial_failed`, once.

use std::{
    io::{BufRead, BufReader, Write},
    net::TcpListener,
    os::unix::net::UnixListener,
    time::Instant,
};

use crate::common::{Client, DEADLINE, Server, fill_queue, leave_socket, ports::DeadPort, stat};
use heirloom::limits::DIAL_TIMEOUT;

#[test]
fn a_dial_over_tcp_stands_and_carries_bytes_both_ways() {
    let server = Server::of("lab").start();
    let target = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = target.local_addr().unwrap();
    let mut client = server.connect();
    assert_eq!(client.ask(&format!("dial {address}")), format!("dialed {address}"));
    let (mut stream, _) = target.accept().unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    // From here on it is a connection like any other: we ask, the lab answers.
    stream.write_all(b"echo hello\npeer\n").unwrap();
    let mut lines = BufReader::new(&stream).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "hello");
    assert_eq!(lines.next().unwrap().unwrap(), address.to_string());
    assert_eq!(stat(&mut client, "dialed"), 1);
}

#[test]
fn a_dial_over_a_unix_socket_stands_and_knows_its_peer() {
    let server = Server::of("lab").start();
    let path = server.dir.path("target");
    let target = UnixListener::bind(&path).unwrap();
    let mut client = server.connect();
    let answer = client.ask(&format!("dial unix:{}", path.display()));
    assert!(
        answer.starts_with(&format!("dialed unix:pid={},uid=", std::process::id())),
        "{answer}"
    );
    let (mut stream, _) = target.accept().unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream.write_all(b"echo hello\n").unwrap();
    let mut line = String::new();
    BufReader::new(&stream).read_line(&mut line).unwrap();
    assert_eq!(line, "hello\n");
}

#[test]
fn a_dial_to_nobody_is_refused() {
    let server = Server::of("lab").start();
    let mut client = server.connect();
    let dead = DeadPort::new();
    let answer = client.ask(&format!("dial {}", dead.address));
    assert_eq!(answer, "dial failed: connection refused");
    let path = server.dir.path("nobody");
    let answer = client.ask(&format!("dial unix:{}", path.display()));
    assert_eq!(answer, "dial failed: entity not found");
    leave_socket(&path);
    let answer = client.ask(&format!("dial unix:{}", path.display()));
    assert_eq!(answer, "dial failed: connection refused");
    assert_eq!((stat(&mut client, "dialed"), stat(&mut client, "closed")), (0, 0));
}

#[test]
fn a_dial_without_a_descriptor_fails_and_harms_nobody() {
    let server = Server::of("lab").start();
    let mut client = server.connect();
    assert_eq!(client.ask("nofile 0"), "ok");
    let answer = client.ask(&format!("dial {}", server.address));
    assert!(answer.starts_with("dial failed: "), "{answer}");
    assert_eq!(client.ask("nofile max"), "ok");
    assert!(client.ask(&format!("dial {}", server.address)).starts_with("dialed "));
}

#[test]
fn what_is_no_address_is_refused_by_name() {
    let server = Server::of("lab").start();
    for wrong in ["localhost:80", "127.0.0.1", "unix:", "127.0.0.1:99999"] {
        let mut client = server.connect();
        client.send(format!("dial {wrong}\n"));
        assert_eq!(client.read_to_end().unwrap(), b"");
        drop(client);
        server.wait_line(&format!("failed: dial {wrong}: an address is host:port or unix:/path"));
    }
}

#[test]
fn a_dial_that_nobody_answers_times_out() {
    let server = Server::of("lab").start();
    let mut client = server.connect();
    let target = TcpListener::bind("127.0.0.1:0").unwrap();
    let _queued = fill_queue(&target);
    let address = target.local_addr().unwrap();
    let begun = Instant::now();
    assert_eq!(client.ask(&format!("dial {address}")), "dial failed: timed out");
    assert!(begun.elapsed() >= DIAL_TIMEOUT, "after {:?}", begun.elapsed());
    assert_eq!(stat(&mut client, "dialed"), 0);
}

#[test]
fn many_dials_at_once_each_have_their_own_end() {
    let server = Server::of("lab").start();
    let mut clients: Vec<Client> = (0..50).map(|_| server.connect()).collect();
    let dead = DeadPort::new();
    for (n, client) in clients.iter_mut().enumerate() {
        let target = if n % 2 == 0 { server.address.clone() } else { dead.address.to_string() };
        client.send(format!("dial {target}\n"));
    }
    for (n, client) in clients.iter_mut().enumerate() {
        let answer = client.line();
        assert_eq!(answer.starts_with("dialed "), n % 2 == 0, "{n}: {answer}");
    }
    assert_eq!(stat(&mut clients[0], "dialed"), 25);
}
