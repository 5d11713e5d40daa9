//! One restart and one drain, carried out: what the state machine of [`restart`](crate::restart)
//! decides happens here, on the service, the net and the other process.

use std::{
    os::fd::{AsFd, OwnedFd},
    process,
    time::Instant,
};

use mio::Poll;
use nix::{sys::signal::Signal, unistd::dup2_stderr};

use super::{Estate, Turn};
use crate::{
    error::{Error, Result},
    limits::{DRAIN_ON_RESTART, DRAIN_ON_STOP, LAST_WORDS},
    net::{Key, Reason, Request, Source},
    pidfile::PidFile,
    plan::{Drain, Engine, Restart, RestartError, Verdict},
    restart::{
        Action, Event, Phase,
        attempt::{Attempt, Side, choose_engine},
        child::Child,
        exec::Launch,
        fork::{Unready, close_all},
        link::Message,
        pass::{Link, LinkError},
        step,
    },
    service::{Service, Start},
    signal::Signals,
};

/// This process's place in the succession of generations, and what it needs to hold it.
#[derive(Debug)]
pub(crate) struct Succession {
    phase: Phase,
    pub signals: Option<Signals>,
    /// What a signal asks for.
    pub triggers: Vec<(Signal, Trigger)>,
    pub launch: Launch,
    /// On a new side: the link to the old one, until this one serves.
    pub link: Option<Link>,
    /// On a new program: the stderr to use once it is ready.
    pub stderr: Option<OwnedFd>,
    /// On an old side: the restart in progress.
    attempt: Option<Attempt>,
    /// Successors that have committed; they are still to be reaped if they end before this process.
    former: Vec<Child>,
    pub drain_on_restart: Drain,
    pub drain_on_stop: Drain,
    pub pid_file: Option<PidFile>,
}

/// What a signal means.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Trigger {
    Restart(Restart),
    /// Drain; the second time, stop.
    Leave,
}

impl Succession {
    /// Of a process that has not begun.
    pub fn new(launch: Launch) -> Succession {
        Succession {
            phase: Phase::Waiting,
            signals: None,
            triggers: Vec::new(),
            launch,
            link: None,
            stderr: None,
            attempt: None,
            former: Vec::new(),
            drain_on_restart: Drain::deadline(DRAIN_ON_RESTART),
            drain_on_stop: Drain::deadline(DRAIN_ON_STOP),
            pid_file: None,
        }
    }

    /// Of a process in memory, which serves from the start.
    pub fn in_memory() -> Succession {
        Succession { phase: Phase::Serving, ..Succession::new(Launch::remember()) }
    }

    pub fn phase(&self) -> Phase {
        self.phase
    }
}

impl<S: Service> Turn<S> {
    /// Before the first turn: a new side says that it is ready, the first generation serves at once.
    pub(super) fn begin(&mut self) -> Result {
        if let Some(signals) = &self.succession.signals {
            self.net.watch(signals, Source::Signals)?;
        }
        if let Some(mut link) = self.succession.link.take() {
            if let Some(stderr) = self.succession.stderr.take() {
                dup2_stderr(stderr).map_err(|e| Error::io("take over", "stderr", e))?;
            }
            self.net.watch(&link, Source::Link)?;
            // A failure means that the old side is gone; the link will say so.
            let _ = link.send(&Message::Ready { pid: process::id() }, Vec::new());
            self.succession.link = Some(link);
            return Ok(());
        }
        self.succession.phase = Phase::Serving;
        self.start_serving(Start::Fresh)
    }

    /// After the last turn.
    pub(super) fn end(&mut self) {
        if let Some(file) = &self.succession.pid_file {
            file.remove();
        }
        log::info!("drained: generation {} ends", self.net.generation());
    }

    /// Part of phase 2: one source that is no connection.
    pub(super) fn hear_source(&mut self, source: Source) -> Result {
        match source {
            Source::Signals => self.hear_signals(),
            Source::Link if self.succession.link.is_some() => self.hear_old()?,
            Source::Link => self.hear_new()?,
            Source::Child => {
                self.hear_new()?; // it may have said why before it died
                self.succession.former.retain_mut(|child| child.ended().is_none());
                let attempt = self.succession.attempt.as_mut();
                if attempt.is_some_and(|attempt| attempt.child.ended().is_some()) {
                    self.give_up(Attempt::died)?;
                }
            }
            Source::Stderr => {
                if let Some(attempt) = &mut self.succession.attempt
                    && attempt.stderr.as_mut().is_some_and(|stderr| !stderr.forward())
                    && let Some(stderr) = attempt.stderr.take()
                {
                    self.net.unwatch(&stderr);
                    attempt.stderr = Some(stderr); // for its tail
                }
            }
            Source::Listener(_) | Source::Conn(_) => {}
        }
        Ok(())
    }

