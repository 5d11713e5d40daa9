//! What happens to this process when a signal comes that nobody here listens for (`signal(7)`): which it would
//! end by, and how it does so after all.
#![allow(unsafe_code)] // a disposition is read without being set by no safe call

use std::{process, ptr};

use super::signal_set::{Signal, SignalSet};
use crate::error::Result;

/// Those whose default is the end of the process, and which somebody sends: to say something to a server
/// that does not know it, or by mistake. The others that end a process tell of a fault of its own, where
/// no word of ours may come in between; `SIGPIPE` is the answer to a write, and has to come at once.
fn ending() -> impl Iterator<Item = Signal> {
    let standard = [
        libc::SIGHUP,
        libc::SIGINT,
        libc::SIGQUIT,
        libc::SIGUSR1,
        libc::SIGUSR2,
        libc::SIGALRM,
        libc::SIGTERM,
        libc::SIGXCPU,
        libc::SIGVTALRM,
        libc::SIGPROF,
        libc::SIGIO,
        libc::SIGPWR,
    ];
    standard.into_iter().map(Signal::of).chain(Signal::real_time())
}

/// What this process does about a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Disposition {
    Default,
    Ignored,
    /// Somebody has a function for it.
    Handled,
}

pub(crate) fn disposition(signal: Signal) -> Disposition {
    // SAFETY: with no new action the call writes the present one to memory of ours, all zeroes of which are
    // an action, too: the default.
    let action = unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        libc::sigaction(signal.number(), ptr::null(), &mut action);
        action
    };
    match action.sa_sigaction {
        libc::SIG_DFL => Disposition::Default,
        libc::SIG_IGN => Disposition::Ignored,
        _ => Disposition::Handled,
    }
}

/// What whoever has started this program has left of signals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Found {
    /// To be ignored, as under `nohup(1)`. So it is for a program that takes over from this one.
    pub ignored: SignalSet,
    /// To wait.
    pub blocked: SignalSet,
}

impl Found {
    /// Looks. What was `held` back for this very program counts as not blocked.
    pub fn look(held: SignalSet) -> Result<Found> {
        let is_ignored = |signal: &Signal| disposition(*signal) == Disposition::Ignored;
        // The runtime ignores `SIGPIPE`, and `take_dispositions` decides about the other two.
        let others: SignalSet =
            [libc::SIGPIPE, libc::SIGCHLD, libc::SIGXFSZ].map(Signal::of).into_iter().collect();
        Ok(Found {
            ignored: SignalSet::all()
                .iter()
                .filter(is_ignored)
                .collect::<SignalSet>()
                .without(others),
            blocked: SignalSet::blocked()?.without(held),
        })
    }

    /// Those by which this process would end. None that was blocked before: somebody wants it to wait, or
    /// reads it. The first process of a container ends by none.
    pub fn ends_by(&self) -> SignalSet {
        if process::id() == 1 {
            return SignalSet::EMPTY;
        }
        let is_default = |signal: &Signal| disposition(*signal) == Disposition::Default;
        ending().filter(is_default).collect::<SignalSet>().without(self.blocked)
    }
}

/// Those that a process in front of this one is told in its place.
pub(crate) fn passed_on() -> SignalSet {
    ending().filter(|signal| disposition(*signal) != Disposition::Ignored).collect()
}

/// Has the signal do in this thread what it would have done if it had not been blocked.
pub(crate) fn let_through(signal: Signal) -> Result {
    // SAFETY: it sends a signal to this thread, which has it blocked.
    unsafe { libc::raise(signal.number()) };
    [signal].into_iter().collect::<SignalSet>().unblock()
}

/// Ends this process by a signal whose default that is, so that who waits for it sees by which.
pub(crate) fn die_by(signal: Signal) -> ! {
    let _ = let_through(signal);
    // SAFETY: that nothing else runs is the point. It comes to this where somebody has set a handler in
    // between, and says to a shell what it would have said.
    unsafe { libc::_exit(128 + signal.number()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_not_asked_is_at_its_default() {
        assert_eq!(disposition(Signal::SIGUSR1), Disposition::Default);
        assert_eq!(disposition(Signal::of(libc::SIGPIPE)), Disposition::Ignored); // by the runtime
        assert_eq!(disposition(Signal::of(libc::SIGSEGV)), Disposition::Handled); // by the runtime
    }

    #[test]
    fn what_was_blocked_before_is_left_alone() {
        let usr1 = [Signal::SIGUSR1].into_iter().collect();
        let found = Found { blocked: usr1, ..Found::default() };
        let ends_by = found.ends_by();
        assert!(ends_by.contains(Signal::SIGUSR2) && !ends_by.contains(Signal::SIGUSR1));
        for kept in [libc::SIGSEGV, libc::SIGABRT, libc::SIGPIPE, libc::SIGCHLD, libc::SIGWINCH] {
            assert!(!ends_by.contains(Signal::of(kept)), "{kept}");
        }
    }
}
