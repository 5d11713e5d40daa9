//! What a client has said to kv stays said: its version of the protocol, a transaction in progress, keys that it
//! watches, when its keys expire. Through both engines, a roll back, and up to a stop.

use std::time::{Duration, Instant};

use crate::common::{
    Dir, Server,
    ops::Control,
    restart::Engine,
    wait_for,
    wire::{Wire, shown},
};
use nix::sys::signal::Signal;

const ENGINES: [Engine; 2] = [Engine::Fork, Engine::ForkExec];

const CHANGED: &str = "*-1\r\n";

#[test]
fn the_version_of_the_protocol_and_what_is_pushed_go_along() {
    let server = Server::of("kv").start();
    let [mut new, mut old, mut speaker] = [(); 3].map(|()| Wire::connect(&server.address));
    assert!(new.ask("HELLO 3 SETNAME me").starts_with("%7\r\n"));
    assert!(new.ask("SUBSCRIBE news").starts_with(">3\r\n"));
    assert!(old.ask("SUBSCRIBE news").starts_with("*3\r\n"));
    for engine in ENGINES {
        let pid = server.restart(engine.signal());
        assert_eq!(new.ask("GET nothing"), "_\r\n", "{engine:?}");
        let client = new.ask("CLIENT INFO");
        assert!(client.starts_with('=') && client.contains(" name=me "), "{client}");
        assert!(client.contains("id=1 ") && client.contains(" resp=3 "), "{client}");
        assert!(new.ask("INFO server").contains(&format!("process_id:{pid}\r\n")));
        assert_eq!(speaker.ask("PUBLISH news hi"), ":2\r\n");
        let message = "3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n$2\r\nhi\r\n";
        assert_eq!(shown(&new.reply()), format!(">{message}"));
        assert_eq!(shown(&old.reply()), format!("*{message}"));
    }
    assert!(new.ask("HELLO 2").starts_with("*14\r\n"));
    server.restart(Signal::SIGUSR2);
    assert_eq!(new.ask("PING"), "*2\r\n$4\r\npong\r\n$0\r\n\r\n");
}

/// A restart at each point of it: behind MULTI, between commands, within one, before EXEC.
#[test]
fn a_transaction_in_progress_goes_along() {
    let server = Server::of("kv").start();
    let mut wire = Wire::connect(&server.address);
    for engine in ENGINES {
        let restart = || server.restart(engine.signal());
        wire.ask("SET n 1");
        assert_eq!(wire.ask("MULTI"), "+OK\r\n");
        restart();
        assert_eq!(wire.ask("INCR n"), "+QUEUED\r\n");
        restart();
        wire.send("*2\r\n$3\r\nGET\r\n$1");
        restart();
        wire.send("\r\nn\r\n");
        assert_eq!(shown(&wire.reply()), "+QUEUED\r\n");
        let pid = restart();
        let mut other = Wire::connect(&server.address);
        assert_eq!(other.text("GET n"), "1", "nothing of it is done yet");
        assert_eq!(wire.ask("EXEC"), "*2\r\n:2\r\n$1\r\n2\r\n", "{engine:?}");
        assert!(wire.ask("INFO server").contains(&format!("process_id:{pid}\r\n")));
        wire.ask("MULTI");
        wire.ask("NOSUCH");
        restart();
        assert!(wire.ask("EXEC").starts_with("-EXECABORT "), "{engine:?}");
    }
}

/// It makes no difference whether a watched key changes before a restart or after it.
#[test]
fn a_watched_key_is_watched_through_a_restart() {
    let server = Server::of("kv").start();
    let [mut wire, mut other] = [(); 2].map(|()| Wire::connect(&server.address));
    for engine in ENGINES {
        for (before, after, answer) in [
            ("PING", "PING", "*0\r\n"),
            ("SET n 2", "PING", CHANGED),
            ("PING", "SET n 2", CHANGED),
            ("PEXPIRE n 1", "PING", CHANGED),
        ] {
            wire.ask("SET n 1");
            wire.ask("WATCH n");
            other.ask(before);
            server.restart(engine.signal());
            other.ask(after);
            wire.ask("MULTI");
            if before.starts_with("PEXPIRE") {
                wait_for("the key to expire", || other.ask("EXISTS n") == ":0\r\n");
            }
            assert_eq!(wire.ask("EXEC"), answer, "{engine:?}: {before}, {after}");
        }
    }
}

