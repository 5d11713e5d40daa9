//! How a process leaves: it serves what it has, tells its connections when their time has come, and
//! goes when the last one is gone. Who is let in before its doors close for good is in `last_call`, what they are
//! told and when in `telling`, what it has to do with the other generations in `others`, and what of its memory it
//! leaves alone in `forget`; `lame_duck` is the time before all that, `killed` is about signals
//! that end it at once.

mod forget;
mod killed;
mod lame_duck;
mod last_call;
mod others;
mod telling;

use std::time::Duration;

use crate::{
    error::{Error, Result},
    limits::LAST_WORDS,
    log_target::DRAIN,
    net::{Deadline, Listener, Reason, Source},
    restart::{
        Event, Phase,
        fault::{self, Step},
        link::{Identity, Link, Message},
    },
    service::{LeaveReason, Service},
    system::pidfile::PidFile,
    turn::{Turn, generation::Succession},
};

impl<S: Service> Turn<S> {
    /// Another generation serves: this one serves what it has, and ends.
    pub(in crate::turn) fn retire(&mut self, event: Event) -> Result {
        let own = self.sockets_of_its_own();
        self.close_way_back();
        self.succession.moved = Vec::new(); // they will not come back
        let reason = match event {
            Event::Committed => LeaveReason::Restart,
            _ => LeaveReason::RollBack,
        };
        self.note_reason(reason, false);
        self.net.stop_accepting(&own);
        self.net.stop_reading(&own);
        self.tell_retirement();
        if let Some(mut attempt) = self.detach() {
            fault::point(Step::OldCommitted, attempt.link.as_mut());
            self.succession.heap.stays(attempt.child.id());
            self.go_on_hearing(&mut attempt)?;
            let begun = attempt.task.begun;
            let now = self.net.clock.now();
            attempt.steps.committed = Some(now.saturating_duration_since(begun));
            let Identity { generation, pid, .. } = attempt.identity();
            self.tell_replaced(generation, &attempt.child, &own);
            self.verdict(&attempt.task, attempt.steps, Ok(pid));
            self.succession.newest = attempt.link;
            self.follow(generation);
            self.look_after(generation, attempt.child);
        } else if let Some(old) = self.succession.old.take() {
            self.unwatch_old(&old);
            let number = old.who.generation;
            self.answer_roll_back(&format!("ok: generation {number} serves again"));
            self.net.passed_on().for_each(Listener::withdraw); // the other one has never had these
            self.succession.newest = Some(old.link);
            self.follow(number);
        }
        if let Some(newest) = &self.succession.newest
            && let Err(e) = self.net.register(newest, Source::Newest)
        {
            log::warn!(target: DRAIN, "{e}");
        }
        // They are the successor's to talk with.
        for generation in std::mem::take(&mut self.succession.older) {
            self.net.deregister(&generation.link);
        }
        self.last_call_at(&own);
        self.net.keep_terms();
        self.net.listeners.clear();
        self.net.reserve.give_up();
        self.succession.pid_file.iter_mut().for_each(PidFile::let_go);
        self.net.alarms.forget_suspended();
        self.dismiss_controls();
        self.begin_to_leave();
        self.begin_drain(&self.succession.drain_on_restart.clone(), reason)
    }

    /// There will be no successor, and the other generations have no more time than this one: not even an
    /// old side that could still take over again, should this one be gone before it is heard.
    pub(in crate::turn) fn drain_for_good(&mut self, event: Event) -> Result {
        self.note_reason(LeaveReason::Stop, false);
        self.tell_others(self.succession.drain_on_stop.deadline);
        if let Some(old) = &mut self.succession.old {
            fault::point(Step::NewStopping, Some(&mut old.link));
        }
        self.close_way_back();
        self.tell_leaving();
        // In a restart the other side may have clients of the queue yet to accept, and so may other workers.
        let is_one = self.net.worker.is_none();
        let alone = is_one && self.succession.old.is_none() && !self.succession.retired;
        self.last_call(alone);
        self.net.close_to_clients(alone).map_err(|e| Error::io("wait for", "operators", e))?;
        self.tell_stopping();
        self.give_up_deferred();
        self.answer_waiting();
        self.begin_to_leave();
        match event {
            Event::Stop => Ok(()), // all is aborted next, before anything could be sent
            _ => self.begin_drain(&self.succession.drain_on_stop.clone(), LeaveReason::Stop),
        }
    }

