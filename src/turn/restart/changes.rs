//! What has changed since the snapshot, on the old side: a piece in each turn, as much of it as takes a moment, until
//! so little is left that the last piece may come.

use std::{os::fd::OwnedFd, time::Duration};

use super::{copying::not_saved, moving::Hitch};
use crate::{
    error::Result,
    restart::{
        Event, Phase,
        fault::{self, Step},
        link::Message,
        transfer::{memfd::Unsealed, rounds::Next},
    },
    service::Service,
    turn::{
        Turn,
        guard::{guard_process, guard_restart},
    },
};

impl<S: Service> Turn<S> {
    /// The new side has applied a piece of changes.
    pub(super) fn applied(&mut self, took: Duration) {
        self.copying(|copying| {
            copying.rounds.applied(took);
            copying.is_due = true;
        });
    }

    /// Whether there is a piece of changes to be written, once everybody has had an answer.
    pub(in crate::turn) fn copies(&self) -> bool {
        self.succession.phase == Phase::CatchingUp
            && self.succession.copying.as_ref().is_some_and(|copying| copying.is_due)
    }

    /// Part of phase 11: one piece of changes, if one is due.
    pub(in crate::turn) fn copy_more(&mut self) -> Result {
        if !self.copies() {
            return Ok(());
        }
        match self.copy_changes() {
            Ok(true) => self.advance(Event::CaughtUp),
            Ok(false) => Ok(()),
            Err(hitch) => self.give_up_unless(Err(hitch)),
        }
    }

    /// Whether what is left is for the standstill.
    fn copy_changes(&mut self) -> std::result::Result<bool, Hitch> {
        let waiting = self.changes_waiting()?;
        let now = self.net.clock.now();
        let Some(copying) = &mut self.succession.copying else { return Ok(false) };
        match copying.rounds.next(waiting, copying.hurry_at <= now) {
            Next::Wait => copying.is_due = false,
            Next::Piece(most) => drop(self.send_changes(waiting, most)?),
            Next::Last => return Ok(true),
        }
        Ok(false)
    }

    /// How many changes are to be copied.
    pub(super) fn changes_waiting(&mut self) -> std::result::Result<usize, Hitch> {
        let begun = self.net.clock.now();
        let (service, mut unasked) = (&mut self.service, Vec::new());
        let waiting = guard_restart(&mut self.net, "save_changes", |_| {
            service.save_changes(&mut unasked, 0)
        })?;
        let waiting = waiting.map_err(not_saved)?;
        let took = self.has_saved(begun)?.saturating_duration_since(begun);
        self.copying(|copying| copying.rounds.asked(took));
        match unasked.len() {
            0 => Ok(waiting),
            // It would go on for ever, and what was written may be missing in the next piece.
            count => Err(format!("save_changes has written {count} bytes where it was asked how many changes there are").into()),
        }
    }

    /// Sends at most so many of the changes; answers how many are left.
    pub(super) fn send_changes(
        &mut self,
        waiting: usize,
        most: usize,
    ) -> std::result::Result<usize, Hitch> {
        let begun = self.net.clock.now();
        let mut piece = self.net.reserve.lend(Unsealed::new).map_err(not_saved)?;
        let service = &mut self.service;
        let left = guard_restart(&mut self.net, "save_changes", |_| {
            service.save_changes(&mut piece.0, most)
        })?;
        let left = left.map_err(not_saved)?;
        let bytes = piece.len().map_err(not_saved)?;
        let piece = piece.seal().map_err(not_saved)?;
        let took = self.has_saved(begun)?.saturating_duration_since(begun);
        if bytes > 0 {
            self.send_piece(piece, bytes, waiting.saturating_sub(left), took)?;
        }
        Ok(left)
    }

    fn send_piece(
        &mut self,
        piece: OwnedFd,
        bytes: u64,
        count: usize,
        took: Duration,
    ) -> std::result::Result<(), Hitch> {
        self.copying(|copying| {
            copying.bytes += bytes;
            copying.rounds.sent(count, took);
        });
        self.send_across(&Message::Changes, vec![piece.into()])?;
        fault::point(Step::OldRound, self.succession.link_to_new());
        Ok(())
    }

    /// The service need not note its changes any more.
    pub(super) fn forget_changes(&mut self) {
        let service = &mut self.service;
        guard_process(&mut self.net, "track_changes", |_| service.track_changes(false));
    }
}
