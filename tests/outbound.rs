//! Connections that the server makes: limited per destination, given up in time, tried again with
//! patience, and at a restart like all others.

use std::{
    io::{BufRead, BufReader, ErrorKind, Write},
    net::{Shutdown, TcpListener, TcpStream},
    time::{Duration, Instant},
};

use crate::common::{
    Client, DEADLINE, Server, fill_queue,
    ports::DeadPort,
    restart::{Engine, Lab},
    wait_for, wait_gone,
};
use heirloom::{
    Alarm, Backoff, ConnId, Connection, Net, Origin, Reason, Result, Service, Start,
    testing::Harness,
};

for_both_engines!(
    a_dialed_connection_stays_with_the_old_process_until_it_ends,
    a_dialed_connection_that_moves_still_counts_for_its_destination,
    the_new_process_counts_its_own_connections,
);

/// Somebody to be dialed, who can ask the lab like any client of it.
struct Target {
    listener: TcpListener,
    address: String,
}

impl Target {
    fn new() -> Target {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("its number").to_string();
        Target { listener, address }
    }

    /// Has the lab dial it.
    fn dialed_by(&self, client: &mut Client) -> TcpStream {
        let answer = client.ask(&format!("dial {}", self.address));
        assert_eq!(answer, format!("dialed {}", self.address));
        let (stream, _) = self.listener.accept().expect("a connection");
        stream.set_read_timeout(Some(DEADLINE)).expect("a timeout");
        stream
    }
}

fn ask(mut stream: &TcpStream, line: &str) -> String {
    stream.write_all(format!("{line}\n").as_bytes()).expect("it takes it");
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer).expect("an answer");
    answer.trim_end().to_owned()
}

fn a_dialed_connection_stays_with_the_old_process_until_it_ends(engine: Engine) {
    let lab = Lab::start();
    let (old, target) = (lab.pid(), Target::new());
    let mut client = lab.connect();
    let stream = target.dialed_by(&mut client);
    let new = lab.restart_by(engine);
    assert_eq!(ask(&stream, "who").split(' ').nth(1), Some(&*old.to_string()));
    // A process that drains may still dial for those whom it serves.
    let second = target.dialed_by(&mut client);
    assert_eq!(ask(&second, "who").split(' ').nth(1), Some(&*old.to_string()));
    drop((client, second));
    assert_eq!(ask(&stream, "echo still here"), "still here");
    stream.shutdown(Shutdown::Both).expect("connected");
    wait_gone(old);
    assert_eq!(lab.connect().who().pid, new);
}

fn a_dialed_connection_that_moves_still_counts_for_its_destination(engine: Engine) {
    let lab = Lab::with(|setup| setup.env("LAB_MOVE", 1).env("LAB_PER_DESTINATION", 2));
    let target = Target::new();
    let mut client = lab.connect();
    let streams = [target.dialed_by(&mut client), target.dialed_by(&mut client)];
    for _ in 0..2 {
        let new = lab.restart_by(engine);
        assert_eq!(ask(&streams[0], "who").split(' ').nth(1), Some(&*new.to_string()));
        let dial = format!("dial {}", target.address);
        assert_eq!(client.ask(&dial), "dial failed: quota exceeded");
    }
    let [first, _second] = streams;
    drop(first);
    wait_for("its end", || client.ask("closes").contains("peer closed"));
    target.dialed_by(&mut client);
}

fn the_new_process_counts_its_own_connections(engine: Engine) {
    let lab = Lab::with(|setup| setup.env("LAB_PER_DESTINATION", 1));
    let target = Target::new();
    let mut early = lab.connect();
    let _stream = target.dialed_by(&mut early);
    lab.restart_by(engine);
    let mut late = lab.connect();
    let _second = target.dialed_by(&mut late);
    for client in [&mut early, &mut late] {
        let answer = client.ask(&format!("dial {}", target.address));
        assert_eq!(answer, "dial failed: quota exceeded");
    }
}

