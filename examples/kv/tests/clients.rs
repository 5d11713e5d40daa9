//! What a client says about itself, in either version of the protocol, and what becomes of it in a restart.

use super::*;

const THREE: &str = "HELLO 3\r\n";

/// What comes back, without the answer to HELLO.
fn ask_three(lines: &str) -> String {
    let (mut harness, peer) = start();
    ask(&mut harness, peer, THREE.trim_end());
    ask(&mut harness, peer, lines)
}

#[test]
fn replies_are_in_the_version_that_was_asked_for() {
    let (mut harness, peer) = start();
    let hello = ask(&mut harness, peer, "HELLO 3 AUTH default any SETNAME me");
    assert!(hello.starts_with("%7\r\n$6\r\nserver\r\n$5\r\nredis\r\n"), "{hello}");
    assert!(hello.contains("$5\r\nproto\r\n:3\r\n"), "{hello}");
    assert_eq!(ask(&mut harness, peer, "CLIENT GETNAME"), "$2\r\nme\r\n");
    assert_eq!(ask(&mut harness, peer, "GET k"), "_\r\n");
    let hello = ask(&mut harness, peer, "HELLO 2");
    assert!(hello.starts_with("*14\r\n") && hello.contains("$5\r\nproto\r\n:2\r\n"), "{hello}");
    assert_eq!(ask(&mut harness, peer, "GET k"), "$-1\r\n");
    for (line, three) in [
        ("CONFIG GET save", "%1\r\n$4\r\nsave\r\n$0\r\n\r\n"),
        ("WATCH k\r\nSET k 1\r\nMULTI\r\nEXEC", "+OK\r\n+OK\r\n+OK\r\n_\r\n"),
        ("COMMAND DOCS get", "%0\r\n"),
        ("MGET a b", "*2\r\n_\r\n_\r\n"),
        ("INFO keyspace", "=16\r\ntxt:# Keyspace\r\n\r\n"),
        ("HELLO 4", "-NOPROTO unsupported protocol version\r\n"),
        (
            "HELLO 2 AUTH me any\r\nGET k",
            "-WRONGPASS invalid username-password pair or user is disabled.\r\n_\r\n",
        ),
    ] {
        assert_eq!(ask_three(line), three, "{line}");
    }
}

/// A listener of version 3 may go on asking, and tells by the kind what it has not asked for.
#[test]
fn messages_of_version_3_are_pushed_between_replies() {
    let (mut harness, two) = start();
    let three = harness.connect();
    ask(&mut harness, two, "SUBSCRIBE news");
    ask(&mut harness, three, "HELLO 3");
    let confirmed = ask(&mut harness, three, "SUBSCRIBE news\r\nGET k\r\nPING");
    assert_eq!(confirmed, ">3\r\n$9\r\nsubscribe\r\n$4\r\nnews\r\n:1\r\n_\r\n+PONG\r\n");
    let message = "3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n$2\r\nhi\r\n";
    assert_eq!(ask(&mut harness, three, "PUBLISH news hi"), format!(">{message}:2\r\n"));
    assert_eq!(String::from_utf8_lossy(&harness.take(two)), format!("*{message}"));
    // Nor does it depend on whether it wants replies.
    assert_eq!(
        ask(&mut harness, three, "CLIENT REPLY OFF\r\nPING\r\nPUBLISH news hi"),
        format!(">{message}")
    );
    assert_eq!(ask(&mut harness, three, "CLIENT REPLY ON"), "+OK\r\n");
}

#[test]
fn a_restart_changes_nothing_about_a_client() {
    let input = b"HELLO 3 SETNAME me\r\nCLIENT SETINFO lib-name lib\r\nGET k\r\nSUBSCRIBE news\r\n\
        CLIENT REPLY SKIP\r\nPING\r\nPING\r\nPUBLISH news hi\r\nCLIENT GETNAME\r\nCLIENT REPLY OFF\r\nPING\r\n";
    let mut server = Harness::new(Kv::new());
    let peer = server.connect();
    server.feed(peer, input);
    let output = server.take(peer);
    assert!(output.ends_with(
        b"+PONG\r\n>3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n$2\r\nhi\r\n:1\r\n$2\r\nme\r\n"
    ));
    heirloom::testing::every_split_restarted(Kv::new, input, &output);
}

