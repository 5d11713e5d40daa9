//! The old side of one restart in progress: the child, the link to it, what it says on stderr.
//! Makes and ends them; what is to be done when is the state machine's business.

use std::{
    fs::File,
    io::{self, Read, Write},
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd},
    time::Instant,
};

use nix::{
    fcntl::{FcntlArg, OFlag, fcntl},
    unistd::pipe2,
};

use super::{
    child::Child,
    exec::Launch,
    fork,
    link::Message,
    pass::{FDS_PER_MESSAGE, Link},
};
use crate::{
    limits::{READ_BUDGET, STDERR_TAIL},
    plan::{Engine, Restart, RestartError},
};

/// A restart that is not decided.
#[derive(Debug)]
pub(crate) struct Attempt {
    pub how: Restart,
    /// The engine that is used in the end.
    pub engine: Engine,
    /// The number of the generation to be.
    pub generation: u64,
    pub begun: Instant,
    /// When the new side's next word is overdue.
    pub overdue: Instant,
    pub child: Child,
    pub link: Link,
    /// The new side has let go of the link, and so of the restart; it has not ended yet.
    pub ending: bool,
    /// What a new program says; a forked child shares our stderr.
    pub stderr: Option<Stderr>,
}

/// Which process we are after a fork.
#[derive(Debug)]
pub(crate) enum Side {
    Old(Attempt),
    New(Link),
}

/// Which engine is to be used: the one asked for, unless threads forbid it.
pub(crate) fn choose_engine(how: &Restart) -> Result<Engine, RestartError> {
    if how.engine == Engine::ForkExec {
        return Ok(Engine::ForkExec);
    }
    match fork::thread_count() {
        1 => Ok(Engine::Fork),
        count if how.or_fork_exec => {
            log::info!("{count} threads: fork-exec instead of fork");
            Ok(Engine::ForkExec)
        }
        count => Err(RestartError::Threads { count }),
    }
}

impl Attempt {
    /// Forks. Returns in both processes.
    pub fn fork(how: Restart, generation: u64, begun: Instant) -> Result<Side, RestartError> {
        let failed =
            |source| RestartError::Spawn { program: "a fork of this process".into(), source };
        let (ours, theirs) = Link::pair().map_err(failed)?;
        let Some(pid) = fork::fork().map_err(failed)? else { return Ok(Side::New(theirs)) };
        let child = Child::new(pid).map_err(failed)?;
        let engine = Engine::Fork;
        let overdue = begun + how.ready_within;
        let attempt = Attempt {
            how,
            engine,
            generation,
            begun,
            overdue,
            child,
            link: ours,
            ending: false,
            stderr: None,
        };
        Ok(Side::Old(attempt))
    }

