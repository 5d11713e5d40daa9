//! Silence has limits by direction, which a service may set for each connection at any time, and what follows is
//! its decision.

use std::{
    fs,
    io::Write,
    time::{Duration, Instant},
};

use crate::common::{
    self, Client, Server, Setup,
    restart::{Engine, Lab},
};
use heirloom::{
    ConnId, Connection, Direction, Idle, Net, Origin, Reason, Result, Service, Timeouts,
    limits::{KEEP_ALIVE_IDLE, KEEP_ALIVE_INTERVAL},
    testing::Harness,
};

for_both_engines!(
    limits_of_a_listener_hold_for_who_has_moved,
    nobody_is_asked_twice_for_the_same_silence,
    what_is_set_and_how_long_it_was_silent_goes_along_and_back,
);

const LIMIT: Duration = Duration::from_millis(300);

/// A lab with one limit to silence, or several.
fn lab(limits: &[&str]) -> Setup {
    let limit = |setup: Setup, name: &&str| setup.env(&format!("LAB_{name}"), LIMIT.as_millis());
    // The line about an end comes with the close of its socket, which waits for the peer's FIN.
    limits.iter().fold(Server::of("lab").env("LAB_CLOSE", 50), limit)
}

/// A line of the lab about a silence: its direction, how long it was, and the limit.
fn told(line: &str) -> (String, Duration, Duration) {
    let words: Vec<_> = line.split(' ').collect();
    let [first, direction, silent, limit] = words[..] else { panic!("{line:?}") };
    assert_eq!(first, "idle", "{line:?}");
    let millis = |text: &str| Duration::from_millis(text.parse().expect("a number"));
    (direction.to_owned(), millis(silent), millis(limit))
}

/// Waits for the next line about a silence in `direction`, which is to be at least so long.
fn is_told(client: &mut Client, direction: &str, at_least: Duration) -> Duration {
    let line = client.line();
    let (told, silent, _) = told(&line);
    assert_eq!(told, direction, "{line}");
    assert!(silent >= at_least, "{line}, too early");
    silent
}

fn ends(client: &mut Client) {
    assert_eq!(client.read_to_end().expect("a FIN, not a reset"), b"");
}

#[test]
fn each_limit_ends_who_is_silent_and_says_so() {
    let words = [
        ("READ_IDLE", "nothing came for 0."),
        ("WRITE_IDLE", "nothing was sent for 0."),
        ("IDLE", "nothing came or was sent for 0."),
    ];
    for (name, words) in words {
        let server = lab(&[name]).start();
        let mut client = server.connect();
        let begun = Instant::now();
        assert_eq!(client.ask("echo hello"), "hello");
        ends(&mut client);
        assert!(begun.elapsed() >= LIMIT, "{:?}", begun.elapsed());
        let line = server.wait_line(words);
        assert!(line.contains("INFO") && line.contains("the limit is 300ms"), "{line}");
        let mut other = server.connect();
        let closes = other.ask("closes");
        assert!(closes.starts_with(&format!("idle timeout: {words}")), "{closes}");
        assert_eq!(common::stat(&mut other, "failed"), 0, "nothing has gone wrong");
    }
}

/// The other direction puts nothing off.
#[test]
fn each_direction_counts_by_itself() {
    let server = lab(&["READ_IDLE"]).start();
    let mut client = server.connect();
    for at in (100..=4000).step_by(100) {
        client.send(format!("arm {at} {at}\n")); // an answer then, without a request
    }
    let answers = client.read_to_end().expect("a FIN, not a reset");
    assert!(answers.iter().filter(|&&byte| byte == b'\n').count() < 40, "it was never silent");
    server.wait_line("nothing came for ");
    let server = lab(&["WRITE_IDLE"]).start();
    let mut client = server.connect();
    assert_eq!(client.ask("echo hello"), "hello");
    common::wait_for("the end of who says much and hears nothing", || {
        let _ = client.stream.write_all(b"x"); // no whole line, so there is no answer
        std::thread::sleep(LIMIT / 10);
        server.count_lines("nothing was sent for ") == 1
    });
}

#[test]
fn a_service_is_asked_after_each_period_until_a_byte_comes() {
    let server = lab(&["READ_IDLE"]).env("LAB_ASKS", 1).start();
    let mut client = server.connect();
    assert_eq!(client.ask("echo hello"), "hello");
    let mut periods = 0;
    for least in 1..=3 {
        let silent = is_told(&mut client, "read", LIMIT * least);
        assert!(silent.as_millis() / LIMIT.as_millis() > periods, "{silent:?}");
        periods = silent.as_millis() / LIMIT.as_millis();
    }
    assert_eq!(client.ask("echo hello"), "hello");
    let silent = is_told(&mut client, "read", LIMIT);
    assert!(silent < 3 * LIMIT, "{silent:?}, it begins anew");
}

