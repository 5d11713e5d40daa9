//! Signals as events: blocked from the first moment, read from a descriptor when there is time.
//! Knows no meaning of any of them.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

use nix::sys::{
    signal::{SigSet, Signal},
    signalfd::{SfdFlags, SignalFd},
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
    /// 0 for one that is not seen from here, outside of this process's pid namespace.
    Process(u32),
}

/// A descriptor from which the signals of this process are read (`signalfd(2)`).
///
/// The epoll set reports the signals of the process that registered it, so a forked child makes
/// its own.
#[derive(Debug)]
pub(crate) struct Signals {
    fd: SignalFd,
    wanted: SigSet,
}

/// The signals that are blocked from the start.
pub(crate) fn held_back() -> SigSet {
    HEARD.into_iter().collect()
}

/// Blocks the signals that a server may be told by, in this thread and those it will start.
pub(crate) fn hold_back() -> Result {
    held_back().thread_block().map_err(|e| Error::io("block", "signals", e))
}

/// A signal by its number.
pub(crate) fn named(number: i32) -> Result<Signal> {
    Signal::try_from(number).map_err(|_| Error::invalid("listen for", "signal", number))
}

impl Signals {
    /// Hears `wanted`; the signals that were held back in vain are let go.
    pub fn listen(wanted: SigSet) -> Result<Signals> {
        let failed = |e| Error::io("listen for", "signals", e);
        wanted.thread_block().map_err(failed)?;
        let unwanted: SigSet = HEARD.into_iter().filter(|&s| !wanted.contains(s)).collect();
        unwanted.thread_unblock().map_err(failed)?;
        let flags = SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC;
        let fd = SignalFd::with_flags(&wanted, flags).map_err(failed)?;
        Ok(Signals { fd, wanted })
    }

    /// The same signals, heard by this process: for a forked child.
    pub fn anew(&self) -> Result<Signals> {
        Signals::listen(self.wanted)
    }

    /// The next signal that has come, and from whom.
    pub fn next(&mut self) -> Option<(Signal, Sender)> {
        let info = self.fd.read_signal().ok()??;
        let signal = Signal::try_from(info.ssi_signo as i32).ok()?;
        let by_terminal = info.ssi_code == SI_KERNEL;
        Some((signal, if by_terminal { Sender::Terminal } else { Sender::Process(info.ssi_pid) }))
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
