//! The new side of a restart: becomes a process of its own, waits for its turn, serves, and commits
//! when it has proven itself.

use std::{os::fd::OwnedFd, process};

use log::Level;
use mio::Poll;

use super::moving::claim;
use crate::{
    cause::Cause,
    error::{Error, Result},
    limits::{RELEASE_PATIENCE, RETIRE_PATIENCE},
    log_target::RESTART,
    logging::Escaped,
    net::{ConnId, Source},
    plan::Engine,
    restart::{
        Event, Phase,
        arrival::{Has, Piece},
        engine::{fork::Unready, stderr::ForwardedStderr},
        fault::{self, Step},
        link::{LinkError, Message, WayBack},
    },
    service::{Service, Start},
    turn::{
        Turn,
        generation::{Generation, Handback, Succession},
    },
};

impl<S: Service> Turn<S> {
    /// Before the first turn: a new side says that it is ready, the first generation serves at once.
    pub(in crate::turn) fn begin(&mut self) -> Result {
        self.watch_signals()?;
        let unwanted = self.succession.unwanted.iter().map(|it| it.place as u64).collect();
        let Some(old) = &mut self.succession.old else {
            self.succession.phase = Phase::Serving;
            self.drop_unwanted();
            self.apply_permissions();
            self.load_checkpoint()?;
            self.start_serving(Start::Fresh)?;
            self.note_start();
            self.tell_started();
            return Ok(());
        };
        fault::point(Step::NewClaimed, Some(&mut old.link));
        self.net.register(&old.link, Source::Link)?;
        claim(&mut old.link, unwanted);
        self.watch_old_process()?;
        self.await_handover();
        Ok(())
    }

    /// The old side has handed over everything.
    fn handed(&mut self, last_serial: u64, slots: u64) -> Result {
        if !self.succession.old.as_ref().is_some_and(|old| self.is_supervisor(old.who)) {
            let whole = self.has_with(Piece::Handed); // a supervisor has nothing else to give
            self.succession.arrivals.has = self.fail_unless(whole)?;
        }
        self.net.last_serial = last_serial;
        self.net.part(slots as usize);
        let taken = self.take_in();
        self.fail_unless(taken)?;
        if let Some(old) = &mut self.succession.old {
            fault::point(Step::NewTaken, Some(&mut old.link));
        }
        self.say_ready()
    }

    /// Tells the old side why this one cannot serve, and ends it.
    pub(super) fn fail_unless<T>(&mut self, done: Result<T>) -> Result<T> {
        if let (Err(why), Some(old)) = (&done, &mut self.succession.old) {
            let _ = old.link.send(&Message::Failed { reason: why.to_string() }, Vec::new());
        }
        done
    }

    /// Whoever has told this process to stop before it was ready has not told the service.
    fn say_ready(&mut self) -> Result {
        self.handle_signals()?;
        if let Some(old) = &mut self.succession.old
            && self.succession.phase == Phase::Waiting
        {
            // A failure means that the old side is gone; the link will say so.
            let _ = old.link.send(&Message::Ready { pid: process::id() }, Vec::new());
            self.succession.ready = true;
            fault::point(Step::NewReady, Some(&mut old.link));
            // The service may have taken its time with the state: this counts from here.
            self.await_old(RELEASE_PATIENCE);
        }
        Ok(())
    }

    /// In the child of a fork: turns this copy of the parent into the next generation.
    pub(in crate::turn) fn become_successor(
        &mut self,
        mut old: Generation,
        generation: u64,
        way_back: WayBack,
    ) {
        self.succession.unready = Some(Unready);
        fault::point(Step::NewMade, Some(&mut old.link));
        self.succession.begin_anew(old, self.net.clock.now());
        self.succession.handback = Some(Handback::new(way_back));
        let made = self.try_become_successor(generation);
        let ready = made.and_then(|()| self.after_fork_in_child()).and_then(|()| {
            if let Some(old) = &mut self.succession.old {
                fault::point(Step::NewClaimed, Some(&mut old.link));
            }
            self.say_ready()
        });
        if ready.is_err() {
            let _ = self.fail_unless(ready);
            self.succession.unready = None; // which ends this process
        }
    }

    fn try_become_successor(&mut self, generation: u64) -> Result {
        let poll = || Poll::new().map(Some).map_err(|e| Error::io("make", "an epoll set", e));
        self.part_from_parent(generation, poll)?;
        let Succession { signals, own_signals, .. } = &mut self.succession;
        for signals in signals.iter_mut().chain(own_signals) {
            *signals = signals.anew()?;
        }
        self.watch_signals()?;
        if let Some(old) = &self.succession.old {
            self.net.register(&old.link, Source::Link)?;
        }
        self.watch_old_process()
    }

    fn watch_signals(&self) -> Result {
        let Succession { signals, own_signals, .. } = &self.succession;
        signals.iter().try_for_each(|it| self.net.register(it, Source::Signals))?;
        own_signals.iter().try_for_each(|it| self.net.register(it, Source::OwnSignals))
    }

