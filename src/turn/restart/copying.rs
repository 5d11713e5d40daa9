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
        Event,
        engine::{
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
    /// The new program is up: it gets the service's state. How depends on what there is.
    pub(in crate::turn) fn begin_copy(&mut self) -> Result {
        self.tell_ends();
        fault::point(Step::OldSaving, self.succession.link_to_new());
        let by = match thread_count() {
            1 => CopiedBy::Scribe,
            threads => CopiedBy::Itself { threads, errno: 0 },
        };
        self.schedule_copy(by);
        if by != CopiedBy::Scribe {
            return self.advance(Event::NoScribe);
        }
        let service = &mut self.service;
        match guard_restart(&mut self.net, "track_changes", |_| service.track_changes(true)) {
            Ok(tracks) => {
                self.copying(|copying| copying.tracks = tracks);
                self.advance(if tracks { Event::Tracked } else { Event::Untracked })
            }
            Err(why) => self.give_up_unless(Err(why.into())),
        }
    }

    /// From now on the time for the copy counts.
    fn schedule_copy(&mut self, by: CopiedBy) {
        let mut left = Duration::ZERO;
        self.reschedule(|attempt, now| {
            left = attempt.overdue.saturating_duration_since(now);
            (attempt.copies, attempt.limit) = (true, attempt.task.how.copy_within);
            attempt.overdue = now + attempt.limit;
        });
        let (begun, Some(attempt)) = (self.net.clock.now(), &self.succession.attempt) else {
            return;
        };
        self.succession.copying = Some(Copying {
            by,
            scribe: None,
            tracks: false,
            is_still: false,
            rounds: Rounds::new(),
            bytes: 0,
            is_due: false,
            begun,
            hurry_at: begun + attempt.limit.mul_f64(ROUNDS_UNTIL),
            left,
        });
    }

    /// A scribe writes the state, if the system makes one.
    pub(in crate::turn) fn copy_by_scribe(&mut self) -> Result {
        match self.try_copy_by_scribe() {
            Ok(None) => Ok(()),
            Ok(Some(errno)) => {
                let by = CopiedBy::Itself { threads: 1, errno };
                self.copying(|copying| copying.by = by);
                self.advance(Event::NoScribe)
            }
            Err(hitch) => self.give_up_unless(Err(hitch)),
        }
    }

    /// Answers why the system makes no scribe, if it does not.
    fn try_copy_by_scribe(&mut self) -> std::result::Result<Option<i32>, Hitch> {
        let (reader, writer) = self.make_pipe()?;
        let begun = self.net.clock.now();
        let scribe = match self.make_scribe(&mut Some(writer)) {
            Ok(scribe) => scribe,
            Err(e) => {
                log::warn!(target: RESTART, "copy: no scribe: {e}");
                return Ok(Some(e.raw_os_error().unwrap_or(libc::EAGAIN)));
            }
        };
        let watched = self.net.register(&scribe, Source::Child);
        self.copying(|copying| copying.scribe = Some(scribe));
        self.net.shared = true; // until it has closed its copies of everything
        watched?;
        self.has_saved(begun)?;
        self.send_snapshot(reader)?;
        Ok(None)
    }

    fn make_pipe(&mut self) -> std::result::Result<(OwnedFd, OwnedFd), Hitch> {
        Ok(self.net.reserve.lend(pipe).map_err(|e| format!("make a pipe: {e}"))?)
    }

    fn send_snapshot(&mut self, reader: OwnedFd) -> std::result::Result<(), Hitch> {
        self.send_across(&Message::Snapshot, vec![reader.into()])?;
        fault::point(Step::OldCopying, self.succession.link_to_new());
        Ok(())
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
    pub(in crate::turn) fn stand_still(&mut self) -> Result {
        if self.copying(|copying| std::mem::replace(&mut copying.is_still, true)) == Some(true) {
            return Ok(());
        }
        self.tell_ends();
        let still = self.freeze_what_moves().and_then(|()| self.send_alarms());
        fault::point(Step::OldStill, self.succession.link_to_new());
        self.give_up_unless(still)
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
    pub(in crate::turn) fn copy_itself(&mut self) -> Result {
        let copied = self.try_copy_itself();
        self.give_up_unless(copied)
    }

    fn try_copy_itself(&mut self) -> std::result::Result<(), Hitch> {
        let (reader, writer) = self.make_pipe()?;
        self.send_snapshot(reader)?;
        let Some(attempt) = &self.succession.attempt else { return Ok(()) };
        let begun = self.net.clock.now();
        let mut pipe =
            Sink::new(writer, attempt.overdue).map_err(|e| format!("prepare a pipe: {e}"))?;
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

    /// The new side has read it all, and gets what has changed since.
    pub(in crate::turn) fn catch_up(&mut self) -> Result {
        let Some(copying) = &mut self.succession.copying else { return Ok(()) };
        copying.is_due = true;
        let (tracks, scribe) = (copying.tracks, copying.scribe.take());
        scribe.into_iter().for_each(|scribe| self.leave_to_end(scribe));
        if tracks { Ok(()) } else { self.advance(Event::CaughtUp) }
    }

    /// What the new side has is as new as it can be while this one serves: now comes what is left.
    pub(in crate::turn) fn send_last_changes(&mut self) -> Result {
        let sent = self.try_send_last_changes();
        self.give_up_unless(sent)
    }

    fn try_send_last_changes(&mut self) -> std::result::Result<(), Hitch> {
        let left = self.copying(|copying| copying.left).unwrap_or_default();
        self.reschedule(|attempt, now| {
            attempt.copies = false;
            (attempt.limit, attempt.overdue) = (attempt.task.how.ready_within, now + left);
        });
        if self.net.frozen {
            self.hurry_new();
        }
        if self.copying(|copying| copying.tracks) == Some(true) {
            let waiting = self.changes_waiting()?;
            if self.send_changes(waiting, usize::MAX)? > 0 {
                return Err("save_changes has kept some although it was to write all".into());
            }
        }
        self.note_copied();
        Ok(())
    }

    /// All of the state is on its way: now the connections, if they move.
    pub(in crate::turn) fn hand_over(&mut self) -> Result {
        if self.net.frozen {
            self.choose_outgoing();
        }
        let last_serial = self.net.last_serial;
        let sent = self.hand_over_tickets();
        let copied = Message::Copied { last_serial };
        let sent = sent.and_then(|()| self.send_across(&copied, Vec::new()));
        fault::point(Step::OldSaved, self.succession.link_to_new());
        let sent = sent.and_then(|()| self.send_connections());
        self.give_up_unless(sent)
    }

    fn note_copied(&mut self) {
        let now = self.net.clock.now();
        let Some(copying) = &self.succession.copying else { return };
        let (rounds, changes) = copying.rounds.told();
        let took = now.saturating_duration_since(copying.begun);
        let copied = Copied { by: copying.by, bytes: copying.bytes, took, rounds, changes };
        self.succession.attempt.iter_mut().for_each(|it| it.steps.copied = Some(copied));
        log::info!(target: RESTART, "copied: {copied}");
    }

    /// The scribe may have ended.
    pub(super) fn handle_scribe(&mut self) -> Result {
        let Some(copying) = &mut self.succession.copying else { return Ok(()) };
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

    /// Nobody needs what there still is of the copy.
    pub(in crate::turn) fn end_copy(&mut self) {
        let Some(copying) = &mut self.succession.copying else { return };
        if let Some(scribe) = copying.scribe.take() {
            scribe.kill();
            self.leave_to_end(scribe);
        }
        self.untrack();
        self.succession.copying = None;
    }

    /// A service that notes its changes for the copy need not any more.
    pub(in crate::turn) fn untrack(&mut self) {
        if self.copying(|copying| std::mem::replace(&mut copying.tracks, false)) == Some(true) {
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
        self.succession.copying.as_mut().map(change)
    }
}

/// The share of its time that the copy has before its rounds end: what is left of it is for the last one.
const ROUNDS_UNTIL: f64 = 0.8;

pub(super) fn not_saved(why: impl ToString) -> String {
    format!("the state was not saved: {}", why.to_string())
}
