//! The load: clients that ask, wait for all that they asked for, and ask again. Counts every wrong byte.
//!
//! It is a closed loop: a server that takes longer is asked less often. What is compared is therefore
//! what a request costs the server; requests per second say how much it can do at most.
//!
//! Not the load client of `examples/common`, which waits for one connection at a time and sets a deadline before
//! each step: what can be done at most is for a loop that has all connections in one epoll set, and neither
//! allocates nor calls the system for anything but the bytes.

use std::{
    io,
    net::SocketAddr,
    ops::Range,
    sync::Arc,
    time::{Duration, Instant},
};

use mio::{Events, Interest, Poll, Token};
use tokio_rustls::rustls::ClientConfig;

use crate::{
    common::process::Running,
    secured::{Asked, Wire},
    work::Work,
};

/// Batches with different bytes that a client sends in turn, so that none can pass for the next.
const VARIANTS: usize = 4;

/// Before the first measurement.
const WARM_UP: Duration = Duration::from_millis(150);

/// After the last, for replies that are on their way.
const PATIENCE: Duration = Duration::from_secs(2);

/// The longest that a whole reply takes to come, when one is asked for by itself.
const REPLY: Duration = Duration::from_millis(200);

/// What is to be done.
#[derive(Clone, Debug)]
pub struct Load {
    pub work: Work,
    /// With TLS, if it is with that.
    pub tls: Option<Arc<ClientConfig>>,
    pub clients: usize,
    /// Requests that are sent in one go.
    pub depth: usize,
    /// With TLS, each request has a record of its own, as when several callers share a connection; otherwise all that are
    /// sent in one go have one.
    pub apart: bool,
    pub time: Duration,
}

/// What came of it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Outcome {
    pub requests: u64,
    pub time: Duration,
    /// Of the server.
    pub cpu: Duration,
    pub wrong_bytes: u64,
    /// Connections that broke, and replies that never came.
    pub broken: u64,
}

impl Outcome {
    pub fn per_second(&self) -> f64 {
        self.requests as f64 / self.time.as_secs_f64()
    }

    /// Microseconds of the server's core for each request.
    pub fn cost(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.requests.max(1) as f64
    }
}

struct Client {
    wire: Wire,
    /// Batches and what must come back.
    batches: Vec<(Vec<u8>, Vec<u8>)>,
    /// Which of them is on its way.
    turn: usize,
    /// As much goes into one record at the most.
    piece: usize,
    sent: usize,
    received: usize,
    alive: bool,
}

impl Client {
    fn batch(&self) -> &(Vec<u8>, Vec<u8>) {
        &self.batches[self.turn % self.batches.len()]
    }

    fn is_idle(&self) -> bool {
        self.received == self.batch().1.len()
    }

    fn begin(&mut self) {
        (self.turn, self.sent, self.received) = (self.turn + 1, 0, 0);
    }

    fn send(&mut self) -> io::Result<()> {
        while self.sent < self.batch().0.len() {
            let index = self.turn % self.batches.len();
            let rest = &self.batches[index].0[self.sent..];
            match self.wire.write(&rest[..rest.len().min(self.piece)]) {
                Ok(count) => self.sent += count,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(e) => return Err(e),
            }
        }
        match self.wire.flush() {
            Err(e) if e.kind() != io::ErrorKind::WouldBlock => Err(e),
            _ => Ok(()),
        }
    }

