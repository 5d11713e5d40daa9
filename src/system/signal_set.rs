//! Signals by number, and sets of them: with the real-time ones, which the types of `nix` leave out
//! (`signal(7)`). Knows no meaning of any of them.
#![allow(unsafe_code)] // a `sigset_t` takes a real-time signal by no safe call

use std::fmt;

use nix::sys::signal::{self as named, SigSet};

use crate::error::{Error, Result};

/// The number of a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Signal(i32);

/// The kernel's last one (`_NSIG`), on all machines that have 64 bits but MIPS.
const LAST: i32 = 64;

impl Signal {
    pub const SIGCHLD: Signal = Signal(libc::SIGCHLD);
    pub const SIGHUP: Signal = Signal(libc::SIGHUP);
    pub const SIGINT: Signal = Signal(libc::SIGINT);
    pub const SIGKILL: Signal = Signal(libc::SIGKILL);
    pub const SIGQUIT: Signal = Signal(libc::SIGQUIT);
    pub const SIGTERM: Signal = Signal(libc::SIGTERM);
    pub const SIGUSR1: Signal = Signal(libc::SIGUSR1);
    pub const SIGUSR2: Signal = Signal(libc::SIGUSR2);

    /// One that may mean something to a server: it is sent by somebody, and can be waited for.
    ///
    /// # Errors
    /// For a number that is no signal, for those that cannot be caught, and for those by which the kernel
    /// says that the program itself is at fault: blocked, they end it all the same (`sigprocmask(2)`).
    pub fn to_be_heard(number: i32) -> Result<Signal> {
        let refused = |why| Err(Error::invalid("listen for", Signal(number), why));
        match number {
            libc::SIGKILL | libc::SIGSTOP => refused("it cannot be caught"),
            libc::SIGILL
            | libc::SIGTRAP
            | libc::SIGABRT
            | libc::SIGBUS
            | libc::SIGFPE
            | libc::SIGSEGV
            | libc::SIGSYS => refused("it tells of a fault, which ends the process"),
            // Some below the first real-time one are the C library's own.
            1..32 => Ok(Signal(number)),
            _ if Signal::real_time().any(|it| it.0 == number) => Ok(Signal(number)),
            _ => refused("no such signal"),
        }
    }

    /// All that are for programs to use as they like, and are queued.
    pub fn real_time() -> impl Iterator<Item = Signal> {
        (libc::SIGRTMIN()..=libc::SIGRTMAX()).map(Signal)
    }

    /// Of what the system has reported.
    pub const fn of(number: i32) -> Signal {
        Signal(number)
    }

    pub const fn number(self) -> i32 {
        self.0
    }
}

/// As `kill -l` has it.
impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match named::Signal::try_from(self.0) {
            Ok(signal) => f.write_str(signal.as_str()),
            Err(_) => match self.0 - libc::SIGRTMIN() {
                0 => f.write_str("SIGRTMIN"),
                above if above > 0 && self.0 <= libc::SIGRTMAX() => write!(f, "SIGRTMIN+{above}"),
                _ => write!(f, "signal {}", self.0),
            },
        }
    }
}

/// Some of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct SignalSet(u64);

impl SignalSet {
    pub const EMPTY: SignalSet = SignalSet(0);

    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub fn contains(self, signal: Signal) -> bool {
        self.0 & bit(signal) != 0
    }

    pub fn insert(&mut self, signal: Signal) {
        self.0 |= bit(signal);
    }

    pub fn and(self, others: SignalSet) -> SignalSet {
        SignalSet(self.0 | others.0)
    }

    pub fn without(self, others: SignalSet) -> SignalSet {
        SignalSet(self.0 & !others.0)
    }

    /// As the kernel prints one (`proc_pid_status(5)`): the first signal is the lowest bit.
    pub fn of_kernel(mask: u64) -> SignalSet {
        SignalSet(mask)
    }

    pub fn all() -> SignalSet {
        (1..=LAST).map(Signal).collect()
    }

    pub fn iter(self) -> impl Iterator<Item = Signal> {
        (1..=LAST).map(Signal).filter(move |signal| self.contains(*signal))
    }