#[test]
fn a_key_expires_in_the_millisecond_that_was_said() {
    let server = Server::of("kv").start();
    let mut wire = Wire::connect(&server.address);
    wire.ask("SET soon v EX 1000");
    wire.ask("SET late v PXAT 9000000000123456789");
    let soon = wire.ask("PEXPIRETIME soon");
    for engine in ENGINES {
        server.restart(engine.signal());
        assert_eq!(wire.ask("PEXPIRETIME soon"), soon, "{engine:?}");
        assert_eq!(wire.ask("PEXPIRETIME late"), ":9000000000123456789\r\n", "{engine:?}");
    }
}

/// A server with an operator, whose new sides can be rolled back for ten minutes.
fn start_with_operator(moves: &str) -> (Server, Dir) {
    let files = Dir::new();
    let control = files.path("control").display().to_string();
    let setup = Server::of("kv").arg("--control").arg(control).arg(moves);
    (setup.arg("--probation").arg("600").start(), files)
}

fn roll_back(files: &Dir) {
    let mut operator = Control::connect(&files.path("control")).expect("it listens");
    assert_eq!(operator.ask("rollback"), ["ok: generation 0 serves again"]);
}

/// What was said to the new side holds in the old one, which has it again.
#[test]
fn a_roll_back_takes_nothing_back_that_a_client_has_said() {
    for engine in ENGINES {
        let (server, files) = start_with_operator("--move");
        let [mut wire, mut other, mut listener] = [(); 3].map(|()| Wire::connect(&server.address));
        listener.ask("HELLO 3");
        listener.ask("SUBSCRIBE news old");
        listener.reply();
        wire.ask("SET n 1");
        wire.ask("WATCH n");
        other.ask("WATCH n");
        server.signal(engine.signal());
        server.wait_line("ready: generation 1");
        listener.ask("UNSUBSCRIBE old");
        wire.ask("UNWATCH");
        wire.ask("MULTI");
        wire.ask("INCR n");
        let mut newcomer = Wire::connect(&server.address);
        newcomer.ask("SET n 5");
        roll_back(&files);
        assert_eq!(wire.ask("EXEC"), "*1\r\n:6\r\n", "{engine:?}: it watches nothing by now");
        other.ask("MULTI");
        assert_eq!(other.ask("EXEC"), CHANGED, "{engine:?}");
        assert_eq!(newcomer.ask("PUBLISH old gone"), ":0\r\n", "{engine:?}: it has left");
        assert_eq!(newcomer.ask("PUBLISH news hi"), ":1\r\n", "{engine:?}");
        assert_eq!(shown(&listener.reply()), ">3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n$2\r\nhi\r\n");
    }
}

/// Where connections do not move, those of a side that goes back are closed: what they would read and write there
/// is nobody else's. The command that is under way is answered.
#[test]
fn after_a_roll_back_nobody_is_left_with_other_keys() {
    for engine in ENGINES {
        let (server, files) = start_with_operator("--no-move");
        let mut early = Wire::connect(&server.address);
        early.ask("SET n early");
        server.signal(engine.signal());
        server.wait_line("ready: generation 1");
        let [mut late, mut midway] = [(); 2].map(|()| Wire::connect(&server.address));
        late.ask("SET n late");
        midway.send("*2\r\n$3\r\nGET\r\n");
        roll_back(&files);
        assert_eq!(shown(&late.read_to_end()), "", "{engine:?}: it is told by a FIN");
        midway.send("$1\r\nn\r\n");
        assert_eq!(shown(&midway.read_to_end()), "$4\r\nlate\r\n", "{engine:?}");
        let mut again = Wire::connect(&server.address);
        assert_eq!([again.text("GET n"), early.text("GET n")], ["late", "late"], "{engine:?}");
    }
}

/// As redis-server does; the limit of a drain is for those who are in the middle of something.
#[test]
fn a_stop_does_not_wait_for_who_says_nothing() {
    let mut server = Server::of("kv").start();
    let [mut listener, mut idle, mut busy] = [(); 3].map(|()| Wire::connect(&server.address));
    listener.ask("SUBSCRIBE news");
    idle.ask("MULTI");
    busy.ask("PING");
    let began = Instant::now();
    server.signal(Signal::SIGTERM);
    server.wait_line("drain");
    assert_eq!(busy.ask("SET k v"), "+OK\r\n", "it is served in the meantime");
    for wire in [&mut listener, &mut idle, &mut busy] {
        assert_eq!(shown(&wire.read_to_end()), "");
    }
    assert!(server.wait_exit().success());
    let took = began.elapsed();
    assert!(took < Duration::from_secs(10), "it took {took:?}, and half a second is meant");
}
