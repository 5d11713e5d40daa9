//! An operator's connection has bounds like any other, and an operator's program waits for nothing without
//! an end: what it keeps, how many there are, and what is silent.

use std::{
    io::{ErrorKind, Read, Write},
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::{
            net::{UnixListener, UnixStream},
            process::ExitStatusExt,
        },
    },
    path::Path,
    process::{Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use crate::common::{
    self, Dir,
    ops::{Control, Operated, heirloom, newcomer},
    restart::{Engine, fds_at_rest, stop},
    run_to_end, wait_for,
};
use heirloom::limits::{CONTROL_CONNECTIONS, CONTROL_LINE, HIGH_MARK};
use nix::sys::{
    signal::Signal,
    socket::{AddressFamily, Backlog, SockFlag, SockType, UnixAddr, bind, listen, socket},
};

for_both_engines!(a_reader_that_has_left_does_not_hide_what_was_done);

/// `yes help | nc -NU control`, whose answers nobody reads.
#[test]
fn who_reads_no_answers_is_asked_for_no_more_requests() {
    const FAR_TOO_MUCH: usize = 64 * 1024 * 1024;
    let lab = Operated::with(20, |setup| setup);
    let mut control = Control::connect(&lab.control()).expect("it is there");
    let silence = Some(Duration::from_millis(300));
    control.stream.set_write_timeout(silence).expect("an option");
    let requests = b"help\n".repeat(1000);
    let mut sent = 0;
    while sent < FAR_TOO_MUCH {
        match control.stream.write(&requests[sent % 5..]) {
            Ok(count) => sent += count,
            Err(e) => {
                assert_eq!(e.kind(), ErrorKind::WouldBlock);
                break;
            }
        }
    }
    // Answers are several times as long: what is kept here of both is little, the rest is the kernel's.
    assert!(sent < 4 * HIGH_MARK + 1024 * 1024, "{sent} bytes were taken in");
    assert_eq!(lab.status().len(), 1, "others are answered meanwhile");
    // Once it reads, it has an answer to each.
    control.stream.set_write_timeout(Some(common::DEADLINE)).expect("an option");
    let mut rest = control.stream.try_clone().expect("a second handle");
    let writer = thread::spawn(move || {
        rest.write_all(&b"help\n"[sent % 5..]).expect("it is taken in the end");
        rest.shutdown(std::net::Shutdown::Write).expect("connected");
    });
    let answers = control.read_to_end();
    writer.join().expect("no panic");
    let whole = answers.split_terminator("\n\n").filter(|answer| answer.starts_with("ok: status"));
    assert_eq!(whole.count(), sent / 5 + 1);
}

/// While one waits for its answer, what it sends stays in its socket.
#[test]
fn who_waits_for_an_answer_is_asked_for_no_more_requests() {
    let lab = Operated::with(60_000, |setup| setup);
    let mut control = Control::connect(&lab.control()).expect("it is there");
    control.send("restart fork\n");
    wait_for("the new one to serve", || newcomer(&lab).generation == 1);
    control.stream.set_write_timeout(Some(Duration::from_millis(300))).expect("an option");
    let mut sent = 0;
    while control.stream.write_all(&[b'x'; CONTROL_LINE]).is_ok() {
        sent += CONTROL_LINE;
        assert!(sent < 16 * 1024 * 1024, "{sent} bytes were taken in");
    }
    lab.request("rollback");
    assert!(control.reply()[0].contains("rolled back"));
    assert_eq!(control.reply(), ["error: the request is too long"]);
}

#[test]
fn there_are_only_so_many_of_them_and_one_more_always_comes_in() {
    let lab = Operated::with(60_000, |setup| setup);
    let before = fds_at_rest(lab.pid());
    let mut waiting = Control::connect(&lab.control()).expect("it is there");
    waiting.send("restart fork\n");
    wait_for("the new one to serve", || newcomer(&lab).generation == 1);
    let old = lab.child.id() as i32;
    let new = lab.pid();
    assert_ne!(old, new);
    let mut idle: Vec<_> = (0..10 * CONTROL_CONNECTIONS)
        .map(|_| Control::connect(&lab.control()).expect("it is there"))
        .collect();
    assert_eq!(idle.last_mut().expect("some").ask("help").len(), 1);
    assert_eq!(lab.status().len(), 2);
    // Within a turn there may be more.
    let most = before + CONTROL_CONNECTIONS + 8;
    wait_for("the others to be closed", || common::open_fds(new) < most);
    // The one that was silent longest has made room.
    assert_eq!(idle[0].read_to_end(), "");
    // The old one's operator waits for a verdict, and is none of them.
    lab.request("rollback");
    assert!(waiting.reply()[0].contains("rolled back"));
}

/// However many come after it.
#[test]
fn an_operator_who_waits_for_a_verdict_keeps_its_place() {
    let lab = Operated::with(60_000, |setup| setup.env("LAB_READY", "60000"));
    lab.break_programs("hang");
    let mut waiting = Control::connect(&lab.control()).expect("it is there");
    waiting.send("restart fork-exec\n");
    lab.wait_line("by fork-exec is pid");
    let crowd: Vec<_> = (0..3 * CONTROL_CONNECTIONS)
        .map(|_| Control::connect(&lab.control()).expect("it is there"))
        .collect();
    assert_eq!(lab.status().len(), 2);
    waiting.stream.set_nonblocking(true).expect("an option");
    let nothing = waiting.stream.read(&mut [0]).map_err(|e| e.kind());
    assert!(matches!(nothing, Err(ErrorKind::WouldBlock)), "{nothing:?}");
    drop(crowd);
}

// The program.

/// Runs it, and tells how it ended and what it said on stderr, within `limit`.
fn run_within(limit: Duration, command: &mut Command) -> (Option<i32>, String) {
    let begun = Instant::now();
    let Output { status, stderr, .. } = run_to_end(command);
    assert!(begun.elapsed() < limit, "it took {:?}", begun.elapsed());
    (status.code(), String::from_utf8(stderr).expect("text"))
}

const SOON: Duration = Duration::from_secs(10);

#[test]
fn a_server_that_hangs_is_one_line_and_exit_status_2() {
    let lab = Operated::with(20, |setup| setup);
    stop(lab.pid());
    for request in [&["status"][..], &["restart", "--fork"], &["top"], &["stop"]] {
        let mut command = heirloom(&lab.control());
        let (status, err) = run_within(SOON, command.args(["--timeout", "0.3"]).args(request));
        assert_eq!(status, Some(2), "{request:?}: {err}");
        assert!(err.contains("says nothing for 300ms") && err.lines().count() == 1, "{err}");
    }
    common::restart::resume(lab.pid());
}

/// Its queue is full as well, so that even to connect would wait.
#[test]
fn a_server_that_does_not_accept_is_one_that_hangs() {
    let dir = Dir::new();
    let path = dir.path("control");
    let (family, flags) = (AddressFamily::Unix, SockFlag::SOCK_CLOEXEC);
    let listener: OwnedFd = socket(family, SockType::Stream, flags, None).expect("a socket");
    bind(listener.as_raw_fd(), &UnixAddr::new(&path).expect("a path")).expect("a free path");
    listen(&listener, Backlog::new(0).expect("a backlog")).expect("it listens");
    let first = UnixStream::connect(&path).expect("there is room for one");
    let mut command = heirloom(&path);
    let (status, err) = run_within(SOON, command.args(["--timeout", "0.3", "status"]));
    assert!(status == Some(2) && err.contains("says nothing for 300ms"), "{status:?} {err}");
    drop(first);
}

/// It is silent for longer than the timeout, but for a heartbeat.
#[test]
fn a_restart_that_takes_its_time_is_waited_for() {
    let lab = Operated::with(20, |setup| setup.env("LAB_READY", "1500"));
    lab.break_programs("hang");
    let ran = lab.heirloom(&["--timeout", "0.4", "restart", "--fork-exec"]);
    assert_eq!(ran.status, Some(1), "{ran:?}");
    assert!(ran.err.contains("was not ready within 1.5s"), "{ran:?}");
    lab.mend_programs();
    let ran = lab.heirloom(&["--timeout", "0", "restart", "--fork-exec"]);
    assert!(ran.status == Some(0) && ran.out.starts_with("generation 1"), "{ran:?}");
}

/// A heartbeat comes while there is something to wait for, and is no part of the reply.
#[test]
fn a_heartbeat_is_asked_for() {
    let lab = Operated::with(60_000, |setup| setup);
    let mut control = Control::connect(&lab.control()).expect("it is there");
    assert_eq!(control.ask("heartbeat 0.02"), ["ok: every 20ms while a request waits"]);
    control.send("restart fork\n");
    wait_for("the new one to serve", || newcomer(&lab).generation == 1);
    let mut beats = [0; 6];
    control.stream.read_exact(&mut beats).expect("heartbeats in time");
    assert_eq!(&beats, b"#\n#\n#\n");
    lab.request("rollback");
    let reply = control.reply();
    let of_reply = reply.iter().find(|line| *line != "#").expect("a reply");
    assert!(of_reply.contains("rolled back"), "{reply:?}");
    // Nothing waits, so nothing beats.
    assert!(control.ask("help")[0].starts_with("ok: status"));
}

/// A server of the test's own: it answers every connection with `answer`, and then does as `end` says.
fn pretend(path: &Path, answer: Vec<u8>, end: fn(UnixStream)) {
    let listener = UnixListener::bind(path).expect("a free path");
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a client");
            let _ = stream.read(&mut [0; 256]);
            let _ = stream.write_all(&answer);
            end(stream);
        }
    });
}

