//! The old side of a restart that has begun: hears the new process, and takes back what it gave if
//! that one does not last.

use std::time::{Duration, Instant};

use crate::{
    error::Result,
    limits::LAST_WORDS,
    log_target::RESTART,
    net::{Deadline, Source},
    restart::{
        Event, Phase,
        engine::attempt::{Attempt, Task},
        fault::{self, Step},
        link::{LinkError, Message, Parcel},
        step,
    },
    service::{Service, Start},
    turn::{Turn, generation::Generation},
    verdict::{RestartError, Steps, Verdict},
};

impl<S: Service> Turn<S> {
    /// What the new side says to this one.
    pub(in crate::turn) fn handle_new(&mut self) -> Result {
        let mut taken = 0;
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
                // A side that has died since is none to retire for.
                Ok(Some((Message::Committed, _))) if link.is_cut() => continue,
                Ok(Some((Message::Committed, _))) => Event::Committed,
                Ok(Some((Message::TakeBack { reason }, _))) => {
                    attempt.handed_back = Some(reason);
                    Event::TakeBack
                }
                Ok(Some((Message::Datagrams { forwarded }, _))) => {
                    if !self.deliver_some(forwarded, &mut taken, Source::Link) {
                        return Ok(());
                    }
                    continue;
                }
                Ok(Some((word @ (Message::Ask | Message::TakenOver | Message::Alarms(_)), _))) => {
                    self.heed_new(word);
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
                other => {
                    let why = complaint(other);
                    self.give_up(|attempt| attempt.failed(why))?;
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

    /// What the new side says beside the steps of the restart.
    fn heed_new(&mut self, word: Message) {
        match word {
            Message::TakenOver => self.taken_over(),
            Message::Alarms(words) => self.handle_alarms(words),
            _ => {
                let report = self.report();
                self.tell_new(&Message::Report(report));
            }
        }
    }

    fn tell_new(&mut self, message: &Message) {
        // A link that does not take it is closed; it will say so itself.
        if let Some(link) = self.succession.link_to_new() {
            let _ = link.send(message, Vec::new());
        }
    }

    /// Processes that this one has made and that have ended.
    pub(in crate::turn) fn handle_children(&mut self) -> Result {
        self.handle_new()?; // it may have said why before it died
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

    /// Passes on what new sides say on stderr, and forgets those that say no more.
    pub(in crate::turn) fn forward_stderr(&mut self) {
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
    pub(in crate::turn) fn new_side_overdue(&mut self) -> Result {
        self.handle_new()?; // its word may just have come
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
            self.reschedule(|attempt, now| attempt.overdue = attempt.overdue.min(now + LAST_WORDS));
        }
    }

    /// Changes when the new side's next word is overdue.
    pub(in crate::turn) fn reschedule(&mut self, change: impl FnOnce(&mut Attempt, Instant)) {
        let Some(attempt) = &mut self.succession.attempt else { return };
        self.net.cancel_deadline(attempt.overdue, Deadline::NewOverdue);
        change(attempt, self.net.now());
        self.net.set_deadline(attempt.overdue, Deadline::NewOverdue);
    }

    /// Ends the attempt, in the way that `end` ends the new side, and goes on without it.
    fn give_up(&mut self, end: impl FnOnce(&mut Attempt) -> RestartError) -> Result {
        let Some(mut attempt) = self.detach() else { return Ok(()) };
        let why = end(&mut attempt);
        if let Some(file) = &self.succession.pid_file {
            file.clear_up_after(attempt.child.id());
        }
        let had_taken_over = self.drain_link(&mut attempt);
        match self.net.frozen {
            true if had_taken_over => self.let_go(),
            true => self.net.thaw(),
            false => {}
        }
        self.net.alarms.resume_all();
        self.advance(Event::NewGone)?;
        self.verdict(&attempt.task, attempt.steps, Err(why));
        Ok(())
    }

    pub(in crate::turn) fn give_up_unless(
        &mut self,
        done: std::result::Result<(), String>,
    ) -> Result {
        match done {
            Ok(()) => Ok(()),
            Err(why) => self.give_up(|attempt| attempt.failed(why)),
        }
    }

    /// Takes the attempt out of everything.
    pub(in crate::turn) fn detach(&mut self) -> Option<Attempt> {
        let attempt = self.succession.attempt.take()?;
        if let Some(link) = &attempt.link {
            self.net.unwatch(link);
        }
        if let Some(stderr) = &attempt.stderr {
            self.net.unwatch(stderr);
        }
        self.net.unwatch(&attempt.child);
        self.net.cancel_deadline(attempt.overdue, Deadline::NewOverdue);
        self.net.shared = false;
        Some(attempt)
    }

    /// Tells everybody who wants to know how a restart went.
    pub(in crate::turn) fn verdict(
        &mut self,
        task: &Task,
        steps: Steps,
        outcome: std::result::Result<u32, RestartError>,
    ) {
        let Task { generation, engine, .. } = *task;
        let took = self.net.now().saturating_duration_since(task.begun);
        match &outcome {
            Ok(pid) => {
                log::info!(
                    target: RESTART,
                    "restart: done in {took:?}: generation {generation} is pid {pid}"
                )
            }
            Err(why) => {
                log::error!(target: RESTART, "{why}");
                self.tell_failed(why);
            }
        }
        let program = task.program.clone();
        let verdict = Verdict { generation, engine, took, steps, program, outcome };
        if let Some(id) = task.by {
            self.answer_verdict(id, &verdict);
        }
        if self.succession.phase != Phase::Waiting {
            self.service.on_restart_ended(&mut self.net, &verdict);
        }
    }

    /// The new side is ready: this one stops accepting, and keeps its listeners in case it dies.
    pub(in crate::turn) fn release(&mut self) -> Result {
        self.net.shared &= self.net.frozen; // the child is past closing its copies of what stays
        let now = self.net.now();
        let Some(attempt) = &mut self.succession.attempt else { return Ok(()) };
        fault::point(Step::OldReady, attempt.link.as_mut());
        attempt.steps.ready = Some(now.saturating_duration_since(attempt.task.begun));
        self.succession.last_generation = attempt.task.generation;
        self.net.stop_accepting();
        self.net.stop_reading();
        self.reschedule(Attempt::prove);
        if self.net.frozen {
            self.reschedule(Attempt::hurry);
        }
        // From here on the new side talks with them.
        for generation in &self.succession.older {
            self.net.unwatch(&generation.link);
        }
        self.discard_forwarded();
        self.tell_retired();
        self.tell_new(&Message::Released);
        fault::point(Step::OldReleased, self.succession.link_to_new());
        Ok(())
    }

    /// The new side has the connections. Until it said so, they were still this one's if it died.
    fn taken_over(&mut self) {
        if !self.net.frozen {
            return;
        }
        self.let_go();
        self.reschedule(Attempt::prove);
    }

    /// The new side is gone, or does not want to serve: this one accepts again.
    pub(in crate::turn) fn resume(&mut self) -> Result {
        for generation in &self.succession.older {
            self.net.watch(&generation.link, Source::Older)?;
        }
        self.net.alarms.resume_all();
        self.start_serving(Start::Resumed)?;
        if let Some(mut attempt) = self.detach() {
            let why = attempt.rolled_back();
            let (task, steps) = (attempt.task.clone(), attempt.steps);
            self.let_live(attempt)?;
            self.verdict(&task, steps, Err(why));
        }
        Ok(())
    }

    /// A new side that lives on, to serve what it has.
    fn let_live(&mut self, mut attempt: Attempt) -> Result {
        self.go_on_hearing(&mut attempt)?;
        let who = attempt.identity();
        if let Some(link) = attempt.link {
            self.net.watch(&link, Source::Older)?;
            self.succession.older.push(Generation::new(who, link));
        }
        self.look_after(attempt.child);
        Ok(())
    }

    /// Nobody waits for the verdict any more, but the new side's stderr still goes through this one.
    pub(in crate::turn) fn go_on_hearing(&mut self, attempt: &mut Attempt) -> Result {
        if let Some(mut stderr) = attempt.stderr.take()
            && stderr.forward()
        {
            self.net.watch(&stderr, Source::Stderr)?;
            self.succession.stderrs.push(stderr);
        }
        Ok(())
    }

    pub(in crate::turn) fn say_resumed(&mut self) {
        if let Some(newcomer) = self.succession.older.last_mut() {
            let _ = newcomer.link.send(&Message::Resumed, Vec::new());
            fault::point(Step::OldResumed, Some(&mut newcomer.link));
        }
    }

    /// This side has to go, so the new one is not wanted.
    pub(in crate::turn) fn abandon(&mut self) {
        if let Some(mut attempt) = self.detach() {
            let why = attempt.abandoned();
            if self.net.frozen {
                self.net.thaw();
            }
            self.net.alarms.resume_all();
            self.verdict(&attempt.task, attempt.steps, Err(why));
        }
    }

    /// This side was told to end the service, of which the new side is a part by now.
    pub(in crate::turn) fn dismiss_new(&mut self, event: Event) -> Result {
        let within = match event {
            Event::Stop => Some(Duration::ZERO),
            _ => self.succession.drain_on_stop.deadline,
        };
        self.tell_new(&Message::Dismissed { within });
        self.let_go(); // it was released, and takes them over before it leaves
        if let Some(mut attempt) = self.detach() {
            self.go_on_hearing(&mut attempt)?;
            self.verdict(&attempt.task, attempt.steps, Err(RestartError::Stopped));
            self.look_after(attempt.child);
        }
        Ok(())
    }
}

/// What the new side has said instead of what it should.
fn complaint(received: std::result::Result<Option<Parcel<Message>>, LinkError>) -> String {
    match received {
        Ok(Some((Message::Failed { reason }, _))) => reason,
        Ok(Some((other, _))) => format!("it said {other:?}"),
        Ok(None) => "it said nothing".into(),
        Err(e) => e.to_string(),
    }
}
