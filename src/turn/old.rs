//! The old side of a restart: makes the new process, hears it, and takes back what it gave if the new
//! one does not last.

use std::{os::fd::AsFd, time::Instant};

use super::{Asked, AtMax, Generation, Turn};
use crate::{
    error::Result,
    limits::{LAST_WORDS, LEAVE_GRACE},
    net::{Key, Source},
    plan::Engine,
    restart::{
        Event, Phase,
        attempt::{Attempt, Offer, Side, Task, choose_engine},
        fault::{self, Step},
        link::{Identity, Message},
        pass::LinkError,
        step,
    },
    service::{Service, Start},
    verdict::{RestartError, Steps, Verdict},
};

impl<S: Service> Turn<S> {
    /// Begins a restart that was asked for at `begun`, or refuses it.
    pub(super) fn restart(&mut self, asked: Asked, begun: Instant) -> Result {
        let Asked { how, by } = asked;
        let engine = how.engine;
        let generation = self.succession.last_generation.max(self.net.generation()) + 1;
        self.tell_restarting();
        let task = Task { how, by, engine, generation, begun };
        match self.make_successor(task.clone()) {
            Ok(Some(attempt)) => {
                log::info!(
                    "restart: generation {generation} by {} is pid {}",
                    attempt.engine,
                    attempt.child.pid
                );
                self.attend(attempt)
            }
            Ok(None) => Ok(()), // we are the successor, or the restart has to wait
            Err(why) => {
                self.verdict(&task, Steps::default(), Err(why));
                Ok(())
            }
        }
    }

    fn make_successor(&mut self, task: Task) -> std::result::Result<Option<Attempt>, RestartError> {
        match self.succession.phase {
            Phase::Serving if self.succession.deferred.is_none() => {}
            phase if phase.drains() => return Err(RestartError::Draining),
            _ => return Err(RestartError::InProgress),
        }
        if std::process::id() == 1 {
            return Err(RestartError::FirstProcess);
        }
        if self.succession.living() >= self.succession.max_generations {
            return self.make_room_for(task).map(|()| None);
        }
        let task = Task { engine: choose_engine(&task.how, self.inboxes.count())?, ..task };
        if task.engine == Engine::ForkExec {
            self.succession.launch.preflight()?;
            return match task.how.check.clone() {
                Some(flag) => Attempt::check(task, &self.succession.launch, &flag).map(Some),
                None => self.exec(task).map(Some),
            };
        }
        let (this, probation) = (self.succession.identity(&self.net), task.how.probation);
        if task.how.moves {
            self.freeze();
        }
        let generation = task.generation;
        let forked = Attempt::fork(task);
        if forked.is_err() && self.net.frozen {
            self.net.thaw();
        }
        match forked? {
            Side::Old(attempt) => {
                self.net.shared = true; // until the child has closed its copies
                self.net.suspend_alarms();
                Ok(Some(*attempt))
            }
            Side::New(link) => {
                self.succession.probation = probation;
                self.net.generation = generation;
                self.become_heir(Generation::new(this, link));
                Ok(None)
            }
        }
    }

    fn exec(&self, task: Task) -> std::result::Result<Attempt, RestartError> {
        let elders = self.succession.leavers.iter();
        let offer = Offer {
            old: self.succession.identity(&self.net),
            listeners: self.net.listeners.iter().map(|l| (l.name.as_str(), l.as_fd())).collect(),
            elders: elders.map(|elder| (elder.who, elder.link.as_fd())).collect(),
            supervisor: self.succession.supervisor.as_ref().map(|s| (s.pid, s.as_fd())),
        };
        Attempt::exec(task, &self.succession.launch, offer)
    }

    /// There are as many generations as there may be: the oldest is told to leave, if that is the rule.
    fn make_room_for(&mut self, task: Task) -> std::result::Result<(), RestartError> {
        let now = self.net.now();
        let living = self.succession.living();
        let this = self.succession.identity(&self.net);
        let oldest = self.succession.leavers.first_mut();
        let who = oldest.as_ref().map_or(this, |oldest| oldest.who);
        let refused = RestartError::TooMany { living, oldest: (who.generation, who.pid) };
        let (AtMax::DismissOldest(within), Some(oldest)) = (self.succession.at_max, oldest) else {
            return Err(refused);
        };
        log::info!("restart: waits for generation {} to leave within {within:?}", who.generation);
        let _ = oldest.link.send(&Message::Dismissed { within: Some(within) }, Vec::new());
        let overdue = now + within + LEAVE_GRACE;
        oldest.overdue = Some(overdue);
        self.net.set_timer(overdue, Key::LeaverOverdue);
        self.succession.deferred = Some((Asked { how: task.how, by: task.by }, task.begun));
        Ok(())
    }

