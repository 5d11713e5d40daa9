//! Accepting: out of descriptors it pauses and recovers, at the connection limit it waits for room,
//! and clients wait in the queue meanwhile.

use std::time::{Duration, Instant};

use crate::common::{self, Client, Server, stat, wait_for};
use heirloom::limits::ACCEPT_PAUSE;

/// A lab without a spare descriptor but `spare`, and a client of it from before.
fn starving(spare: usize) -> (Server, Client) {
    let server = Server::of("lab").start();
    let mut control = server.connect();
    assert_eq!(control.ask(&format!("nofile {spare}")), "ok");
    (server, control)
}

/// Clients whose request is sent and not yet answered.
fn asking(server: &Server, count: usize) -> Vec<Client> {
    let ask = |_| {
        let mut client = server.connect();
        client.send("echo here\n");
        client
    };
    (0..count).map(ask).collect()
}

#[test]
fn out_of_descriptors_it_pauses_says_so_once_and_does_not_spin() {
    let (server, mut control) = starving(3);
    let mut clients = asking(&server, 10);
    server.wait_line("accept: ");
    for client in &mut clients[..3] {
        assert_eq!(client.line(), "here");
    }
    let (turns, pauses) = (stat(&mut control, "turns"), stat(&mut control, "accept_pauses"));
    assert_eq!(control.ask("alarm 1200"), "alarm"); // nothing else is asked in two pauses
    let turns = stat(&mut control, "turns") - turns;
    let pauses = stat(&mut control, "accept_pauses") - pauses;
    assert!((2..=3).contains(&pauses), "{pauses} pauses of {ACCEPT_PAUSE:?} in 1.2 s");
    assert!(turns <= 12, "{turns} turns in {pauses} pauses");
    assert_eq!(control.ask("echo well"), "well", "who is here is served");
    assert_eq!(server.count_lines("accept: "), 1, "it is said once");
}

#[test]
fn out_of_descriptors_it_recovers_by_itself() {
    let (server, mut control) = starving(2);
    let mut clients = asking(&server, 20);
    server.wait_line("accept: ");
    assert_eq!(control.ask("nofile max"), "ok"); // nobody leaves, and no further client comes
    for client in &mut clients {
        assert_eq!(client.line(), "here");
    }
    assert_eq!(stat(&mut control, "accepted"), 21);
}

#[test]
fn a_descriptor_that_comes_back_is_used_at_once() {
    let (server, _control) = starving(1);
    let mut clients = asking(&server, 8);
    server.wait_line("accept: ");
    let mut waits = Vec::new();
    // Each leaves; the next one in the queue comes in, and the one after starts a new pause.
    for n in 0..6 {
        assert_eq!(clients[n].line(), "here");
        let left = Instant::now();
        clients[n].finish();
        assert_eq!(clients[n].read_to_end().unwrap(), b"");
        assert_eq!(clients[n + 1].line(), "here");
        clients[n + 1].send("echo here\n"); // for the next round
        waits.push(left.elapsed());
    }
    // By the pause alone it would be half a second each time; one quick one is proof enough on a
    // machine that is busy.
    let best = waits.iter().min().unwrap();
    assert!(*best < ACCEPT_PAUSE / 4, "{waits:?}");
}

#[test]
fn at_the_limit_clients_wait_until_there_is_room_for_a_tenth() {
    let server = Server::of("lab").env("LAB_CONNECTIONS", 20).start();
    let mut inside: Vec<Client> = (0..20).map(|_| server.connect()).collect();
    inside.iter_mut().for_each(|client| drop(client.ask("who")));
    let mut waiting = asking(&server, 4);
    for left in 1..=2u64 {
        let mut client = inside.pop().unwrap();
        client.finish();
        assert_eq!(client.read_to_end().unwrap(), b"");
        if left == 1 {
            // 19 of 20 is more than 90 %, so nobody comes in, however many turns go by.
            let turns = stat(&mut inside[0], "turns");
            wait_for("some turns", || stat(&mut inside[0], "turns") > turns + 20);
            assert_eq!(stat(&mut inside[0], "accepted"), 20, "too early");
        }
    }
    for client in &mut waiting[..2] {
        assert_eq!(client.line(), "here");
    }
    assert_eq!(stat(&mut inside[0], "accepted"), 22, "up to the limit, and no further");
    inside.truncate(10);
    for client in &mut waiting[2..] {
        assert_eq!(client.line(), "here");
    }
}

#[test]
fn a_limit_of_one_connection_serves_one_after_the_other() {
    let server = Server::of("lab").env("LAB_CONNECTIONS", 1).start();
    let mut clients = asking(&server, 5);
    for client in &mut clients {
        assert_eq!(client.line(), "here");
        client.finish();
        assert_eq!(client.read_to_end().unwrap(), b"");
    }
}

#[test]
fn a_client_that_is_gone_before_it_is_accepted_harms_nobody() {
    let server = Server::of("lab").start();
    common::while_stopped(server.pid(), || {
        for n in 0..20 {
            let mut client = server.connect();
            if n % 2 == 0 {
                client.send("echo nobody reads this\n");
            }
        }
    });
    let mut control = server.connect();
    wait_for("their ends", || stat(&mut control, "closed") == 20);
    assert_eq!(stat(&mut control, "accept_pauses"), 0);
    let begun = Instant::now();
    assert_eq!(control.ask("echo well"), "well");
    assert!(begun.elapsed() < Duration::from_secs(5));
}
