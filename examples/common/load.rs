//! The load client: opens, asks, compares every byte that comes back, and counts failures by kind. Waits for
//! nothing without a deadline. Knows no protocol but lines, and nothing of restarts.
//!
//! Included by `examples/demo`, by `tests/common` (its `churn` comes and goes, and `tests/capacity.rs` stays), and by
//! `tests/load.rs`, which shows that each failure is counted as what it is. The dashboard, the benchmarks, and tests that lead a conversation have clients of other sorts: each says why.

use std::{
    io::{self, ErrorKind, Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Stories of failures that are kept, each once: the first ones tell most.
const STORIES: usize = 8;

/// What can go wrong for a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Nobody listens.
    Refused,
    /// The connection was torn down.
    Reset,
    /// The connection ended before the answer did.
    Short,
    /// A byte that should not be there, or an answer from a process that should not answer.
    Wrong,
    /// The deadline has passed.
    TimedOut,
    /// This side could not even try: no port, no descriptor.
    Local,
}

impl Kind {
    pub const ALL: [(Kind, &str); 6] = [
        (Kind::Refused, "refused"),
        (Kind::Reset, "reset"),
        (Kind::Short, "short"),
        (Kind::Wrong, "wrong"),
        (Kind::TimedOut, "timed out"),
        (Kind::Local, "not tried"),
    ];
}

/// A failure and its story.
#[derive(Debug)]
pub struct Failure {
    pub kind: Kind,
    pub why: String,
    /// Of which connection: when it was begun, and which process has answered on it.
    pub on: Option<(Instant, Option<i32>)>,
}

impl Failure {
    fn new(kind: Kind, why: impl Into<String>) -> Failure {
        Failure { kind, why: why.into(), on: None }
    }

    pub fn wrong(why: impl Into<String>) -> Failure {
        Failure::new(Kind::Wrong, why)
    }

    /// What the system said while the client was about to do `what`.
    fn io(what: &str, e: &io::Error) -> Failure {
        let kind = match e.kind() {
            ErrorKind::ConnectionRefused => Kind::Refused,
            ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted | ErrorKind::BrokenPipe => {
                Kind::Reset
            }
            ErrorKind::NotConnected => Kind::Reset, // a reset that came before a shutdown
            ErrorKind::WouldBlock | ErrorKind::TimedOut => Kind::TimedOut,
            ErrorKind::UnexpectedEof => Kind::Short, // of TLS: a FIN, and no end before it
            ErrorKind::InvalidData => Kind::Wrong,   // the same: not what was agreed on
            _ => Kind::Local,
        };
        match kind {
            Kind::TimedOut => Failure::new(kind, format!("{what}: not within the deadline")),
            _ => Failure::new(kind, format!("{what}: {e}")),
        }
    }
}

/// What has failed, by kind, and the first failures in words.
#[derive(Debug, Default)]
pub struct Tally {
    counts: [u64; Kind::ALL.len()],
    /// Each with how long after the start it happened.
    pub stories: Vec<(Duration, String)>,
}

impl Tally {
    pub fn fail(&mut self, failure: &Failure, after: Duration) {
        self.counts[failure.kind as usize] += 1;
        self.story(&failure.why, after);
    }

    /// Keeps a line for the end, `after` the start.
    pub fn story(&mut self, text: &str, after: Duration) {
        if self.stories.len() < STORIES && self.stories.iter().all(|(_, known)| known != text) {
            self.stories.push((after, text.to_owned()));
        }
    }

    pub fn count(&self, kind: Kind) -> u64 {
        self.counts[kind as usize]
    }

    /// With the names of the kinds.
    pub fn by_kind(&self) -> impl Iterator<Item = (&'static str, u64)> {
        Kind::ALL.iter().map(|&(kind, name)| (name, self.count(kind)))
    }

    pub fn total(&self) -> u64 {
        self.counts.iter().sum()
    }
}

/// What carries the bytes of a client: TCP, or something on it.
pub trait Wire: Read + Write + Send {
    /// For its timeouts.
    fn tcp(&self) -> &TcpStream;
    /// Says that no more will come.
    fn finish(&mut self) -> io::Result<()>;
}

impl Wire for TcpStream {
    fn tcp(&self) -> &TcpStream {
        self
    }

    fn finish(&mut self) -> io::Result<()> {
        self.shutdown(Shutdown::Write)
    }
}

/// A connection. Each step has to be done by the given deadline.
pub struct Client {
    stream: Box<dyn Wire>,
    begun: Instant,
    /// The process that has answered, where answers tell.
    pub home: Option<i32>,
    /// What has arrived of the answer.
    input: Vec<u8>,
}

impl Client {
    pub fn connect(address: SocketAddr, until: Instant) -> Result<Client, Failure> {
        Client::connect_by(address, until, |tcp| Ok(Box::new(tcp)))
    }

    /// The same by something that is put on the connection first.
    pub fn connect_by(
        address: SocketAddr,
        until: Instant,
        put_on: impl FnOnce(TcpStream) -> io::Result<Box<dyn Wire>>,
    ) -> Result<Client, Failure> {
        let begun = Instant::now();
        let tcp = TcpStream::connect_timeout(&address, left(until))
            .map_err(|e| Failure::io("connect", &e))?;
        let stream = tcp
            .set_read_timeout(Some(left(until)))
            .and_then(|()| tcp.set_write_timeout(Some(left(until))))
            .and_then(|()| put_on(tcp))
            .map_err(|e| Failure { on: Some((begun, None)), ..Failure::io("begin", &e) })?;
        Ok(Client { stream, begun, home: None, input: Vec::new() })
    }

    pub fn ask(&mut self, request: &[u8], until: Instant) -> Result<(), Failure> {
        self.input.clear();
        self.stream
            .tcp()
            .set_write_timeout(Some(left(until)))
            .and_then(|()| self.stream.write_all(request))
            .map_err(|e| self.failed("ask", &e))
    }

    /// Reads the answer, which is one line of hardly more than `longest` bytes; it comes without its end.
    pub fn line(&mut self, longest: usize, until: Instant) -> Result<&[u8], Failure> {
        let end = loop {
            let seen = self.input.len();
            self.read_more(until)?;
            if let Some(at) = self.input[seen..].iter().position(|&byte| byte == b'\n') {
                break seen + at;
            }
            if seen > longest {
                return Err(Failure::wrong("an answer without an end"));
            }
        };
        match self.input.len() - (end + 1) {
            0 => Ok(&self.input[..end]),
            more => Err(Failure::wrong(format!("{more} bytes after the answer"))),
        }
    }

    /// Reads the answer where it is known before, and compares it byte by byte.
    pub fn expect(&mut self, answer: &[u8], until: Instant) -> Result<(), Failure> {
        while self.input.len() < answer.len() && answer.starts_with(&self.input) {
            self.read_more(until)?;
        }
        let differ = self.input.iter().zip(answer).position(|(got, expected)| got != expected);
        match (differ, self.input.len().saturating_sub(answer.len())) {
            (None, 0) => Ok(()),
            (None, more) => Err(Failure::wrong(format!("{more} bytes after the answer"))),
            (Some(at), _) => Err(Failure::wrong(format!("byte {at} of the answer is wrong"))),
        }
    }

    /// How many bytes of the answer have arrived.
    pub fn received(&self) -> usize {
        self.input.len()
    }

    /// Says goodbye.
    pub fn shut(&mut self) -> Result<(), Failure> {
        self.stream.finish().map_err(|e| self.failed("finish", &e))
    }

    /// Sees to it that the server says goodbye: its FIN comes, and nothing before it.
    pub fn end(mut self, until: Instant) -> Result<(), Failure> {
        match self.read(until)? {
            0 => Ok(()),
            more => Err(Failure::wrong(format!("{more} bytes that nobody asked for"))),
        }
    }

    /// Says goodbye, and sees to it that the server does too.
    pub fn finish(mut self, until: Instant) -> Result<(), Failure> {
        self.shut()?;
        self.end(until)
    }

    /// Adds what has arrived to the answer, which is not at its end yet.
    fn read_more(&mut self, until: Instant) -> Result<(), Failure> {
        if self.read(until)? > 0 {
            return Ok(());
        }
        let why = format!("the answer ended after {} bytes", self.input.len());
        Err(self.located(Failure::new(Kind::Short, why)))
    }

    /// Adds what has arrived to the input; zero at the server's FIN.
    fn read(&mut self, until: Instant) -> Result<usize, Failure> {
        let mut chunk = [0; 16 * 1024];
        let count = self
            .stream
            .tcp()
            .set_read_timeout(Some(left(until)))
            .and_then(|()| self.stream.read(&mut chunk))
            .map_err(|e| self.failed("read", &e))?;
        self.input.extend_from_slice(&chunk[..count]);
        Ok(count)
    }

    fn failed(&self, what: &str, e: &io::Error) -> Failure {
        self.located(Failure::io(what, e))
    }

    /// Says which connection it was.
    fn located(&self, failure: Failure) -> Failure {
        Failure { on: Some((self.begun, self.home)), ..failure }
    }
}

/// Raises the limit on open files, which is often a thousand, as far as it goes, and answers it: each client has one.
pub fn raise_file_limit() -> nix::Result<u64> {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).map(|()| hard)
}

/// The time that is left. Never none at all, which the system calls would take for no time-out.
fn left(until: Instant) -> Duration {
    until.saturating_duration_since(Instant::now()).max(Duration::from_millis(1))
}
