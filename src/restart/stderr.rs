//! What a new program says on stderr before it is ready: passed on, and its end remembered, to tell
//! why it failed.

use std::{
    fs::File,
    io::{self, Read, Write},
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd},
};

use nix::{
    fcntl::{FcntlArg, OFlag, fcntl},
    unistd::pipe2,
};

use crate::limits::{READ_BUDGET, STDERR_TAIL};

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
