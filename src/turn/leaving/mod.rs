//! How a process leaves: it serves what it has, tells its connections when their time has come, and
//! goes when the last one is gone. What it has to do with the other generations is in `others`.

mod others;

use std::{
    hash::{BuildHasher, RandomState},
    time::Duration,
};

use crate::{
    error::Result,
    log_target::DRAIN,
    net::{ConnId, Datagrams, Deadline, Listener, Reason, Source},
    plan::Drain,
    restart::{
        Event, Phase,
        drain::{DrainSchedule, Due},
        fault::{self, Step},
        link::{Identity, Message},
    },
    service::Service,
    system::pidfile::PidFile,
    turn::Turn,
};

impl<S: Service> Turn<S> {
    /// Another generation serves: this one serves what it has, and ends.
    pub(in crate::turn) fn retire(&mut self) -> Result {
        self.net.stop_accepting();
        self.net.stop_reading();
        self.tell_retirement();
        if let Some(mut attempt) = self.detach() {
            fault::point(Step::OldCommitted, attempt.link.as_mut());
            self.go_on_hearing(&mut attempt)?;
            let begun = attempt.task.begun;
            attempt.steps.committed = Some(self.net.now().saturating_duration_since(begun));
            let Identity { generation, pid, .. } = attempt.identity();
            self.tell_replaced(generation, pid);
            self.verdict(&attempt.task, attempt.steps, Ok(pid));
            self.succession.newest = attempt.link;
            self.look_after(attempt.child);
        } else if let Some(old) = self.succession.old.take() {
            self.net.unwatch(&old.link);
            let number = old.who.generation;
            self.answer_roll_back(&format!("ok: generation {number} serves again"));
            self.net.passed_on().for_each(Listener::withdraw); // the other one has never had these
            self.succession.newest = Some(old.link);
        }
        if let Some(newest) = &self.succession.newest
            && let Err(e) = self.net.watch(newest, Source::Newest)
        {
            log::warn!(target: DRAIN, "{e}");
        }
        // They are the successor's to talk with.
        for generation in std::mem::take(&mut self.succession.older) {
            self.net.unwatch(&generation.link);
        }
        self.net.listeners.clear();
        self.succession.pid_file.iter_mut().for_each(PidFile::let_go);
        self.net.alarms.forget_suspended();
        self.leave(&self.succession.drain_on_restart.clone())
    }

    /// There will be no successor, and the older generations have no more time than this one.
    pub(in crate::turn) fn drain_for_good(&mut self) -> Result {
        self.net.stop_accepting();
        self.tell_leaving();
        for listener in self.net.listeners.drain(..) {
            listener.unlink();
        }
        self.net.datagrams.iter().filter_map(Datagrams::socket).for_each(Listener::unlink);
        let within = self.succession.drain_on_stop.deadline;
        for generation in &mut self.succession.older {
            let _ = generation.link.send(&Message::Dismissed { within }, Vec::new());
        }
        self.tell_stopping();
        self.give_up_deferred();
        self.leave(&self.succession.drain_on_stop.clone())
    }

    fn leave(&mut self, how: &Drain) -> Result {
        log::info!(target: DRAIN, "draining: {} connections are left", self.net.connections());
        self.tell_retired();
        self.dismiss_controls();
        self.plan_drain(how);
        self.drain_step()
    }

    /// A drain is under way, but from now on in the time that a stop has.
    pub(in crate::turn) fn hurry(&mut self) -> Result {
        self.plan_drain(&self.succession.drain_on_stop.clone());
        self.drain_step()
    }

    /// Another generation says that this one shall leave.
    pub(in crate::turn) fn dismissed(&mut self, within: Option<Duration>) -> Result {
        log::info!(target: DRAIN, "dismissed by another generation");
        self.succession.manager.leave_to_others();
        self.succession.dismissed |= self.succession.phase != Phase::Stopping;
        self.succession.drain_on_stop.deadline = within;
        self.advance(Event::Dismissed)
    }

    /// Oldest first; every process has its own jitter.
    fn plan_drain(&mut self, how: &Drain) {
        let mut ids: Vec<_> = self.net.clients().map(|conn| (conn.opened, conn.id)).collect();
        ids.sort_unstable();
        let ids: Vec<_> = ids.into_iter().map(|(_, id)| id).collect();
        let seed = RandomState::new();
        let jitter = |id| seed.hash_one(id);
        let plan = DrainSchedule::plan(how, self.net.now(), &ids, jitter);
        self.succession.drain_schedule.replace(plan);
    }

    /// Does what is due of the schedule, and sets the timer for the rest.
    pub(in crate::turn) fn drain_step(&mut self) -> Result {
        while let Some(due) = self.succession.drain_schedule.pop(self.net.now()) {
            match due {
                Due::Tell(id) => self.tell_draining(id),
                Due::End(id) => self.net.kill_if_there(id, Reason::DrainDeadline),
                Due::EndAll => self.advance(Event::Deadline)?,
            }
        }
        if let Some(next) = self.succession.drain_schedule.next() {
            self.net.set_deadline(next, Deadline::DrainStep);
        }
        Ok(())
    }

    fn tell_draining(&mut self, id: ConnId) {
        let Some(conn) = self.net.conn(id) else { return };
        if !std::mem::replace(&mut conn.flags.told_to_drain, true) {
            self.call(id, |service, conn, session| service.on_drain(conn, session));
        }
    }

    /// Aborts what is left, and waits for nobody's work. What was told to this process is for the older
    /// ones as well.
    pub(in crate::turn) fn abort_all(&mut self, event: Event) {
        if event != Event::Deadline {
            for generation in &mut self.succession.older {
                let now = Message::Dismissed { within: Some(Duration::ZERO) };
                let _ = generation.link.send(&now, Vec::new());
            }
        }
        let ids: Vec<_> = self.net.clients().map(|conn| conn.id).collect();
        for id in ids {
            let late = event == Event::Deadline;
            self.net.kill(id, if late { Reason::DrainDeadline } else { Reason::Stopped });
        }
        self.net.hurry();
        if event != Event::Deadline {
            self.succession.manager.fall_silent();
        }
    }
}
