//! The old side's part of the copy of its state: a scribe writes it down while this process serves, then come,
//! round by round, the changes of a service that notes them, and at last what nobody may change any more.
//!
//! | connections | the service notes changes | the copy is made |
//! |---|---|---|
//! | stay or move | yes | while everybody is served; only the last changes at the standstill, if there is one |
//! | stay | no | while everybody is served, as of the moment in which it begins |
//! | move | no | at the standstill, by a scribe all the same: this process can still decide |
//! | | there is no fork to be had | by this process itself, which does nothing else meanwhile |

use std::{
    fs::File,
    io::{self, Write},
    os::fd::OwnedFd,
    time::Duration,
};

use super::moving::Hitch;
use crate::{
    error::Result,
    log_target::RESTART,
    logging::catch,
    net::Source,
    restart::{
        engine::{
            attempt::Attempt,
            child::Child,
            fork::thread_count,
            pipe::{Sink, pipe},
            scribe::{Copying, has_done_its_work, make_scribe},
        },
        fault::{self, Step},
        link::Message,
        transfer::{rounds::Rounds, stream::Writer},
    },
    service::Service,
    turn::{Turn, guard::guard_restart},
    verdict::{Copied, CopiedBy},
};

impl<S: Service> Turn<S> {
    /// The new program is up: it gets the service's state.
    pub(super) fn begin_copy(&mut self) -> std::result::Result<(), Hitch> {
        self.tell_ends();
        fault::point(Step::OldSaving, self.succession.link_to_new());
        let by = match thread_count() {
            1 => CopiedBy::Scribe,
            threads => CopiedBy::Itself { threads, errno: 0 },
        };
        self.schedule_copy(by);
        let (reader, writer) =
            self.net.reserve.lend(pipe).map_err(|e| format!("make a pipe: {e}"))?;
        let mut writer = Some(writer);
        if by == CopiedBy::Scribe {
            self.copy_by_scribe(&mut writer)?;
        } else {
            self.stand_still()?;
        }
        self.send_across(&Message::Snapshot, vec![reader.into()])?;
        fault::point(Step::OldCopying, self.succession.link_to_new());
        writer.map_or(Ok(()), |writer| self.copy_itself(writer))
    }

    /// From now on the time for the copy counts.
    fn schedule_copy(&mut self, by: CopiedBy) {
        self.reschedule(|attempt, now| {
            let left = attempt.overdue.saturating_duration_since(now);
            attempt.limit = attempt.task.how.copy_within;
            attempt.overdue = now + attempt.limit;
            attempt.copying = Some(Copying {
                by,
                scribe: None,
                tracks: false,
                rounds: Rounds::new(),
                bytes: 0,
                is_loaded: false,
                is_due: false,
                is_done: false,
                begun: now,
                hurry_at: now + attempt.limit.mul_f64(ROUNDS_UNTIL),
                left,
            });
        });
    }

    /// Makes a scribe, which takes the `pipe`. If the system refuses, the pipe is still there.
    fn copy_by_scribe(&mut self, pipe: &mut Option<OwnedFd>) -> std::result::Result<(), Hitch> {
        let service = &mut self.service;
        let tracks = guard_restart(&mut self.net, "track_changes", |_| service.track_changes(true));
        let tracks = tracks?;
        self.copying(|copying| copying.tracks = tracks);
        if !tracks {
            self.stand_still()?;
        }
        let begun = self.net.clock.now();
        match self.make_scribe(pipe) {
            Ok(scribe) => {
                let watched = self.net.register(&scribe, Source::Child);
                self.copying(|copying| copying.scribe = Some(scribe));
                self.net.shared = true; // until it has closed its copies of everything
                watched?;
                self.has_saved(begun).map(drop)
            }
            Err(e) => {
                log::warn!(target: RESTART, "copy: no scribe: {e}");
                let errno = e.raw_os_error().unwrap_or(libc::EAGAIN);
                self.copying(|copying| copying.by = CopiedBy::Itself { threads: 1, errno });
                if tracks {
                    self.forget_changes();
                    self.stand_still()?;
                }
                Ok(())
            }
        }
    }

    fn make_scribe(&mut self, pipe: &mut Option<OwnedFd>) -> io::Result<Child> {
        let service = &self.service;
        let save = |out: &mut dyn Write| match catch(|| service.save(out)) {
            Ok(saved) => saved.map_err(not_saved),
            Err(what) => Err(format!("panicked: save: {what}")),
        };
        let begin = |pipe: &mut File| {
            fault::point_at(Step::ScribeMade, || drop(pipe.write_all(b"nonsense")));
        };
        self.net.reserve.lend(|| make_scribe(pipe, begin, save))
    }

    /// The state is to be as it is now: nobody changes it where connections move, and where they stay it is
    /// for this process alone that it goes on.
    fn stand_still(&mut self) -> std::result::Result<(), Hitch> {
        self.freeze_what_moves()?;
        self.send_alarms()
    }

    /// They go with the state, as they stand when nobody changes that any more.
    fn send_alarms(&mut self) -> std::result::Result<(), Hitch> {
        for message in self.hand_over_alarms() {
            self.send_across(&message, Vec::new())?;
        }
        Ok(())
    }

