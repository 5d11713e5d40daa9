//! Established connections go to the new side: chosen, written down, sent, and let go by the old one;
//! taken in by the new one. Neither touches them in between.

use std::{os::fd::OwnedFd, time::Instant};

use super::{Estate, Turn};
use crate::{
    error::{Error, Result},
    limits::{BATCH_BYTES, BATCH_MAX, BATCHES_IN_FLIGHT, STATE_MAX},
    net::{ConnId, Io, Key, Reason},
    restart::{
        fault::{self, Step},
        link::Message,
        memfd,
        pass::{FDS_PER_MESSAGE, Link, LinkError},
        record::Record,
    },
    service::{Move, Service},
};

/// What has come from the old side and waits to be taken in.
#[derive(Debug, Default)]
pub(super) struct Arrivals {
    pub state: Option<Vec<u8>>,
    pub connections: Vec<(Record, OwnedFd)>,
}

impl<S: Service> Turn<S> {
    // The old side.

    /// From here on nobody serves the connections, until the new side does or this one thaws them.
    /// Marks those that go.
    pub(super) fn freeze(&mut self) {
        for (tag, why) in self.net.take_refused_dials() {
            self.service.on_dial_failed(&mut self.net, tag, why);
        }
        self.net.freeze();
        for (slot, conn) in &mut self.net.conns {
            let session = self.sessions.get(slot).and_then(Option::as_ref);
            let goes = session.is_none_or(|session| self.service.on_move(session) == Move::Yes);
            conn.flags.moves = goes && conn.can_move();
        }
    }

    /// The connections that are marked.
    fn moving(&self) -> impl Iterator<Item = ConnId> {
        let conns = self.net.conns.iter().map(|(_, conn)| conn);
        conns.filter(|conn| conn.flags.moves).map(|conn| conn.id)
    }

    /// The new program is up: it gets the service's state, and the connections if they move.
    pub(super) fn hand_over(&mut self) -> std::result::Result<(), String> {
        let now = self.net.now();
        let Some(attempt) = &mut self.succession.attempt else { return Ok(()) };
        if attempt.how.moves {
            self.net.clear_timer(attempt.overdue, Key::NewOverdue);
            attempt.overdue = attempt.overdue.min(now + attempt.how.standstill);
            self.net.set_timer(attempt.overdue, Key::NewOverdue);
            self.freeze();
            let outgoing = self.moving().collect();
            self.succession.attempt.iter_mut().for_each(|a| a.outgoing.clone_from(&outgoing));
        }
        let saved = self.service.save().map_err(|why| format!("the state was not saved: {why}"))?;
        let state = memfd::seal(&saved).map_err(|e| format!("seal the state: {e}"))?;
        self.send_to_new(&Message::State, vec![state])?;
        for message in self.hand_over_alarms() {
            self.send_to_new(&message, Vec::new())?;
        }
        self.send_connections()
    }

    /// Sends batches of connections, as many as the new side can be expected to have room for.
    pub(super) fn send_connections(&mut self) -> std::result::Result<(), String> {
        loop {
            let Some(attempt) = &mut self.succession.attempt else { return Ok(()) };
            if attempt.handed || attempt.in_flight == BATCHES_IN_FLIGHT {
                return Ok(());
            }
            if attempt.outgoing.is_empty() {
                attempt.handed = true;
                let last_serial = self.net.last_serial;
                self.send_to_new(&Message::Handed { last_serial }, Vec::new())?;
                let link = self.succession.attempt.as_mut().and_then(|a| a.link.as_mut());
                fault::point(Step::OldHanded, link);
                return Ok(());
            }
            let (records, mut fds) = self.pack_batch().map_err(|e| format!("move: {e}"))?;
            let count = fds.len() as u64;
            if count > 0 {
                fds.push(memfd::seal(&records).map_err(|e| format!("seal connections: {e}"))?);
                self.succession.attempt.iter_mut().for_each(|attempt| attempt.in_flight += 1);
                self.send_to_new(&Message::Connections { count }, fds)?;
            }
        }
    }