#[test]
fn a_reply_without_an_end_is_not_read_for_ever() {
    let dir = Dir::new();
    let (one_line, many) = (dir.path("one_line"), dir.path("many"));
    pretend(
        &one_line,
        b"ok: ".to_vec(),
        |mut stream| {
            while stream.write_all(&[b'x'; 4096]).is_ok() {}
        },
    );
    pretend(
        &many,
        b"ok: it\n".to_vec(),
        |mut stream| {
            while stream.write_all(b"goes on\n").is_ok() {}
        },
    );
    for path in [one_line, many] {
        let (status, err) = run_within(SOON, heirloom(&path).args(["restart"]));
        assert!(status == Some(2) && err.contains("the reply is too long"), "{status:?} {err}");
    }
}

/// A server from before there were heartbeats, and one that ends in the middle.
#[test]
fn a_server_that_knows_no_heartbeat_is_asked_all_the_same() {
    let dir = Dir::new();
    let (older, cut) = (dir.path("older"), dir.path("cut"));
    let answers = "error: \"heartbeat 2.500\" is no request; try help\n\nok: draining\n\n";
    pretend(&older, answers.into(), drop);
    let ran = run_to_end(heirloom(&older).arg("drain"));
    assert_eq!((ran.status.code(), &*ran.stdout), (Some(0), &b"draining\n"[..]), "{ran:?}");
    pretend(&cut, b"ok: a heartbeat\n\nok: drai".to_vec(), drop);
    let (status, err) = run_within(SOON, heirloom(&cut).arg("drain"));
    assert!(status == Some(2) && err.contains("ended before it had answered"), "{err}");
}

