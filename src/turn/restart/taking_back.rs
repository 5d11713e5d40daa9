//! A roll back, as the old side sees it: what the new one [hands back](super::handing_back) is kept until all
//! of it is there, then taken in, and served when that one has let go of it.
//!
//! Nobody is served in between, here or there. If the new side dies meanwhile, this one has everything that
//! was sent: it goes on with that. Only what had not been sent by then is lost with it.

use std::{mem, os::fd::OwnedFd};

use crate::{
    error::Result,
    log_target::RESTART,
    logging::Escaped,
    net::{ConnId, Connection},
    restart::{
        Event, Phase,
        engine::attempt::Attempt,
        fault::{self, Step},
        link::{LinkError, Message, Rollback},
        transfer::memfd,
    },
    service::Service,
    turn::{
        Turn,
        generation::{Arrivals, Inherited},
        guard::guard_restart,
    },
};

use super::loading::{load_changes, load_whole};

impl<S: Service> Turn<S> {
    /// Something of what is handed back. What is wrong with it is said when everything has come.
    pub(super) fn receive_back(&mut self, word: Message, fds: Vec<OwnedFd>) {
        let is_batch = matches!(word, Message::Connections { .. });
        let received = match word {
            _ if self.succession.phase != Phase::Released => return,
            Message::Rollback(Rollback::State { piece, last_serial }) => {
                self.receive_state(piece, last_serial, fds)
            }
            Message::Connections { count } => self.receive_batch(count, fds),
            _ => Ok(()),
        };
        if let Err(why) = received {
            self.succession.returned.flaw.get_or_insert(why);
        }
        if is_batch {
            self.tell_new(&Message::Taken);
        }
    }

    /// There was no room for some of it.
    pub(super) fn miss_back(&mut self, why: &LinkError) {
        self.succession.returned.flaw.get_or_insert(why.to_string());
        self.tell_new(&Message::Taken); // if it was a batch, the new side waits for this
    }

    fn receive_state(
        &mut self,
        piece: Option<u64>,
        last_serial: u64,
        mut fds: Vec<OwnedFd>,
    ) -> std::result::Result<(), String> {
        let memfd = fds.pop().ok_or("no memfd came along")?;
        self.net.last_serial = self.net.last_serial.max(last_serial);
        match piece {
            Some(number) => self.succession.returned.pieces.push((number, memfd)),
            None => self.succession.returned.all = Some(memfd),
        }
        Ok(())
    }

    /// The new side asks this one to serve again, with what it has sent.
    pub(in crate::turn) fn take_back(&mut self) -> Result {
        let number = self.succession.returned.number;
        self.net.freeze();
        let answer = match self.try_take_back() {
            Ok(refused) => {
                let refused = refused.into_iter().map(ConnId::to_bits).collect();
                Message::Rollback(Rollback::CanTakeBack { number: number.unwrap_or(0), refused })
            }
            Err(reason) => {
                log::error!(target: RESTART, "not taken back: {}", Escaped(&reason));
                self.forget_taken_back();
                self.advance(Event::NotTaken)?;
                Message::Rollback(Rollback::CannotTakeBack { number: number.unwrap_or(0), reason })
            }
        };
        if number.is_none() {
            // Of a program that does not wait for an answer, and hands back nothing that could fail.
            return self.advance(Event::HandedBack);
        }
        match self.succession.phase {
            Phase::TakingBack => self.hurry_new(),
            _ => self.reschedule(Attempt::prove),
        }
        self.tell_new(&answer);
        fault::point(Step::OldTakenBack, self.succession.link_to_new());
        Ok(())
    }

    /// Answers the connections that the new side has to keep.
    pub(super) fn try_take_back(&mut self) -> std::result::Result<Vec<ConnId>, String> {
        if let Some(flaw) = self.succession.returned.flaw.take() {
            return Err(flaw);
        }
        let (service, net) = (&mut self.service, &mut self.net);
        let open = |memfd| memfd::read(memfd).map_err(|e| format!("state: {e}"));
        if let Some(all) = self.succession.returned.all.take() {
            load_whole(service, net, &mut open(all)?).map_err(|e| e.to_string())?;
        }
        for (number, piece) in mem::take(&mut self.succession.returned.pieces) {
            if number == self.succession.returned.loaded + 1 {
                load_changes(service, net, &mut open(piece)?).map_err(|e| e.to_string())?;
                self.succession.returned.loaded = number;
            }
        }
        let Arrivals { connections, dials, sessions, .. } =
            mem::take(&mut self.succession.arrivals);
        let ids: Vec<_> = connections.iter().map(|conn| conn.id).collect();
        self.succession.returned.dials = self.net.take_in_dials(dials);
        let mut refused = self.net.take_in(connections);
        self.succession.returned.taken =
            ids.into_iter().filter(|id| !refused.contains(id)).collect();
        for (id, saved) in sessions {
            if self.net.conn(id).is_some() && !self.import_back(id, &saved)? {
                refused.push(id);
            }
        }
        let taken = &mut self.succession.returned.taken;
        taken.retain(|id| !refused.contains(id));
        log::info!(target: RESTART, "taken back: {} connections", taken.len());
        Ok(refused)
    }

    /// `false`: it stays where it is.
    fn import_back(&mut self, id: ConnId, saved: &[u8]) -> std::result::Result<bool, String> {
        let service = &mut self.service;
        let imported = guard_restart(&mut self.net, "import", |net| {
            service.import(&mut Connection::new(net, id), saved)
        })?;
        match imported {
            Ok(session) => self.keep_session(id, Ok(session)),
            Err(why) => {
                log::warn!(target: RESTART, "{id} is not taken back: {}", Escaped(why));
                self.net.let_go(id);
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The new side has everything, after all.
    pub(super) fn kept(&mut self) -> Result {
        match self.succession.phase {
            Phase::TakingBack => self.advance(Event::Kept),
            _ => {
                self.forget_taken_back();
                Ok(())
            }
        }
    }

    /// As if nothing had been handed back, but for what the service has loaded.
    pub(in crate::turn) fn forget_taken_back(&mut self) {
        let arrivals = mem::take(&mut self.succession.arrivals);
        for conn in arrivals.connections {
            self.net.decline(conn);
        }
        self.net.expect_none();
        let returned = &mut self.succession.returned;
        (returned.flaw, returned.number) = (None, None);
        (returned.all, returned.pieces) = (None, Vec::new());
        self.net.forget_dials(mem::take(&mut returned.dials));
        let mut sessions = Vec::new();
        for id in mem::take(&mut returned.taken) {
            if self.net.conn(id).is_some() {
                self.net.let_go(id);
                sessions.push(self.net.sessions.take(id.slot()));
            }
        }
        if !sessions.is_empty() {
            self.inherited.push(Inherited::own(sessions));
        }
        if self.net.frozen {
            self.net.thaw();
            self.reschedule(Attempt::prove);
        }
    }

    /// The new side has died in the middle of handing back: what has come has no other owner.
    pub(super) fn take_back_what_has_come(&mut self) {
        if self.succession.phase != Phase::Released || self.net.frozen {
            return; // nothing was handed back yet, or everything was taken in
        }
        match self.try_take_back() {
            Ok(_) => self.net.thaw(), // nobody else has them now
            Err(why) => {
                log::error!(target: RESTART, "not taken back: {}", Escaped(why));
                self.forget_taken_back();
            }
        }
    }
}