    /// Reads what is there; answers how many bytes of it are wrong.
    fn receive(&mut self, buffer: &mut [u8], clock: &Clock) -> io::Result<u64> {
        let mut wrong = 0;
        loop {
            match self.wire.read(buffer) {
                Ok((0, _)) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok((count, more)) => {
                    let expected = &self.batch().1[self.received..];
                    let compared = count.min(expected.len());
                    wrong += (count - compared) as u64; // more than was asked for
                    if buffer[..compared] != expected[..compared] {
                        wrong += clock.count_wrong(&buffer[..compared], expected, self.received);
                    }
                    self.received += compared;
                    if !more {
                        return Ok(wrong);
                    }
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(wrong),
                Err(e) => return Err(e),
            }
        }
    }
}

/// Where in each reply a clock is shown.
struct Clock {
    reply: usize,
    shown: Range<usize>,
}

impl Clock {
    fn count_wrong(&self, found: &[u8], expected: &[u8], start: usize) -> u64 {
        let differ = found.iter().zip(expected).enumerate().filter(|(_, (a, b))| a != b);
        differ.filter(|(at, _)| !self.shown.contains(&((start + at) % self.reply))).count() as u64
    }
}

/// Puts a server under load.
///
/// # Errors
/// When it does not accept, or what it answers is no reply at all.
pub fn run(server: &Running, load: Load) -> io::Result<Outcome> {
    if let Some(first) = load.work.first() {
        let all = Load { work: first, depth: 1, time: Duration::ZERO, ..load.clone() };
        Crowd::new(server, all)?.run(server)?;
    }
    Crowd::new(server, load)?.run(server)
}

/// All clients at work.
struct Crowd {
    load: Load,
    poll: Poll,
    clients: Vec<Client>,
    clock: Clock,
    buffer: Vec<u8>,
    outcome: Outcome,
}

impl Crowd {
    fn new(server: &Running, load: Load) -> io::Result<Crowd> {
        let sample = match load.work {
            Work::Http => match &load.tls {
                None => server.ask(&load.work.request(0, 0))?,
                Some(config) => {
                    let (address, request) = (&server.address, load.work.request(0, 0));
                    Asked::at(address, config, &request, usize::MAX, REPLY)?.reply
                }
            },
            _ => Vec::new(),
        };
        let shown = load.work.check_sample(&sample);
        let shown = shown.ok_or_else(|| io::Error::other("the sample is no reply"))?;
        let address: SocketAddr = server.address.parse().map_err(io::Error::other)?;
        let poll = Poll::new()?;
        let mut clients = Vec::new();
        for number in 0..load.clients {
            // One after another, so that the accept queue is never full.
            let mut wire = Wire::connect(address, load.tls.as_ref(), load.work.opening())?;
            let interest = Interest::READABLE | Interest::WRITABLE;
            poll.registry().register(&mut wire.socket, Token(number), interest)?;
            let batches = (0..VARIANTS).map(|variant| batch(&load, number, variant, &sample));
            let batches: Vec<_> = batches.collect();
            let received = batches[0].1.len(); // as if the first had been answered
            let whole = batches[0].0.len();
            let piece = if load.apart { whole / load.depth } else { whole };
            clients.push(Client { wire, batches, turn: 0, piece, sent: 0, received, alive: true });
        }
        let clock = Clock { reply: load.work.reply(0, 0, &sample).len(), shown };
        let outcome = Outcome::default();
        Ok(Crowd { load, poll, clients, clock, buffer: vec![0; 64 * 1024], outcome })
    }

    fn run(mut self, server: &Running) -> io::Result<Outcome> {
        let begun = Instant::now();
        let warm = begun + WARM_UP;
        let (mut from, mut end) = (None, warm + self.load.time);
        for number in 0..self.clients.len() {
            self.clients[number].begin();
            self.push(number);
        }
        let mut events = Events::with_capacity(1024);
        loop {
            self.poll.poll(&mut events, Some(Duration::from_millis(20)))?;
            let now = Instant::now();
            if from.is_none() && now >= warm {
                from = Some((now, server.cpu_time(), self.outcome.requests));
                end = now + self.load.time;
            }
            let go_on = now < end;
            if !go_on && self.outcome.time.is_zero() {
                let (start, cpu, requests) = from.unwrap_or((begun, Duration::ZERO, 0));
                self.outcome.cpu = server.cpu_time().saturating_sub(cpu);
                self.outcome.requests -= requests;
                self.outcome.time = (now - start).max(Duration::from_nanos(1));
            }
            for event in &events {
                self.attend(event.token().0, go_on);
            }
            let busy = |client: &Client| client.alive && !client.is_idle();
            if !go_on && !self.clients.iter().any(busy) {
                break;
            }
            if now > end + PATIENCE {
                self.outcome.broken +=
                    self.clients.iter().filter(|client| busy(client)).count() as u64;
                break;
            }
        }
        Ok(self.outcome)
    }

    fn attend(&mut self, number: usize, go_on: bool) {
        let client = &mut self.clients[number];
        if !client.alive {
            return;
        }
        match client.receive(&mut self.buffer, &self.clock) {
            Ok(wrong) => self.outcome.wrong_bytes += wrong,
            Err(_) => return self.lose(number),
        }
        let client = &mut self.clients[number];
        if client.turn > 0 && client.is_idle() && client.sent == client.batch().0.len() {
            if self.outcome.time.is_zero() {
                self.outcome.requests += self.load.depth as u64;
            }
            if !go_on {
                return;
            }
            client.begin();
        }
        self.push(number);
    }

    fn push(&mut self, number: usize) {
        if self.clients[number].send().is_err() {
            self.lose(number);
        }
    }

    fn lose(&mut self, number: usize) {
        self.clients[number].alive = false;
        self.outcome.broken += 1;
    }
}

/// A batch of requests, and all their replies.
fn batch(load: &Load, client: usize, variant: usize, sample: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let turns = (0..load.depth).map(|at| variant * load.depth + at);
    turns.fold((Vec::new(), Vec::new()), |(mut requests, mut replies), turn| {
        requests.extend(load.work.request(client, turn));
        replies.extend(load.work.reply(client, turn, sample));
        (requests, replies)
    })
}
