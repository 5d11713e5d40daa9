//! Established connections go to the new process as they are, whatever state they are in, under both
//! engines; and whatever cannot go stays where it is.

use std::{
    io::{BufRead, BufReader, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    os::unix::net::UnixStream,
    time::{Duration, Instant},
};

use crate::common::{self, Client, DEADLINE, Dir, Server, Setup, pattern};
use nix::sys::signal::Signal;

const BOTH: [Signal; 2] = [Signal::SIGHUP, Signal::SIGUSR2];

/// A lab whose connections move, and whose new sides prove themselves at once.
fn lab() -> Setup {
    Server::of("lab").arg("--move").env("LAB_PROBATION", 0).env("LAB_IDLE", 600_000)
}

/// The pid that answers.
fn pid(client: &mut Client) -> i32 {
    let who = client.ask("who");
    who.split(' ').nth(1).and_then(|pid| pid.parse().ok()).unwrap_or_else(|| panic!("{who:?}"))
}

/// Reads `count` bytes of a pattern from `position` on, and compares each.
fn read_pattern(client: &mut Client, seed: u64, position: u64, count: usize) {
    let mut expected = vec![0; count];
    pattern::fill(seed, position, &mut expected);
    let got = client.read_exact(count);
    if let Some(at) = (0..count).find(|&at| got[at] != expected[at]) {
        panic!("byte {} of {count} from {position} on is wrong", at);
    }
}

#[test]
fn half_a_request_is_answered_by_the_new_process() {
    let server = lab().start();
    let mut client = server.connect();
    let id = client.ask("id");
    for (round, signal) in BOTH.into_iter().cycle().take(6).enumerate() {
        client.send("ec");
        let new = server.restart(signal);
        client.send(format!("ho {round}\nwho\nid\n"));
        assert_eq!(client.line(), round.to_string());
        assert_eq!(client.line().split(' ').nth(1), Some(new.to_string().as_str()));
        assert_eq!(client.line(), id, "the name of a connection does not change");
    }
}

#[test]
fn a_reply_that_is_half_read_goes_on() {
    let server = lab().start();
    let mut client = server.connect();
    client.send("reply 3000000 7\n");
    read_pattern(&mut client, 7, 0, 1000);
    let mut position = 1000;
    for signal in BOTH.into_iter().cycle().take(4) {
        server.restart(signal);
        read_pattern(&mut client, 7, position, 500_000);
        position += 500_000;
    }
    read_pattern(&mut client, 7, position, 3_000_000 - position as usize);
    client.ask("echo x");
}

/// All of it is queued, so all of it travels.
#[test]
fn a_megabyte_that_is_queued_travels() {
    let server = lab().start();
    let mut client = server.connect();
    client.send("burst 10000000\n");
    client.read_exact(1000);
    for signal in BOTH {
        server.restart(signal);
    }
    assert!(client.read_exact(9_999_000).iter().all(|&byte| byte == b'x'));
    assert_eq!(client.ask("echo x"), "x");
}

#[test]
fn a_client_that_has_sent_its_fin_is_still_answered() {
    for signal in BOTH {
        let server = lab().start();
        let (mut client, mut other) = (server.connect(), server.connect());
        client.ask("outlive-eof");
        client.ask("keep-id");
        client.finish();
        assert_eq!(client.line(), "eof");
        server.restart(signal);
        assert_eq!(other.ask("tell hello"), "told", "an id in the service's state leads there");
        assert_eq!(client.line(), "hello", "and on_eof does not come again");
    }
}

#[test]
fn a_client_that_was_sent_our_fin_is_still_heard() {
    for signal in BOTH {
        let server = lab().start();
        let (mut client, mut other) = (server.connect(), server.connect());
        client.send("fin\n");
        assert_eq!(client.read_to_end().expect("a FIN"), b"");
        server.restart(signal);
        assert_eq!(other.ask("tell x"), "nobody");
        client.send("keep-id\n");
        common::wait_for("the client to be heard", || other.ask("tell x") == "told");
    }
}

/// The child has to send it: the parent was forked before it did.
#[test]
fn a_fin_in_the_turn_of_the_fork_is_sent() {
    for engine in ["fork", "exec"] {
        let server = lab().start();
        let mut client = server.connect();
        client.send(format!("fin\nrestart {engine}\n"));
        assert_eq!(client.read_to_end().expect("a FIN"), b"");
        server.wait_line("restart: done");
    }
}

#[test]
fn a_deferred_reply_comes_from_the_new_process() {
    for signal in BOTH {
        let server = lab().start();
        let (mut client, mut other) = (server.connect(), server.connect());
        client.send("wait\necho behind\n");
        other.ask("echo x"); // so that the other one was read, too
        server.restart(signal);
        assert_eq!(other.ask("answer now"), "ok");
        assert_eq!((client.line(), client.line()), ("now".to_owned(), "behind".to_owned()));
    }
}

#[test]
fn a_timer_has_the_time_that_was_left_and_runs_out_once() {
    for signal in BOTH {
        let server = lab().start();
        let mut client = server.connect();
        let begun = Instant::now();
        client.send("arm 1500\n");
        assert_eq!(client.ask("echo x"), "x");
        server.restart(signal);
        assert!(begun.elapsed() < Duration::from_millis(1400), "too slow to tell");
        assert_eq!(client.line(), "timer");
        let took = begun.elapsed();
        assert!((1450..3000).contains(&took.as_millis()), "{took:?}");
        client.send("alarm 100\n");
        assert_eq!(client.line(), "alarm", "and no timer again");
    }
}

/// A connection that says nothing is closed that long after its last word, whoever has it then.
#[test]
fn the_idle_timeout_counts_through_a_move() {
    for signal in BOTH {
        let server = lab().env("LAB_IDLE", 2000).start();
        let (mut idle, mut busy) = (server.connect(), server.connect());
        assert_eq!(idle.ask("echo x"), "x");
        let begun = Instant::now();
        busy.send("alarm 1000\n");
        assert_eq!(busy.line(), "alarm");
        server.restart(signal);
        assert_eq!(idle.read_to_end().expect("a FIN"), b"");
        let took = begun.elapsed();
        assert!((1900..2900).contains(&took.as_millis()), "{took:?}");
    }
}

#[test]
fn a_connection_that_was_dialed_goes_along() {
    for signal in BOTH {
        let server = lab().start();
        let upstream = TcpListener::bind("127.0.0.1:0").expect("a port");
        let mut client = server.connect();
        let address = upstream.local_addr().expect("its address");
        assert_eq!(client.ask(&format!("dial {address}")), format!("dialed {address}"));
        let (stream, _) = upstream.accept().expect("it has come");
        let new = server.restart(signal);
        let mut lines = BufReader::new(stream.try_clone().expect("a second handle"));
        (&stream).write_all(b"who\n").expect("the server takes it");
        stream.set_read_timeout(Some(DEADLINE)).expect("a timeout");
        let mut line = String::new();
        lines.read_line(&mut line).expect("a line");
        assert!(line.contains(&new.to_string()), "{line:?}");
    }
}

/// A queue that is full: the SYN of a dial is dropped, and sent again a second later.
#[test]
fn a_dial_that_is_under_way_is_finished_by_the_new_process() {
    use nix::sys::socket::{Backlog, listen};
    for signal in BOTH {
        let server = lab().start();
        let upstream = TcpListener::bind("127.0.0.1:0").expect("a port");
        listen(&upstream, Backlog::new(0).expect("a length")).expect("a shorter queue");
        let address: SocketAddr = upstream.local_addr().expect("its address");
        let _filler = TcpStream::connect(address).expect("one fits");
        let (mut client, mut other) = (server.connect(), server.connect());
        client.send(format!("dial {address}\n"));
        other.ask("echo x");
        server.restart(signal);
        upstream.accept().expect("the filler");
        let (_stream, _) = upstream.accept().expect("the dial");
        assert_eq!(client.line(), format!("dialed {address}"));
    }
}

#[test]
fn a_client_that_has_just_come_goes_along() {
    for signal in BOTH {
        let server = lab().start();
        let mut other = server.connect();
        other.ask("echo x");
        let mut client = server.connect();
        let new = server.restart(signal);
        assert_eq!(pid(&mut client), new);
        assert_eq!(pid(&mut other), new);
    }
}

#[test]
fn a_unix_socket_keeps_the_credentials_of_its_peer() {
    for signal in BOTH {
        let dir = Dir::new();
        let path = dir.path("socket");
        let server = lab().listen(format!("unix:{}", path.display())).start();
        let mut stream = UnixStream::connect(&path).expect("the server accepts");
        stream.set_read_timeout(Some(DEADLINE)).expect("a timeout");
        let mut lines = BufReader::new(stream.try_clone().expect("a second handle")).lines();
        let mut ask = |request: &str| {
            stream.write_all(request.as_bytes()).expect("the server takes it");
            lines.next().expect("a line").expect("in time")
        };
        let before = ask("peer\n");
        assert!(before.contains(&format!("pid={}", std::process::id())), "{before}");
        let new = server.restart(signal);
        assert_eq!(ask("peer\n"), before);
        assert!(ask("who\n").contains(&new.to_string()));
    }
}

/// And are served to their end there.
#[test]
fn those_that_do_not_move_stay_behind() {
    for (signal, how) in [(BOTH[0], "stay"), (BOTH[1], "stay"), (BOTH[1], "no-export")] {
        let mut server = lab().start();
        let old = server.pid();
        let (mut stays, mut goes) = (server.connect(), server.connect());
        assert_eq!(stays.ask(how), "ok");
        goes.ask("echo x");
        let new = server.restart(signal);
        assert_eq!((pid(&mut stays), pid(&mut goes)), (old, new), "{signal} {how}");
        stays.send("reply 1000000 3\n");
        read_pattern(&mut stays, 3, 0, 1_000_000);
        assert_eq!(pid(&mut goes), new);
        stays.finish();
        assert_eq!(stays.read_to_end().expect("a FIN"), b"");
        assert!(server.wait_exit().success());
        assert_eq!(pid(&mut goes), new);
    }
}

#[test]
fn a_session_that_is_not_imported_ends_and_no_other() {
    let server = lab().start();
    let (mut refused, mut other) = (server.connect(), server.connect());
    refused.ask("no-import");
    other.ask("echo x");
    let new = server.restart(Signal::SIGUSR2);
    assert_eq!(refused.read_to_end().expect("a FIN"), b"");
    server.wait_line("lab: not imported, as told");
    assert_eq!(pid(&mut other), new);
}

/// The reason is told, the old process serves on as if nothing had been, and the next restart is good.
#[test]
fn a_state_that_is_not_taken_over_changes_nothing() {
    for (fault, reason) in
        [("no-load", "lab: not loaded, as told"), ("no-save", "lab: not saved, as told")]
    {
        let server = lab().start();
        let old = server.pid();
        let (mut client, mut slow) = (server.connect(), server.connect());
        slow.send("reply 1000000 5\n");
        read_pattern(&mut slow, 5, 0, 10);
        assert_eq!(client.ask(fault), "ok");
        for round in 1..=3 {
            client.send("ech");
            server.signal(Signal::SIGUSR2);
            server.wait_lines(reason, round);
            client.send("o x\n");
            assert_eq!(client.line(), "x");
            assert_eq!(pid(&mut client), old);
        }
        assert_eq!(client.ask("load"), "ok");
        let new = server.restart(Signal::SIGUSR2);
        assert_eq!(pid(&mut client), new);
        read_pattern(&mut slow, 5, 10, 999_990);
    }
}

#[test]
fn a_new_process_without_room_for_the_connections_is_given_up() {
    let dir = Dir::new();
    let broken = dir.path("broken");
    let server = lab().env("LAB_BROKEN", broken.display()).start();
    let old = server.pid();
    let mut clients: Vec<_> = (0..200).map(|_| server.connect()).collect();
    for client in &mut clients {
        assert_eq!(client.ask("echo x"), "x");
        client.send("echo ha");
    }
    std::fs::write(&broken, "fds").expect("a file");
    server.signal(Signal::SIGUSR2);
    server.wait_line("no room for the descriptors");
    for client in &mut clients {
        client.send("lf\n");
        assert_eq!(client.line(), "half");
    }
    assert_eq!(pid(&mut clients[0]), old);
    std::fs::remove_file(&broken).expect("the file");
    let new = server.restart(Signal::SIGUSR2);
    assert!(clients.iter_mut().all(|client| pid(client) == new));
}

/// Program versions 1 and 2 know each other's sessions, but for a field; 3 reads them and they do not
/// read 3.
#[test]
fn old_and_new_programs_take_over_from_each_other_as_far_as_they_can() {
    let dir = Dir::new();
    let format = dir.path("format");
    let version = |number: u32| std::fs::write(&format, number.to_string()).expect("a file");
    version(1);
    let server = lab().env("LAB_FORMAT", format.display()).start();
    let mut client = server.connect();
    client.send("reply 1000000 9\n");
    read_pattern(&mut client, 9, 0, 100);
    let mut other = server.connect();
    let upgrade = |number, client: &mut Client| {
        version(number);
        client.send("ech");
        let pid = server.restart(Signal::SIGUSR2);
        client.send("o x\nformat\n");
        assert_eq!((client.line(), client.line()), ("x".to_owned(), number.to_string()));
        pid
    };
    upgrade(2, &mut other);
    assert_eq!(other.ask("note kept"), "ok");
    let mut pid_now = upgrade(2, &mut other);
    assert_eq!(other.ask("noted"), "kept");
    for number in [1, 2, 3] {
        pid_now = upgrade(number, &mut other); // version 1 forgets the note
        assert_eq!(other.ask("noted"), "");
    }
    for number in [2, 1] {
        version(number);
        server.signal(Signal::SIGUSR2);
        server.wait_line(&format!("written in format 3, read by {number}"));
        assert_eq!(pid(&mut other), pid_now);
        assert_eq!(other.ask("format"), "3");
    }
    upgrade(3, &mut other);
    read_pattern(&mut client, 9, 100, 999_900);
}

/// In the process that had it last; the others hear nothing of it.
#[test]
fn every_end_is_told_once_over_the_whole_chain() {
    let server = lab().env("RUST_LOG", "debug").start();
    let mut clients: Vec<_> = (0..50).map(|_| server.connect()).collect();
    let mut ended = 0;
    for signal in BOTH.into_iter().cycle().take(6) {
        server.restart(signal);
        for _ in 0..5 {
            let mut client = clients.pop().expect("one is left");
            assert_eq!(client.ask("echo x"), "x");
            client.finish();
            assert_eq!(client.read_to_end().expect("a FIN"), b"");
            ended += 1;
        }
        let last = clients.last_mut().expect("one is left");
        common::wait_for("five ends", || last.ask("closes").split(',').count() == 5);
    }
    server.wait_lines("DEBUG: close ", ended); // the log may be a moment behind
    assert_eq!(server.count_lines("DEBUG: close "), ended, "{}", server.log());
}

/// Nobody serves the connections meanwhile, so it must not take long.
#[test]
fn a_new_process_that_hangs_is_given_up_after_the_standstill() {
    for (signal, step) in [
        (BOTH[0], "NewClaimed"),
        (BOTH[1], "NewTaken"),
        (BOTH[0], "NewReleased"),
        (BOTH[1], "NewReleased"),
    ] {
        let dir = Dir::new();
        let fault = dir.path("fault");
        let server = lab()
            .env("HEIRLOOM_FAULT", fault.display())
            .env("LAB_MAX_DOWNTIME", 400)
            .env("LAB_READY", 60_000)
            .start();
        let mut client = server.connect();
        let old = pid(&mut client);
        std::fs::write(&fault, format!("{step} hang")).expect("a file");
        client.send("ech");
        server.signal(signal);
        server.wait_line("fault on request");
        client.send("o x\n");
        let begun = Instant::now();
        assert_eq!(client.line(), "x", "{signal} {step}");
        assert!(begun.elapsed() < Duration::from_secs(5), "{signal} {step}");
        assert_eq!(pid(&mut client), old);
        server.wait_line("within 400ms");
        let new = server.restart(signal);
        assert_eq!(pid(&mut client), new);
    }
}

#[test]
fn nothing_is_left_open_behind_a_connection_that_moves() {
    let server = lab().start();
    let mut client = server.connect();
    assert_eq!(client.ask("echo x"), "x");
    server.restart(Signal::SIGUSR2);
    server.wait_line("generation 0 is gone"); // and with it the link to it
    let before = client.ask("fds");
    for signal in BOTH.into_iter().cycle().take(4) {
        server.restart(signal);
    }
    server.wait_line("generation 4 is gone");
    common::wait_for("the fds of before", || client.ask("fds") == before);
    client.send("abort\n");
    assert_eq!(client.read_to_end().expect("nobody else has the socket"), b"");
}