    fn hear_signals(&mut self) {
        let Some(signals) = &mut self.succession.signals else { return };
        while let Some(signal) = signals.next() {
            let meaning = self.succession.triggers.iter().find(|(heard, _)| *heard == signal);
            log::info!("{signal}: {}", if meaning.is_some() { "heard" } else { "ignored" });
            match meaning {
                Some((_, Trigger::Restart(how))) => self.net.restart(how.clone()),
                Some((_, Trigger::Leave)) => self.net.drain(),
                None => {}
            }
        }
    }

    /// What the old side says to this one.
    fn hear_old(&mut self) -> Result {
        loop {
            let Some(link) = &mut self.succession.link else { return Ok(()) };
            match link.receive() {
                Ok(Some((Message::Released, _))) => self.advance(Event::Released)?,
                Ok(Some((other, _))) => log::warn!("link: {other:?} from the old side is ignored"),
                Ok(None) => return Ok(()),
                Err(e) => {
                    log::warn!("the old side is lost before it released: {e}");
                    self.advance(Event::OldGone)?;
                }
            }
        }
    }

    /// What the new side says to this one.
    fn hear_new(&mut self) -> Result {
        loop {
            let Some(attempt) = &mut self.succession.attempt else { return Ok(()) };
            let received = attempt.link.flush().and_then(|()| attempt.link.receive());
            let event = match received {
                Ok(None) => return Ok(()),
                Ok(Some((Message::Ready { .. }, _))) => Event::Ready,
                Ok(Some((Message::Committed, _))) => Event::Committed,
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
            if step(self.succession.phase, event).1 == Action::Nothing {
                self.give_up(|attempt| attempt.failed(format!("it said {event:?} out of turn")))?;
                continue;
            }
            self.advance(event)?;
        }
    }

    /// 6. What callbacks and signals have asked of the process.
    pub(super) fn decide(&mut self) -> Result {
        if let Some(estate) = &mut self.estate
            && self.succession.phase != Phase::Waiting
            && !estate.settle_piece()
        {
            self.estate = None;
        }
        let generation = self.net.generation();
        for request in std::mem::take(&mut self.net.requests) {
            match request {
                Request::Restart(how) if self.net.poll.is_none() => {
                    self.net.staged.restarts.push(how); // in a test
                }
                Request::Restart(how) => {
                    self.restart(how)?;
                    if self.net.generation() != generation {
                        return Ok(()); // we are the child now; the rest was asked of the parent
                    }
                }
                Request::Drain => self.advance(Event::Drain)?,
                Request::Stop => self.advance(Event::Stop)?,
            }
        }
        Ok(())
    }

    /// After everything: a process that is leaving goes when nothing is left.
    pub(super) fn settle(&mut self) -> Result {
        if self.net.draining && self.net.is_empty() { self.advance(Event::Empty) } else { Ok(()) }
    }

    /// Begins a restart, or refuses it.
    fn restart(&mut self, how: Restart) -> Result {
        let generation = self.net.generation() + 1;
        let begun = self.net.now();
        match self.make_successor(&how, generation, begun) {
            Ok(Some(attempt)) => self.attend(attempt),
            Ok(None) => Ok(()), // we are the successor
            Err(why) => {
                self.verdict(generation, how.engine, begun, Err(why));
                Ok(())
            }
        }
    }

    fn make_successor(
        &mut self,
        how: &Restart,
        generation: u64,
        begun: Instant,
    ) -> std::result::Result<Option<Attempt>, RestartError> {
        match self.succession.phase {
            Phase::Serving => {}
            phase if phase.drains() => return Err(RestartError::Draining),
            _ => return Err(RestartError::InProgress),
        }
        let how = how.clone();
        if choose_engine(&how)? == Engine::ForkExec {
            let listeners = self.net.listeners.iter().map(|l| (l.name.as_str(), l.as_fd()));
            let serial = self.net.last_serial;
            let launch = &self.succession.launch;
            return Attempt::exec(how, generation, begun, launch, serial, listeners).map(Some);
        }
        match Attempt::fork(how, generation, begun)? {
            Side::Old(attempt) => {
                self.net.shared = true; // until the child has closed its copies
                Ok(Some(attempt))
            }
            Side::New(link) => {
                self.become_heir(link);
                Ok(None)
            }
        }
    }

    /// Watches over a new side that was just made.
    fn attend(&mut self, attempt: Attempt) -> Result {
        log::info!(
            "restart: generation {} by {} is pid {}",
            attempt.generation,
            attempt.engine,
            attempt.child.pid
        );
        self.net.watch(&attempt.link, Source::Link)?;
        self.net.watch(&attempt.child, Source::Child)?;
        if let Some(stderr) = &attempt.stderr {
            self.net.watch(stderr, Source::Stderr)?;
        }
        self.net.set_timer(attempt.overdue, Key::Ready);
        self.succession.attempt = Some(attempt);
        self.advance(Event::Begun)
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
            self.net.clear_timer(attempt.overdue, Key::Ready);
            attempt.overdue = attempt.overdue.min(self.net.now() + LAST_WORDS);
            self.net.set_timer(attempt.overdue, Key::Ready);
        }
    }