    /// Watches over a new side, or a check, that was just made.
    fn attend(&mut self, mut attempt: Attempt) -> Result {
        attempt.link.iter_mut().for_each(|link| fault::point(Step::OldMade, Some(link)));
        let watched = self.watch_new(&attempt);
        self.net.set_timer(attempt.overdue, Key::NewOverdue);
        self.succession.attempt = Some(attempt);
        self.advance(Event::Begun)?;
        self.give_up_unless(watched.map_err(|e| e.to_string()))
    }

    fn watch_new(&self, attempt: &Attempt) -> Result {
        if let Some(link) = &attempt.link {
            self.net.watch(link, Source::Link)?;
        }
        if let Some(stderr) = &attempt.stderr {
            self.net.watch(stderr, Source::Stderr)?;
        }
        self.net.watch(&attempt.child, Source::Child)
    }

    /// What the new side says to this one.
    pub(super) fn hear_new(&mut self) -> Result {
        loop {
            let Some(attempt) = &mut self.succession.attempt else { return Ok(()) };
            let Some(link) = &mut attempt.link else { return Ok(()) };
            let received = link.flush().and_then(|()| link.receive());
            let event = match received {
                Ok(None) => return Ok(()),
                Ok(Some((Message::Claim, _))) if !attempt.handed => {
                    let handed = self.hand_over();
                    self.give_up_unless(handed)?;
                    continue;
                }
                Ok(Some((Message::Taken, _))) if attempt.in_flight > 0 => {
                    attempt.in_flight -= 1;
                    let sent = self.send_connections();
                    self.give_up_unless(sent)?;
                    continue;
                }
                Ok(Some((Message::Ready { .. }, _))) => Event::Ready,
                Ok(Some((Message::TakenOver, _))) => {
                    self.taken_over();
                    continue;
                }
                Ok(Some((Message::Alarms(words), _))) => {
                    self.hear_alarms(words);
                    continue;
                }
                // A side that has died since is none to retire for.
                Ok(Some((Message::Committed, _))) if link.is_cut() => continue,
                Ok(Some((Message::Committed, _))) => Event::Committed,
                Ok(Some((Message::TakeBack { reason }, _))) => {
                    attempt.handed_back = Some(reason);
                    Event::TakeBack
                }
                Ok(Some((Message::Ask, _))) => {
                    let report = self.report();
                    self.tell_new(&Message::Report(report));
                    continue;
                }
                Ok(Some((Message::Failed { reason }, _))) => {
                    self.give_up(|attempt| attempt.failed(reason))?;
                    continue;
                }
                // While this side accepts, there is time to hear how the new one ends.
                Err(LinkError::Closed) if self.succession.phase == Phase::Starting => {
                    self.await_end();
                    return Ok(());
                }
                Err(LinkError::Closed) => {
                    self.give_up(Attempt::died)?;
                    continue;
                }
                Ok(Some((other, _))) => {
                    self.give_up(|attempt| attempt.failed(format!("it said {other:?}")))?;
                    continue;
                }
                Err(e) => {
                    self.give_up(|attempt| attempt.failed(e.to_string()))?;
                    continue;
                }
            };
            if step(self.succession.phase, event).0 == self.succession.phase {
                self.give_up(|attempt| attempt.failed(format!("it said {event:?} out of turn")))?;
                continue;
            }
            self.advance(event)?;
        }
    }

    fn tell_new(&mut self, message: &Message) {
        // A link that does not take it is closed; it will say so itself.
        if let Some(link) = self.succession.attempt.as_mut().and_then(|a| a.link.as_mut()) {
            let _ = link.send(message, Vec::new());
        }
    }

    /// Processes that this one has made and that have ended.
    pub(super) fn hear_children(&mut self) -> Result {
        self.hear_new()?; // it may have said why before it died
        self.reap_children();
        let Some(attempt) = &mut self.succession.attempt else { return Ok(()) };
        if !attempt.child.has_ended() {
            return Ok(());
        }
        match (attempt.is_check(), attempt.child.has_succeeded()) {
            (true, true) => self.go_on_after_check(),
            (true, false) => self.give_up(Attempt::unfit),
            (false, _) => self.give_up(Attempt::died),
        }
    }

