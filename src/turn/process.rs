//! What happens to this process, as opposed to its connections: signals, requests, and the decisions
//! of the state machine. What they come to is in `restart`, `leaving` and `report`.

use std::process;

use log::Level;

use super::{
    Turn,
    generation::{Asked, Trigger},
    guard::{guard, guard_process, say},
};
use crate::{
    cause::{Asker, Cause},
    error::{Error, Result},
    log_target::{DRAIN, RESTART, SYSTEM},
    logging::Escaped,
    net::{Request, Source},
    restart::{Action, Event, Phase, step},
    service::{Service, Start},
    system::{
        process::name_of,
        signal::{Sender, Signals},
        signal_set::Signal,
    },
};

/// Something that somebody has asked for by a signal, if need be by way of this supervisor.
fn cause_of(signal: Signal, sender: Sender, supervisor: Option<u32>) -> Cause {
    let by = match sender.beyond(supervisor) {
        Sender::Terminal => None,
        Sender::Process { pid, uid, .. } => Some(Asker { pid, uid, program: name_of(pid) }),
    };
    Cause::Signal { name: signal.to_string(), by }
}

impl<S: Service> Turn<S> {
    /// Part of phase 2: one source that is no connection.
    pub(super) fn dispatch_source(&mut self, source: Source) -> Result {
        match source {
            Source::Signals => self.handle_signals()?,
            Source::Watches => self.net.expect_watches(),
            Source::OwnSignals => self.succession.own_signals_wait = true,
            Source::Link if self.succession.old.is_some() => self.handle_old()?,
            Source::Link => self.handle_new()?,
            Source::OldProcess => self.handle_old_process()?,
            Source::Child => self.handle_children()?,
            Source::Stderr => self.forward_stderr(),
            Source::Older => self.handle_older()?,
            Source::Newest => self.handle_newest()?,
            Source::Barrier => self.handle_barrier(),
            Source::Preparation => self.handle_preparation()?,
            Source::Names
            | Source::Mail
            | Source::Listener(_)
            | Source::Datagrams(_)
            | Source::Conn(_) => {}
        }
        Ok(())
    }

    pub(super) fn handle_signals(&mut self) -> Result {
        while let Some((signal, sender)) = self.succession.signals.as_mut().and_then(Signals::next)
        {
            let supervisor = self.succession.supervisor.as_ref().map(|supervisor| supervisor.pid);
            let meaning = self.succession.triggers.iter().find(|(heard, _)| *heard == signal);
            if meaning.is_some() {
                self.net.log(SYSTEM, Level::Info, "signal", format_args!("{signal}: heard"));
            }
            match meaning {
                Some((_, Trigger::Restart(how))) => {
                    let (how, cause) = (how.clone(), cause_of(signal, sender, supervisor));
                    self.net.requests.push(Request::Restart { how, by: None, cause });
                }
                // At once: the word of the old side may be next, and make it the end of the service.
                Some((_, Trigger::Leave)) if self.succession.phase == Phase::Waiting => {
                    self.advance(Event::Drain)?;
                }
                Some((_, Trigger::Leave)) => {
                    let forwarded = supervisor.is_some_and(|pid| sender.is(pid));
                    if self.succession.stop_signals.count(forwarded) {
                        let cause = cause_of(signal, sender, supervisor);
                        self.net.requests.push(Request::Drain { cause });
                    }
                }
                Some((_, Trigger::Service)) => {} // it is told by a descriptor of its own
                None => self.heed_unclaimed(signal)?,
            }
        }
        Ok(())
    }

    /// 6. What callbacks and signals have asked of the process.
    pub(super) fn decide(&mut self) -> Result {
        self.give_back();
        let generation = self.net.generation();
        for request in std::mem::take(&mut self.net.requests) {
            match request {
                Request::Restart { how, .. } if self.net.poll.is_none() => {
                    self.net.staged.restarts.push(how); // in a test
                }
                Request::Restart { how, by, cause } => {
                    self.restart(Asked { how, by, cause }, self.net.clock.now())?;
                    if self.net.generation() != generation {
                        return Ok(()); // we are the child now; the rest was asked of the parent
                    }
                }
                Request::RollBack { reason, by, cause } => self.roll_back(reason, by, cause)?,
                // Whose the connections are is decided in a moment, and who has them ends them.
                Request::Drain { .. } | Request::Stop { .. }
                    if self.succession.phase == Phase::TakingBack =>
                {
                    self.net.requests.push(request);
                }
                // A stop that was told to all generations comes here twice, and means it once.
                Request::Drain { .. } if std::mem::take(&mut self.succession.dismissed) => {}
                Request::Checkpoint => self.make_checkpoint(),
                Request::Drain { cause } => self.leave(cause)?,
                Request::Stop { cause } => {
                    self.succession.leave.cause.get_or_insert(cause);
                    self.advance(Event::Stop)?;
                }
            }
        }
        Ok(())
    }

    /// After everything: a process that is leaving goes when nothing is left.
    pub(super) fn settle(&mut self) -> Result {
        self.look_after_stderr();
        self.tell_alarms();
        self.send_words();
        if self.net.draining
            && self.net.is_empty()
            && !self.owes_words()
            && !self.is_kept_by_manager()
            && !self.is_kept_by_operators()
            && !self.owes_monitors()
            && !self.takes_last_requests()
        {
            self.advance(Event::Empty)
        } else {
            Ok(())
        }
    }

