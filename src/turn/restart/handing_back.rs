//! A roll back, as the new side sees it: a restart in the other direction, between two processes that live.
//!
//! ```text
//!  new: Probation                         old: Released
//!   |  freezes
//!   |  Alarms, Back (state), Connections -> | keeps them, touches nothing
//!   |                                    <- | Taken, for each batch
//!  new: HandingBack; TakeBack            -> | load, import: TakingBack
//!   |                                    <- | CanTakeBack                   (or CannotTakeBack)
//!   |  lets go of the connections
//!  new: Returned; HandedBack             -> | accepts; on_start(Resumed)
//!   |                                    <- | Resumed. old: Serving
//!  new: Retired, drains what it has left
//! ```
//!
//! Until `HandedBack` everything is this side's, and both have it: whichever dies, the other one goes on with
//! what was at the freeze. If the old side cannot take it back or says nothing in time, this one says `Kept`
//! and goes on as if nobody had asked; so it does if the old one dies.
//!
//! What goes back of the state: the changes since this side serves, if its service notes them. If it does not:
//! all, where connections move, since the old side has served nobody meanwhile; and nothing where they stay, since
//! that would undo what it has accepted of those that it has kept.

use std::os::fd::{AsRawFd, OwnedFd};

use super::moving::Hitch;
use crate::{
    error::{Error, Result},
    log_target::RESTART,
    logging::Escaped,
    net::ConnId,
    restart::{
        Event, Phase,
        engine::process::Process,
        fault::{self, Step},
        link::{Fd, Link, Message, Rollback},
        transfer::{memfd::Unsealed, shipment::Shipment},
    },
    service::Service,
    turn::{
        Turn,
        guard::{guard_process, guard_restart},
    },
};

impl<S: Service> Turn<S> {
    /// This side serves: what changes from here on may have to go back.
    pub(super) fn prepare_to_hand_back(&mut self) {
        let Some(handback) = &mut self.succession.handback else { return };
        let service = &mut self.service;
        let tracks = guard_process(&mut self.net, "track_changes", |_| service.track_changes(true));
        handback.tracks = tracks.unwrap_or(false);
    }

    /// Nothing goes back any more.
    pub(in crate::turn) fn close_way_back(&mut self) {
        self.net.be_alone();
        if self.succession.handback.take().is_some_and(|handback| handback.tracks) {
            self.forget_changes();
        }
    }

    /// Hands everything back to the old side, and asks it to serve again.
    pub(in crate::turn) fn hand_back(&mut self) -> Result {
        let reason = self.succession.hands_back.as_ref().map_or("", |(reason, _)| reason);
        log::info!(target: RESTART, "rolled back: {}", Escaped(reason));
        self.take_over_stderr();
        let handed = self.try_hand_back();
        self.keep_unless(handed)
    }

    fn try_hand_back(&mut self) -> std::result::Result<(), Hitch> {
        let way = self.succession.handback.as_ref().map(|handback| handback.way);
        if let Some(way) = way {
            self.tell_ends();
            if way.moves {
                self.net.shared = true; // whatever comes of it: the old side may have copies
                self.freeze()?;
            } else {
                self.net.freeze();
            }
            if let Some(handback) = &mut self.succession.handback {
                handback.tries += 1;
                let shipment = Shipment::new(way.max_moved as usize);
                handback.shipment = Some(Shipment { records: way.records, ..shipment });
            }
            if way.moves {
                self.choose_outgoing();
            }
            self.await_old(way.max_downtime);
        }
        self.tell_alarms_at_last();
        self.net.alarms.suspend_all();
        if way.is_none() {
            return self.ask_to_take_back(); // an old program, which takes nothing else
        }
        if self.net.poll.is_none() {
            return Ok(()); // in a test
        }
        self.send_state_back()?;
        self.hand_over_tickets()?;
        self.send_connections()
    }

