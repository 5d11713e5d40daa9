//! Fairness: nobody's traffic holds up anybody else's. Budgets, one that floods, one that does not
//! read.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    io::{Read, Write},
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use crate::common::{self, Client, Server, wait_for};
use heirloom::{
    ConnId, Connection, Origin, Result, Service,
    limits::{ACCEPT_BUDGET, READ_BUDGET, WRITE_BUDGET},
    testing::Harness,
};

/// What a flood may delay somebody else's answer. Turns are a millisecond; loaded machines are not.
const PROMPT: Duration = Duration::from_secs(2);

#[test]
fn one_client_that_floods_does_not_keep_a_hundred_others_waiting() {
    let server = Server::of("lab").start();
    let stop = Arc::new(AtomicBool::new(false));
    let flooder = server.connect();
    let (mut input, mut output) = (flooder.stream.try_clone().unwrap(), flooder.stream);
    let stopped = Arc::clone(&stop);
    let writer = thread::spawn(move || {
        let lines = "echo x\n".repeat(10_000);
        let mut sent = 0;
        while !stopped.load(Ordering::Relaxed) && output.write_all(lines.as_bytes()).is_ok() {
            sent += lines.len();
        }
        let _ = output.shutdown(std::net::Shutdown::Both);
        sent
    });
    let reader = thread::spawn(move || {
        let mut buffer = vec![0; 1 << 20];
        while input.read(&mut buffer).is_ok_and(|count| count > 0) {}
    });
    let mut others: Vec<Client> = (0..100).map(|_| server.connect()).collect();
    let mut slowest = Duration::ZERO;
    for round in 0..3 {
        let begun = Instant::now();
        for (n, other) in others.iter_mut().enumerate() {
            other.send(format!("echo {n} {round}\n"));
        }
        for (n, other) in others.iter_mut().enumerate() {
            assert_eq!(other.line(), format!("{n} {round}"));
        }
        slowest = slowest.max(begun.elapsed());
    }
    stop.store(true, Ordering::Relaxed);
    let sent = writer.join().unwrap();
    reader.join().unwrap();
    assert!(sent > 100_000, "there was no flood: {sent} bytes");
    assert!(slowest < PROMPT, "a hundred others waited {slowest:?} for their answers");
}

#[test]
fn a_client_that_does_not_read_goes_over_the_cap_and_nobody_else_notices() {
    let server = Server::of("lab").env("LAB_OUTPUT", 1_000_000).start();
    let mut control = server.connect();
    let mut slow = server.connect();
    let mut neighbours: Vec<Client> = (0..20).map(|_| server.connect()).collect();
    // Under the cap is well, however slowly it is read.
    slow.send("burst 900000\n");
    assert_eq!(slow.read_exact(900_000).len(), 900_000);
    slow.send("burst 1100000\n");
    wait_for("the cap to act", || control.ask("closes").contains("reads too slowly"));
    for (n, neighbour) in neighbours.iter_mut().enumerate() {
        assert_eq!(neighbour.ask(&format!("echo {n}")), n.to_string());
    }
    assert!(
        server
            .wait_line("reads too slowly")
            .contains(&format!("peer={} ", slow.stream.local_addr().unwrap()))
    );
    let closes = control.ask("closes");
    assert_eq!(closes, "output over its limit, the peer reads too slowly", "one and no other");
}

#[test]
fn a_producer_that_keeps_to_the_marks_never_goes_over_the_cap() {
    let server = Server::of("lab").env("LAB_OUTPUT", 100_000).start();
    let mut client = server.connect();
    let size = 20_000_000; // 200 times the cap
    client.send(format!("flood {size}\n"));
    assert_eq!(client.read_exact(size).len(), size);
    assert_eq!(client.ask("closes"), "");
}

/// Bytes offered, by turn and connection; answers `!` with more than a flush may write.
#[derive(Default)]
struct Budget {
    by_turn: Rc<RefCell<BTreeMap<(u64, ConnId), usize>>>,
}

impl Service for Budget {
    type Session = ();

    fn on_open(&mut self, _conn: &mut Connection<'_>, _origin: Origin) -> Result {
        Ok(())
    }

    fn on_data(&mut self, conn: &mut Connection<'_>, _: &mut (), input: &[u8]) -> Result<usize> {
        let turn = conn.net.stats().turns;
        *self.by_turn.borrow_mut().entry((turn, conn.id())).or_default() += input.len();
        if input[0] == b'!' {
            conn.send(&[b'x'; 300_000]);
        }
        Ok(input.len())
    }
}

#[test]
fn one_connection_brings_at_most_the_read_budget_into_a_turn() {
    let mut harness = Harness::new(Budget::default());
    let peer = harness.connect();
    harness.feed(peer, &vec![b'x'; 10 * READ_BUDGET + 1]);
    let by_turn = harness.service().by_turn.borrow();
    assert_eq!(by_turn.values().sum::<usize>(), 10 * READ_BUDGET + 1, "all of it came");
    assert!(by_turn.values().all(|&bytes| bytes <= READ_BUDGET), "{by_turn:?}");
    assert_eq!(by_turn.len(), 11);
}

#[test]
fn one_connection_writes_at_most_the_write_budget_in_a_flush() {
    let mut harness = Harness::new(Budget::default());
    let peer = harness.connect();
    let (turns, writes) = (harness.net().stats().turns, harness.net().stats().writes);
    harness.feed(peer, b"!");
    let stats = harness.net().stats().clone();
    assert_eq!(stats.bytes_out, 300_000);
    assert_eq!(stats.writes - writes, 300_000u64.div_ceil(WRITE_BUDGET as u64));
    // Two flushes are in a turn.
    assert!(stats.turns - turns >= (stats.writes - writes) / 2);
    assert_eq!(harness.take(peer).len(), 300_000);
}

#[test]
fn a_crowd_of_new_clients_comes_in_by_the_accept_budget() {
    let server = Server::of("lab").start();
    let mut control = server.connect();
    let turns = common::stat(&mut control, "turns");
    let mut crowd = Vec::new();
    let count = 10 * ACCEPT_BUDGET;
    common::while_stopped(server.pid(), || {
        crowd.extend((0..count).map(|_| server.connect()));
    });
    wait_for("the crowd", || common::stat(&mut control, "accepted") == count as u64 + 1);
    let turns = common::stat(&mut control, "turns") - turns;
    assert!(turns >= 10, "{count} clients were accepted in {turns} turns");
}
