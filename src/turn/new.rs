//! The new side of a restart: becomes a process of its own, waits for its turn, serves, and commits
//! when it has proven itself.

use std::process;

use mio::Poll;
use nix::unistd::dup2_stderr;

use super::{Estate, Generation, Turn};
use crate::{
    error::{Error, Result},
    limits::RELEASE_PATIENCE,
    net::{ConnId, Key, Source},
    plan::Engine,
    restart::{
        Event, Phase,
        fault::{self, Step},
        fork::{Unready, close_all},
        link::Message,
        pass::LinkError,
    },
    service::{Service, Start},
};

impl<S: Service> Turn<S> {
    /// Before the first turn: a new side says that it is ready, the first generation serves at once.
    pub(super) fn begin(&mut self) -> Result {
        if let Some(signals) = &self.succession.signals {
            self.net.watch(signals, Source::Signals)?;
        }
        let Some(old) = &mut self.succession.old else {
            self.succession.phase = Phase::Serving;
            self.drop_unwanted();
            self.start_serving(Start::Fresh)?;
            self.tell_started();
            return Ok(());
        };
        fault::point(Step::NewClaimed, Some(&mut old.link));
        if let Some(stderr) = self.succession.stderr.take() {
            dup2_stderr(stderr).map_err(|e| Error::io("take over", "stderr", e))?;
        }
        self.net.watch(&old.link, Source::Link)?;
        self.say_ready();
        Ok(())
    }

    fn say_ready(&mut self) {
        if let Some(old) = &mut self.succession.old {
            // A failure means that the old side is gone; the link will say so.
            let _ = old.link.send(&Message::Ready { pid: process::id() }, Vec::new());
            fault::point(Step::NewReady, Some(&mut old.link));
            self.net.set_timer(self.net.now() + RELEASE_PATIENCE, Key::OldSilent);
        }
    }

    /// In the child of a fork: turns this copy of the parent into the next generation.
    pub(super) fn become_heir(&mut self, mut old: Generation) {
        let unready = Unready;
        fault::point(Step::NewMade, Some(&mut old.link));
        self.succession.begin_anew(old, self.net.now());
        match self.try_become_heir() {
            Ok(()) => {
                if let Some(old) = &mut self.succession.old {
                    fault::point(Step::NewClaimed, Some(&mut old.link));
                }
                self.say_ready();
                unready.disarm();
            }
            Err(why) => {
                if let Some(old) = &mut self.succession.old {
                    let _ = old.link.send(&Message::Failed { reason: why.to_string() }, Vec::new());
                }
                drop(unready);
            }
        }
    }

    fn try_become_heir(&mut self) -> Result {
        // First what keeps a client from seeing its FIN: the copies of the parent's connections.
        let conns = std::mem::take(&mut self.net.conns);
        close_all(conns.iter().filter_map(|(_, conn)| conn.stream.raw_fd()).collect());
        self.estate = Some(Estate::new(conns, std::mem::take(&mut self.sessions)));
        // Then a kernel of its own: the old epoll set is the parent's, and is only closed.
        let poll = Poll::new().map_err(|e| Error::io("make", "an epoll set", e))?;
        self.net.begin_anew(poll)?;
        self.heard.clear();
        if let Some(signals) = &self.succession.signals {
            let signals = signals.anew()?;
            self.net.watch(&signals, Source::Signals)?;
            self.succession.signals = Some(signals);
        }
        if let Some(old) = &self.succession.old {
            self.net.watch(&old.link, Source::Link)?;
        }
        Ok(())
    }

