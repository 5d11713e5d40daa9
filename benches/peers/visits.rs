//! Visits: connect, ask once, take the reply, leave. Used for churn, and while a server is restarted.
//!
//! Not the load client of `examples/common`, which has a thread for each visit that is under way: visits begin when
//! they are due, however many have not ended, on the one core that the load has. Nor the clients of `load`, which
//! stay, and know each byte before: in a restart the reply may be another generation's, which names itself.

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

/// How one visit ended.
#[derive(Clone, Copy, Debug)]
pub struct Visit {
    /// When it was due to begin.
    pub due: Instant,
    pub took: Duration,
    pub failed: bool,
}

struct Open {
    stream: TcpStream,
    due: Instant,
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

    /// Begins one; what is wrong with it at once is told as its end.
    pub fn begin(&mut self, due: Instant) -> Option<Visit> {
        let entry = self.open.vacant_entry();
        let stream = TcpStream::connect(self.address).and_then(|mut stream| {
            let interest = Interest::READABLE | Interest::WRITABLE;
            self.poll.registry().register(&mut stream, Token(entry.key()), interest)?;
            Ok(stream)
        });
        match stream {
            Ok(stream) => drop(entry.insert(Open { stream, due, asked: false, reply: Vec::new() })),
            Err(_) => return Some(Visit { due, took: due.elapsed(), failed: true }),
        }
        None
    }

    /// Lets visits go on for at most so long; tells of those that have ended.
    pub fn attend(&mut self, wait: Duration, mut ended: impl FnMut(Visit)) -> io::Result<()> {
        self.poll.poll(&mut self.events, Some(wait))?;
        let now = Instant::now();
        for event in &self.events {
            let number = event.token().0;
            let Some(visit) = self.open.get_mut(number) else { continue };
            let result = visit.go_on(self.work, &self.request);
            if let Some(is_right) = result.unwrap_or(Some(false)) {
                let visit = self.open.remove(number);
                ended(Visit { due: visit.due, took: now - visit.due, failed: !is_right });
            }
        }
        Ok(())
    }

    /// Ends those that have taken too long.
    pub fn give_up(&mut self, mut ended: impl FnMut(Visit)) {
        self.open.retain(|_, visit| {
            let took = visit.due.elapsed();
            let late = took > PATIENCE;
            if late {
                ended(Visit { due: visit.due, took, failed: true });
            }
            !late
        });
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
            if visitors.begin(Instant::now()).is_some() {
                outcome.broken += 1;
                break;
            }
        }
        let mut count = |visit: Visit| {
            outcome.requests += u64::from(!visit.failed);
            outcome.broken += u64::from(visit.failed);
        };
        visitors.attend(Duration::from_millis(20), &mut count)?;
        visitors.give_up(&mut count);
    }
    outcome.time = begun.elapsed();
    outcome.cpu = server.cpu_time().saturating_sub(cpu);
    Ok(outcome)
}
