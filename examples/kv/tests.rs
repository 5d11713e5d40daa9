//! The service without sockets and without waiting. What a real client sees is in `tests/kv.rs`, and
//! what the real Redis says in `tests/kv_redis.rs`.

mod clients;
mod model;
mod protocol;
mod transactions;

use std::time::Duration;

use heirloom::testing::{Harness, Peer, every_split};

use super::*;

fn start() -> (Harness<Kv>, Peer) {
    let mut harness = Harness::new(Kv::new());
    let peer = harness.connect();
    (harness, peer)
}

/// Sends inline commands, and answers what comes back as text.
fn ask(harness: &mut Harness<Kv>, peer: Peer, lines: &str) -> String {
    harness.feed(peer, format!("{lines}\r\n").as_bytes());
    String::from_utf8_lossy(&harness.take(peer)).into_owned()
}

#[test]
fn answers_do_not_depend_on_how_commands_arrive() {
    let input = b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$5\r\na\r\nbc\r\n*2\r\n$3\r\nget\r\n$1\r\nk\r\n\
        *0\r\nPING\r\n\r\nECHO \"a b\"\n*2\r\n$4\r\nINCR\r\n$1\r\nk\r\nNOSUCH\r\n\
        *1\r\n$3\r\nGET\r\n*3\r\n$6\r\nAPPEND\r\n$1\r\nk\r\n$0\r\n\r\n*1\r\n!4\r\nPING\r\n";
    let output = b"+OK\r\n$5\r\na\r\nbc\r\n+PONG\r\n$3\r\na b\r\n\
        -ERR value is not an integer or out of range\r\n\
        -ERR unknown command 'NOSUCH', with args beginning with: \r\n\
        -ERR wrong number of arguments for 'get' command\r\n:5\r\n\
        -ERR Protocol error: expected '$', got '!'\r\n";
    every_split(Kv::new, input, output);
}

#[test]
fn keys_expire_by_the_alarm_when_nobody_asks() {
    let (mut harness, peer) = start();
    ask(&mut harness, peer, "SET late v PX 900\r\nSET soon v PX 50\r\nSET never v");
    assert_eq!(harness.service().state.store.len(), 3);
    harness.advance(Duration::from_millis(49));
    assert_eq!(harness.service().state.store.len(), 3);
    harness.advance(Duration::from_millis(1));
    assert_eq!(harness.service().state.store.len(), 2);
    ask(&mut harness, peer, "PEXPIRE late 10"); // earlier than the alarm
    harness.advance(Duration::from_millis(10));
    assert_eq!(harness.service().state.store.len(), 1);
}

#[test]
fn many_keys_that_expire_together_go_in_pieces() {
    let (mut harness, peer) = start();
    for number in 0..3 * PURGE_PIECE {
        ask(&mut harness, peer, &format!("SET {number} v PX 10"));
    }
    harness.advance(Duration::from_secs(1));
    assert_eq!(harness.service().state.store.len(), 0);
}

/// At a restart the alarms go to the new generation; the keys are in both.
#[test]
fn keys_expire_in_a_process_that_is_leaving_too() {
    let (mut harness, peer) = start();
    ask(&mut harness, peer, "SET soon v PX 50");
    harness.net().cancel_alarm(EXPIRY); // what the reactor does before on_retire
    harness.net().drain();
    harness.advance(Duration::ZERO);
    harness.advance(Duration::from_millis(50));
    assert_eq!(harness.service().state.store.len(), 0);
}

#[test]
fn whoever_stayed_with_the_parent_is_forgotten() {
    let (mut harness, peer) = start();
    let gone = ConnId::from_bits(u64::MAX);
    harness.service().state.hub.join(super::pubsub::Topic::Channel, b"news", gone);
    ask(&mut harness, peer, "SUBSCRIBE news");
    let speaker = harness.connect();
    assert_eq!(ask(&mut harness, speaker, "PUBLISH news hi"), ":1\r\n");
    assert_eq!(harness.service().state.hub.subscribers(b"news").count(), 2);
    // What a forked child calls; in memory the connections are still there.
    let mut kv = Kv::new();
    std::mem::swap(&mut kv, harness.service());
    kv.on_start(harness.net(), Start::Forked { moved: 1, stayed: vec![gone] });
    assert_eq!(kv.state.hub.subscribers(b"news").collect::<Vec<_>>(), [harness.id(peer)]);
}

