//! Ten thousand connections at once, all of them served.

use std::time::Instant;

use crate::common::{self, DEADLINE, Server, load, stat};

const CONNECTIONS: usize = 10_000;

/// What the test has open besides its clients.
const OTHERS: u64 = 100;

#[test]
fn ten_thousand_connections_are_open_at_once_and_each_is_answered() {
    let limit = load::raise_file_limit().expect("up to the hard limit");
    if limit < CONNECTIONS as u64 + OTHERS {
        eprintln!("skipped: the hard limit on open files is {limit}, this needs {CONNECTIONS}");
        return;
    }
    let server = Server::of("lab").start();
    let mut control = server.connect();
    let address = server.address.parse().expect("an address of digits");
    let until = || Instant::now() + DEADLINE;
    let mut clients: Vec<_> = (0..CONNECTIONS)
        .map(|n| {
            let client = load::Client::connect(address, until());
            client.unwrap_or_else(|failure| panic!("client {n}: {failure:?}"))
        })
        .collect();
    for round in 0..2 {
        for (n, client) in clients.iter_mut().enumerate() {
            client.ask(format!("echo {round} {n}\n").as_bytes(), until()).expect("it takes a line");
        }
        for (n, client) in clients.iter_mut().enumerate() {
            let heard = client.expect(format!("{round} {n}\n").as_bytes(), until());
            heard.unwrap_or_else(|failure| panic!("client {n}: {failure:?}"));
        }
    }
    assert!(control.ask("stats").ends_with(&format!("connections: {}", CONNECTIONS + 1)));
    assert_eq!(stat(&mut control, "closed"), 0);
    drop(clients);
    common::wait_for("all of them to end", || stat(&mut control, "closed") == CONNECTIONS as u64);
    assert_eq!(stat(&mut control, "ghosts"), 0);
}
