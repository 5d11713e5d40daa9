//! A stop in two steps: for a time the process accepts and serves as before, while monitors are told that it is about to
//! leave; then it drains. Balancers have that time to send their clients elsewhere.
//!
//! It is decided before the state machine hears of anything: when the time is over, that is told to drain as by a signal. Nothing new
//! begins meanwhile: a restart is refused, and one that has not yet come to a new side that serves is given up at once. Where
//! there is such a side, both are lame ducks, whichever was told: each tells the other, so a stop that was heard is
//! not undone by the end of either, and a supervisor is told, so that it makes no other that would serve again. The new one may commit
//! meanwhile; the old one then drains as after any restart.

use std::time::Duration;

use crate::{
    cause::Cause,
    error::Result,
    log_target::DRAIN,
    net::{Deadline, Request},
    restart::{Event, Phase, engine::attempt::Attempt, link::Message},
    service::Service,
    turn::{Turn, guard::guard_process},
};

impl<S: Service> Turn<S> {
    /// This process was told to drain, once or again.
    pub(in crate::turn) fn leave(&mut self, cause: Cause) -> Result {
        self.succession.leave.cause.get_or_insert(cause);
        let within = self.succession.lame_duck;
        match self.net.standing.lame_duck {
            _ if !self.may_be_lame_duck() => self.advance(Event::Drain),
            None if !within.is_zero() => self.become_lame_duck(within, true),
            // The second one means now, as in a drain.
            Some(until) if self.net.clock.now() < until => self.advance(Event::Stop),
            Some(_) | None => self.advance(Event::Drain),
        }
    }

    /// What an operator reads who asks for a drain, which comes next.
    pub(in crate::turn) fn way_to_drain(&self) -> String {
        let within = self.succession.lame_duck;
        match self.net.standing.lame_duck {
            None if self.may_be_lame_duck() && !within.is_zero() => {
                format!("ok: accepts for {within:?}, then drains")
            }
            Some(_) if self.is_lame_duck() => "ok: now".to_owned(),
            _ => "ok: draining".to_owned(),
        }
    }

    /// Not one that leaves already, nor one that has never served.
    fn may_be_lame_duck(&self) -> bool {
        !self.succession.phase.drains() && self.succession.phase != Phase::Waiting
    }

    /// From here on monitors are told; and the other side of a restart, if it has not told this one.
    fn become_lame_duck(&mut self, within: Duration, tells: bool) -> Result {
        if self.succession.phase.makes_successor() {
            self.give_up(Attempt::abandoned)?; // nobody has been served by it
        }
        if !self.may_be_lame_duck() {
            return Ok(());
        }
        self.give_up_preparation();
        self.give_up_deferred();
        log::info!(target: DRAIN, "lame duck: accepts for {within:?}, then drains");
        let until = self.net.set_deadline_in(within, Deadline::LameDuck);
        self.net.standing.lame_duck = Some(until);
        self.tell_lame_duck();
        if tells {
            self.note_lame_duck(within);
            self.tell_other_side(within);
        }
        let service = &mut self.service;
        guard_process(&mut self.net, "on_lame_duck", |net| service.on_lame_duck(net, within));
        Ok(())
    }

    fn tell_other_side(&mut self, after: Duration) {
        let within = self.succession.drain_on_stop.deadline;
        let word = Message::Dismissed { within, serves: None, after: Some(after) };
        let supervisor = self.succession.supervisor.as_ref().map(|supervisor| supervisor.pid);
        let old = self.succession.old.as_mut().filter(|old| Some(old.who.pid) != supervisor);
        let new = self.succession.attempt.as_mut().and_then(|attempt| attempt.link.as_mut());
        for link in old.map(|old| &mut old.link).into_iter().chain(new) {
            let _ = link.send(&word, Vec::new()); // one that is gone need not hear it
        }
    }

    /// The other side of a restart was told to drain, and waits for so long before it does.
    pub(in crate::turn) fn told_of_lame_duck(&mut self, after: Duration) -> Result {
        let is_news = self.net.standing.lame_duck.is_none();
        if !is_news || !self.may_be_lame_duck() {
            return Ok(());
        }
        self.succession.dismissed = true; // whoever has told it may tell this one as well
        self.become_lame_duck(after, false)
    }

    /// Whether this process accepts, and is about to leave.
    pub(super) fn is_lame_duck(&self) -> bool {
        self.net.standing.lame_duck.is_some() && self.succession.phase.accepts()
    }

    /// The time is over.
    pub(in crate::turn) fn lame_duck_over(&mut self) {
        if self.may_be_lame_duck() {
            self.succession.dismissed = false;
            let cause = self.succession.leave.cause.clone().unwrap_or(Cause::Unknown);
            self.net.requests.push(Request::Drain { cause });
        }
    }
}