    /// Those that this thread has blocked.
    pub fn blocked() -> Result<SignalSet> {
        let mask = SigSet::thread_get_mask().map_err(|e| Error::io("look at", "signals", e))?;
        // SAFETY: it reads a set that `mask` keeps, and takes any number.
        let is_in = |signal: &Signal| unsafe { libc::sigismember(mask.as_ref(), signal.0) == 1 };
        Ok((1..=LAST).map(Signal).filter(is_in).collect())
    }

    /// Lets them wait until somebody reads them, in this thread and those that it will start.
    pub fn block(self) -> Result {
        self.as_mask().thread_block().map_err(|e| Error::io("block", "signals", e))
    }

    /// Lets them do what they do; those that wait do it now.
    pub fn unblock(self) -> Result {
        self.as_mask().thread_unblock().map_err(|e| Error::io("unblock", "signals", e))
    }

    /// As the system has it. What the C library keeps for itself is left out.
    pub fn as_mask(self) -> SigSet {
        let mut mask = *SigSet::empty().as_ref();
        for signal in self.iter() {
            // SAFETY: the set was initialised as an empty one, and the call refuses numbers that it does
            // not know.
            unsafe { libc::sigaddset(&mut mask, signal.0) };
        }
        // SAFETY: it is initialised, and has what the C library lets into a set.
        unsafe { SigSet::from_sigset_t_unchecked(mask) }
    }
}

fn bit(Signal(number): Signal) -> u64 {
    if (1..=LAST).contains(&number) { 1 << (number - 1) } else { 0 }
}

impl FromIterator<Signal> for SignalSet {
    fn from_iter<I: IntoIterator<Item = Signal>>(signals: I) -> SignalSet {
        SignalSet(signals.into_iter().fold(0, |set, signal| set | bit(signal)))
    }
}

/// Numbers with commas in between, as one variable of the environment.
impl fmt::Display for SignalSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let numbers: Vec<_> = self.iter().map(|signal| signal.0.to_string()).collect();
        f.write_str(&numbers.join(","))
    }
}

impl SignalSet {
    /// What [`Display`](fmt::Display) has written; what is no number is left out.
    pub fn read(text: &str) -> SignalSet {
        text.split(',').filter_map(|number| number.parse().ok()).map(Signal).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_heard_is_refused_by_name() {
        for (number, words) in [
            (libc::SIGKILL, "listen for SIGKILL: it cannot be caught"),
            (libc::SIGSTOP, "listen for SIGSTOP: it cannot be caught"),
            (libc::SIGSEGV, "listen for SIGSEGV: it tells of a fault, which ends the process"),
            (0, "listen for signal 0: no such signal"),
            (-1, "listen for signal -1: no such signal"),
            (libc::SIGRTMIN() - 1, "listen for signal 33: no such signal"),
            (libc::SIGRTMAX() + 1, "listen for signal 65: no such signal"),
        ] {
            assert_eq!(Signal::to_be_heard(number).unwrap_err().to_string(), words);
        }
    }

    #[test]
    fn each_is_named_as_others_name_it() {
        let name = |number| Signal::to_be_heard(number).unwrap().to_string();
        assert_eq!(name(libc::SIGUSR1), "SIGUSR1");
        assert_eq!(name(libc::SIGWINCH), "SIGWINCH");
        assert_eq!(name(libc::SIGRTMIN()), "SIGRTMIN");
        assert_eq!(name(libc::SIGRTMAX()), format!("SIGRTMIN+{}", 64 - libc::SIGRTMIN()));
    }

    #[test]
    fn a_set_is_what_the_system_makes_of_it_and_can_be_written_down() {
        let real_time = Signal::real_time().last().unwrap();
        let set: SignalSet = [Signal::SIGHUP, Signal::SIGUSR2, real_time].into_iter().collect();
        let mask = set.as_mask();
        assert!(mask.contains(named::Signal::SIGHUP) && !mask.contains(named::Signal::SIGINT));
        assert_eq!(set.to_string(), "1,12,64");
        assert_eq!(SignalSet::read("1,12,64"), set);
        assert_eq!(SignalSet::read("x,,99,-3"), SignalSet::EMPTY);
        // In a thread of its own, whose mask is nobody else's.
        set.block().unwrap();
        assert_eq!(SignalSet::blocked().unwrap().without(set), SignalSet::EMPTY);
        assert!(set.without(SignalSet::blocked().unwrap()).is_empty());
        set.unblock().unwrap();
        assert!(SignalSet::blocked().unwrap().is_empty());
    }
}
