//! What a new program says on stderr before it has committed: passed on by the old side, as far as there is
//! room (`passage`), and its end remembered, to tell why it failed.
//!
//! The new side has both ends of the pipe: what it writes is not lost if the old one dies, and it finds
//! out when the old one reads no more.

use std::{
    fs::File,
    io::{self, Read},
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd},
    time::Instant,
};

use nix::{
    fcntl::{FcntlArg, OFlag, fcntl},
    unistd::{dup2_stderr, pipe2},
};

use super::{
    exec::unread,
    passage::{Passage, capacity},
};
use crate::limits::{READ_BUDGET, STDERR_PIPE, STDERR_TAIL};

/// The reading end of a new program's stderr: passed on to ours, and its end remembered.
#[derive(Debug)]
pub(crate) struct Stderr {
    pipe: File,
    tail: Vec<u8>,
    passage: Passage,
    rests_until: Option<Instant>,
}

/// What is left after some of it was passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Left {
    /// More than a turn takes, and no edge will say so.
    Some,
    /// Nothing for now; more comes with an edge.
    Nothing,
    /// So much has come that the rest waits until then, and its writer with it.
    Until(Instant),
    /// Nothing, for ever.
    End,
}

impl Stderr {
    pub fn pipe() -> io::Result<(Stderr, OwnedFd)> {
        let (reader, writer) = pipe2(OFlag::O_CLOEXEC)?;
        // Only our end: the new program's stderr blocks, as a stderr should.
        fcntl(&reader, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        // Where that is more than this user may have, it stays as it is.
        let _ = fcntl(&reader, FcntlArg::F_SETPIPE_SZ(STDERR_PIPE));
        Ok((Stderr::of(reader), writer))
    }

    fn of(reader: OwnedFd) -> Stderr {
        Stderr {
            pipe: File::from(reader),
            tail: Vec::new(),
            passage: Passage::default(),
            rests_until: None,
        }
    }

    /// Passes on what there is, within a budget. What our stderr does not take waits in the pipe, until
    /// that is half full and would soon stop its writer: then it is given up.
    pub fn forward(&mut self, now: Instant) -> Left {
        self.passage.set_now(now);
        self.rests_until = self.passage.rests_until();
        for _ in 0..READ_BUDGET / STDERR_TAIL {
            if !self.passage.deliver() {
                if !is_fuller(self.pipe.as_fd(), 2) {
                    self.rests_until = Some(self.passage.try_again_at(now));
                } else {
                    self.passage.give_up();
                }
            }
            if let Some(until) = self.rests_until {
                return Left::Until(until);
            }
            match self.take() {
                Left::Some => self.rests_until = self.passage.rests_until(),
                left => return left,
            }
        }
        Left::Some
    }

    /// Passes on all that there is: its writers are gone, or it has no other reader.
    pub fn finish(&mut self) {
        loop {
            if !self.passage.deliver() {
                self.passage.give_up();
            }
            if self.take() != Left::Some {
                break;
            }
        }
        self.passage.tell_gap();
    }

    /// When more of it is taken in, if that has to wait.
    pub fn rests_until(&self) -> Option<Instant> {
        self.rests_until
    }

    fn take(&mut self) -> Left {
        let mut chunk = [0; STDERR_TAIL];
        match self.pipe.read(&mut chunk) {
            Ok(0) => {
                self.passage.tell_gap();
                Left::End
            }
            Ok(count) => {
                self.passage.hold(&chunk[..count]);
                self.tail.extend_from_slice(&chunk[..count]);
                self.tail.drain(..self.tail.len().saturating_sub(STDERR_TAIL));
                Left::Some
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => Left::Some,
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => Left::Nothing,
            Err(_) => Left::End,
        }
    }

    pub fn tail(&self) -> String {
        String::from_utf8_lossy(&self.tail).into_owned()
    }
}

impl AsFd for Stderr {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pipe.as_fd()
    }
}

impl AsRawFd for Stderr {
    fn as_raw_fd(&self) -> RawFd {
        self.pipe.as_raw_fd()
    }
}

/// On a new program whose stderr goes through the old side: the one that is to be its own.
#[derive(Debug)]
pub(crate) struct ForwardedStderr {
    own: OwnedFd,
    /// What the old side reads from.
    pipe: Stderr,
}

impl ForwardedStderr {
    /// From what has come with `Hello`: the stderr, and the reading end of the pipe.
    pub fn of(own: OwnedFd, reader: OwnedFd) -> ForwardedStderr {
        ForwardedStderr { own, pipe: Stderr::of(reader) }
    }

    /// The numbers of both.
    pub fn descriptors(&self) -> [RawFd; 2] {
        [self.own.as_raw_fd(), self.pipe.as_raw_fd()]
    }

    /// Whether so much waits for the old side that it seems to read no more. Before the pipe is full:
    /// whoever writes to it then waits for a process that may never go on.
    pub fn is_clogged(&self) -> bool {
        is_fuller(self.pipe.as_fd(), 4)
    }

    /// Nobody but the reader of the server's stderr hears this process from here on.
    pub fn take_over(mut self) -> io::Result<()> {
        dup2_stderr(&self.own)?;
        self.pipe.finish(); // what the old side has not read
        Ok(())
    }
}

/// Whether more than the `part`th part of a pipe is in use.
fn is_fuller(pipe: BorrowedFd<'_>, part: usize) -> bool {
    unread(pipe) > capacity(pipe).unwrap_or(usize::MAX) / part
}