/// Runs it with a stdout whose reader has left.
fn without_reader(command: &mut Command) -> Output {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    command.stdout(writer).stderr(Stdio::piped()).output().expect("it runs")
}

fn a_reader_that_has_left_does_not_hide_what_was_done(engine: Engine) {
    let lab = Operated::with(20, |setup| setup);
    let flag = format!("--{}", engine.name());
    for args in [&["restart", &flag][..], &["status"], &["status", "--json"], &["--help"]] {
        let ran = without_reader(heirloom(&lab.control()).args(args));
        assert_eq!(ran.status.signal(), Some(Signal::SIGPIPE as i32), "{args:?}: {ran:?}");
        assert_eq!(String::from_utf8(ran.stderr).as_deref(), Ok(""), "{args:?}");
    }
    assert_eq!(newcomer(&lab).generation, 1);
}

#[test]
fn what_nobody_can_read_is_no_panic() {
    let lab = Operated::with(20, |setup| setup);
    // An error whose reader has left: the status is what there is to say.
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let status = heirloom(&lab.control()).arg("rollback").stderr(writer).status();
    assert_eq!(status.expect("it runs").code(), Some(1));
    // A disk that is full.
    let full = std::fs::File::options().write(true).open("/dev/full").expect("a device");
    let mut command = heirloom(&lab.control());
    let ran = command.arg("status").stdout(full).stderr(Stdio::piped()).output().expect("it runs");
    let err = String::from_utf8(ran.stderr).expect("text");
    assert!(ran.status.code() == Some(2) && err.contains("No space left"), "{err}");
}

#[test]
fn the_limits_of_clients_are_none_of_operators() {
    let lab = Operated::with(20, |setup| setup.env("LAB_OUTPUT", "10").env("LAB_CONNECTIONS", "2"));
    let mut client = lab.connect();
    client.send("who\n");
    // The answer is longer than the client may have queued.
    let mut control = Control::connect(&lab.control()).expect("it is there");
    assert_eq!(control.ask("status").len(), 2);
    // An operator's connection takes no client's place.
    let mut second = lab.connect();
    second.send("echo x\n");
    assert_eq!(second.line(), "x");
}
