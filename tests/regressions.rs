//! Bugs that were, each by its name.

mod common;

use std::{net::TcpListener, process::Command, time::Duration};

use common::{Client, Dir, Server, example, run_to_end, stat, wait_for};

/// A port that nobody listens on.
fn dead_port() -> u16 {
    let socket = TcpListener::bind("127.0.0.1:0").expect("a free port");
    socket.local_addr().expect("its address").port()
}

/// `closed` counted dials that were refused, so that it went past what had been opened; and the log
/// had a line for the end of a connection that never was.
#[test]
fn a_refused_dial_was_counted_as_a_closed_connection() {
    let server = Server::of("lab").env("RUST_LOG", "debug").start();
    let mut client = server.connect();
    assert!(client.ask(&format!("dial 127.0.0.1:{}", dead_port())).contains("refused"));
    client.ask("who"); // the turn that buried the dial is over
    assert_eq!(stat(&mut client, "closed"), 0);
    assert_eq!(server.count_lines("close #"), 0, "{}", server.log());
}

/// A dial while the server waited to fall to 90 % of its connection limit looked at the limit alone,
/// found that there was room, and let clients in.
#[test]
fn a_dial_cut_the_wait_at_the_connection_limit_short() {
    let server = Server::of("lab").env("LAB_CONNECTIONS", 40).start();
    let mut inside: Vec<Client> = (0..40).map(|_| server.connect()).collect();
    inside.iter_mut().for_each(|client| drop(client.ask("who")));
    let mut waiting = server.connect();
    waiting.send("echo in\n");
    for _ in 0..2 {
        let mut client = inside.pop().expect("one of forty");
        client.finish();
        client.read_to_end().expect("a FIN");
    }
    // 38 are left, and 36 is where it accepts again.
    let control = &mut inside[0];
    assert!(control.ask(&format!("dial 127.0.0.1:{}", dead_port())).contains("refused"));
    let turns = stat(control, "turns");
    wait_for("some turns", || stat(control, "turns") > turns + 20);
    assert_eq!(stat(control, "accepted"), 40);
    inside.truncate(30);
    assert_eq!(waiting.line(), "in");
}

/// The reason of a close came first and stayed, so nobody ever heard of the close timeout.
#[test]
fn a_peer_that_did_not_complete_the_close_was_logged_as_an_orderly_end() {
    let server = Server::of("lab").env("LAB_CLOSE", 100).start();
    let mut client = server.connect();
    let mut control = server.connect();
    client.send("close\n");
    wait_for("the end", || stat(&mut control, "closed") == 1);
    assert!(control.ask("closes").starts_with("close timeout"));
    // Where there was something worse before, that is the reason.
    let mut failing = server.connect();
    failing.send("fail first\n");
    wait_for("the end", || stat(&mut control, "closed") == 2);
    assert!(control.ask("closes").ends_with(",failed: first"));
}

/// A look at a connection in the very turn that had output for it took the write timeout for what to
/// watch, and the idle timeout came half a minute late.
#[test]
fn an_answer_at_the_moment_of_the_idle_look_put_the_timeout_off() {
    let server = Server::of("lab").env("LAB_IDLE", 200).start();
    let mut client = server.connect();
    for at in (1..=60).map(|n| n * 10) {
        client.send(format!("arm {at} {at}\n")); // some look will fall into the turn of an answer
    }
    for _ in 0..60 {
        client.line();
    }
    assert_eq!(client.read_to_end().expect("the idle timeout's FIN"), b"");
}

/// Without a write timeout, a look at a connection whose output waited set no further look, and the
/// idle timeout was lost for good.
#[test]
fn without_a_write_timeout_a_slow_reader_was_never_idle_again() {
    let builder = Server::of("lab").env("LAB_WRITE", "never").env("LAB_IDLE", 200);
    let server = builder.env("LAB_OUTPUT", 40_000_000).start();
    let mut client = server.connect();
    let size = 30_000_000; // more than the sockets hold
    client.send(format!("burst {size}\n"));
    std::thread::sleep(Duration::from_millis(500)); // nothing happens: that is the point
    assert_eq!(client.read_exact(size).len(), size);
    assert_eq!(client.read_to_end().expect("the idle timeout's FIN"), b"");
}

/// A server whose second address was no good had bound the first already, and left the path of its
/// Unix socket behind when it gave up.
#[test]
fn a_start_that_failed_left_a_socket_behind() {
    let dir = Dir::new();
    let path = dir.path("socket");
    let first = format!("unix:{}", path.display());
    let mut command = Command::new(example("lab"));
    command.args(["--listen", &first, "--listen", "nonsense"]);
    assert_eq!(run_to_end(&mut command).status.code(), Some(2));
    assert!(!path.exists());
}