    /// Writes down what the service knows, as far as it goes back: all of it, if not its changes, which are kept
    /// among the pieces.
    pub(super) fn save_back(&mut self) -> std::result::Result<Option<OwnedFd>, Hitch> {
        let Some(handback) = &mut self.succession.handback else { return Ok(None) };
        if self.succession.unfit.is_some() {
            return Ok(None); // half changed, perhaps, and nobody has been told anything
        }
        let begun = self.net.clock.now();
        let mut piece = self.net.reserve.lend(Unsealed::new).map_err(|e| sealing(&e))?;
        let (service, saved) = (&mut self.service, &mut piece.0);
        let tracks = handback.tracks && !handback.has_gap;
        if tracks {
            handback.has_gap = true; // until it is kept: the service forgets what it has written
            let save = |_: &mut _| service.save_changes(saved, usize::MAX);
            guard_restart(&mut self.net, "save_changes", save)??;
        } else if handback.way.moves {
            guard_restart(&mut self.net, "save", |_| service.save(saved))??;
        } else if handback.has_gap {
            return Err("some of its changes were lost when that was tried before".into());
        }
        let is_empty = piece.len().map_err(|e| sealing(&e))? == 0;
        let sealed = if is_empty { None } else { Some(piece.seal().map_err(|e| sealing(&e))?) };
        let all = match &mut self.succession.handback {
            Some(handback) if tracks => {
                handback.pieces.extend(sealed);
                handback.has_gap = false;
                None
            }
            _ => sealed,
        };
        self.has_saved(begun)?;
        Ok(all)
    }

    fn send_state_back(&mut self) -> std::result::Result<(), Hitch> {
        let all = self.save_back()?;
        let last_serial = self.net.last_serial;
        let say = |piece| Message::Rollback(Rollback::State { piece, last_serial });
        let pieces = self.succession.handback.iter().flat_map(|handback| &handback.pieces);
        let pieces: Vec<_> = pieces.map(|piece| Fd::Lent(piece.as_raw_fd())).collect();
        match all {
            Some(all) => self.send_across(&say(None), vec![all.into()])?,
            None => {
                for (number, piece) in (1..).zip(pieces) {
                    self.send_across(&say(Some(number)), vec![piece])?;
                }
            }
        }
        if let Some(old) = &mut self.succession.old {
            fault::point(Step::NewSavedBack, Some(&mut old.link));
        }
        Ok(())
    }

    /// Everything that goes back is sent.
    pub(super) fn ask_to_take_back(&mut self) -> std::result::Result<(), Hitch> {
        let (reason, _) = self.succession.hands_back.clone().unwrap_or_default();
        let number = self.succession.handback.as_ref().map(|handback| handback.tries);
        self.send_across(&Message::Rollback(Rollback::TakeBack { reason, number }), Vec::new())?;
        if let Some(old) = &mut self.succession.old {
            fault::point(Step::NewHandedBack, Some(&mut old.link));
        }
        Ok(())
    }

    /// The old side has taken a batch.
    pub(super) fn batch_is_taken(&mut self) -> Result {
        let shipment = self.succession.shipment().filter(|shipment| shipment.in_flight > 0);
        let Some(shipment) = shipment else { return Ok(()) };
        shipment.in_flight -= 1;
        let sent = self.send_connections();
        self.keep_unless(sent)
    }

    /// What the old side answers. What it says to an earlier try is no answer.
    pub(super) fn heed_answer(&mut self, answer: Rollback) -> Result {
        let (handback, old) = (&self.succession.handback, &self.succession.old);
        let tries = handback.as_ref().filter(|_| self.succession.phase == Phase::HandingBack);
        let is_answer = |number| tries.is_some_and(|handback| handback.tries == number);
        match answer {
            // A side that has died since does not serve.
            Rollback::CanTakeBack { .. } if old.as_ref().is_some_and(|old| old.link.is_cut()) => {}
            Rollback::CanTakeBack { number, refused } if is_answer(number) => {
                for id in refused.into_iter().map(ConnId::from_bits) {
                    self.net.conn(id).into_iter().for_each(|conn| conn.flags.moves = false);
                }
                return self.advance(Event::Taken);
            }
            Rollback::CannotTakeBack { number, reason } if is_answer(number) => {
                return self.fail_to_hand_back(reason);
            }
            _ => {}
        }
        Ok(())
    }