    fn freeze_what_moves(&mut self) -> std::result::Result<(), Hitch> {
        if self.succession.attempt.as_ref().is_some_and(|attempt| attempt.task.how.moves) {
            self.freeze()?;
            self.hurry_new();
        }
        Ok(())
    }

    /// Writes the state, for want of a scribe. Each write looks at the clock.
    fn copy_itself(&mut self, pipe: OwnedFd) -> std::result::Result<(), Hitch> {
        let Some(attempt) = &self.succession.attempt else { return Ok(()) };
        let begun = self.net.clock.now();
        let mut pipe =
            Sink::new(pipe, attempt.overdue).map_err(|e| format!("prepare a pipe: {e}"))?;
        let saved = Writer::begin(&mut pipe).map_err(not_saved).and_then(|mut out| {
            let service = &self.service;
            let done = guard_restart(&mut self.net, "save", |_| service.save(&mut out))?;
            done.map_err(not_saved)?;
            out.finish().map(drop).map_err(not_saved)
        });
        self.has_saved(begun)?;
        match saved {
            Err(why) if !pipe.is_broken() => Err(why.into()),
            _ => Ok(()), // a side that reads no more is about to say why
        }
    }

    /// The new side has read it all.
    pub(super) fn loaded(&mut self, bytes: u64) -> std::result::Result<(), Hitch> {
        fault::point(Step::OldLoaded, self.succession.link_to_new());
        let Some(Attempt { copying: Some(copying), .. }) = &mut self.succession.attempt else {
            return Ok(());
        };
        copying.bytes += bytes;
        (copying.is_loaded, copying.is_due) = (true, copying.tracks);
        let (tracks, scribe) = (copying.tracks, copying.scribe.take());
        if let Some(scribe) = scribe {
            self.leave_to_end(scribe);
        }
        if tracks { Ok(()) } else { self.hand_over() }
    }

    /// What the new side has is as new as it can be while this one serves: now comes what is left, and the
    /// connections if they move.
    pub(super) fn hand_over(&mut self) -> std::result::Result<(), Hitch> {
        let tracks = self.copying(|copying| copying.tracks).unwrap_or(false);
        self.reschedule(|attempt, now| {
            let left = attempt.copying.as_ref().map_or(Duration::ZERO, |copying| copying.left);
            (attempt.limit, attempt.overdue) = (attempt.task.how.ready_within, now + left);
        });
        if tracks {
            self.tell_ends();
            self.freeze_what_moves()?;
            let waiting = self.changes_waiting()?;
            if self.send_changes(waiting, usize::MAX)? > 0 {
                return Err("save_changes has kept some although it was to write all".into());
            }
            self.forget_changes();
            self.send_alarms()?;
        } else if self.net.frozen {
            self.hurry_new();
        }
        self.note_copied();
        if self.net.frozen {
            self.choose_outgoing();
        }
        let last_serial = self.net.last_serial;
        self.send_across(&Message::Copied { last_serial }, Vec::new())?;
        fault::point(Step::OldSaved, self.succession.link_to_new());
        self.send_connections()
    }

    fn note_copied(&mut self) {
        let now = self.net.clock.now();
        let Some(attempt) = &mut self.succession.attempt else { return };
        let Some(copying) = &mut attempt.copying else { return };
        copying.is_done = true;
        let (rounds, changes) = copying.rounds.told();
        let took = now.saturating_duration_since(copying.begun);
        let copied = Copied { by: copying.by, bytes: copying.bytes, took, rounds, changes };
        attempt.steps.copied = Some(copied);
        log::info!(target: RESTART, "copied: {copied}");
    }

    /// The scribe may have ended.
    pub(super) fn handle_scribe(&mut self) -> Result {
        let Some(Attempt { copying: Some(copying), .. }) = &mut self.succession.attempt else {
            return Ok(());
        };
        let Some(mut scribe) = copying.scribe.take_if(|scribe| scribe.has_ended()) else {
            return Ok(());
        };
        self.net.deregister(&scribe);
        self.net.shared = false;
        match has_done_its_work(&mut scribe) {
            Ok(()) => Ok(()), // the new side tells the rest
            Err(why) => self.give_up(|attempt| attempt.failed(why)),
        }
    }

    /// The restart is over, one way or the other, and with it whatever there still is of its copy.
    pub(super) fn end_copy(&mut self, attempt: &mut Attempt) {
        let Some(copying) = &mut attempt.copying else { return };
        if let Some(scribe) = copying.scribe.take() {
            scribe.kill();
            self.leave_to_end(scribe);
        }
        if copying.tracks && !copying.is_done {
            self.forget_changes();
        }
    }

    /// A scribe that has nothing left to do is reaped when it has ended.
    fn leave_to_end(&mut self, scribe: Child) {
        self.net.shared = false;
        self.succession.helpers.push(scribe); // which are watched already
        self.reap_children();
    }

    pub(super) fn copying<T>(&mut self, change: impl FnOnce(&mut Copying) -> T) -> Option<T> {
        self.succession.attempt.as_mut()?.copying.as_mut().map(change)
    }
}

/// The share of its time that the copy has before its rounds end: what is left of it is for the last one.
const ROUNDS_UNTIL: f64 = 0.8;

pub(super) fn not_saved(why: impl ToString) -> String {
    format!("the state was not saved: {}", why.to_string())
}