    fn pack_batch(&mut self) -> std::io::Result<(Vec<u8>, Vec<OwnedFd>)> {
        let (mut records, mut fds) = (Vec::new(), Vec::new());
        while fds.len() < FDS_PER_MESSAGE - 1 && records.len() < BATCH_BYTES {
            let attempt = self.succession.attempt.as_mut();
            let Some(id) = attempt.and_then(|attempt| attempt.outgoing.pop_front()) else { break };
            let session = self.sessions.get(id.slot()).and_then(Option::as_ref);
            let exported = session.map(|session| self.service.export(session));
            if exported == Some(None) {
                self.net.conns[id.slot()].flags.moves = false; // it stays after all
                continue;
            }
            let (record, fd) = self.net.pack(id, exported.flatten())?;
            record.encode(&mut records);
            fds.push(fd);
        }
        Ok((records, fds))
    }

    fn send_to_new(
        &mut self,
        message: &Message,
        fds: Vec<OwnedFd>,
    ) -> std::result::Result<(), String> {
        let link = self.succession.attempt.as_mut().and_then(|attempt| attempt.link.as_mut());
        match link.map_or(Ok(()), |link| link.send(message, fds)) {
            Ok(()) | Err(LinkError::Closed) => Ok(()), // that it is closed will be heard
            Err(e) => Err(e.to_string()),
        }
    }

    /// The new side has them now. Their sessions live on there, so nobody hears `on_close`.
    pub(super) fn let_go(&mut self) {
        if !self.net.frozen {
            return;
        }
        let gone: Vec<_> = self.moving().collect();
        let mut sessions = Vec::with_capacity(gone.len());
        for &id in &gone {
            self.net.let_go(id);
            sessions.push(self.sessions.get_mut(id.slot()).and_then(Option::take));
        }
        self.estate = Some(Estate::new(Default::default(), sessions));
        log::info!("moved: {} connections, {} stay", gone.len(), self.net.connections());
        self.net.thaw();
    }

    // The new side.

    /// State and connections, on their way in.
    pub(super) fn receive(
        &mut self,
        message: Message,
        mut fds: Vec<OwnedFd>,
    ) -> std::result::Result<(), String> {
        let memfd = fds.pop().ok_or("no memfd came along")?;
        let arrivals = &mut self.succession.arrivals;
        if message == Message::State {
            let state = memfd::open(memfd, STATE_MAX).map_err(|e| format!("state: {e}"))?;
            arrivals.state = Some(state);
            return Ok(());
        }
        let records = memfd::open(memfd, BATCH_MAX).map_err(|e| format!("connections: {e}"))?;
        let mut records = records.as_slice();
        for fd in fds {
            let record = Record::decode(&mut records).map_err(|e| format!("connection: {e}"))?;
            arrivals.connections.push((record.ok_or("fewer records than sockets")?, fd));
        }
        if !records.is_empty() {
            return Err("more records than sockets".into());
        }
        if let Some(old) = &mut self.succession.old {
            let _ = old.link.send(&Message::Taken, Vec::new());
            fault::point(Step::NewTaken, Some(&mut old.link));
        }
        Ok(())
    }

    /// Takes in what has come. Nothing is read, written or accepted before this side serves.
    pub(super) fn take_in(&mut self) -> Result {
        let arrivals = std::mem::take(&mut self.succession.arrivals);
        if let Some(state) = &arrivals.state {
            self.service.load(state)?;
        }
        let count = arrivals.connections.len();
        if count == 0 {
            return Ok(());
        }
        let begun = Instant::now();
        self.net.freeze();
        self.net.shared = true;
        let arrived = self.net.unpack(arrivals.connections);
        for arrival in arrived.map_err(|e| Error::io("take over", "connections", e))? {
            self.net.last_serial = self.net.last_serial.max(arrival.id.serial());
            self.net.stats.moved_in += 1;
            if let Some(session) = arrival.session {
                self.import(arrival.id, &session);
            }
        }
        log::info!("taken over: {count} connections in {:?}", begun.elapsed());
        Ok(())
    }

    fn import(&mut self, id: ConnId, saved: &[u8]) {
        let slot = id.slot();
        if slot >= self.sessions.len() {
            self.sessions.resize_with(slot + 1, || None);
        }
        match self.service.import(&mut Io::new(&mut self.net, id), saved) {
            Ok(session) => self.sessions[slot] = Some(session),
            Err(why) => self.net.finish(id, Reason::Failed(why)),
        }
    }
}

/// Asks the old side for the rest: this program is up.
pub(super) fn claim(link: &mut Link) {
    // A failure means that the old side is gone; the link will say so.
    let _ = link.send(&Message::Claim, Vec::new());
}