/// What is sent begins the next period: a heartbeat.
#[test]
fn a_heartbeat_comes_when_nothing_else_was_sent() {
    let server = lab(&["WRITE_IDLE"]).env("LAB_ASKS", 1).start();
    let mut client = server.connect();
    for _ in 0..4 {
        let silent = is_told(&mut client, "write", LIMIT);
        assert!(silent < 3 * LIMIT, "{silent:?}"); // the fourth would be of 4 * LIMIT
    }
    client.send("pause 60000\n"); // nobody hears the client, but it hears the server
    is_told(&mut client, "write", LIMIT);
}

#[test]
fn a_connection_has_limits_of_its_own_from_the_moment_they_are_set() {
    let server = Server::of("lab").env("LAB_READ_IDLE", 600).start();
    let of_its_own = |limit: &str| {
        let mut client = server.connect();
        assert_eq!(client.ask(&format!("idle read {limit}")), "ok");
        client
    };
    let (mut never, mut other, begun) = (of_its_own("never"), of_its_own("never"), Instant::now());
    let mut later = of_its_own("1200");
    ends(&mut later);
    assert!(begun.elapsed() >= Duration::from_millis(1200), "{:?}", begun.elapsed());
    assert_eq!(never.ask("echo here"), "here");
    assert_eq!(never.ask("idle all 200"), "ok");
    ends(&mut never);
    assert_eq!(other.ask("echo here"), "here");
}

#[test]
fn after_the_peers_fin_nobody_waits_for_it_to_speak() {
    let server = Server::of("lab").env("LAB_READ_IDLE", 600).start();
    let mut client = server.connect();
    client.send("outlive-eof\narm 1300 7\n");
    assert_eq!(client.line(), "ok");
    client.finish();
    assert_eq!(client.line(), "eof");
    assert_eq!(client.line(), "timer 7", "it has waited for that");
}

/// It asks for much and reads it slowly, with a pause longer than the limit in between.
#[test]
fn who_reads_a_long_reply_slowly_is_not_idle() {
    let size = 30_000_000; // more than the sockets hold
    let server = lab(&["IDLE"]).env("LAB_WRITE", "never").env("LAB_OUTPUT", 2 * size).start();
    let mut clock = server.connect();
    assert_eq!(clock.ask("idle all never"), "ok");
    let mut client = server.connect();
    client.send(format!("burst {size}\n"));
    for _ in 0..4 {
        assert_eq!(clock.ask(&format!("alarm {}", 2 * LIMIT.as_millis())), "alarm");
        assert_eq!(client.read_exact(size / 4).len(), size / 4);
    }
    ends(&mut client);
}

fn limits_of_a_listener_hold_for_who_has_moved(engine: Engine) {
    let lab = Lab::with(|setup| {
        let setup = setup.env("LAB_MOVE", 1).env("LAB_LISTENER_IDLE", 700);
        setup.arg("--listen").arg("127.0.0.2:0")
    });
    let ready = lab.wait_line("ready: generation 0");
    let (_, addresses) = ready.split_once("listening on ").expect("addresses");
    let listeners = addresses.split(", ").take(2).map(|address| {
        let mut client = Client::connect(address);
        (client.ask("listener"), client)
    });
    let listeners: Vec<_> = listeners.collect();
    assert_eq!(listeners.len(), 2, "{ready}");
    lab.restart_by(engine);
    for (listener, mut client) in listeners {
        match &listener[..] {
            "Some(1)" => ends(&mut client),
            _ => assert_eq!(client.ask("echo here"), "here"),
        }
    }
    lab.wait_line("the limit is 700ms");
}

