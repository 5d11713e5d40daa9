//! Bugs that were there once, each by name.

use std::{os::fd::AsRawFd, process::Command, time::Duration};

use crate::common::{Client, Dir, Server, example, ports::DeadPort, run_to_end, stat, wait_for};
use heirloom::{ConnId, Connection, Hold, Net, Origin, Reason, Result, Service, testing::Harness};
use nix::sys::{
    signal::Signal::{SIGCONT, SIGSTOP},
    socket::{MsgFlags, send},
};

/// Begins new work whenever a connection ends, as a client that reconnects does.
#[derive(Default)]
struct Restless(Vec<Hold>);

impl Service for Restless {
    type Session = ();

    fn on_open(&mut self, _conn: &mut Connection<'_>, _origin: Origin) -> Result {
        Ok(())
    }

    fn on_data(&mut self, _conn: &mut Connection<'_>, _: &mut (), input: &[u8]) -> Result<usize> {
        Ok(input.len())
    }

    fn on_close(&mut self, net: &mut Net, _id: ConnId, _: (), _why: Reason) {
        self.0.push(net.hold("work"));
    }
}

/// What `on_close` began during the abort was waited for, so a process that was stopped lived on.
#[test]
fn a_stop_is_the_end_whatever_on_close_begins() {
    let mut harness = Harness::new(Restless::default());
    harness.connect();
    harness.net().stop();
    harness.advance(Duration::ZERO);
    assert!(harness.has_ended());
    assert_eq!(harness.service().0.len(), 1, "on_close was called");
}

/// A paused connection neither reads nor writes, so a reset was found out only when it was resumed,
/// and it has no timeout.
#[test]
fn a_paused_connection_that_is_reset_ends() {
    let server = Server::of("lab").start();
    let mut client = server.connect();
    client.send("burst 10\nalarm 600000\n");
    let mut first = [0];
    wait_for("bytes that will stay unread", || client.stream.peek(&mut first).is_ok());
    drop(client); // with unread bytes the kernel sends a reset
    let mut other = server.connect();
    wait_for("the connection to end", || other.ask("closes").contains("broken"));
}

/// A read stops short before urgent data, as if that were all; and no further edge came for the rest.
#[test]
fn what_follows_urgent_data_is_read() {
    let server = Server::of("lab").start();
    let mut client = server.connect();
    assert_eq!(client.ask("echo first"), "first");
    server.signal(SIGSTOP);
    let stat = format!("/proc/{}/stat", server.pid());
    let is_stopped = || std::fs::read_to_string(&stat).is_ok_and(|stat| stat.contains(") T "));
    wait_for("the server to be stopped", is_stopped);
    client.send("echo before\n");
    send(client.stream.as_raw_fd(), b"!", MsgFlags::MSG_OOB).expect("urgent data");
    client.send("echo behind\n");
    server.signal(SIGCONT);
    assert_eq!((client.line(), client.line()), ("before".to_owned(), "behind".to_owned()));
}

/// `closed` counted dials that were refused, so that it went past what had been opened; and the log
/// had a line for the end of a connection that never was.
#[test]
fn a_refused_dial_was_counted_as_a_closed_connection() {
    let server = Server::of("lab").env("RUST_LOG", "debug").start();
    let mut client = server.connect();
    let dead = DeadPort::new();
    assert!(client.ask(&format!("dial {}", dead.address)).contains("refused"));
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
    let dead = DeadPort::new();
    assert!(control.ask(&format!("dial {}", dead.address)).contains("refused"));
    let turns = stat(control, "turns");
    wait_for("some turns", || stat(control, "turns") > turns + 20);
    assert_eq!(stat(control, "accepted"), 40);
    inside.truncate(30);
    assert_eq!(waiting.line(), "in");
}

/// The reason of a close came first and stayed, so nobody ever heard of the close timeout. The log does;
/// the service was told when it closed.
#[test]
fn a_peer_that_did_not_complete_the_close_was_logged_as_an_orderly_end() {
    let server = Server::of("lab").env("LAB_CLOSE", 100).start();
    let mut client = server.connect();
    let mut control = server.connect();
    client.send("close\n");
    wait_for("the end", || stat(&mut control, "closed") == 1);
    server.wait_line("reason=\"close timeout, the peer did not close its side\"");
    assert_eq!((stat(&mut control, "failed"), &*control.ask("closes")), (1, "closed"));
    // Where there was something worse before, that is the reason.
    let mut failing = server.connect();
    failing.send("fail first\n");
    wait_for("the end", || stat(&mut control, "closed") == 2);
    server.wait_line("reason=\"failed: first\"");
    assert_eq!(server.count_lines("close timeout"), 1);
    assert_eq!(control.ask("closes"), "closed,failed: first");
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