#[test]
fn one_more_than_a_destination_may_have_is_refused_and_others_are_not() {
    let server = Server::of("lab").env("LAB_PER_DESTINATION", 3).start();
    let (target, other) = (Target::new(), Target::new());
    let mut client = server.connect();
    let mut streams: Vec<_> = (0..3).map(|_| target.dialed_by(&mut client)).collect();
    let dial = format!("dial {}", target.address);
    assert_eq!(client.ask(&dial), "dial failed: quota exceeded");
    let _stream = other.dialed_by(&mut client);
    // Each that ends makes room for one.
    for round in 1..=2 {
        drop(streams.pop());
        wait_for("its end", || client.ask("closes").matches("peer closed").count() == round);
        streams.push(target.dialed_by(&mut client));
        assert_eq!(client.ask(&dial), "dial failed: quota exceeded");
    }
    // So does one that never stood.
    let nobody = format!("unix:{}", server.dir.path("nobody").display());
    for _ in 0..5 {
        assert_eq!(client.ask(&format!("dial {nobody}")), "dial failed: entity not found");
    }
    let dead = DeadPort::new();
    for _ in 0..5 {
        assert_eq!(
            client.ask(&format!("dial {}", dead.address)),
            "dial failed: connection refused"
        );
    }
}

#[test]
fn a_dial_is_given_up_after_the_time_that_was_set() {
    let server = Server::of("lab").env("LAB_DIAL", 300).env("LAB_PER_DESTINATION", 1).start();
    let target = Target::new();
    let _queued = fill_queue(&target.listener);
    let mut client = server.connect();
    // The second one finds that the first has given its place back.
    for _ in 0..2 {
        let begun = Instant::now();
        assert_eq!(client.ask(&format!("dial {}", target.address)), "dial failed: timed out");
        assert!(begun.elapsed() >= Duration::from_millis(300), "after {:?}", begun.elapsed());
    }
}

/// Keeps one connection to somebody.
struct Keeper {
    backoff: Backoff,
    tries: u64,
}

const UPSTREAM: &str = "192.0.2.1:80";

impl Keeper {
    fn new() -> Keeper {
        let backoff = Backoff::seeded(Duration::from_secs(1), Duration::from_secs(8), 7);
        Keeper { backoff, tries: 0 }
    }

    fn dial(&mut self, net: &mut Net) {
        self.tries += 1;
        net.dial(UPSTREAM, self.tries).expect("an address");
    }
}

impl Service for Keeper {
    type Session = ();

    fn on_start(&mut self, net: &mut Net, _start: Start) {
        self.dial(net);
    }

    fn on_open(&mut self, _conn: &mut Connection<'_>, _origin: Origin) -> Result {
        self.backoff.reset();
        Ok(())
    }

    fn on_data(&mut self, _conn: &mut Connection<'_>, _: &mut (), input: &[u8]) -> Result<usize> {
        Ok(input.len())
    }

    fn on_dial_failed(&mut self, net: &mut Net, _tag: u64, _why: std::io::Error) {
        net.set_alarm(Alarm(0), self.backoff.next_delay());
    }

    fn on_close(&mut self, net: &mut Net, _id: ConnId, _: (), _why: Reason) {
        net.set_alarm(Alarm(0), self.backoff.next_delay());
    }

    fn on_alarm(&mut self, net: &mut Net, _key: Alarm) {
        self.dial(net);
    }
}

#[test]
fn a_peer_that_is_not_there_is_tried_less_and_less_often_and_anew_when_it_was() {
    let mut harness = Harness::new(Keeper::new());
    let mut tag = 1;
    for seconds in [1, 2, 4, 8, 8, 8] {
        assert_eq!(harness.dialed(), [(UPSTREAM.to_owned(), tag)]);
        harness.refuse(tag, ErrorKind::ConnectionRefused);
        let half = Duration::from_millis(seconds * 500) - Duration::from_nanos(1);
        harness.advance(half);
        assert_eq!(harness.dialed(), [], "after half of {seconds} s");
        harness.advance(half + Duration::from_nanos(2));
        tag += 1;
    }
    assert_eq!(harness.dialed(), [(UPSTREAM.to_owned(), tag)]);
    let upstream = harness.connect_as(Origin::Dialed { tag });
    harness.finish(upstream);
    harness.advance(Duration::from_secs(1));
    assert_eq!(harness.dialed(), [(UPSTREAM.to_owned(), tag + 1)]);
}