fn what_is_set_and_how_long_it_was_silent_goes_along_and_back(engine: Engine) {
    let lab = Lab::with(|setup| {
        let setup = setup.env("LAB_MOVE", 1).env("LAB_ASKS", 1).env("LAB_READ_IDLE", 60_000);
        setup.env("LAB_PROBATION", 60_000).env("LAB_IDLE", 60_000)
    });
    let (old, mut client, mut other) = (lab.pid(), lab.connect(), lab.connect());
    client.ask("idle write never");
    client.ask("idle read 2400");
    let begun = Instant::now();
    let limits = client.ask("timeouts");
    assert!(limits.contains("read_idle: Some(2.4s)"), "{limits}");
    assert_eq!(other.ask("alarm 1200"), "alarm");
    lab.signal(engine.signal());
    lab.wait_line("ready: generation 1");
    assert_ne!(other.who().pid, old);
    assert_eq!(other.ask("roll-back unfit"), "ok");
    common::wait_for("the old one to serve", || other.who().pid == old);
    let silent = is_told(&mut client, "read", Duration::from_millis(2400));
    let waited = begun.elapsed(); // it would be 3600 ms and more if it had begun anew
    assert!((2400..3500).contains(&waited.as_millis()), "{waited:?}: {silent:?}");
    assert_eq!(client.ask("timeouts"), limits);
}

/// It was told before the restart, and a further period has not passed.
fn nobody_is_asked_twice_for_the_same_silence(engine: Engine) {
    let lab =
        Lab::with(|setup| setup.env("LAB_MOVE", 1).env("LAB_ASKS", 1).env("LAB_READ_IDLE", 1500));
    let mut client = lab.connect();
    client.who();
    let first = is_told(&mut client, "read", Duration::from_millis(1500));
    let new = lab.restart_by(engine);
    let second = is_told(&mut client, "read", first + Duration::from_millis(1490));
    assert!(second < first + Duration::from_millis(2900), "{first:?}, then {second:?}");
    assert_eq!(client.who().pid, new);
}

/// The rows of `/proc/net/tcp` of connections that have this end, with what their timers do.
fn timers(local: u16, remote: u16) -> Vec<(String, Duration)> {
    let table = fs::read_to_string("/proc/net/tcp").expect("proc");
    let rows = table.lines().skip(1).map(|line| line.split_whitespace().collect::<Vec<_>>());
    let ends_in = |address: &str, port: u16| address.ends_with(&format!(":{port:04X}"));
    let rows = rows.filter(|row| ends_in(row[1], local) && ends_in(row[2], remote));
    rows.map(|row| {
        let (kind, ticks) = row[5].split_once(':').expect("a timer");
        let ticks = u64::from_str_radix(ticks, 16).expect("a time");
        (kind.to_owned(), Duration::from_millis(10 * ticks)) // USER_HZ is 100 everywhere
    })
    .collect()
}

/// `02` is the timer of `SO_KEEPALIVE` (see `proc_net_tcp.txt` in the kernel's documentation), both ways.
#[test]
fn a_peer_that_is_gone_is_asked_for_by_tcp() {
    let server = Server::of("lab").start();
    let upstream = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let there = upstream.local_addr().expect("its address").port();
    let mut client = server.connect();
    let answer = client.ask(&format!("dial 127.0.0.1:{there}"));
    assert_eq!(answer, format!("dialed 127.0.0.1:{there}"));
    let (stream, _) = upstream.accept().expect("it has come");
    let port = |address: &str| address.rsplit(':').next().unwrap().parse().expect("a port");
    let own = client.stream.local_addr().expect("its address");
    let accepted = (port(&server.address), port(&own.to_string()));
    let dialed = (stream.peer_addr().expect("its address").port(), there);
    for (local, remote) in [accepted, dialed] {
        // What is not acknowledged yet has a timer of its own before.
        common::wait_for("a timer of the right kind", || {
            let timers = timers(local, remote);
            let [(kind, time)] = &timers[..] else { panic!("{timers:?}") };
            kind == "02" && (KEEP_ALIVE_INTERVAL..=KEEP_ALIVE_IDLE).contains(time)
        });
    }
}

// In memory, where time is the test's.

/// Does what a line of two words says, and notes what it is told.
#[derive(Default)]
struct Told {
    idle: Vec<(Direction, u64, u64)>,
    closed: Vec<String>,
    /// What `on_idle` does, but for noting it.
    then: &'static str,
    /// Whether a connection waits from the beginning on.
    waits: bool,
}

impl Service for Told {
    type Session = ();

    fn on_open(&mut self, conn: &mut Connection<'_>, _origin: Origin) -> Result {
        if self.waits {
            conn.pause();
        }
        Ok(())
    }

    fn on_data(&mut self, conn: &mut Connection<'_>, _: &mut (), input: &[u8]) -> Result<usize> {
        match input {
            b"long reply" => conn.send(&[0; 100_000]),
            b"end" => conn.shutdown_write(),
            _ => {}
        }
        Ok(input.len())
    }

