//! Ten thousand connections at once, all of them served.

mod common;

use std::{
    io::{Read, Write},
    net::TcpStream,
};

use common::{DEADLINE, Server, stat};
use nix::sys::resource::{Resource, getrlimit, setrlimit};

const CONNECTIONS: usize = 10_000;

/// What the test has open besides its clients.
const OTHERS: u64 = 100;

#[test]
fn ten_thousand_connections_are_open_at_once_and_each_is_answered() {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    if hard < CONNECTIONS as u64 + OTHERS {
        eprintln!("skipped: the hard limit on open files is {hard}, this needs {CONNECTIONS}");
        return;
    }
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).unwrap();
    let server = Server::of("lab").start();
    let mut control = server.connect();
    let mut clients: Vec<TcpStream> = (0..CONNECTIONS)
        .map(|n| {
            let stream = TcpStream::connect(&server.address);
            let stream = stream.unwrap_or_else(|e| panic!("client {n}: {e}"));
            stream.set_read_timeout(Some(DEADLINE)).unwrap();
            stream
        })
        .collect();
    for round in 0..2 {
        for (n, client) in clients.iter_mut().enumerate() {
            client.write_all(format!("echo {round} {n}\n").as_bytes()).unwrap();
        }
        for (n, client) in clients.iter_mut().enumerate() {
            let mut answer = vec![0; format!("{round} {n}\n").len()];
            client.read_exact(&mut answer).unwrap_or_else(|e| panic!("client {n}: {e}"));
            assert_eq!(answer, format!("{round} {n}\n").as_bytes());
        }
    }
    assert!(control.ask("stats").ends_with(&format!("connections: {}", CONNECTIONS + 1)));
    assert_eq!(stat(&mut control, "closed"), 0);
    drop(clients);
    common::wait_for("all of them to end", || stat(&mut control, "closed") == CONNECTIONS as u64);
    assert_eq!(stat(&mut control, "ghosts"), 0);
}