#[test]
fn a_listener_that_goes_hears_no_more() {
    let (mut harness, peer) = start();
    ask(&mut harness, peer, "SUBSCRIBE a b\r\nPSUBSCRIBE *");
    assert_eq!(harness.service().state.hub.counts(), (2, 1));
    harness.finish(peer);
    assert_eq!(harness.service().state.hub.counts(), (0, 0));
}

#[test]
fn a_long_bulk_is_not_looked_at_before_it_is_whole() {
    let (mut harness, peer) = start();
    harness.feed(peer, b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1000000\r\n");
    let unused = || format!("{:?}", Reader::default());
    harness.service().reader = Reader::default();
    for _ in 0..10 {
        harness.feed(peer, &[b'x'; 100_000]);
        assert_eq!(format!("{:?}", harness.service().reader), unused());
    }
    harness.feed(peer, b"\r\n");
    assert_eq!(harness.take(peer), b"+OK\r\n");
    assert_eq!(ask(&mut harness, peer, "STRLEN k"), ":1000000\r\n");
}

#[test]
fn every_name_in_the_table_is_found() {
    let (mut harness, peer) = start();
    let count = ask(&mut harness, peer, "COMMAND COUNT");
    let all = ask(&mut harness, peer, "COMMAND");
    assert_eq!(
        count.trim_start_matches(':'),
        all.split_inclusive('\n').next().unwrap().trim_start_matches('*')
    );
    for name in ["get", "SUBSCRIBE", "PUNSUBSCRIBE", "randomkey"] {
        assert!(
            ask(&mut harness, peer, &format!("COMMAND INFO {name}")).contains(&name.to_lowercase())
        );
    }
}

#[test]
fn a_restart_between_any_two_bytes_is_not_noticed() {
    let input = b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$5\r\na\r\nbc\r\n*2\r\n$3\r\nget\r\n$1\r\nk\r\n\
        SET n 41 EX 100\r\nINCR n\r\nTTL n\r\nCLIENT SETNAME me\r\nCLIENT GETNAME\r\nCLIENT ID\r\n\
        SUBSCRIBE news\r\nPSUBSCRIBE n*\r\nUNSUBSCRIBE news\r\n";
    let output = b"+OK\r\n$5\r\na\r\nbc\r\n+OK\r\n:42\r\n:100\r\n+OK\r\n$2\r\nme\r\n:1\r\n\
        *3\r\n$9\r\nsubscribe\r\n$4\r\nnews\r\n:1\r\n*3\r\n$10\r\npsubscribe\r\n$2\r\nn*\r\n:2\r\n\
        *3\r\n$11\r\nunsubscribe\r\n$4\r\nnews\r\n:1\r\n";
    heirloom::testing::every_split_restarted(Kv::new, input, output);
}

#[test]
fn listeners_hear_through_a_restart_and_keys_still_expire() {
    let (mut harness, peer) = start();
    ask(&mut harness, peer, "SUBSCRIBE news\r\nPSUBSCRIBE n*");
    let speaker = harness.connect();
    ask(&mut harness, speaker, "SET soon v PX 5000\r\nSET never v");
    let mut harness = harness.restart(Kv::new()).expect("the keys are taken over");
    assert_eq!(ask(&mut harness, speaker, "PUBLISH news hi"), ":2\r\n");
    assert!(String::from_utf8_lossy(&harness.take(peer)).contains("$2\r\nhi\r\n"));
    assert_eq!(harness.service().state.store.len(), 2);
    harness.advance(Duration::from_millis(5001));
    assert_eq!(harness.service().state.store.len(), 1);
}