    fn on_idle(&mut self, conn: &mut Connection<'_>, _: &mut (), idle: Idle) -> Result {
        self.idle.push((idle.direction, idle.silent.as_secs(), idle.limit.as_secs()));
        match self.then {
            "goodbye" => {
                conn.send(b"goodbye");
                conn.close();
            }
            "ping" => conn.send(b"ping"),
            "fail" => return Err("as told".into()),
            "panic" => panic!("as told"),
            _ => {}
        }
        Ok(())
    }

    fn on_close(&mut self, _net: &mut Net, _id: ConnId, _: (), why: Reason) {
        self.closed.push(why.to_string());
    }
}

const SECOND: Duration = Duration::from_secs(1);

fn harness(timeouts: Timeouts, then: &'static str) -> Harness<Told> {
    Harness::new(Told { then, ..Told::default() }).timeouts(timeouts).catch_panics()
}

#[test]
fn limits_come_in_their_order_and_again() {
    let timeouts = Timeouts::new().first_message(None);
    let timeouts = timeouts.read_idle(2 * SECOND).write_idle(3 * SECOND).all_idle(5 * SECOND);
    let mut harness = harness(timeouts, "");
    harness.connect();
    harness.advance(7 * SECOND);
    use Direction::{All, Read, Write};
    let expected = [(Read, 2, 2), (Write, 3, 3), (Read, 4, 2), (All, 5, 5), (Read, 6, 2)];
    assert_eq!(harness.service().idle[..5], expected);
    assert_eq!(harness.service().idle[5..], [(Write, 6, 3)]);
}

/// Its own words make the silence of a service end, and not that of its peer.
#[test]
fn a_ping_is_no_answer() {
    let timeouts = Timeouts::new().first_message(None).read_idle(10 * SECOND);
    let mut harness = harness(timeouts, "ping");
    let peer = harness.connect();
    harness.advance(30 * SECOND);
    let silent: Vec<_> = harness.service().idle.iter().map(|&(_, silent, _)| silent).collect();
    assert_eq!(silent, [10, 20, 30]);
    assert_eq!(harness.take(peer), b"pingpingping");
}

#[test]
fn what_on_idle_does_is_the_reason_that_is_told() {
    for (then, reason) in [
        ("goodbye", "idle timeout: nothing came for 10.000s, the limit is 10s"),
        ("fail", "failed: as told"),
        ("panic", "panicked: on_idle: as told"),
    ] {
        let mut harness = harness(Timeouts::new().first_message(None).read_idle(10 * SECOND), then);
        let peer = harness.connect();
        harness.advance(10 * SECOND);
        let closed = &harness.service().closed;
        assert!(closed.len() == 1 && closed[0].starts_with(reason), "{closed:?}");
        assert!(harness.is_closed(peer) && !harness.is_reset(peer));
        let goodbye = if then == "goodbye" { &b"goodbye"[..] } else { b"" };
        assert_eq!(harness.take(peer), goodbye);
    }
}

/// Neither reads: the one takes its reply slowly, the other is paused.
#[test]
fn who_is_not_listened_to_has_the_whole_time_afterwards() {
    let timeouts = Timeouts::new().write_stall(None).read_idle(10 * SECOND);
    let mut harness = harness(timeouts, "");
    let peer = harness.connect();
    harness.set_window(peer, 1000);
    harness.feed(peer, b"long reply");
    harness.advance(100 * SECOND);
    assert_eq!(harness.service().idle, []);
    assert_eq!(harness.take(peer).len(), 100_000);
    harness.advance(9 * SECOND);
    assert_eq!(harness.service().idle, []);
    let id = harness.id(peer);
    harness.net().get(id).expect("a connection").pause();
    harness.advance(100 * SECOND);
    assert_eq!(harness.service().idle, []);
    harness.net().get(id).expect("a connection").resume();
    harness.advance(9 * SECOND);
    assert_eq!(harness.service().idle, []);
    harness.advance(SECOND);
    assert_eq!(harness.service().idle, [(Direction::Read, 10, 10)]);
}

/// Paused until an upstream was there, and not heard before.
#[test]
fn a_first_message_has_its_time_from_when_it_is_read() {
    let mut harness = Harness::new(Told { waits: true, ..Told::default() });
    let peer = harness.connect();
    harness.advance(60 * SECOND);
    let id = harness.id(peer);
    harness.net().get(id).expect("a connection").resume();
    harness.advance(9 * SECOND);
    assert_eq!(harness.service().closed, [""; 0]);
    harness.advance(SECOND);
    assert_eq!(harness.service().closed, ["no first message in time"]);
}