#[test]
fn a_monitor_sees_what_others_do_and_no_secret_also_after_a_restart() {
    let (mut harness, peer) = start();
    let watcher = harness.connect();
    assert_eq!(ask(&mut harness, watcher, "MONITOR"), "+OK\r\n");
    ask(
        &mut harness,
        peer,
        "SET k \"a b\\n\"\r\nAUTH secret\r\nCONFIG GET save\r\nMULTI\r\nGET k\r\nEXEC",
    );
    let mut harness = harness.restart(Kv::new()).expect("it is taken over");
    ask(&mut harness, peer, "HELLO 3 AUTH default secret SETNAME me");
    let seen = String::from_utf8_lossy(&harness.take(watcher)).into_owned();
    let commands = seen.lines().map(|line| line.split_once("] ").expect("whose it is").1);
    assert!(
        commands.eq([
            "\"SET\" \"k\" \"a b\\n\"",
            "\"MULTI\"",
            "\"GET\" \"k\"",
            "\"EXEC\"",
            "\"HELLO\" \"3\" \"AUTH\" \"(redacted)\" \"(redacted)\" \"SETNAME\" \"me\"",
        ]),
        "{seen}"
    );
    assert!(ask(&mut harness, watcher, "RESET") == "+RESET\r\n");
    ask(&mut harness, peer, "PING");
    assert_eq!(harness.take(watcher), b"");
}

#[test]
fn clients_are_listed_and_ended_by_what_they_are() {
    let (mut harness, peer) = start();
    let [listener, idle] = [harness.connect(), harness.connect()];
    ask(&mut harness, listener, "SUBSCRIBE a b\r\nPSUBSCRIBE *");
    ask(&mut harness, peer, "CLIENT SETNAME me\r\nMULTI\r\nPING\r\nEXEC\r\nWATCH k");
    let list = ask(&mut harness, peer, "CLIENT LIST");
    let lines: Vec<_> = list.lines().filter(|line| line.starts_with("id=")).collect();
    assert_eq!(lines.len(), 3, "{list}");
    assert!(lines[0].contains("name=me ") && lines[0].contains("cmd=client|list "), "{list}");
    assert!(lines[0].contains("flags=N ") && lines[0].ends_with("watch=1"), "{list}");
    assert!(lines[1].contains("flags=P ") && lines[1].contains(" sub=2 psub=1 "), "{list}");
    assert!(lines[2].contains("cmd=NULL "), "{list}");
    assert_eq!(ask(&mut harness, peer, "CLIENT LIST TYPE pubsub").matches("id=").count(), 1);
    assert_eq!(ask(&mut harness, peer, "CLIENT LIST ID 2 3 9").matches("id=").count(), 2);
    assert_eq!(ask(&mut harness, peer, "CLIENT KILL nosuch:1"), "-ERR No such client\r\n");
    assert_eq!(ask(&mut harness, peer, "CLIENT KILL TYPE pubsub"), ":1\r\n");
    assert!(harness.is_closed(listener) && !harness.is_closed(idle));
    assert_eq!(ask(&mut harness, peer, "CLIENT KILL ID 3 TYPE normal"), ":1\r\n");
    assert!(harness.is_closed(idle));
    assert_eq!(ask(&mut harness, peer, "CLIENT KILL USER default"), ":0\r\n");
    assert_eq!(ask(&mut harness, peer, "CLIENT KILL SKIPME no USER default"), ":1\r\n");
    assert!(harness.is_closed(peer));
}

/// What a browser sends for a page that is not ours: it ends before a command can be in it.
#[test]
fn a_request_of_another_protocol_ends_the_connection() {
    for line in ["POST / HTTP/1.1", "Host: localhost", "post"] {
        let (mut harness, peer) = start();
        assert_eq!(ask(&mut harness, peer, &format!("{line}\r\nSET k 1\r\nPING")), "");
        assert!(harness.is_closed(peer), "{line}");
        let mut keys = harness.service().state.store.items();
        assert!(keys.next().is_none(), "{line}");
    }
}

/// At a stop: who is between two commands soon, and who is in the middle of one not before it is whole.
#[test]
fn a_stop_closes_between_two_commands() {
    let (mut harness, idle) = start();
    let [listener, midway] = [harness.connect(), harness.connect()];
    ask(&mut harness, listener, "SUBSCRIBE news");
    harness.feed(midway, b"*2\r\n$3\r\nGET\r\n$1\r\n");
    harness.net().drain();
    harness.advance(Duration::ZERO);
    harness.advance(GRACE_TIME - Duration::from_millis(1));
    assert!(!harness.is_closed(idle) && !harness.is_closed(listener));
    assert_eq!(ask(&mut harness, idle, "PING"), "+PONG\r\n");
    harness.advance(Duration::from_millis(1));
    assert!(harness.is_closed(idle) && harness.is_closed(listener) && !harness.is_closed(midway));
    harness.advance(GRACE_TIME);
    harness.feed(midway, b"k\r\n");
    assert_eq!(harness.take(midway), b"$-1\r\n");
    harness.advance(GRACE_TIME);
    assert!(harness.is_closed(midway));
}
