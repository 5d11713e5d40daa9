//! Where output was thrown away the peer sees a reset, and where it was not, a FIN: nobody takes a part for
//! the whole.

use std::{
    io::{ErrorKind, Read, Write},
    os::unix::net::UnixStream,
    time::{Duration, Instant},
};

use crate::common::{
    self, Client, Dir, Server, Setup,
    restart::{Engine, Lab, resume},
    stat, wait_for,
};
use nix::sys::signal::Signal::SIGTERM;

for_both_engines!(a_cut_is_a_reset_while_another_process_may_have_the_socket);

/// More than two sockets hold, less than the limit on output.
const LONG: usize = 15_000_000;

fn lab(adjust: impl FnOnce(Setup) -> Setup) -> Server {
    adjust(Server::of("lab")).start()
}

/// A client that has asked for more than it reads, of which the server has queued the rest.
fn reading(server: &Server) -> Client {
    let mut client = server.connect();
    client.send(format!("burst {LONG}\n"));
    let mut asker = server.connect();
    wait_for("a part to be sent", || stat(&mut asker, "bytes_out") > 100_000);
    client
}

/// What it gets of its answer is cut, and it is told.
fn assert_reset(mut client: Client) {
    let end =
        client.read_to_end().map(|bytes| bytes.len()).expect_err("it takes a part for the whole");
    assert_eq!(end.kind(), ErrorKind::ConnectionReset, "{end}");
}

fn assert_whole(mut client: Client) {
    assert_eq!(client.read_to_end().expect("a FIN"), b"");
}

#[test]
fn an_abort_is_a_reset() {
    let server = lab(|setup| setup);
    let mut control = server.connect();
    let mut client = server.connect();
    let id = client.ask("id");
    client.send(format!("burst {LONG}\n"));
    wait_for("a part to be sent", || stat(&mut control, "bytes_out") > 100_000);
    control.send(format!("kill {id}\n"));
    assert_reset(client);
    let mut client = server.connect();
    assert_eq!(client.ask("echo all of it"), "all of it");
    client.send("abort\n");
    assert_whole(client);
}

#[test]
fn output_over_its_limit_is_a_reset() {
    let server = lab(|setup| setup.env("LAB_OUTPUT", 1_000_000));
    let mut client = server.connect();
    client.send(format!("burst {LONG}\n"));
    assert_reset(client);
}

#[test]
fn a_write_timeout_is_a_reset_in_service_and_in_a_close() {
    let server = lab(|setup| setup.env("LAB_WRITE", 300));
    let in_service = reading(&server);
    let mut closing = reading(&server);
    closing.send("close\n");
    server.wait_lines("write timeout, the peer reads nothing", 2);
    assert_reset(in_service);
    assert_reset(closing);
}

#[test]
fn the_deadline_of_a_drain_is_a_reset_for_who_is_not_through() {
    let server = lab(|setup| setup.env("LAB_DRAIN", 300));
    let (idle, cut) = (idle(&server), reading(&server));
    server.signal(SIGTERM);
    server.wait_lines("reason=\"drain deadline\"", 2);
    assert_reset(cut);
    assert_whole(idle);
}

#[test]
fn a_stop_is_a_reset_for_who_is_not_through() {
    let mut server = lab(|setup| setup);
    let (idle, cut) = (idle(&server), reading(&server));
    server.signal(SIGTERM);
    server.wait_line("SIGTERM: heard");
    server.signal(SIGTERM);
    assert!(server.wait_exit().success());
    assert_reset(cut);
    assert_whole(idle);
}

/// One that has had all that it has asked for.
fn idle(server: &Server) -> Client {
    let mut client = server.connect();
    assert_eq!(client.ask("echo hello"), "hello");
    client
}

/// The last close would do it, and this one is not the last.
fn a_cut_is_a_reset_while_another_process_may_have_the_socket(engine: Engine) {
    let lab = Lab::start();
    let mut control = lab.connect();
    let mut client = lab.connect();
    let id = client.ask("id");
    client.send(format!("burst {LONG}\n"));
    wait_for("a part to be sent", || stat(&mut control, "bytes_out") > 100_000);
    let new = lab.hold(engine); // by fork, it has a copy of each
    let begun = Instant::now();
    control.send(format!("kill {id}\n"));
    assert_reset(client);
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    resume(new);
    lab.wait_line("restart: done");
    assert_eq!(control.ask("echo well"), "well");
}

/// There is no reset between Unix sockets, but an end.
#[test]
fn a_unix_peer_finds_the_end() {
    let dir = Dir::new();
    let path = dir.path("socket");
    let server = Server::of("lab")
        .listen(format!("unix:{}", path.display()))
        .env("LAB_OUTPUT", 1_000_000)
        .start();
    let mut client = UnixStream::connect(&path).expect("the server accepts");
    client.set_read_timeout(Some(common::DEADLINE)).expect("a timeout");
    client.write_all(format!("burst {LONG}\n").as_bytes()).expect("it takes it");
    let mut bytes = Vec::new();
    match client.read_to_end(&mut bytes) {
        Ok(count) => assert!(count < LONG),
        Err(e) => assert_eq!(e.kind(), ErrorKind::ConnectionReset, "{e}"),
    }
    server.wait_line("output over its limit");
}
