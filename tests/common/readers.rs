//! Clients that are always in the middle of a reply, and compare every byte of it. Knows no restart, and not what is
//! between the bytes and the wire.

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

use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrIn, connect, setsockopt, socket,
    sockopt::{RcvBuf, TcpMaxSeg},
};

use super::{DEADLINE, Server, pattern};

const REPLY: u64 = 1024 * 1024;

/// A client reads this much at a time, and turns to the next.
pub const PIECE: usize = 8 * 1024;

const THREADS: usize = 4;

/// One end of a connection.
pub trait Speak: Read + Send {
    /// Says the rest of what was said by half, then all of `whole`, and a part of `half` at least.
    fn say(&mut self, whole: &str, half: &str);
}

impl Speak for TcpStream {
    fn say(&mut self, whole: &str, half: &str) {
        self.write_all(format!("{whole}{half}").as_bytes()).expect("the server takes it");
    }
}

/// A connection that always has a half-read reply, and behind it half a request.
struct Conn<S> {
    stream: S,
    seed: u64,
    position: u64,
}

impl<S: Speak> Conn<S> {
    fn begin(stream: S, seed: u64) -> Conn<S> {
        let mut conn = Conn { stream, seed, position: 0 };
        conn.stream.say(&format!("reply {REPLY} {seed}\n"), "reply 10");
        conn.step(true); // so it was accepted
        conn
    }

    /// Reads a piece, compares every byte, and asks for more at the end of a reply.
    fn step(&mut self, again: bool) -> usize {
        let (mut got, mut expected) = ([0; PIECE], [0; PIECE]);
        let room = (REPLY - self.position).min(PIECE as u64) as usize;
        let count = self.stream.read(&mut got[..room]).expect("a piece in time");
        assert!(count > 0, "the connection ended at {} of reply {}", self.position, self.seed);
        pattern::fill(self.seed, self.position, &mut expected[..count]);
        if got[..count] != expected[..count] {
            let at = (0..count).find(|&at| got[at] != expected[at]).expect("they differ");
            panic!("byte {} of reply {} is wrong", self.position + at as u64, self.seed);
        }
        self.position += count as u64;
        if self.position == REPLY && again {
            self.seed += 1_000_000;
            self.position = 0;
            self.stream.say(&format!("48576 {}\n", self.seed), "reply 10");
        }
        count
    }

    /// To the end of the reply; then what was begun behind it is ended, and nothing else is there.
    fn finish(mut self) {
        while self.position < REPLY {
            self.step(false);
        }
        self.stream.say("x\nclose\n", "");
        let mut rest = Vec::new();
        self.stream.read_to_end(&mut rest).expect("the end");
        assert_eq!(String::from_utf8_lossy(&rest), "", "reply {}", self.seed);
    }
}

/// A connection on which little is under way, so that most of a reply has to wait in the server: what
/// the kernel holds for a sender grows with the size of a segment, which is 64 KiB on the loopback.
pub fn connect_narrow(address: &str) -> TcpStream {
    let address: SocketAddrV4 = address.parse().expect("an address of digits");
    let (family, kind) = (AddressFamily::Inet, SockType::Stream);
    let socket = socket(family, kind, SockFlag::empty(), None).expect("a socket");
    setsockopt(&socket, TcpMaxSeg, &1000).expect("an option");
    setsockopt(&socket, RcvBuf, &(2 * PIECE)).expect("an option");
    connect(socket.as_raw_fd(), &SockaddrIn::from(address)).expect("the server accepts");
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(DEADLINE)).expect("a timeout");
    stream.set_write_timeout(Some(DEADLINE)).expect("a timeout");
    stream
}

/// Clients that read all the time.
pub struct Load {
    threads: Vec<JoinHandle<()>>,
    stop: Arc<AtomicBool>,
    bytes: Arc<AtomicU64>,
}

impl Load {
    /// Without anything between.
    pub fn start(server: &Server, count: usize) -> Load {
        Load::by(count, |_| connect_narrow(&server.address))
    }

    /// Over what `connect` makes, which is told how many there are before.
    pub fn by<S: Speak + 'static>(count: usize, connect: impl Fn(usize) -> S + Sync) -> Load {
        super::load::raise_file_limit().expect("room for the clients");
        let (stop, bytes) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let numbers: Vec<_> = (0..count).collect();
        let begin = |numbers: &[usize]| -> Vec<_> {
            numbers.iter().map(|&number| Conn::begin(connect(number), number as u64)).collect()
        };
        let shares: Vec<_> = thread::scope(|scope| {
            let shares = numbers.chunks(count.div_ceil(THREADS));
            let begun: Vec<_> = shares.map(|share| scope.spawn(|| begin(share))).collect();
            begun.into_iter().map(|share| share.join().expect("all are accepted")).collect()
        });
        let mut threads = Vec::new();
        for mut conns in shares {
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
    pub fn goes_on(&self, more: u64) {
        let until = self.bytes.load(Ordering::Relaxed) + more;
        super::wait_for("the load to go on", || {
            let failed = self.threads.iter().any(JoinHandle::is_finished);
            assert!(!failed, "a client has failed");
            self.bytes.load(Ordering::Relaxed) >= until
        });
    }

    pub fn stop(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads {
            thread.join().expect("no client has failed");
        }
        self.bytes.load(Ordering::Relaxed)
    }
}