    /// The program says that it would serve: so it is started.
    fn go_on_after_check(&mut self) -> Result {
        let Some(check) = self.detach() else { return Ok(()) };
        let task = check.task();
        match self.exec(task.clone()) {
            Ok(attempt) => self.attend(attempt),
            Err(why) => {
                self.advance(Event::NewGone)?;
                self.verdict(&task, Steps::default(), Err(why));
                Ok(())
            }
        }
    }

    /// Passes on what new sides say on stderr, and forgets those that say no more.
    pub(super) fn forward_stderr(&mut self) {
        let poll = &self.net;
        self.succession.stderrs.retain_mut(|stderr| {
            let goes_on = stderr.forward();
            if !goes_on {
                poll.unwatch(stderr);
            }
            goes_on
        });
        if let Some(attempt) = &mut self.succession.attempt
            && attempt.stderr.as_mut().is_some_and(|stderr| !stderr.forward())
            && let Some(stderr) = attempt.stderr.take()
        {
            self.net.unwatch(&stderr);
            attempt.stderr = Some(stderr); // for its tail
        }
    }

    /// The new side had its time: to be ready, or to commit after it was released.
    pub(super) fn new_side_overdue(&mut self) -> Result {
        self.hear_new()?; // its word may just have come
        let now = self.net.now();
        match &self.succession.attempt {
            Some(attempt) if attempt.overdue <= now => self.give_up(Attempt::timed_out),
            _ => Ok(()),
        }
    }

    /// The new side has closed its link before it was ready: it is ending, or has a moment to.
    fn await_end(&mut self) {
        let Some(attempt) = &mut self.succession.attempt else { return };
        if !std::mem::replace(&mut attempt.ending, true) {
            self.net.clear_timer(attempt.overdue, Key::NewOverdue);
            attempt.overdue = attempt.overdue.min(self.net.now() + LAST_WORDS);
            self.net.set_timer(attempt.overdue, Key::NewOverdue);
        }
    }

    /// Ends the attempt, in the way that `end` ends the new side, and goes on without it.
    fn give_up(&mut self, end: impl FnOnce(&mut Attempt) -> RestartError) -> Result {
        let Some(mut attempt) = self.detach() else { return Ok(()) };
        let why = end(&mut attempt);
        if let Some(file) = &self.succession.pid_file {
            file.clear_up_after(attempt.child.pid.as_raw());
        }
        let had_taken_over = self.hear_last_words(&mut attempt);
        match self.net.frozen {
            true if had_taken_over => self.let_go(),
            true => self.net.thaw(),
            false => {}
        }
        self.net.resume_alarms();
        self.advance(Event::NewGone)?;
        self.verdict(&attempt.task(), attempt.steps, Err(why));
        Ok(())
    }

    fn give_up_unless(&mut self, done: std::result::Result<(), String>) -> Result {
        match done {
            Ok(()) => Ok(()),
            Err(why) => self.give_up(|attempt| attempt.failed(why)),
        }
    }

    /// Takes the attempt out of everything.
    pub(super) fn detach(&mut self) -> Option<Attempt> {
        let attempt = self.succession.attempt.take()?;
        if let Some(link) = &attempt.link {
            self.net.unwatch(link);
        }
        if let Some(stderr) = &attempt.stderr {
            self.net.unwatch(stderr);
        }
        self.net.unwatch(&attempt.child);
        self.net.clear_timer(attempt.overdue, Key::NewOverdue);
        self.net.shared = false;
        Some(attempt)
    }

    /// Tells everybody who wants to know how a restart went.
    pub(super) fn verdict(
        &mut self,
        task: &Task,
        steps: Steps,
        outcome: std::result::Result<u32, RestartError>,
    ) {
        let Task { generation, engine, .. } = *task;
        let took = self.net.now().saturating_duration_since(task.begun);
        match &outcome {
            Ok(pid) => {
                log::info!("restart: done in {took:?}: generation {generation} is pid {pid}")
            }
            Err(why) => {
                log::error!("{why}");
                self.tell_failed(why);
            }
        }
        let verdict = Verdict { generation, engine, took, steps, outcome };
        if let Some(id) = task.by {
            self.answer_verdict(id, &verdict);
        }
        if self.succession.phase != Phase::Waiting {
            self.service.on_restart_ended(&mut self.net, &verdict);
        }
    }