    /// Whether another generation is still to be told what it must know. A word that its link has taken is
    /// heard, however soon this process ends after it; but it takes only so many for one that is busy.
    pub(in crate::turn) fn owes_words(&mut self) -> bool {
        let late = self.succession.last_words.is_some_and(|until| until <= self.net.heard());
        let owed = |link: &mut Link| link.has_unsent() && link.flush().is_ok() && link.has_unsent();
        !late && self.succession.others_mut().any(|other| owed(&mut other.link))
    }

    fn tell_others(&mut self, within: Option<Duration>) {
        for generation in self.succession.others_mut() {
            // One that is gone need not hear it.
            let word = Message::Dismissed { within, serves: None, after: None };
            let _ = generation.link.send(&word, Vec::new());
        }
    }

    /// The service hears of it before any of its connections does.
    fn begin_to_leave(&mut self) {
        self.give_up_preparation();
        log::info!(target: DRAIN, "draining: {} connections are left", self.net.connections());
        self.note_drain();
        self.tell_retired();
    }

    /// A drain is under way, but from now on in the time that a stop has.
    pub(in crate::turn) fn hurry(&mut self) -> Result {
        let before = self.net.leaving.filter(|_| self.succession.makes_room);
        let reason = before.unwrap_or(LeaveReason::Stop);
        self.begin_drain(&self.succession.drain_on_stop.clone(), reason)
    }

    /// The generation that serves, or serves again, says that the service ends.
    pub(in crate::turn) fn told_to_stop(&mut self, within: Option<Duration>) -> Result {
        self.succession.manager.leave_to_others();
        self.dismissed(within)
    }

    /// The generation that serves says that this one, the oldest, shall leave, so that there can be one more.
    fn told_to_make_room(&mut self, within: Option<Duration>) -> Result {
        self.succession.makes_room = true;
        let told = self.told_to_stop(within);
        self.succession.makes_room = false;
        told
    }

    /// Another generation says that this one shall leave.
    pub(in crate::turn) fn dismissed(&mut self, within: Option<Duration>) -> Result {
        log::info!(target: DRAIN, "dismissed by another generation");
        self.succession.dismissed |= self.succession.phase != Phase::Stopping;
        self.succession.drain_on_stop.deadline = within;
        self.advance(Event::Dismissed)
    }

    /// Aborts what is left, and waits for nobody's work. What was told to this process is for the older
    /// ones as well.
    pub(in crate::turn) fn abort_all(&mut self, event: Event) {
        if event != Event::Deadline {
            self.note_reason(LeaveReason::Stop, false);
            self.tell_others(Some(Duration::ZERO));
        }
        let ids: Vec<_> = self.net.clients().map(|conn| conn.id).collect();
        self.succession.leave.abort(event == Event::Deadline, ids.len());
        for id in ids {
            let late = event == Event::Deadline;
            self.net.kill(id, if late { Reason::DrainDeadline } else { Reason::Stopped });
        }
        self.net.hurry();
        let until = self.net.clock.now() + LAST_WORDS;
        if *self.succession.last_words.get_or_insert(until) == until {
            self.net.set_deadline(until, Deadline::DrainStep); // which looks again
        }
        if event != Event::Deadline {
            self.succession.manager.fall_silent();
        }
    }

    /// This process ends in the middle of its work. What says that it serves goes with it, unless another
    /// one still does: the other side of a restart, or a supervisor.
    pub(in crate::turn) fn withdraw(&mut self) {
        self.succession.unready = None; // a child that has never served ends here
        self.net.tell_all_repeats();
        if let Some(file) = &self.succession.pid_file {
            file.remove();
        }
        let Succession { phase, old, supervisor, unwanted, .. } = &self.succession;
        // One that never serves because the old process is gone has nobody behind it, either.
        let is_orphan = *phase == Phase::Ended && old.as_ref().is_some_and(|old| old.has_ended());
        let is_last = matches!(phase, Phase::Serving | Phase::Stopping) || is_orphan;
        if is_last && !supervisor.as_ref().is_some_and(|it| it.is_alive()) {
            self.net.passed_on().chain(unwanted).for_each(Listener::unlink);
        }
    }
}