    /// What the old side says to this one, until it is an older generation like any other.
    pub(super) fn hear_old(&mut self) -> Result {
        loop {
            let Some(old) = &mut self.succession.old else { return Ok(()) };
            match old.link.receive() {
                Ok(None) => return Ok(()),
                Ok(Some((Message::Released, _))) => self.advance(Event::Released)?,
                // A side that has died since does not serve.
                Ok(Some((Message::Resumed, _))) if old.link.is_cut() => {}
                Ok(Some((Message::Resumed, _))) => self.advance(Event::Resumed)?,
                Ok(Some((Message::Dismissed { within }, _))) => self.dismissed(within)?,
                Ok(Some((Message::Report(report), _))) => {
                    (old.report, old.asked) = (Some(report), false);
                    self.answer_status();
                }
                Ok(Some((other, _))) => log::warn!("link: {other:?} from the old side is ignored"),
                // Its silence is what counts.
                Err(LinkError::Malformed(why)) => log::warn!("link: the old side: {why}"),
                Err(e) => {
                    log::warn!("the old side is lost: {e}");
                    self.net.unwatch(&old.link);
                    self.advance(Event::OldGone)?;
                    self.succession.old = None;
                    self.answer_roll_back("error: the old generation is gone, so this one stays");
                    self.answer_status();
                }
            }
        }
    }

    /// The old side should have said that it has stopped accepting.
    pub(super) fn old_side_silent(&mut self) -> Result {
        self.hear_old()?; // its word may just have come
        if self.succession.phase == Phase::Waiting {
            log::warn!("the old side is silent: serving beside it");
        }
        self.advance(Event::OldSilent)
    }

    /// The new side may serve: it accepts, and tells the service.
    pub(super) fn serve_as_heir(&mut self) -> Result {
        if let Some(old) = &mut self.succession.old {
            fault::point(Step::NewReleased, Some(&mut old.link));
        }
        for elder in &self.succession.leavers {
            self.net.watch(&elder.link, Source::Leavers)?;
        }
        self.net.resume_alarms();
        let start = match self.net.engine() {
            Some(Engine::Fork) => Start::Forked,
            _ => Start::Execed,
        };
        self.start_serving(start)?;
        self.net.set_timer(self.net.now() + self.succession.probation, Key::Proven);
        if let Some(old) = &mut self.succession.old {
            fault::point(Step::NewServing, Some(&mut old.link));
        }
        Ok(())
    }

    /// This side stays: the old one becomes an older generation like any other.
    pub(super) fn commit(&mut self) -> Result {
        let Some(mut old) = self.succession.old.take() else { return Ok(()) };
        self.net.unwatch(&old.link);
        // Where the old side is gone, nobody needs to hear it.
        let old_lives = old.link.send(&Message::Committed, Vec::new()).is_ok();
        self.take_over_from(old_lives);
        if old_lives {
            fault::point(Step::NewCommitted, Some(&mut old.link));
            self.net.watch(&old.link, Source::Leavers)?;
            self.succession.leavers.push(old);
        }
        self.drop_unwanted();
        log::info!("committed: generation {} stays", self.net.generation());
        Ok(())
    }

    /// Nobody serves these any more.
    fn drop_unwanted(&mut self) {
        for listener in self.succession.unwanted.drain(..) {
            listener.unlink();
        }
    }

    /// Somebody wants the old side back.
    pub(super) fn roll_back(&mut self, reason: String, by: Option<ConnId>) -> Result {
        if self.succession.phase != Phase::Probation {
            let why = match self.succession.phase {
                Phase::HandingBack => "it is being rolled back already",
                _ => "there is nothing to roll back: no restart is in its probation",
            };
            log::warn!("roll back: {why}");
            by.into_iter().for_each(|id| self.answer(id, &format!("error: {why}")));
            return Ok(());
        }
        self.succession.hands_back = Some((reason, by));
        self.advance(Event::RollBack)
    }

    /// Asks the old side to serve again. Until it says that it does, this one goes on.
    pub(super) fn hand_back(&mut self) {
        let reason = self.succession.hands_back.as_ref().map_or("", |(reason, _)| reason);
        log::info!("rolled back: {reason}");
        let message = Message::TakeBack { reason: reason.to_owned() };
        if let Some(old) = &mut self.succession.old {
            let _ = old.link.send(&message, Vec::new());
        }
    }
}
