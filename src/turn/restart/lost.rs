//! A new side that hears no more of its old one. Has that ended, so that this one is to serve, or does it
//! live and serve itself?
//!
//! A link that is closed does not say: an old side that has given the new one up closes it as well, and who
//! took that for its death would serve beside it, with the same connections. So the process decides, by its
//! pidfd. One that ends closes its links a moment before it has ended; where it lives on, it was the other.

use std::mem;

use crate::{
    error::{Error, Result},
    limits::LAST_WORDS,
    log_target::RESTART,
    net::Deadline,
    restart::{Event, Phase, link::LinkError},
    service::Service,
    turn::Turn,
};

impl<S: Service> Turn<S> {
    /// The link leads nowhere any more. Everything that was said on it has been heard.
    pub(in crate::turn) fn lose_old(&mut self, why: &LinkError) -> Result {
        let Some(old) = &mut self.succession.old else { return Ok(()) };
        if !mem::replace(&mut old.is_cut, true) {
            log::warn!(target: RESTART, "the link to the old side is lost: {why}");
            self.net.deregister(&old.link);
            self.net.set_deadline_in(LAST_WORDS, Deadline::OldEnding);
        }
        if old.has_ended() { self.old_is_gone() } else { Ok(()) }
    }

    /// The old process may have ended.
    pub(in crate::turn) fn handle_old_process(&mut self) -> Result {
        self.handle_old()?; // it may have said something before
        match &self.succession.old {
            Some(old) if old.has_ended() => self.old_is_gone(),
            _ => Ok(()),
        }
    }

    /// The old side has closed its link, and had time to end.
    pub(in crate::turn) fn old_side_ending(&mut self) -> Result {
        self.handle_old_process()?;
        match &self.succession.old {
            Some(old) if old.is_cut => self.given_up(),
            _ => Ok(()),
        }
    }

    /// Whether it is not known yet if the old side has ended or has given this one up. Until then nothing
    /// is decided.
    pub(in crate::turn) fn is_in_doubt(&self) -> bool {
        self.succession.old.as_ref().is_some_and(|old| old.is_cut)
    }

    fn old_is_gone(&mut self) -> Result {
        let Some(old) = &self.succession.old else { return Ok(()) };
        let who = old.who;
        self.unwatch_old(old);
        self.take_over_stderr();
        log::warn!(target: RESTART, "the old side is gone (pid {})", who.pid);
        self.clear_up_after(who.pid);
        // A supervisor has no state, and nothing to serve that would be missing.
        let has_state = self.succession.ready
            || self.succession.arrivals.has.may_serve()
            || self.is_supervisor(who);
        if self.succession.phase == Phase::Waiting && !has_state {
            self.advance(Event::Orphaned)?;
            return self.end_unserved("it ended before it had handed over its state");
        }
        if !self.succession.ready {
            self.take_in()?; // what has come has no other owner now
        }
        let handed_back = matches!(self.succession.phase, Phase::HandingBack | Phase::Returned);
        self.advance(Event::OldGone)?;
        if self.succession.phase == Phase::Serving && !self.is_supervisor(who) {
            self.note_end_of_old(who); // which cannot tell any more how it went
        }
        self.succession.old = None;
        self.make_known(false);
        if handed_back {
            self.write_pid_file(); // the old side may have put its own number there
        }
        self.answer_roll_back("error: the old generation is gone, so this one stays");
        self.answer_status();
        Ok(())
    }

    /// The old side lives and has let go of this one, so it serves itself, or nobody is to serve.
    pub(in crate::turn) fn given_up(&mut self) -> Result {
        if self.succession.phase.drains() {
            return Ok(()); // what it says is no news
        }
        self.take_over_stderr();
        let served = self.succession.phase != Phase::Waiting;
        log::warn!(target: RESTART, "the old side lives and does without this one");
        self.advance(Event::GivenUp)?;
        if served {
            return Ok(()); // and goes on doing so for those that it has
        }
        self.end_unserved("it lives and does without this process")
    }

    /// Ends this process, which has never served, and says why to whoever looks at its log or its status.
    fn end_unserved(&self, why: &str) -> Result {
        let pid = self.succession.old.as_ref().map_or(0, |old| old.who.pid);
        let why =
            Error::invalid("take over from", format_args!("the old process (pid {pid})"), why);
        log::error!(target: RESTART, "{why}");
        Err(why)
    }
}
