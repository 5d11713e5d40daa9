//! Not a byte is lost, repeated or swapped, however often connections move in the middle of everything,
//! and whenever the new process is killed before it serves.
//!
//! A client here is always in the middle of a reply, and never where one of `common::load` would stop to compare.

mod common;
#[path = "../examples/lab/pattern.rs"]
mod pattern;

use std::{
    io::{Read, Write},
    net::{SocketAddrV4, TcpStream},
    os::fd::AsRawFd,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
};

use common::{DEADLINE, Dir, Server};
use nix::sys::{
    signal::Signal,
    socket::{
        AddressFamily, SockFlag, SockType, SockaddrIn, connect, setsockopt, socket,
        sockopt::{RcvBuf, TcpMaxSeg},
    },
};

const REPLY: u64 = 1024 * 1024;

/// A client reads this much at a time, and turns to the next.
const PIECE: usize = 8 * 1024;

const THREADS: usize = 4;

/// A connection that always has a half-read reply, and behind it half a request.
struct Conn {
    stream: TcpStream,
    seed: u64,
    position: u64,
}

impl Conn {
    fn connect(address: &str, seed: u64) -> Conn {
        let stream = connect_narrow(address);
        stream.set_read_timeout(Some(DEADLINE)).expect("a timeout");
        stream.set_write_timeout(Some(DEADLINE)).expect("a timeout");
        let mut conn = Conn { stream, seed, position: 0 };
        conn.say(&format!("reply {REPLY} {seed}\nreply 10"));
        conn.step(true); // so it was accepted
        conn
    }

    fn say(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).expect("the server takes it");
    }

    /// Reads a piece, compares every byte, and asks for more at the end of a reply.
    fn step(&mut self, again: bool) -> usize {
        let (mut got, mut expected) = ([0; PIECE], [0; PIECE]);
        let room = (REPLY - self.position).min(PIECE as u64) as usize;
        let count = self.stream.read(&mut got[..room]).expect("a piece in time");
        assert!(count > 0, "the connection ended at {} of reply {}", self.position, self.seed);
        pattern::fill(self.seed, self.position, &mut expected[..count]);
        if let Some(at) = (0..count).find(|&at| got[at] != expected[at]) {
            panic!("byte {} of reply {} is wrong", self.position + at as u64, self.seed);
        }
        self.position += count as u64;
        if self.position == REPLY && again {
            self.seed += 1_000_000;
            self.position = 0;
            self.say(&format!("48576 {}\nreply 10", self.seed));
        }
        count
    }

    /// To the end of the reply; then what was begun behind it is ended, and nothing else is there.
    fn finish(mut self) {
        while self.position < REPLY {
            self.step(false);
        }
        self.say("x\nclose\n");
        let mut rest = Vec::new();
        self.stream.read_to_end(&mut rest).expect("the end");
        assert_eq!(String::from_utf8_lossy(&rest), "", "reply {}", self.seed);
    }
}

/// A connection on which little is under way, so that most of a reply has to wait in the server: what
/// the kernel holds for a sender grows with the size of a segment, which is 64 KiB on the loopback.
fn connect_narrow(address: &str) -> TcpStream {
    let address: SocketAddrV4 = address.parse().expect("an address of digits");
    let (family, kind) = (AddressFamily::Inet, SockType::Stream);
    let socket = socket(family, kind, SockFlag::empty(), None).expect("a socket");
    setsockopt(&socket, TcpMaxSeg, &1000).expect("an option");
    setsockopt(&socket, RcvBuf, &(2 * PIECE)).expect("an option");
    connect(socket.as_raw_fd(), &SockaddrIn::from(address)).expect("the server accepts");
    TcpStream::from(socket)
}

/// Clients that read all the time.
struct Load {
    threads: Vec<JoinHandle<()>>,
    stop: Arc<AtomicBool>,
    bytes: Arc<AtomicU64>,
}

impl Load {
    fn start(server: &Server, count: usize) -> Load {
        common::load::raise_file_limit().expect("room for the clients");
        let (stop, bytes) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let mut conns: Vec<_> =
            (0..count).map(|seed| Conn::connect(&server.address, seed as u64)).collect();
        let share = count.div_ceil(THREADS);
        let mut threads = Vec::new();
        while !conns.is_empty() {
            let mut conns = conns.split_off(conns.len().saturating_sub(share));
            let (stop, bytes) = (Arc::clone(&stop), Arc::clone(&bytes));
            threads.push(thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    for conn in &mut conns {
                        bytes.fetch_add(conn.step(true) as u64, Ordering::Relaxed);
                    }
                }
                // The others have been compared so far; these show that the end is there, too.
                conns.into_iter().step_by(40).for_each(Conn::finish);
            }));
        }
        Load { threads, stop, bytes }
    }

    /// Waits until so many bytes more were read.
    fn goes_on(&self, more: u64) {
        let until = self.bytes.load(Ordering::Relaxed) + more;
        common::wait_for("the load to go on", || {
            let failed = self.threads.iter().any(JoinHandle::is_finished);
            assert!(!failed, "a client has failed");
            self.bytes.load(Ordering::Relaxed) >= until
        });
    }

    fn stop(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads {
            thread.join().expect("no client has failed");
        }
        self.bytes.load(Ordering::Relaxed)
    }
}

fn engine(round: usize) -> Signal {
    [Signal::SIGHUP, Signal::SIGUSR2][round % 2]
}

#[test]
fn a_thousand_connections_move_twenty_times_and_no_byte_is_wrong() {
    let count = 1000;
    let server = Server::of("lab")
        .arg("--move")
        .env("LAB_PROBATION", 0)
        .env("LAB_MAX_DOWNTIME", 10_000)
        .start();
    let load = Load::start(&server, count);
    load.goes_on(count as u64 * PIECE as u64);
    for round in 0..20 {
        server.restart(engine(round));
        load.goes_on(4 * 1024 * 1024);
    }
    let bytes = load.stop();
    assert!(bytes > 20 * 4 * 1024 * 1024);
    assert_eq!(server.count_lines(&format!("moved: {count} connections, 0 stay")), 20);
}

/// Wherever it is killed before it has said that it serves, the old one goes on with every connection.
#[test]
fn a_new_process_that_is_killed_before_it_serves_takes_no_byte_along() {
    let dir = Dir::new();
    let fault = dir.path("fault");
    let server = Server::of("lab")
        .arg("--move")
        .env("LAB_PROBATION", 0)
        .env("LAB_MAX_DOWNTIME", 10_000)
        .env("HEIRLOOM_FAULT", fault.display())
        .start();
    let load = Load::start(&server, 200);
    load.goes_on(200 * PIECE as u64);
    let mut killed = 0;
    for round in 0..3 {
        for (signal, steps) in [
            (Signal::SIGHUP, &["NewMade", "NewClaimed", "NewReady", "NewReleased"][..]),
            (Signal::SIGUSR2, &["NewClaimed", "NewTaken", "NewReady", "NewReleased"]),
        ] {
            for step in steps {
                let old = server.pid();
                std::fs::write(&fault, format!("{step} die")).expect("a file");
                server.signal(signal);
                killed += 1;
                server.wait_lines("ERROR: restart", killed);
                load.goes_on(1024 * 1024);
                assert_eq!(server.pid(), old, "{signal} {step}");
            }
        }
        server.restart(engine(round));
        load.goes_on(1024 * 1024);
    }
    load.stop();
    assert_eq!(server.count_lines("moved: 200 connections, 0 stay"), 3);
}
