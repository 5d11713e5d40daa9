//! A process that this one has made: whether it lives, and how it ended.

use std::{
    io,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd},
};

use nix::{
    sys::{
        signal::{Signal, kill},
        wait::{WaitPidFlag, WaitStatus, waitpid},
    },
    unistd::Pid,
};

use super::fork::pidfd_open;

/// A child process. Its pidfd is readable from the moment it ends, whoever else has inherited
/// whatever descriptor.
#[derive(Debug)]
pub(crate) struct Child {
    pub pid: Pid,
    pidfd: OwnedFd,
    /// How it ended, once it was reaped: the number may be somebody else's from then on.
    status: Option<nix::Result<WaitStatus>>,
}

impl Child {
    /// `pid` must be a child that was not waited for, so that the number is still its own. One
    /// that cannot be watched is ended at once.
    pub fn new(pid: Pid) -> io::Result<Child> {
        match pidfd_open(pid) {
            Ok(pidfd) => Ok(Child { pid, pidfd, status: None }),
            Err(e) => {
                let _ = end(pid);
                Err(e)
            }
        }
    }

    /// Reaps the child if it has ended, and tells whether it has.
    pub fn has_ended(&mut self) -> bool {
        if self.status.is_none() {
            let status = waitpid(self.pid, Some(WaitPidFlag::WNOHANG));
            self.status = Some(status).filter(|status| *status != Ok(WaitStatus::StillAlive));
        }
        self.status.is_some()
    }

    /// Kills the child if it lives, and does not wait for its end.
    pub fn kill(&self) {
        if self.status.is_none() {
            let _ = kill(self.pid, Signal::SIGKILL); // the number is its own until it is reaped
        }
    }

    /// Kills the child if it lives, reaps it, and tells how it ended.
    pub fn end(&mut self) -> String {
        describe(*self.status.get_or_insert_with(|| end(self.pid)))
    }

    /// Its exit status as a shell tells it, once it was reaped.
    pub fn code(&self) -> Option<u8> {
        code(self.status?.ok()?)
    }

    /// Its process id, as the link and the operator have it.
    pub fn id(&self) -> u32 {
        self.pid.as_raw() as u32
    }

    /// Whether it has ended, and well.
    pub fn has_succeeded(&self) -> bool {
        matches!(self.status, Some(Ok(WaitStatus::Exited(_, 0))))
    }
}

fn end(pid: Pid) -> nix::Result<WaitStatus> {
    let _ = kill(pid, Signal::SIGKILL);
    loop {
        match waitpid(pid, None) {
            Err(nix::errno::Errno::EINTR) => {}
            status => return status,
        }
    }
}

/// An exit status as a shell tells it: 128 and the number of the signal, if it was one.
pub(crate) fn code(status: WaitStatus) -> Option<u8> {
    match status {
        WaitStatus::Exited(_, code) => Some(code as u8),
        WaitStatus::Signaled(_, signal, _) => Some(128 + signal as i32 as u8),
        _ => None,
    }
}

fn describe(status: nix::Result<WaitStatus>) -> String {
    match status {
        Ok(WaitStatus::Exited(_, code)) => format!("exit status {code}"),
        Ok(WaitStatus::Signaled(_, signal, _)) => format!("killed by {signal}"),
        // Somebody else reaps the children of this process, or SIGCHLD is ignored.
        Err(e) => format!("exit status lost ({e})"),
        Ok(other) => format!("{other:?}"),
    }
}

impl AsFd for Child {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }
}

impl AsRawFd for Child {
    fn as_raw_fd(&self) -> RawFd {
        self.pidfd.as_raw_fd()
    }
}