    /// Ends the attempt, in the way that `end` ends the new side, and goes on without it.
    fn give_up(&mut self, end: impl FnOnce(&mut Attempt) -> RestartError) -> Result {
        let Some(mut attempt) = self.detach() else { return Ok(()) };
        let why = end(&mut attempt);
        self.advance(Event::NewGone)?;
        self.verdict(attempt.generation, attempt.engine, attempt.begun, Err(why));
        Ok(())
    }

    /// Takes the attempt out of everything.
    fn detach(&mut self) -> Option<Attempt> {
        let attempt = self.succession.attempt.take()?;
        self.net.unwatch(&attempt.link);
        if let Some(stderr) = &attempt.stderr {
            self.net.unwatch(stderr);
        }
        self.net.unwatch(&attempt.child);
        self.net.clear_timer(attempt.overdue, Key::Ready);
        self.net.shared = false;
        Some(attempt)
    }

    fn verdict(
        &mut self,
        generation: u64,
        engine: Engine,
        begun: Instant,
        outcome: std::result::Result<u32, RestartError>,
    ) {
        let took = self.net.now().saturating_duration_since(begun);
        match &outcome {
            Ok(pid) => {
                log::info!("restart: done in {took:?}: generation {generation} is pid {pid}")
            }
            Err(why) => log::error!("{why}"),
        }
        let verdict = Verdict { generation, engine, took, outcome };
        self.service.on_restart_ended(&mut self.net, &verdict);
    }

    /// Lets the state machine decide, and does what it says.
    pub(super) fn advance(&mut self, event: Event) -> Result {
        let (next, action) = step(self.succession.phase, event);
        log::debug!("restart: {:?} on {event:?}: {next:?}, {action:?}", self.succession.phase);
        self.succession.phase = next;
        self.net.draining = next.drains();
        match action {
            Action::Nothing | Action::RollBack | Action::Exit => {}
            Action::Serve => self.serve_as_heir()?,
            Action::Release => self.release()?,
            Action::Resume => self.start_serving(Start::Resumed)?,
            Action::Retire => self.retire(),
            Action::Drain => self.drain_for_good(),
            Action::AbandonAndDrain => {
                self.abandon();
                self.drain_for_good();
            }
            Action::Hurry => self.limit_drain(&self.succession.drain_on_stop.clone()),
            Action::Abort => self.abort_all(event),
            Action::DrainAndAbort => {
                self.drain_for_good();
                self.abort_all(event);
            }
            Action::AbandonAndAbort => {
                self.abandon();
                self.drain_for_good();
                self.abort_all(event);
            }
        }
        Ok(())
    }

    /// The new side may serve: it accepts, tells the service, and commits.
    fn serve_as_heir(&mut self) -> Result {
        let start = match self.net.engine() {
            Some(Engine::Fork) => Start::Forked,
            _ => Start::Execed,
        };
        self.start_serving(start)?;
        if let Some(mut link) = self.succession.link.take() {
            // Where the old side is gone, nobody needs to hear it.
            let _ = link.send(&Message::Committed, Vec::new());
            self.net.unwatch(&link);
        }
        Ok(())
    }

    fn start_serving(&mut self, start: Start) -> Result {
        self.net.start_accepting().map_err(|e| Error::io("wait for", "clients", e))?;
        self.service.on_start(&mut self.net, start);
        if let Some(file) = &self.succession.pid_file
            && let Err(e) = file.write()
        {
            log::error!("{e}");
        }
        let names = self.net.listeners.iter().map(|l| l.address.to_string());
        log::info!(
            "ready: generation {} ({}), pid {}, listening on {}",
            self.net.generation(),
            self.net.engine().map_or("none".into(), |engine| engine.to_string()),
            process::id(),
            names.collect::<Vec<_>>().join(", "),
        );
        Ok(())
    }