/// Who has said that it sends no more is not late with it.
#[test]
fn after_our_fin_only_the_peers_silence_counts() {
    let timeouts = Timeouts::new().write_idle(5 * SECOND).read_idle(20 * SECOND);
    let mut harness = harness(timeouts, "");
    let peer = harness.connect();
    harness.feed(peer, b"end");
    harness.advance(20 * SECOND);
    assert_eq!(harness.service().idle, []); // a peer answers our FIN with its own
    let silent = harness.connect_silent();
    harness.feed(silent, b"end");
    harness.advance(20 * SECOND);
    assert_eq!(harness.service().idle, [(Direction::Read, 20, 20)]);
}

/// A limit that is set counts from then, however long it has been silent.
#[test]
fn a_limit_that_is_set_late_counts_from_then() {
    let mut harness = harness(Timeouts::new().first_message(None), "");
    let peer = harness.connect();
    harness.advance(100 * SECOND);
    let id = harness.id(peer);
    harness.net().get(id).expect("a connection").set_read_idle(10 * SECOND);
    harness.advance(9 * SECOND);
    assert_eq!(harness.service().idle, []);
    harness.net().get(id).expect("a connection").set_read_idle(10 * SECOND); // no other one
    harness.advance(SECOND);
    assert_eq!(harness.service().idle, [(Direction::Read, 110, 10)]);
}

/// The time that connections have stands still in a move; what was told and what is set is in their records.
#[test]
fn it_goes_along_to_another_program() {
    struct Next;
    impl Service for Next {
        type Session = ();
        fn on_open(&mut self, _conn: &mut Connection<'_>, _origin: Origin) -> Result {
            Ok(())
        }
        fn on_data(&mut self, _: &mut Connection<'_>, _: &mut (), input: &[u8]) -> Result<usize> {
            Ok(input.len())
        }
        fn import(&mut self, _conn: &mut Connection<'_>, _saved: &[u8]) -> Result {
            Ok(())
        }
        fn on_idle(&mut self, conn: &mut Connection<'_>, _: &mut (), idle: Idle) -> Result {
            conn.send(format!("{:?} {:?}", idle.direction, idle.silent).as_bytes());
            Ok(())
        }
    }
    struct First;
    impl Service for First {
        type Session = ();
        fn on_open(&mut self, conn: &mut Connection<'_>, _origin: Origin) -> Result {
            let own = conn.timeouts().first_message(None).read_idle(10 * SECOND);
            conn.set_timeouts(own);
            Ok(())
        }
        fn on_data(&mut self, _: &mut Connection<'_>, _: &mut (), input: &[u8]) -> Result<usize> {
            Ok(input.len())
        }
        fn export(&self, _session: &()) -> Option<Vec<u8>> {
            Some(Vec::new())
        }
        fn on_idle(&mut self, _conn: &mut Connection<'_>, _: &mut (), _idle: Idle) -> Result {
            Ok(())
        }
    }
    let mut first = Harness::new(First);
    let peer = first.connect();
    first.advance(14 * SECOND); // told at ten
    let mut next = first.restart(Next).expect("a restart");
    next.advance(5 * SECOND);
    assert_eq!(next.take(peer), b"");
    next.advance(SECOND);
    assert_eq!(next.take(peer), b"Read 20s");
}

/// What `main` says of all is said in the next program as well.
#[test]
fn the_limits_of_all_hold_after_a_restart_in_memory() {
    struct Quiet;
    impl Service for Quiet {
        type Session = ();
        fn on_open(&mut self, _conn: &mut Connection<'_>, _origin: Origin) -> Result {
            Ok(())
        }
        fn on_data(&mut self, _: &mut Connection<'_>, _: &mut (), input: &[u8]) -> Result<usize> {
            Ok(input.len())
        }
        fn export(&self, _session: &()) -> Option<Vec<u8>> {
            Some(Vec::new())
        }
        fn import(&mut self, _conn: &mut Connection<'_>, _saved: &[u8]) -> Result {
            Ok(())
        }
    }
    let limit = |seconds| Timeouts::new().first_message(None).all_idle(seconds * SECOND);
    let mut harness = Harness::new(Quiet).timeouts(limit(10));
    let peer = harness.connect();
    let mut harness = harness.restart(Quiet).expect("a restart");
    harness.advance(9 * SECOND);
    assert!(!harness.is_closed(peer));
    harness.advance(SECOND);
    assert!(harness.is_closed(peer));
    // One that is there already has what is said later.
    let mut harness = Harness::new(Quiet).timeouts(limit(1000));
    let peer = harness.connect();
    let mut harness = harness.timeouts(limit(10));
    harness.advance(10 * SECOND);
    assert!(harness.is_closed(peer));
}
