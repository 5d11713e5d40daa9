//! Unix sockets: the path is taken when it is free or stale, left alone when it is somebody else's,
//! and removed at the end; the peer is known by its process.

use std::{
    fs,
    io::{Read, Write},
    os::unix::{
        fs::MetadataExt,
        net::{UnixListener, UnixStream},
    },
    path::Path,
    process::{Command, Output},
};

use crate::common::{self, DEADLINE, Dir, Server, ask_unix, example, leave_socket, run_to_end};
use nix::sys::signal::Signal;

fn lab(path: &Path) -> Server {
    Server::of("lab").listen(format!("unix:{}", path.display())).start()
}

/// A lab that is to be refused.
fn second_lab(path: &Path) -> Output {
    run_to_end(Command::new(example("lab")).arg(format!("--listen=unix:{}", path.display())))
}

/// Ends the server in good order.
fn stop(mut server: Server) {
    server.signal(Signal::SIGTERM);
    assert!(server.wait_exit().success());
}

#[test]
fn a_path_is_served_and_removed_at_the_end() {
    let dir = Dir::new();
    let path = dir.path("socket");
    let server = lab(&path);
    assert_eq!(server.address, format!("unix:{}", path.display()));
    assert_eq!(ask_unix(&path, "echo hello"), "hello");
    stop(server);
    assert!(!path.exists(), "the path is still there");
}

#[test]
fn the_peer_is_known_by_process_and_user() {
    let dir = Dir::new();
    let path = dir.path("socket");
    let _server = lab(&path);
    let uid = fs::metadata("/proc/self").unwrap().uid();
    assert_eq!(ask_unix(&path, "peer"), format!("unix:pid={},uid={uid}", std::process::id()));
}

#[test]
fn a_stale_socket_is_replaced() {
    let dir = Dir::new();
    let path = dir.path("socket");
    leave_socket(&path); // as a crash does
    let server = lab(&path);
    server.wait_line("stale socket");
    assert_eq!(ask_unix(&path, "echo hello"), "hello");
    stop(server);
    assert!(!path.exists());
}

#[test]
fn a_path_that_is_served_is_refused_and_goes_on_being_served() {
    let dir = Dir::new();
    let path = dir.path("socket");
    let _server = lab(&path);
    let before = fs::metadata(&path).unwrap().ino();
    let output = second_lab(&path);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("in use"));
    assert_eq!(fs::metadata(&path).unwrap().ino(), before);
    assert_eq!(ask_unix(&path, "echo well"), "well");
}

#[test]
fn a_file_that_is_no_socket_is_left_alone() {
    let dir = Dir::new();
    let path = dir.path("notes");
    fs::write(&path, "important").unwrap();
    let output = second_lab(&path);
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(fs::read_to_string(&path).unwrap(), "important");
}

#[test]
fn a_path_that_is_somebody_elses_by_now_is_not_removed() {
    let dir = Dir::new();
    let path = dir.path("socket");
    let server = lab(&path);
    fs::remove_file(&path).unwrap();
    let _other = UnixListener::bind(&path).unwrap();
    stop(server);
    assert!(path.exists(), "the other one's socket is gone");

    let path = dir.path("second");
    let server = lab(&path);
    fs::remove_file(&path).unwrap();
    fs::write(&path, "a file").unwrap();
    stop(server);
    assert_eq!(fs::read_to_string(&path).unwrap(), "a file");
}

#[test]
fn tcp_and_unix_listeners_serve_side_by_side() {
    let dir = Dir::new();
    let path = dir.path("socket");
    let server = Server::of("lab").arg("--listen").arg(format!("unix:{}", path.display()));
    let server = server.start();
    let log = server.wait_line("listening on ");
    let (_, both) = log.split_once("listening on ").unwrap();
    let (tcp, unix) = both.split_once(", ").unwrap();
    assert_eq!(unix, format!("unix:{}", path.display()));
    assert_eq!(common::Client::connect(tcp).ask("echo tcp"), "tcp");
    assert_eq!(ask_unix(&path, "echo unix"), "unix");
}

#[test]
fn a_close_is_seen_after_all_output_over_a_unix_socket_too() {
    let dir = Dir::new();
    let path = dir.path("socket");
    let _server = lab(&path);
    let mut stream = UnixStream::connect(&path).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream.write_all(b"burst 1000000\nclose\n").unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    assert_eq!(answer.len(), 1_000_000);
}
