//! One connection of a client that checks everything and waits for nothing without a deadline. Knows
//! nothing of generations.

use std::{
    io::{self, ErrorKind, Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use crate::proof::{self, Answer};

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
    pub fn new(kind: Kind, why: impl Into<String>) -> Failure {
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
            _ => Kind::Local,
        };
        match kind {
            Kind::TimedOut => Failure::new(kind, format!("{what}: not within the deadline")),
            _ => Failure::new(kind, format!("{what}: {e}")),
        }
    }
}

/// A connection. Each step has to be done by the given deadline.
pub struct Client {
    stream: TcpStream,
    begun: Instant,
    /// The process that has answered.
    home: Option<i32>,
    /// What has arrived of the answer.
    input: Vec<u8>,
}

impl Client {
    pub fn connect(address: SocketAddr, until: Instant) -> Result<Client, Failure> {
        let begun = Instant::now();
        let stream = TcpStream::connect_timeout(&address, left(until))
            .map_err(|e| Failure::io("connect", &e))?;
        Ok(Client { stream, begun, home: None, input: Vec::new() })
    }

    pub fn ask(&mut self, nonce: u64, until: Instant) -> Result<(), Failure> {
        self.stream
            .set_write_timeout(Some(left(until)))
            .and_then(|()| self.stream.write_all(proof::request(nonce).as_bytes()))
            .map_err(|e| self.failure(Failure::io("ask", &e)))
    }

    /// Says which connection it was.
    fn failure(&self, failure: Failure) -> Failure {
        Failure { on: Some((self.begun, self.home)), ..failure }
    }

    /// Reads the answer to `nonce` and compares it byte by byte.
    pub fn hear(&mut self, nonce: u64, until: Instant) -> Result<Answer, Failure> {
        self.input.clear();
        let end = loop {
            let seen = self.input.len();
            if self.read(until)? == 0 {
                let had = self.input.len();
                let why = format!("the answer ended after {had} bytes");
                return Err(self.failure(Failure::new(Kind::Short, why)));
            }
            if let Some(at) = self.input[seen..].iter().position(|&byte| byte == b'\n') {
                break seen + at;
            }
            if seen > 2 * proof::MAX_LENGTH {
                return Err(Failure::wrong("an answer without an end"));
            }
        };
        let more = self.input.len() - (end + 1);
        if more > 0 {
            return Err(Failure::wrong(format!("{more} bytes after the answer")));
        }
        let answer = proof::check_answer(&self.input[..end], nonce).map_err(Failure::wrong)?;
        self.home = Some(answer.pid);
        Ok(answer)
    }

    /// Says goodbye, and sees to it that the server does too: its FIN comes, and nothing before it.
    pub fn finish(mut self, until: Instant) -> Result<(), Failure> {
        self.stream
            .shutdown(Shutdown::Write)
            .map_err(|e| self.failure(Failure::io("finish", &e)))?;
        match self.read(until)? {
            0 => Ok(()),
            more => Err(Failure::wrong(format!("{more} bytes that nobody asked for"))),
        }
    }

    /// Adds what has arrived to the input; zero at the server's FIN.
    fn read(&mut self, until: Instant) -> Result<usize, Failure> {
        let mut chunk = [0; 16 * 1024];
        let count = self
            .stream
            .set_read_timeout(Some(left(until)))
            .and_then(|()| self.stream.read(&mut chunk))
            .map_err(|e| self.failure(Failure::io("read", &e)))?;
        self.input.extend_from_slice(&chunk[..count]);
        Ok(count)
    }
}

/// The time that is left. Never none at all, which the system calls would take for no time-out.
fn left(until: Instant) -> Duration {
    until.saturating_duration_since(Instant::now()).max(Duration::from_millis(1))
}