    /// Starts the program anew and offers it `listeners`.
    pub fn exec<'a>(
        how: Restart,
        generation: u64,
        begun: Instant,
        launch: &Launch,
        last_serial: u64,
        listeners: impl Iterator<Item = (&'a str, BorrowedFd<'a>)>,
    ) -> Result<Attempt, RestartError> {
        let failed = |source| RestartError::Spawn {
            program: launch.program().display().to_string(),
            source,
        };
        let (ours, theirs) = Link::pair().map_err(failed)?;
        let (stderr, writer) = Stderr::pipe().map_err(failed)?;
        let parcels = parcels(listeners).map_err(failed)?;
        let own_stderr = io::stderr().as_fd().try_clone_to_owned().map_err(failed)?;
        let pid = launch.spawn(theirs.as_fd(), writer.as_fd()).map_err(failed)?;
        let child = Child::new(pid).map_err(failed)?;
        let engine = Engine::ForkExec;
        let overdue = begun + how.ready_within;
        let mut attempt = Attempt {
            how,
            engine,
            generation,
            begun,
            overdue,
            child,
            link: ours,
            ending: false,
            stderr: Some(stderr),
        };
        attempt.offer(last_serial, own_stderr, parcels).map_err(|e| attempt.failed(e))?;
        Ok(attempt)
    }

    fn offer(
        &mut self,
        last_serial: u64,
        own_stderr: OwnedFd,
        parcels: Vec<(Vec<String>, Vec<OwnedFd>)>,
    ) -> Result<(), String> {
        let (generation, engine) = (self.generation, self.engine);
        let hello = Message::Hello { generation, engine, last_serial };
        let mut send = |message, fds| self.link.send(&message, fds).map_err(|e| e.to_string());
        send(hello, vec![own_stderr])?;
        for (names, fds) in parcels {
            send(Message::Listeners { names }, fds)?;
        }
        send(Message::Offered, Vec::new())
    }

    /// Ends the new side, which has said why it cannot serve, or has said nonsense.
    pub fn failed(&mut self, reason: String) -> RestartError {
        self.child.end();
        RestartError::Failed { reason, stderr: self.last_words() }
    }

    /// The new side is gone, or its link is: ends what is left of it.
    pub fn died(&mut self) -> RestartError {
        let how = self.child.end().to_owned();
        RestartError::Died { how, stderr: self.last_words() }
    }

    /// The new side took too long.
    pub fn timed_out(&mut self) -> RestartError {
        if self.ending {
            return self.died();
        }
        self.child.end();
        RestartError::TimedOut { limit: self.how.ready_within, stderr: self.last_words() }
    }

    /// This side has to go.
    pub fn abandoned(&mut self) -> RestartError {
        self.child.end();
        RestartError::Stopped
    }

    fn last_words(&mut self) -> String {
        self.stderr.as_mut().map_or(String::new(), |stderr| {
            stderr.forward();
            stderr.tail()
        })
    }
}

/// Listeners in batches that one message can carry, with descriptors of their own.
fn parcels<'a>(
    listeners: impl Iterator<Item = (&'a str, BorrowedFd<'a>)>,
) -> io::Result<Vec<(Vec<String>, Vec<OwnedFd>)>> {
    let mut parcels: Vec<(Vec<String>, Vec<OwnedFd>)> = Vec::new();
    for (name, fd) in listeners {
        if parcels.last().is_none_or(|(names, _)| names.len() == FDS_PER_MESSAGE) {
            parcels.push(Default::default());
        }
        if let Some((names, fds)) = parcels.last_mut() {
            names.push(name.to_owned());
            fds.push(fd.try_clone_to_owned()?);
        }
    }
    Ok(parcels)
}

/// The reading end of a new program's stderr: passed on to ours, and its end remembered.
#[derive(Debug)]
pub(crate) struct Stderr {
    pipe: File,
    tail: Vec<u8>,
}

impl Stderr {
    fn pipe() -> io::Result<(Stderr, OwnedFd)> {
        let (reader, writer) = pipe2(OFlag::O_CLOEXEC)?;
        // Only our end: the new program's stderr blocks, as a stderr should.
        fcntl(&reader, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        Ok((Stderr { pipe: File::from(reader), tail: Vec::new() }, writer))
    }

    /// Passes on what there is, within a budget; while the new program writes, more edges come.
    /// `false` when no more will come.
    pub fn forward(&mut self) -> bool {
        let mut chunk = [0; STDERR_TAIL];
        for _ in 0..READ_BUDGET / STDERR_TAIL {
            match self.pipe.read(&mut chunk) {
                Ok(0) => return false,
                Ok(count) => {
                    let _ = io::stderr().write_all(&chunk[..count]);
                    self.tail.extend_from_slice(&chunk[..count]);
                    self.tail.drain(..self.tail.len().saturating_sub(STDERR_TAIL));
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return e.kind() == io::ErrorKind::WouldBlock,
            }
        }
        true
    }

    fn tail(&self) -> String {
        String::from_utf8_lossy(&self.tail).into_owned()
    }
}

impl AsRawFd for Stderr {
    fn as_raw_fd(&self) -> RawFd {
        self.pipe.as_raw_fd()
    }
}