    /// It is no old side any more.
    pub(in crate::turn) fn unwatch_old(&self, old: &Generation) {
        self.net.deregister(&old.link);
        old.process.iter().for_each(|process| self.net.deregister(process));
    }

    fn watch_old_process(&self) -> Result {
        let process = self.succession.old.as_ref().and_then(|old| old.process.as_ref());
        process.map_or(Ok(()), |process| self.net.register(process, Source::OldProcess))
    }

    /// What the old side says to this one, until it is an older generation like any other.
    pub(in crate::turn) fn handle_old(&mut self) -> Result {
        loop {
            let Some(old) = &mut self.succession.old else { return Ok(()) };
            let _ = old.link.flush(); // a side that is gone may have said something before
            match old.link.receive() {
                Ok(None) => return Ok(()),
                Ok(Some((
                    word @ (Message::Snapshot
                    | Message::Changes
                    | Message::Copied { .. }
                    | Message::Connections { .. }),
                    fds,
                ))) if !self.succession.ready => {
                    let received = self.take_piece(word, fds);
                    self.fail_unless(received)?;
                    self.await_handover();
                }
                Ok(Some((Message::Alarms(words), _))) => self.inherit_alarms(words),
                Ok(Some((Message::TicketKeys, fds))) => self.inherit_tickets(fds),
                Ok(Some((Message::Checkpoint, fds))) if !self.succession.ready => {
                    let states = fds.into_iter().map(|memory| (0, memory));
                    self.succession.manager.store.states.extend(states);
                    let loaded = self.load_checkpoint();
                    self.fail_unless(loaded)?;
                }
                Ok(Some((Message::Handed { last_serial, slots }, _))) if !self.succession.ready => {
                    self.handed(last_serial, slots)?;
                }
                Ok(Some((Message::Talk(talk), _))) => self.hear_talk(talk),
                Ok(Some((Message::Taken, _))) => self.batch_is_taken()?,
                Ok(Some((Message::Rollback(word), _))) => self.heed_answer(word)?,
                Ok(Some((Message::Retiring, _))) => self.await_old(RETIRE_PATIENCE),
                Ok(Some((Message::Released, _))) => self.advance(Event::Released)?,
                // A side that has died since does not serve.
                Ok(Some((Message::Resumed, _))) if old.link.is_cut() => {}
                Ok(Some((Message::Resumed, _))) => self.advance(Event::Resumed)?,
                Ok(Some((Message::Dismissed { after: Some(after), .. }, _))) => {
                    self.told_of_lame_duck(after)?;
                }
                Ok(Some((Message::Dismissed { within, .. }, _))) => self.told_to_stop(within)?,
                Ok(Some((Message::GivenUp, _))) => self.given_up()?,
                Ok(Some((Message::Report(report), _))) => {
                    (old.report, old.asked) = (Some(report), false);
                    self.answer_status();
                }
                Ok(Some((other, _))) => {
                    let said = format!("{other:?}");
                    let line = format_args!("link: {} from the old side is ignored", Escaped(said));
                    self.net.log(RESTART, Level::Warn, "link ignored", line);
                }
                // Its silence is what counts.
                Err(LinkError::Malformed(why)) => {
                    let line = format_args!("link: the old side: {}", Escaped(why));
                    self.net.log(RESTART, Level::Warn, "link malformed", line);
                }
                Err(e @ LinkError::NoRoom) => self.fail_unless(Err(e.to_string().into()))?,
                Err(e) => return self.lose_old(&e),
            }
        }
    }

    /// Some of what this side is to serve.
    fn take_piece(&mut self, word: Message, fds: Vec<OwnedFd>) -> Result {
        let has = self.has_with(match word {
            Message::Snapshot => Piece::Snapshot,
            Message::Changes => Piece::Changes,
            Message::Copied { .. } => Piece::Copied,
            _ => Piece::Connections,
        })?;
        match word {
            Message::Snapshot => {
                let loaded = self.load_snapshot(fds)?;
                if !loaded {
                    return Ok(()); // nor will anything else come
                }
            }
            Message::Changes => self.apply_changes(fds)?,
            Message::Copied { last_serial } => self.net.last_serial = last_serial,
            Message::Connections { count } => self.receive(count, fds)?,
            _ => {}
        }
        self.succession.arrivals.has = has;
        Ok(())
    }

    /// What this side has when it has taken in `piece` as well.
    ///
    /// # Errors
    /// When something is missing that comes before. Who does without would serve less than there was.
    fn has_with(&self, piece: Piece) -> Result<Has> {
        let has = self.succession.arrivals.has;
        let out_of_turn =
            || format!("the old process has sent {piece:?} out of turn: there is {has:?}").into();
        has.with(piece).ok_or_else(out_of_turn)
    }

