//! What has changed since the snapshot, on the old side: a piece in each turn, as much of it as takes a moment, until
//! so little is left that the last piece may come.

use std::{os::fd::OwnedFd, time::Duration};

use super::{copying::not_saved, moving::Hitch};
use crate::{
    error::Result,
    restart::{
        engine::attempt::Attempt,
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
            copying.is_due = !copying.is_done;
        });
    }

    /// Whether there is a piece of changes to be written, once everybody has had an answer.
    pub(in crate::turn) fn copies(&self) -> bool {
        let copying = self.succession.attempt.as_ref().and_then(|it| it.copying.as_ref());
        copying.is_some_and(|copying| copying.is_due)
    }

    /// Part of phase 11: one piece of changes, if one is due.
    pub(in crate::turn) fn copy_more(&mut self) -> Result {
        if !self.copies() {
            return Ok(());
        }
        let copied = self.copy_changes();
        self.give_up_unless(copied)
    }

    fn copy_changes(&mut self) -> std::result::Result<(), Hitch> {
        let waiting = self.changes_waiting()?;
        let now = self.net.clock.now();
        let Some(Attempt { copying: Some(copying), .. }) = &mut self.succession.attempt else {
            return Ok(());
        };
        match copying.rounds.next(waiting, copying.hurry_at <= now) {
            Next::Wait => copying.is_due = false,
            Next::Piece(most) => drop(self.send_changes(waiting, most)?),
            Next::Last => {
                copying.is_due = false;
                self.hand_over()?;
            }
        }
        Ok(())
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
        self.copying(|copying| copying.tracks = false);
        let service = &mut self.service;
        guard_process(&mut self.net, "track_changes", |_| service.track_changes(false));
    }
}
