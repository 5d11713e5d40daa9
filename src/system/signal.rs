//! Signals as events: blocked from the first moment, read from a descriptor when there is time.
//! Knows no meaning of any of them.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

use nix::sys::signalfd::{SfdFlags, SignalFd};

use super::{
    disposition::{self, Disposition},
    signal_set::{Signal, SignalSet},
};
use crate::error::{Error, Result};

/// What a server may be told by signal. All are blocked as soon as a [`Server`](crate::Server)
/// exists, so that none of them kills a process that is not ready to understand it: it waits.
const HEARD: [Signal; 6] = [
    Signal::SIGHUP,
    Signal::SIGINT,
    Signal::SIGQUIT,
    Signal::SIGTERM,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
];

/// The origin of a signal that the kernel itself has sent (`sigaction(2)`).
const SI_KERNEL: i32 = 0x80;

/// Who has sent a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sender {
    /// The whole foreground group was told.
    Terminal,
    /// A process, and its user. The id is 0 for one that is not seen from here, outside of this process's pid
    /// namespace. `word` is what it has sent along (`sigqueue(3)`).
    Process { pid: u32, uid: u32, word: u64 },
}

/// In a word, so that one of zero says nothing: a process id is below 2^22 (`proc_sys_kernel(5)`, pid_max).
const SAYS_WHO: u64 = 1 << 31;

impl Sender {
    /// Whether it is this process.
    pub fn is(self, other: u32) -> bool {
        matches!(self, Sender::Process { pid, .. } if pid == other)
    }

    /// What a supervisor sends along when it passes the signal on.
    pub fn to_word(self) -> u64 {
        match self {
            Sender::Terminal => 0,
            Sender::Process { pid, uid, .. } => u64::from(uid) << 32 | SAYS_WHO | u64::from(pid),
        }
    }

    /// Who has sent it in the first place, where it comes by way of this supervisor.
    pub fn beyond(self, supervisor: Option<u32>) -> Sender {
        match self {
            Sender::Process { pid, word, .. }
                if word & SAYS_WHO != 0 && Some(pid) == supervisor =>
            {
                let pid = (word & (SAYS_WHO - 1)) as u32;
                Sender::Process { pid, uid: (word >> 32) as u32, word: 0 }
            }
            sender => sender,
        }
    }
}

/// A descriptor from which the signals of this process are read (`signalfd(2)`).
///
/// The epoll set reports the signals of the process that registered it, so a forked child makes
/// its own.
#[derive(Debug)]
pub(crate) struct Signals {
    fd: SignalFd,
    wanted: SignalSet,
}

/// The signals that are blocked from the start.
pub(crate) fn held_back() -> SignalSet {
    HEARD.into_iter().collect()
}

impl Signals {
    /// Hears `wanted`, which wait from now on until they are read.
    pub fn listen(wanted: SignalSet) -> Result<Signals> {
        wanted.block()?;
        let flags = SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC;
        let fd = SignalFd::with_flags(&wanted.as_mask(), flags);
        let fd = fd.map_err(|e| Error::io("listen for", "signals", e))?;
        Ok(Signals { fd, wanted })
    }

    /// The same signals, heard by this process: for a forked child.
    pub fn anew(&self) -> Result<Signals> {
        Signals::listen(self.wanted)
    }

    /// The next signal that has come, and from whom.
    pub fn next(&mut self) -> Option<(Signal, Sender)> {
        let info = self.fd.read_signal().ok()??;
        let by_terminal = info.ssi_code == SI_KERNEL;
        let sender = match by_terminal {
            true => Sender::Terminal,
            false => {
                let word = if info.ssi_code == libc::SI_QUEUE { info.ssi_ptr } else { 0 };
                Sender::Process { pid: info.ssi_pid, uid: info.ssi_uid, word }
            }
        };
        Some((Signal::of(info.ssi_signo as i32), sender))
    }

    /// Hears one no more that has just come, since by now somebody else does: it reaches that one, unless it is
    /// to be ignored.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn leave_to(&mut self, whom: Disposition, signal: Signal) -> Result {
        let one: SignalSet = [signal].into_iter().collect();
        self.wanted = self.wanted.without(one);
        let changed = self.fd.set_mask(&self.wanted.as_mask());
        changed.map_err(|e| Error::io("listen for", "signals", e))?;
        match whom {
            Disposition::Ignored => one.unblock(),
            Disposition::Default | Disposition::Handled => disposition::let_through(signal),
        }
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl AsRawFd for Signals {
    fn as_raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_sent_it_is_known_behind_the_supervisor_alone() {
        let sender = Sender::Process { pid: 7, uid: 1000, word: 0 };
        let passed_on = Sender::Process { pid: 2, uid: 0, word: sender.to_word() };
        assert_eq!(passed_on.beyond(Some(2)), sender);
        assert_eq!(passed_on.beyond(None), passed_on);
        assert_eq!(passed_on.beyond(Some(3)), passed_on, "anybody can send a word");
        let unseen = Sender::Process { pid: 0, uid: 0, word: 0 };
        let passed_on = Sender::Process { pid: 2, uid: 0, word: unseen.to_word() };
        assert_eq!(passed_on.beyond(Some(2)), unseen);
        let by_itself = Sender::Process { pid: 2, uid: 0, word: 0 };
        assert_eq!(by_itself.beyond(Some(2)), by_itself);
    }
}