    /// The old side stops accepting, and keeps its listeners in case the new one dies.
    fn release(&mut self) -> Result {
        self.net.shared = false; // the child is past closing its copies
        self.net.stop_accepting();
        let Some(attempt) = &mut self.succession.attempt else { return Ok(()) };
        self.net.clear_timer(attempt.overdue, Key::Ready);
        attempt.overdue = self.net.now() + attempt.how.ready_within;
        self.net.set_timer(attempt.overdue, Key::Ready);
        match attempt.link.send(&Message::Released, Vec::new()) {
            Ok(()) => Ok(()),
            Err(_) => self.give_up(Attempt::died),
        }
    }

    /// The new side has committed: this one serves what it has, and ends.
    fn retire(&mut self) {
        if let Some(mut attempt) = self.detach() {
            if let Some(stderr) = &mut attempt.stderr {
                stderr.forward();
            }
            let pid = attempt.child.pid.as_raw() as u32;
            self.verdict(attempt.generation, attempt.engine, attempt.begun, Ok(pid));
            if attempt.child.ended().is_none()
                && self.net.watch(&attempt.child, Source::Child).is_ok()
            {
                self.succession.former.push(attempt.child);
            }
        }
        self.net.listeners.clear();
        self.net.clear_alarms();
        self.leave(self.succession.drain_on_restart.clone());
    }

    /// There will be no successor.
    fn drain_for_good(&mut self) {
        self.net.stop_accepting();
        for listener in self.net.listeners.drain(..) {
            listener.unlink();
        }
        self.leave(self.succession.drain_on_stop.clone());
    }

    fn leave(&mut self, how: Drain) {
        log::info!("draining: {} connections are left", self.net.connections());
        self.service.on_retire(&mut self.net);
        for id in self.net.ids() {
            self.call(id, |service, io, session| service.on_drain(io, session));
        }
        self.limit_drain(&how);
    }

    fn limit_drain(&mut self, how: &Drain) {
        if let Some(limit) = how.deadline {
            self.net.set_timer(self.net.now() + limit, Key::DrainDeadline);
        }
    }

    fn abandon(&mut self) {
        if let Some(mut attempt) = self.detach() {
            let why = attempt.abandoned();
            self.verdict(attempt.generation, attempt.engine, attempt.begun, Err(why));
        }
    }

    /// Aborts what is left, and waits for nobody's work.
    fn abort_all(&mut self, event: Event) {
        let ids: Vec<_> = self.net.conns.iter().map(|(_, conn)| conn.id).collect();
        for id in ids {
            let late = event == Event::Deadline;
            self.net.kill(id, if late { Reason::DrainDeadline } else { Reason::Stopped });
        }
        self.net.drop_holds();
    }

    /// In the child of a fork: turns this copy of the parent into the next generation.
    fn become_heir(&mut self, mut link: Link) {
        let unready = Unready;
        match self.try_become_heir(&link) {
            Ok(()) => {
                // A failure means that the parent is gone; the link will say so.
                let _ = link.send(&Message::Ready { pid: process::id() }, Vec::new());
                self.succession.link = Some(link);
                unready.disarm();
            }
            Err(why) => {
                let _ = link.send(&Message::Failed { reason: why.to_string() }, Vec::new());
                drop(unready);
            }
        }
    }

    fn try_become_heir(&mut self, link: &Link) -> Result {
        // First what keeps a client from seeing its FIN: the copies of the parent's connections.
        let conns = std::mem::take(&mut self.net.conns);
        close_all(conns.iter().filter_map(|(_, conn)| conn.stream.raw_fd()).collect());
        self.estate = Some(Estate::new(conns, std::mem::take(&mut self.sessions)));
        // Then a kernel of its own: the old epoll set is the parent's, and is only closed.
        let poll = Poll::new().map_err(|e| Error::io("make", "an epoll set", e))?;
        self.net.begin_anew(poll)?;
        self.heard.clear();
        self.succession.former.clear();
        self.succession.phase = Phase::Waiting;
        if let Some(signals) = &self.succession.signals {
            let signals = signals.anew()?;
            self.net.watch(&signals, Source::Signals)?;
            self.succession.signals = Some(signals);
        }
        self.net.watch(link, Source::Link)
    }
}
