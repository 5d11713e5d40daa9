//! The server of `demo --state` as a process: started, followed by its log, and told what to do by its control
//! socket. All its generations end with it.

use std::{
    env, fs,
    io::{self, BufRead, BufReader, Write},
    net::SocketAddr,
    os::{
        fd::AsFd,
        unix::{net::UnixStream, process::CommandExt},
    },
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::mpsc::{self, Receiver, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

use nix::{
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::signal::{Signal, killpg},
    unistd::Pid,
};

use crate::journal::{self, Fact};

/// How long any step may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// How often a wait for one thing looks for another.
const TICK: Duration = Duration::from_millis(5);

pub struct Process {
    child: Child,
    control: PathBuf,
    /// Closed when the last generation has ended.
    log: Receiver<Fact>,
    /// The number of the next generation, at least.
    expected: u64,
    /// Lines that a good run does not log.
    pub complaints: Vec<String>,
}

/// How a restart went: the first line of the verdict, and what follows.
pub struct Verdict {
    pub head: String,
    pub rest: Vec<String>,
}

impl Verdict {
    pub fn is_ok(&self) -> bool {
        self.head.starts_with("ok: ")
    }

    /// Of a line `name=value`.
    pub fn value(&self, name: &str) -> Option<&str> {
        self.rest.iter().find_map(|line| line.strip_prefix(name)?.strip_prefix('='))
    }
}

impl Process {
    /// Starts this program in that role, and waits until it serves. Answers where.
    pub fn start() -> io::Result<(Process, SocketAddr)> {
        let name = format!("heirloom-demo-{}.sock", std::process::id());
        let control = env::temp_dir().join(name);
        let mut command = Command::new(env::current_exe()?);
        command.args(["--state", "--serve"]).arg(&control).process_group(0);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn()?;
        let stderr = child.stderr.take().ok_or(io::ErrorKind::BrokenPipe)?;
        let (facts, log) = mpsc::channel();
        thread::spawn(move || {
            for line in BufReader::new(stderr).split(b'\n').map_while(Result::ok) {
                if facts.send(journal::parse(&String::from_utf8_lossy(&line))).is_err() {
                    return;
                }
            }
        });
        let mut process = Process { child, control, log, expected: 0, complaints: Vec::new() };
        let address = process.await_ready(None)?.unwrap_or_default();
        let address = address.parse().map_err(|_| io::Error::other(address))?;
        Ok((process, address))
    }

    /// Waits for a generation that serves and is newer than all before; or, if that comes first, for the answer
    /// to the request by which it was to come. `None`: it is that.
    pub fn await_ready(&mut self, asked: Option<&Request>) -> io::Result<Option<String>> {
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            match self.log.recv_timeout(TICK) {
                Ok(Fact::Ready { generation, address, .. }) if generation >= self.expected => {
                    self.expected = generation + 1;
                    return Ok(Some(address));
                }
                Ok(fact) => self.note(fact),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) if asked.is_some_and(Request::is_answered) => {
                    return Ok(None);
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
        Err(io::Error::other("no generation is ready"))
    }

    /// Reads what the log has by now.
    pub fn catch_up(&mut self) {
        while let Ok(fact) = self.log.try_recv() {
            self.note(fact);
        }
    }

    fn note(&mut self, fact: Fact) {
        if let Fact::Trouble(line) = fact {
            self.complaints.push(line);
        }
    }

    /// One request to whoever serves. Another thread may wait for the answer.
    pub fn request(&self, line: &str) -> io::Result<Request> {
        let mut stream = UnixStream::connect(&self.control)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(format!("{line}\n").as_bytes())?;
        Ok(Request(stream))
    }

    /// Tells all generations to leave, and waits until they have.
    pub fn end(mut self) -> io::Result<Vec<String>> {
        self.request("drain")?.answer()?;
        let until = Instant::now() + PATIENCE;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            match self.log.recv_timeout(left) {
                Ok(fact) => self.note(fact),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {
                    return Err(io::Error::other("a process is left"));
                }
            }
        }
        Ok(std::mem::take(&mut self.complaints))
    }
}

/// What was asked, and is not answered yet.
pub struct Request(UnixStream);

impl Request {
    fn is_answered(&self) -> bool {
        let mut fds = [PollFd::new(self.0.as_fd(), PollFlags::POLLIN)];
        poll(&mut fds, PollTimeout::ZERO).is_ok_and(|ready| ready > 0)
    }

    pub fn answer(self) -> io::Result<Verdict> {
        let lines = BufReader::new(self.0).lines();
        let lines = lines.take_while(|line| line.as_ref().map_or(true, |line| !line.is_empty()));
        let mut rest = lines.collect::<io::Result<Vec<_>>>()?;
        if rest.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(Verdict { head: rest.remove(0), rest })
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // The group is ours: `start` made it.
        let _ = killpg(Pid::from_raw(self.child.id() as i32), Signal::SIGKILL);
        let _ = self.child.wait();
        let _ = fs::remove_file(&self.control);
    }
}