    /// The new side may serve: it accepts, and tells the service.
    pub(in crate::turn) fn serve_as_successor(&mut self) -> Result {
        if let Some(old) = &mut self.succession.old {
            fault::point(Step::NewReleased, Some(&mut old.link));
        }
        for generation in &self.succession.older {
            self.net.register(&generation.link, Source::Older)?;
        }
        if let Some(old) = &mut self.succession.old {
            // Before anything is done to them: both sides have them until this is said.
            let _ = old.link.send(&Message::TakenOver, Vec::new());
        }
        self.insist()?;
        self.make_known(true);
        let taken_over = self.net.clock.now();
        self.net.alarms.resume_all();
        let moved = self.net.connections();
        let start = match self.net.engine() {
            Some(Engine::Fork) => {
                Start::Forked { moved, stayed: std::mem::take(&mut self.succession.stayed) }
            }
            Some(Engine::ForkExec) => Start::Upgraded { moved },
            None => Start::Fresh, // the supervisor has made it
        };
        self.start_serving(start)?;
        self.net.alarms.track_changes(); // how `on_start` begins is the new side's own
        self.prepare_to_hand_back();
        if let Some(unready) = self.succession.unready.take() {
            unready.disarm();
        }
        if self.net.frozen {
            self.net.thaw();
        }
        // From here on, however long `on_start` has taken; the old side counts from here as well.
        self.begin_probation();
        if let Some(old) = &mut self.succession.old {
            let after = self.net.clock.now().saturating_duration_since(taken_over);
            let _ = old.link.send(&Message::Serving { after }, Vec::new());
            fault::point(Step::NewServing, Some(&mut old.link));
        }
        // Before it has served anybody.
        match self.succession.unfit.clone() {
            Some(why) => self.roll_back(why, None, Cause::Callback),
            None => Ok(()),
        }
    }

    /// The old side hears no more what this one says on stderr: it need not, or it cannot.
    pub(super) fn take_over_stderr(&mut self) {
        if let Some(heard) = self.succession.stderr.take()
            && let Err(e) = heard.take_over()
        {
            log::warn!(target: RESTART, "stderr still goes through the old side: {}", Escaped(e));
        }
    }

    /// An old side that hangs must not stop this one from saying what it has to.
    pub(in crate::turn) fn look_after_stderr(&mut self) {
        if self.succession.stderr.as_ref().is_some_and(ForwardedStderr::is_clogged) {
            self.take_over_stderr();
            log::warn!(target: RESTART, "the old side does not hear this one: stderr taken over");
        }
    }

    /// This side stays: the old one becomes an older generation like any other.
    pub(in crate::turn) fn commit(&mut self) -> Result {
        self.take_over_stderr();
        let Some(mut old) = self.succession.old.take() else { return Ok(()) };
        self.unwatch_old(&old);
        old.process = None; // it is an older generation like any other
        if self.is_supervisor(old.who) || old.link.is_cut() {
            self.drop_unwanted();
        } else {
            // The old side gives them up when it hears the next word, and is the last that has them.
            self.succession.unwanted.clear();
        }
        self.apply_permissions();
        // Where the old side is gone, nobody needs to hear it.
        let told = old.link.send(&Message::Committed, Vec::new()).is_ok();
        // A supervisor says nothing to a service manager.
        self.take_over_from(told && !self.is_supervisor(old.who));
        if self.is_supervisor(old.who) {
            self.mend_paths(); // the one before was in no state to do it
        } else if told {
            fault::point(Step::NewCommitted, Some(&mut old.link));
            self.net.register(&old.link, Source::Older)?;
            self.succession.older.push(old);
        }
        if self.succession.hands_back.is_some() {
            self.tell_main(); // the old side has said that it is, and is gone
        }
        self.make_known(false);
        self.close_way_back();
        self.net.shared = false;
        self.net.alarms.stop_tracking();
        self.net.alarms.resume_all(); // a side that was handing them back
        let generation = self.net.generation();
        log::info!(
            target: RESTART, event = "committed", generation;
            "committed: generation {generation} stays"
        );
        Ok(())
    }

    /// Nobody serves these any more.
    fn drop_unwanted(&mut self) {
        for listener in self.succession.unwanted.drain(..) {
            listener.unlink();
        }
    }

    /// From here on the paths of Unix sockets are this program's to change.
    fn apply_permissions(&self) {
        for socket in self.net.passed_on() {
            if let Err(e) = socket.apply_permissions() {
                log::error!(target: RESTART, "{}: its permissions stay: {e}", socket.name);
            }
        }
    }

    /// Somebody wants the old side back.
    pub(in crate::turn) fn roll_back(
        &mut self,
        reason: String,
        by: Option<ConnId>,
        cause: Cause,
    ) -> Result {
        if self.succession.phase != Phase::Probation {
            let why = match self.succession.phase {
                Phase::HandingBack | Phase::Returned => "it is being rolled back already",
                Phase::Released | Phase::TakingBack => {
                    "the new generation decides about that: ask on a new connection"
                }
                _ => "there is nothing to roll back: no restart is in its probation",
            };
            let line = format_args!("roll back: {why}");
            self.net.log(RESTART, Level::Warn, "roll back refused", line);
            by.into_iter().for_each(|id| self.answer(id, &format!("error: {why}")));
            return Ok(());
        }
        self.note_roll_back(&reason, &cause);
        self.succession.hands_back = Some((reason, by));
        self.advance(Event::RollBack)
    }
}