    fn keep_unless(&mut self, handed: std::result::Result<(), Hitch>) -> Result {
        match handed {
            Ok(()) => Ok(()),
            Err(Hitch::Failed(why)) => self.fail_to_hand_back(why),
            Err(Hitch::Overrun(saving)) => {
                self.fail_to_hand_back(format!("it took {saving:?} to write down what goes back"))
            }
        }
    }

    fn fail_to_hand_back(&mut self, why: String) -> Result {
        self.succession.handback.iter_mut().for_each(|handback| handback.failure = why.clone());
        self.advance(Event::NotTaken)
    }

    /// The old side has said nothing for as long as it may.
    pub(super) fn old_side_takes_nothing_back(&mut self) -> Result {
        if self.succession.phase == Phase::Returned {
            // It has the connections, and does nothing with them.
            log::warn!(target: RESTART, "the old side is silent and holds up connections: killed");
            let process = self.succession.old.as_ref().and_then(|old| old.process.as_ref());
            let killed = process.map_or(Ok(()), Process::kill);
            return killed.map_err(|e| Error::io("kill", "the old side", e));
        }
        let limit = self.succession.handback.as_ref().map(|handback| handback.way.max_downtime);
        let why = format!("the old side has not answered for {:?}", limit.unwrap_or_default());
        self.succession.handback.iter_mut().for_each(|handback| handback.failure = why.clone());
        self.advance(Event::OldSilent)
    }

    /// Nothing has gone back: this side goes on with everything.
    pub(in crate::turn) fn keep(&mut self) -> Result {
        if let Some(old) = &mut self.succession.old {
            old.link.forget_lent(); // which is this side's, and may be closed
            let _ = old.link.send(&Message::Rollback(Rollback::Kept), Vec::new());
        }
        self.insist()?;
        self.succession.unfit = None;
        self.net.alarms.resume_all();
        if self.net.frozen {
            self.net.thaw();
        }
        let Some(handback) = &mut self.succession.handback else { return Ok(()) };
        handback.shipment = None;
        let why = std::mem::take(&mut handback.failure);
        if self.succession.phase == Phase::Probation {
            log::error!(target: RESTART, "not rolled back: {}", Escaped(&why));
            self.begin_probation();
            let generation = self.net.generation();
            self.answer_roll_back(&format!("error: generation {generation} stays: {why}"));
        }
        Ok(())
    }

    /// The old side could serve. From here on everything is its own.
    pub(in crate::turn) fn let_go_back(&mut self) {
        let own = self.sockets_of_its_own();
        self.net.stop_accepting(&own);
        self.net.stop_reading(&own);
        if self.succession.handback.as_ref().is_some_and(|handback| handback.way.moves) {
            self.let_go();
        } else {
            self.net.thaw();
        }
        if let Some(old) = &mut self.succession.old {
            let _ = old.link.send(&Message::Rollback(Rollback::HandedBack), Vec::new());
            fault::point(Step::NewReturned, Some(&mut old.link));
        }
        self.await_old(self.succession.ready_within);
    }

    /// The old side is gone, with what was handed back to it. Whoever has not come yet is let in here.
    pub(in crate::turn) fn reopen(&mut self) -> Result {
        self.net.start_accepting().map_err(|e| Error::io("wait for", "clients", e))?;
        self.net.fill_reserve();
        Ok(())
    }

    /// The way to the other side of a restart, whichever this one is.
    pub(super) fn link_across(&mut self) -> Option<&mut Link> {
        if self.succession.attempt.is_some() {
            return self.succession.link_to_new();
        }
        self.succession.old.as_mut().map(|old| &mut old.link)
    }
}

fn sealing(e: &std::io::Error) -> String {
    format!("seal the state: {e}")
}