    /// Lets the state machine decide, and does what it says.
    pub(super) fn advance(&mut self, event: Event) -> Result {
        let (next, actions) = step(self.succession.phase, event);
        log::debug!(
            target: RESTART,
            "restart: {:?} on {event:?}: {next:?}, {actions:?}", self.succession.phase
        );
        self.succession.phase = next;
        self.net.draining = next.drains();
        for action in actions {
            match action {
                Action::Track => self.begin_copy()?,
                Action::Scribe => self.copy_by_scribe()?,
                Action::Save => self.copy_itself()?,
                Action::StandStill => self.stand_still()?,
                Action::CatchUp => self.catch_up()?,
                Action::LastChanges => self.send_last_changes()?,
                Action::Untrack => self.untrack(),
                Action::HandOver => self.hand_over()?,
                Action::EndCopy => self.end_copy(),
                Action::Thaw => self.go_on(),
                Action::Serve => self.serve_as_successor()?,
                Action::Commit => self.commit()?,
                Action::HandBack => self.hand_back()?,
                Action::TakeBack => self.take_back()?,
                Action::LetGo => self.let_go_back(),
                Action::Keep => self.keep()?,
                Action::Forget => self.forget_taken_back(),
                Action::Reopen => self.reopen()?,
                Action::Release => self.release()?,
                Action::Resume => self.resume()?,
                Action::Return => self.say_resumed(),
                Action::Retire => self.retire(event)?,
                Action::Abandon => self.abandon(),
                Action::Dismiss => self.dismiss_new()?,
                Action::Drain => self.drain_for_good(event)?,
                Action::Hurry => self.hurry()?,
                Action::Abort => self.abort_all(event),
            }
            if self.succession.phase != next {
                break; // what has come of it decides
            }
        }
        Ok(())
    }

    pub(super) fn start_serving(&mut self, start: Start) -> Result {
        self.net.start_accepting().map_err(|e| Error::io("wait for", "clients", e))?;
        self.net.fill_reserve();
        self.succession.retired = false;
        let generation = self.net.generation();
        self.succession.last_generation = self.succession.last_generation.max(generation);
        let is_resumed = start.is_resumed();
        if is_resumed {
            self.tell_main(); // a supervisor waits for it, and `on_start` may take a while
        }
        self.net.alarms.take_up_inherited();
        self.tell_start(start)?;
        self.net.mail.waits = true; // what came before is looked at
        if !is_resumed {
            self.tell_main();
        }
        self.write_pid_file();
        let addresses = self.net.addresses();
        let addresses = addresses.iter().map(|address| Escaped(address).to_string());
        log::info!(
            target: RESTART, event = "ready", generation;
            "ready: generation {generation} ({}), pid {}, listening on {}",
            self.net.engine().map_or("none".into(), |engine| engine.to_string()),
            process::id(),
            addresses.collect::<Vec<_>>().join(", "),
        );
        Ok(())
    }

    /// Tells the service that it serves. If it panics: the first generation ends, since there is nothing
    /// yet that would be lost with it; another one is rolled back, as long as the old side is there to serve again;
    /// and where there is none, it goes on.
    fn tell_start(&mut self, start: Start) -> Result {
        let (service, is_fresh) = (&mut self.service, start == Start::Fresh);
        let started = guard(&mut self.net, "on_start", |net| service.on_start(net, start));
        match started {
            Ok(()) => {}
            Err(what) if is_fresh => return Err(format!("panicked: {what}").into()),
            Err(what) if self.succession.phase == Phase::Probation => {
                self.succession.unfit = Some(format!("panicked: {what}"));
            }
            Err(what) => say(&mut self.net, "on_start", &what),
        }
        self.succession.serves = true;
        Ok(())
    }

    /// Does what takes descriptors, although clients may have all that are left.
    pub(super) fn with_reserve<T>(&mut self, work: impl FnOnce(&mut Self) -> T) -> T {
        self.net.reserve.open();
        let done = work(self);
        self.net.fill_reserve();
        done
    }

    /// This is the process that serves.
    pub(super) fn write_pid_file(&mut self) {
        // While a supervisor lives, its number is the one to signal.
        let supervisor = self.succession.supervisor.as_ref().filter(|it| it.is_alive());
        let number = supervisor.map_or(process::id(), |it| it.pid);
        let relatives = self.succession.relatives();
        if let Some(file) = &mut self.succession.pid_file
            && let Err(e) = self.net.reserve.lend(|| file.write(number, &relatives))
        {
            log::error!(target: SYSTEM, "{}", Escaped(e));
        }
    }

    /// A process that was killed may have been writing the pid file.
    pub(in crate::turn) fn clear_up_after(&self, pid: u32) {
        if let Some(file) = &self.succession.pid_file {
            file.clear_up_after(pid);
        }
    }

    /// Tells the service, once, that this process serves no new clients.
    pub(super) fn tell_retired(&mut self) {
        if !std::mem::replace(&mut self.succession.retired, true) {
            let service = &mut self.service;
            guard_process(&mut self.net, "on_retire", |net| service.on_retire(net));
        }
    }

    /// After the last turn.
    pub(super) fn end(&mut self) {
        self.receive_last_mail();
        self.tell_end();
        // Left open, for the end of it tells the newest generation that this process is gone, and not
        // only that it has nothing more to do: there may be no more processes than it allows.
        std::mem::forget(self.succession.newest.take());
        self.remove_last_paths();
        if let Some(file) = &self.succession.pid_file {
            file.remove();
        }
        self.net.tell_all_repeats();
        self.note_drained();
        let generation = self.net.generation();
        log::info!(
            target: DRAIN, event = "drained", generation;
            "drained: generation {generation} ends"
        );
    }
}
