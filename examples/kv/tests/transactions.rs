//! MULTI, EXEC and WATCH, with restarts at every point where one could make a difference.

use super::*;

fn pair() -> (Harness<Kv>, Peer, Peer) {
    let (mut harness, peer) = start();
    let other = harness.connect();
    (harness, peer, other)
}

const CHANGED: &str = "*-1\r\n";

#[test]
fn commands_are_carried_out_together_and_in_order() {
    let (mut harness, peer, other) = pair();
    assert_eq!(
        ask(&mut harness, peer, "MULTI\r\nSET k 1\r\nINCR k"),
        "+OK\r\n+QUEUED\r\n+QUEUED\r\n"
    );
    assert_eq!(ask(&mut harness, other, "GET k"), "$-1\r\n");
    assert_eq!(
        ask(&mut harness, peer, "GET \"k\"\r\nEXEC"),
        "+QUEUED\r\n*3\r\n+OK\r\n:2\r\n$1\r\n2\r\n"
    );
    assert_eq!(ask(&mut harness, peer, "EXEC"), "-ERR EXEC without MULTI\r\n");
    assert_eq!(ask(&mut harness, peer, "DISCARD"), "-ERR DISCARD without MULTI\r\n");
}

/// One that fails by itself changes nothing about the others.
#[test]
fn a_command_that_is_refused_spoils_all_and_one_that_fails_does_not() {
    let (mut harness, peer, _) = pair();
    ask(&mut harness, peer, "SET text x\r\nMULTI\r\nINCR text\r\nSET k 1");
    let answer = ask(&mut harness, peer, "EXEC");
    assert_eq!(answer, "*2\r\n-ERR value is not an integer or out of range\r\n+OK\r\n");
    for refused in ["GET", "NOSUCH", "CLIENT NOSUCH"] {
        ask(&mut harness, peer, &format!("MULTI\r\nSET k 2\r\n{refused}\r\nSET k 3"));
        let answer = ask(&mut harness, peer, "EXEC");
        assert_eq!(answer, "-EXECABORT Transaction discarded because of previous errors.\r\n");
        assert_eq!(ask(&mut harness, peer, "GET k"), "$1\r\n1\r\n");
    }
    ask(&mut harness, peer, "MULTI");
    assert_eq!(ask(&mut harness, peer, "MULTI"), "-ERR MULTI calls can not be nested\r\n");
    assert_eq!(ask(&mut harness, peer, "WATCH k"), "-ERR WATCH inside MULTI is not allowed\r\n");
    assert_eq!(ask(&mut harness, peer, "EXEC"), "*0\r\n");
}

/// Whatever is done to a watched key in between; and whatever is not done to it.
#[test]
fn a_watched_key_that_changes_stops_the_transaction() {
    for (change, stops) in [
        ("SET k 2", true),
        ("SET k 1", true),
        ("DEL k", true),
        ("EXPIRE k 100", true),
        ("RENAME k other", true),
        ("RENAME other k", true),
        ("APPEND k x", true),
        ("FLUSHALL", true),
        ("SETRANGE k 0 x", true),
        ("COPY other k REPLACE", true),
        ("GET k", false),
        ("SET other 2", false),
        ("SETNX k 2", false),
        ("PERSIST k", false),
        ("EXPIRE k 100 XX", false),
        ("SETRANGE k 0 \"\"", false),
        ("DEL missing", false),
    ] {
        let (mut harness, peer, other) = pair();
        ask(&mut harness, peer, "MSET k 1 other 1\r\nWATCH k missing");
        ask(&mut harness, other, change);
        ask(&mut harness, peer, "MULTI\r\nPING");
        let answer = ask(&mut harness, peer, "EXEC");
        assert_eq!(answer, if stops { CHANGED } else { "*1\r\n+PONG\r\n" }, "{change}");
        assert_eq!(
            ask(&mut harness, peer, "MULTI\r\nEXEC"),
            "+OK\r\n*0\r\n",
            "{change}: it is over"
        );
    }
}

#[test]
fn a_watched_key_that_expires_has_changed_but_not_if_it_had_before() {
    let (mut harness, peer, _) = pair();
    ask(&mut harness, peer, "SET k 1 PX 10\r\nWATCH k\r\nMULTI");
    harness.advance(Duration::from_millis(10));
    assert_eq!(ask(&mut harness, peer, "EXEC"), CHANGED);
    ask(&mut harness, peer, "WATCH k\r\nMULTI");
    harness.advance(Duration::from_millis(10));
    assert_eq!(ask(&mut harness, peer, "EXEC"), "*0\r\n");
}

#[test]
fn what_ends_a_transaction_ends_the_watching() {
    for end in ["UNWATCH", "MULTI\r\nDISCARD", "MULTI\r\nEXEC", "RESET"] {
        let (mut harness, peer, other) = pair();
        ask(&mut harness, peer, "WATCH k");
        ask(&mut harness, other, "SET k 1");
        ask(&mut harness, peer, end);
        ask(&mut harness, other, "SET k 2");
        assert_eq!(ask(&mut harness, peer, "MULTI\r\nEXEC"), "+OK\r\n*0\r\n", "{end}");
        assert!(harness.service().state.store.watches.is_empty(), "{end}");
    }
    let (mut harness, peer, _) = pair();
    ask(&mut harness, peer, "WATCH k");
    harness.finish(peer);
    assert!(harness.service().state.store.watches.is_empty());
}

/// A new program in the middle of it: what is queued goes along, and so does what was promised about keys.
#[test]
fn a_transaction_goes_to_the_next_program() {
    let input = b"SET k 1\r\nWATCH k\r\nMULTI\r\nINCR k\r\n*2\r\n$3\r\nGET\r\n$1\r\nk\r\nEXEC\r\n\
        WATCH k\r\nSET k 5\r\nMULTI\r\nGET k\r\nEXEC\r\nMULTI\r\nNOSUCH\r\nEXEC\r\nGET k\r\n";
    let output = b"+OK\r\n+OK\r\n+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n:2\r\n$1\r\n2\r\n\
        +OK\r\n+OK\r\n+OK\r\n+QUEUED\r\n*-1\r\n+OK\r\n\
        -ERR unknown command 'NOSUCH', with args beginning with: \r\n\
        -EXECABORT Transaction discarded because of previous errors.\r\n$1\r\n5\r\n";
    heirloom::testing::every_split_restarted(Kv::new, input, output);
}

#[test]
fn a_watched_key_may_change_before_a_restart_or_after_it() {
    for (before, after, answer) in
        [("SET k 2", "PING", CHANGED), ("PING", "SET k 2", CHANGED), ("PING", "PING", "*0\r\n")]
    {
        let (mut harness, peer, other) = pair();
        ask(&mut harness, peer, "SET k 1\r\nWATCH k\r\nMULTI");
        ask(&mut harness, other, before);
        let mut harness = harness.restart(Kv::new()).expect("it is taken over");
        ask(&mut harness, other, after);
        assert_eq!(ask(&mut harness, peer, "EXEC"), answer, "{before}, {after}");
    }
}
