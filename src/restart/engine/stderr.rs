//! What a new program says on stderr before it has committed: passed on by the old side, and its end
//! remembered, to tell why it failed.
//!
//! The new side has both ends of the pipe: what it writes is not lost if the old one dies, and it finds
//! out when the old one reads no more.

use std::{
    fs::File,
    io::{self, Read, Write},
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd},
};

use nix::{
    fcntl::{FcntlArg, OFlag, fcntl},
    unistd::{dup2_stderr, pipe2},
};

use super::exec::unread;
use crate::limits::{READ_BUDGET, STDERR_PIPE, STDERR_TAIL};

/// The reading end of a new program's stderr: passed on to ours, and its end remembered.
#[derive(Debug)]
pub(crate) struct Stderr {
    pipe: File,
    tail: Vec<u8>,
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
        Stderr { pipe: File::from(reader), tail: Vec::new() }
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

    /// Whether so much waits for the old side that it seems to read no more. Before the pipe is full:
    /// whoever writes to it then waits for a process that may never go on.
    pub fn is_clogged(&self) -> bool {
        unread(self.pipe.as_fd()) > STDERR_PIPE as usize / 4
    }

    /// Nobody but the reader of the server's stderr hears this process from here on.
    pub fn take_over(mut self) -> io::Result<()> {
        dup2_stderr(&self.own)?;
        self.pipe.forward(); // what the old side has not read
        Ok(())
    }
}
