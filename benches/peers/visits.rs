//! Visits: connect, ask once, take the reply, leave.
//!
//! Not the load client of `examples/common`, which has a thread for each visit that is under way: these have one core
//! in common. Nor the clients of `load`, which stay.

use std::{
    io::{self, Read, Write},
    net::SocketAddr,
    time::{Duration, Instant},
};

use mio::{Events, Interest, Poll, Token, net::TcpStream};
use slab::Slab;

use crate::{common::process::Running, load::Outcome, work::Work};

/// A visit that takes longer has failed.
const PATIENCE: Duration = Duration::from_secs(2);

struct Open {
    stream: TcpStream,
    begun: Instant,
    asked: bool,
    reply: Vec<u8>,
}

/// All visits that have not ended.
pub struct Visitors {
    poll: Poll,
    events: Events,
    open: Slab<Open>,
    address: SocketAddr,
    work: Work,
    request: Vec<u8>,
}

impl Visitors {
    pub fn new(address: &str, work: Work) -> io::Result<Visitors> {
        Ok(Visitors {
            poll: Poll::new()?,
            events: Events::with_capacity(1024),
            open: Slab::new(),
            address: address.parse().map_err(io::Error::other)?,
            work,
            request: work.request(0, 0),
        })
    }

    pub fn len(&self) -> usize {
        self.open.len()
    }

    /// Begins one; whether that went well.
    pub fn begin(&mut self) -> bool {
        let entry = self.open.vacant_entry();
        let stream = TcpStream::connect(self.address).and_then(|mut stream| {
            let interest = Interest::READABLE | Interest::WRITABLE;
            self.poll.registry().register(&mut stream, Token(entry.key()), interest)?;
            Ok(stream)
        });
        let begun = Instant::now();
        let open = |stream| Open { stream, begun, asked: false, reply: Vec::new() };
        stream.map(|stream| entry.insert(open(stream))).is_ok()
    }

    /// Lets visits go on for at most so long; of each that has ended, whether all bytes were right.
    pub fn attend(&mut self, wait: Duration, mut ended: impl FnMut(bool)) -> io::Result<()> {
        self.poll.poll(&mut self.events, Some(wait))?;
        for event in &self.events {
            let number = event.token().0;
            let Some(visit) = self.open.get_mut(number) else { continue };
            let result = visit.go_on(self.work, &self.request);
            if let Some(is_right) = result.unwrap_or(Some(false)) {
                self.open.remove(number);
                ended(is_right);
            }
        }
        // Those that have taken too long end, too.
        self.open.retain(|_, visit| {
            let late = visit.begun.elapsed() > PATIENCE;
            if late {
                ended(false);
            }
            !late
        });
        Ok(())
    }
}

impl Open {
    /// `Some` when it has ended: whether all bytes were right.
    fn go_on(&mut self, work: Work, request: &[u8]) -> io::Result<Option<bool>> {
        if let Some(e) = self.stream.take_error()? {
            return Err(e);
        }
        if !self.asked {
            match self.stream.write(request) {
                Ok(count) if count == request.len() => self.asked = true,
                Ok(_) => return Err(io::ErrorKind::WriteZero.into()),
                Err(e) if is_early(&e) => return Ok(None),
                Err(e) => return Err(e),
            }
        }
        let mut buffer = [0; 4096];
        match self.stream.read(&mut buffer) {
            Ok(0) => Ok(Some(false)),
            Ok(count) => {
                self.reply.extend_from_slice(&buffer[..count]);
                Ok(self.verdict(work))
            }
            Err(e) if is_early(&e) => Ok(None),
            Err(e) => Err(e),
        }
    }

    fn verdict(&self, work: Work) -> Option<bool> {
        let whole = match work {
            Work::Http => {
                return self
                    .reply
                    .ends_with(b"world\n")
                    .then(|| work.check_sample(&self.reply).is_some());
            }
            _ => work.reply(0, 0, &[]),
        };
        (self.reply.len() >= whole.len()).then(|| self.reply == whole)
    }
}

fn is_early(e: &io::Error) -> bool {
    matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::NotConnected)
}

/// Churn: so many visitors at a time, each followed by the next.
pub fn churn(
    server: &Running,
    work: Work,
    at_a_time: usize,
    time: Duration,
) -> io::Result<Outcome> {
    let mut visitors = Visitors::new(&server.address, work)?;
    let (begun, cpu) = (Instant::now(), server.cpu_time());
    let mut outcome = Outcome::default();
    while begun.elapsed() < time {
        while visitors.len() < at_a_time {
            if !visitors.begin() {
                outcome.broken += 1;
                break;
            }
        }
        visitors.attend(Duration::from_millis(20), |is_right| {
            outcome.requests += u64::from(is_right);
            outcome.broken += u64::from(!is_right);
        })?;
    }
    outcome.time = begun.elapsed();
    outcome.cpu = server.cpu_time().saturating_sub(cpu);
    Ok(outcome)
}
