//! The load: clients that keep their connection, ask one thing after another through a balancer, and compare what comes back.

use std::{
    io::{self, BufRead, BufReader, ErrorKind, Write},
    net::{SocketAddr, TcpStream},
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    thread::{Scope, ScopedJoinHandle},
    time::{Duration, Instant},
};

use crate::{
    DEADLINE,
    tally::{Fate, Tally},
};

/// No answer takes longer, whatever is under way.
const PATIENCE: Duration = Duration::from_secs(10);

pub struct Load {
    targets: Vec<SocketAddr>,
    clients: usize,
    requests: u64,
    begun: AtomicU64,
    done: AtomicU64,
    /// Nothing more happens; and something has gone wrong with what was to happen.
    told: AtomicBool,
    failed: AtomicBool,
    /// What is under way; its names, and for each and each target what was seen.
    phase: AtomicUsize,
    phases: Mutex<Vec<(String, Vec<Tally>)>>,
}

impl Load {
    /// So many clients of each target ask until all is told, and for `requests` at least.
    pub fn begin(targets: &[SocketAddr], clients: usize, requests: u64) -> Load {
        let first = ("nothing happens".to_owned(), vec![Tally::default(); targets.len()]);
        Load {
            targets: targets.to_vec(),
            clients,
            requests,
            begun: AtomicU64::new(0),
            done: AtomicU64::new(0),
            told: AtomicBool::new(false),
            failed: AtomicBool::new(false),
            phase: AtomicUsize::new(0),
            phases: Mutex::new(vec![first]),
        }
    }

    pub fn spawn<'s>(&'s self, scope: &'s Scope<'s, '_>) -> Vec<ScopedJoinHandle<'s, ()>> {
        let each = (0..self.clients).flat_map(|_| 0..self.targets.len());
        each.map(|target| scope.spawn(move || self.ask_all(target))).collect()
    }

    /// From here on something else is under way.
    pub fn next(&self, name: &str) {
        let mut phases = self.phases.lock().expect("nobody panics with it");
        phases.push((name.to_owned(), vec![Tally::default(); self.targets.len()]));
        self.phase.store(phases.len() - 1, Relaxed);
    }

    /// Waits until this share of the load has gone by.
    pub fn wait_share(&self, part: u64, of: u64) -> io::Result<()> {
        self.wait_until(self.requests * part / of)
    }

    /// Waits until so much more of it has.
    pub fn wait_more(&self, part: u64, of: u64) -> io::Result<()> {
        self.wait_until(self.done.load(Relaxed) + self.requests * part / of)
    }

    fn wait_until(&self, until: u64) -> io::Result<()> {
        let (mut seen, mut since) = (0, Instant::now());
        while self.done.load(Relaxed) < until {
            let done = self.done.load(Relaxed);
            if done > seen {
                (seen, since) = (done, Instant::now());
            }
            if since.elapsed() > DEADLINE {
                return Err(io::Error::new(ErrorKind::TimedOut, "no request is answered any more"));
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        Ok(())
    }

    /// All is told, or nothing more can be.
    pub fn finish(&self, is_told: bool) {
        let flag = if is_told { &self.told } else { &self.failed };
        flag.store(true, Relaxed);
    }

    pub fn failures(&self) -> u64 {
        let phases = self.phases.lock().expect("nobody panics with it");
        phases.iter().flat_map(|(_, tallies)| tallies).map(Tally::failures).sum()
    }

    pub fn table(&self) -> String {
        let phases = self.phases.lock().expect("nobody panics with it");
        let names = ["haproxy", "nginx"];
        let head = format!("{:<44} {:<8}", "", "by");
        let mut text =
            format!("{head} {:>9} {:>9} {:>11} {:>7}\n", "requests", "POSTs", "slowest", "failed");
        let mut all = Tally::default();
        for (name, tallies) in phases.iter() {
            for (target, tally) in tallies.iter().enumerate() {
                text += &format!(
                    "{:<44} {:<8} {tally}\n",
                    if target == 0 { name } else { "" },
                    names[target]
                );
                all.add(tally);
            }
        }
        text + &format!("{:<44} {:<8} {all}\n", "all", "")
    }

    fn ask_all(&self, target: usize) {
        let mut connection = None;
        loop {
            let number = self.begun.fetch_add(1, Relaxed);
            let enough = self.told.load(Relaxed) && number >= self.requests;
            if enough || self.failed.load(Relaxed) {
                return;
            }
            let begun = Instant::now();
            let fate = match exchange(&mut connection, self.targets[target], number) {
                Ok(fate) => fate,
                Err(e) => {
                    connection = None;
                    match e.kind() {
                        ErrorKind::ConnectionRefused => Fate::Refused,
                        ErrorKind::WouldBlock | ErrorKind::TimedOut => Fate::TimedOut,
                        ErrorKind::InvalidData => Fate::Wrong,
                        _ => Fate::Cut,
                    }
                }
            };
            if fate == Fate::Refused {
                std::thread::sleep(Duration::from_millis(5)); // as a client that tries again would
            }
            let mut phases = self.phases.lock().expect("nobody panics with it");
            let (_, tallies) = &mut phases[self.phase.load(Relaxed)];
            tallies[target].count(fate, is_post(number), begun.elapsed());
            self.done.fetch_add(1, Relaxed);
        }
    }
}

fn is_post(number: u64) -> bool {
    number % 2 == 1
}

/// One request and its answer, over the connection that is there, or a new one. Nothing is repeated.
fn exchange(
    connection: &mut Option<BufReader<TcpStream>>,
    target: SocketAddr,
    number: u64,
) -> io::Result<Fate> {
    let mut reader = match connection.take() {
        Some(reader) => reader,
        None => {
            let stream = TcpStream::connect_timeout(&target, PATIENCE)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.set_nodelay(true)?;
            BufReader::new(stream)
        }
    };
    let body = format!("request {number} ").repeat(1 + (number % 31) as usize);
    let (request, expected) = match is_post(number) {
        true => (
            format!(
                "POST /echo HTTP/1.1\r\nHost: fleet\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            ),
            body,
        ),
        false => ("GET / HTTP/1.1\r\nHost: fleet\r\n\r\n".to_owned(), "hello, world\n".to_owned()),
    };
    reader.get_mut().write_all(request.as_bytes())?;
    let (status, answer, closes) = read_reply(&mut reader)?;
    if !closes {
        *connection = Some(reader);
    }
    Ok(match status {
        200 if answer == expected.as_bytes() => Fate::Answered,
        200 => Fate::Wrong,
        status => Fate::Status(status),
    })
}

/// The status, the body, and whether the connection ends behind it.
fn read_reply(reader: &mut impl BufRead) -> io::Result<(u16, Vec<u8>, bool)> {
    let wrong = |what: &str| io::Error::new(ErrorKind::InvalidData, what.to_owned());
    let (mut status, mut length, mut closes) = (None, None, false);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        let line = line.trim_end().to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        if status.is_none() {
            status = line.split(' ').nth(1).and_then(|status| status.parse().ok());
            status.ok_or_else(|| wrong("no status"))?;
        } else if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().ok();
        } else if line.starts_with("connection:") {
            closes |= line.contains("close");
        }
    }
    let mut body = Vec::new();
    match length {
        Some(length) => {
            body.resize(length, 0);
            reader.read_exact(&mut body)?;
        }
        None => {
            reader.read_to_end(&mut body)?; // a balancer's own word
            closes = true;
        }
    }
    Ok((status.unwrap_or_default(), body, closes))
}