    /// The new side is ready: this one stops accepting, and keeps its listeners in case it dies.
    pub(super) fn release(&mut self) -> Result {
        self.net.shared = false; // the child is past closing its copies
        let now = self.net.now();
        let Some(attempt) = &mut self.succession.attempt else { return Ok(()) };
        fault::point(Step::OldReady, attempt.link.as_mut());
        self.net.stop_accepting();
        self.net.clear_timer(attempt.overdue, Key::NewOverdue);
        // Connections on their way are served by nobody.
        let patience = match self.net.frozen {
            true => attempt.how.standstill,
            false => attempt.how.probation + attempt.how.ready_within,
        };
        attempt.overdue = now + patience;
        self.net.set_timer(attempt.overdue, Key::NewOverdue);
        attempt.steps.ready = Some(now.saturating_duration_since(attempt.begun));
        self.succession.last_generation = attempt.generation;
        // From here on the new side talks with them.
        for elder in &self.succession.leavers {
            self.net.unwatch(&elder.link);
        }
        self.tell_retired();
        self.tell_new(&Message::Released);
        let link = self.succession.attempt.as_mut().and_then(|attempt| attempt.link.as_mut());
        fault::point(Step::OldReleased, link);
        Ok(())
    }

    /// The new side has the connections. Until it said so, they were still this one's if it died.
    fn taken_over(&mut self) {
        if !self.net.frozen {
            return;
        }
        self.let_go();
        let now = self.net.now();
        if let Some(attempt) = &mut self.succession.attempt {
            self.net.clear_timer(attempt.overdue, Key::NewOverdue);
            attempt.overdue = now + attempt.how.probation + attempt.how.ready_within;
            self.net.set_timer(attempt.overdue, Key::NewOverdue);
        }
    }

    /// The new side is gone, or does not want to serve: this one accepts again.
    pub(super) fn resume(&mut self) -> Result {
        for elder in &self.succession.leavers {
            self.net.watch(&elder.link, Source::Leavers)?;
        }
        self.net.resume_alarms();
        self.start_serving(Start::Resumed)?;
        if let Some(mut attempt) = self.detach() {
            let why = attempt.rolled_back();
            let (task, steps) = (attempt.task(), attempt.steps);
            self.let_live(attempt)?;
            self.verdict(&task, steps, Err(why));
        }
        Ok(())
    }

    /// A new side that lives on, to serve what it has.
    fn let_live(&mut self, mut attempt: Attempt) -> Result {
        self.go_on_hearing(&mut attempt)?;
        let Attempt { generation, engine, mut child, link, .. } = attempt;
        let pid = child.pid.as_raw() as u32;
        if let Some(link) = link {
            self.net.watch(&link, Source::Leavers)?;
            let who = Identity { generation, pid, engine: Some(engine) };
            self.succession.leavers.push(Generation::new(who, link));
        }
        if !child.has_ended() && self.net.watch(&child, Source::Child).is_ok() {
            self.succession.children.push(child);
        }
        Ok(())
    }

    /// Nobody waits for the verdict any more, but the new side's stderr still goes through this one.
    pub(super) fn go_on_hearing(&mut self, attempt: &mut Attempt) -> Result {
        if let Some(mut stderr) = attempt.stderr.take()
            && stderr.forward()
        {
            self.net.watch(&stderr, Source::Stderr)?;
            self.succession.stderrs.push(stderr);
        }
        Ok(())
    }

    pub(super) fn say_resumed(&mut self) {
        if let Some(newcomer) = self.succession.leavers.last_mut() {
            let _ = newcomer.link.send(&Message::Resumed, Vec::new());
            fault::point(Step::OldResumed, Some(&mut newcomer.link));
        }
    }

    /// This side has to go, so the new one is not wanted.
    pub(super) fn abandon(&mut self) {
        if let Some(mut attempt) = self.detach() {
            let why = attempt.abandoned();
            if self.net.frozen {
                self.net.thaw();
            }
            self.net.resume_alarms();
            self.verdict(&attempt.task(), attempt.steps, Err(why));
        }
    }

    /// This side was told to end the service, of which the new side is a part by now.
    pub(super) fn dismiss_new(&mut self) -> Result {
        let within = self.succession.drain_on_stop.deadline;
        self.tell_new(&Message::Dismissed { within });
        self.let_go(); // it was released, and takes them over before it leaves
        if let Some(mut attempt) = self.detach() {
            self.go_on_hearing(&mut attempt)?;
            self.verdict(&attempt.task(), attempt.steps, Err(RestartError::Stopped));
            let mut child = attempt.child;
            if !child.has_ended() && self.net.watch(&child, Source::Child).is_ok() {
                self.succession.children.push(child);
            }
        }
        Ok(())
    }
}
