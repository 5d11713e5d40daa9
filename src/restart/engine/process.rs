//! A process that this one has not made: whether it lives. By a descriptor, since a link that is closed
//! says nothing about who has closed it, and a number may be somebody else's by the time it is used.

use std::{
    io,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd},
};

use nix::{
    poll::{PollFd, PollFlags, PollTimeout, poll},
    unistd::Pid,
};

use super::fork::{pidfd_open, pidfd_signal};

/// A process, by its pidfd: readable from the moment it ends (`pidfd_open(2)`).
#[derive(Debug)]
pub(crate) struct Process(OwnedFd);

impl Process {
    /// This one, to be handed to another.
    pub fn this() -> io::Result<Process> {
        pidfd_open(Pid::this()).map(Process)
    }

    /// The one that a pidfd which was handed over stands for.
    pub fn of(pidfd: OwnedFd) -> Process {
        Process(pidfd)
    }

    /// The descriptor, to be handed on.
    pub fn into_fd(self) -> OwnedFd {
        self.0
    }

    /// Whether it lives no more. Its links are closed before, so for a moment they may be and this is not.
    pub fn has_ended(&self) -> bool {
        let mut fds = [PollFd::new(self.0.as_fd(), PollFlags::POLLIN)];
        poll(&mut fds, PollTimeout::ZERO).is_ok() && fds[0].any().unwrap_or(false)
    }

    /// Ends it, if it has not ended.
    pub fn kill(&self) -> io::Result<()> {
        pidfd_signal(self.0.as_fd(), libc::SIGKILL, 0)
    }
}

impl AsFd for Process {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsRawFd for Process {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    #[test]
    fn a_process_has_ended_when_it_has() {
        assert!(!Process::this().unwrap().has_ended());
        let mut child = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
        let process = Process(pidfd_open(Pid::from_raw(child.id() as i32)).unwrap());
        assert!(!process.has_ended());
        process.kill().unwrap();
        child.wait().unwrap();
        assert!(process.has_ended());
        assert!(process.kill().is_err(), "the number may be somebody else's");
    }
}
