//! Established connections go to the new side: chosen, written down, sent, and let go by the old one;
//! taken in by the new one. Neither touches them in between.

use std::{
    os::fd::OwnedFd,
    time::{Duration, Instant},
};

use crate::{
    error::Result,
    limits::{BATCH_BYTES, BATCH_MAX},
    log_target::RESTART,
    net::{ConnId, Connection, Peer, Reason, Secure, Stream},
    restart::{
        Event, Phase,
        fault::{self, Step},
        link::{FDS_PER_MESSAGE, Fd, Link, LinkError, Message},
        transfer::{
            allowance::Allowance,
            memfd,
            pack::{is_readable, pack, pack_dial, unpack, unpack_dial},
            record::{self, DIALS_FROM, Record},
            secrets::Secrets,
            shared::Sharing,
        },
    },
    service::{Move, Service},
    turn::{Turn, generation::Inherited, guard::guard_restart},
};

/// Why the new side does not get what it is to get.
pub(in crate::turn) enum Hitch {
    Failed(String),
    /// So long it took to write it down, and the time for it was over by then.
    Overrun(Duration),
}

impl<E: ToString> From<E> for Hitch {
    fn from(why: E) -> Hitch {
        Hitch::Failed(why.to_string())
    }
}

impl<S: Service> Turn<S> {
    // The side that gives: the old one, or a new one that hands back.

    /// Tells the service what has come to an end in this turn, before its state is copied. Told later, it
    /// would be told to this process alone, and the new one would have them for ever.
    pub(in crate::turn) fn tell_ends(&mut self) {
        for (tag, why) in self.net.take_refused_dials() {
            self.tell_dial_failed(tag, why);
        }
        self.reap();
    }

    /// From here on nobody serves the connections, until the new side does or this one thaws them.
    /// Marks those that go.
    ///
    /// # Errors
    /// When `on_move` panics.
    pub(in crate::turn) fn freeze(&mut self) -> std::result::Result<(), String> {
        self.net.freeze();
        self.net.mark_dials(true);
        let service = &self.service;
        guard_restart(&mut self.net, "on_move", |net| {
            for (slot, conn) in net.conns.iter_mut() {
                let session = net.sessions.get::<S::Session>(slot);
                let goes = session.is_none_or(|session| service.on_move(session) == Move::Yes);
                conn.flags.moves = goes && conn.can_move();
                if conn.flags.moves {
                    conn.stream.give_away();
                }
            }
        })
    }

    /// The connections that are marked.
    pub(super) fn moving(&self) -> impl Iterator<Item = ConnId> {
        let conns = self.net.conns.iter().map(|(_, conn)| conn);
        conns.filter(|conn| conn.flags.moves).map(|conn| conn.id)
    }

    /// Some of what the new side is to get has been written down since `begun`, by author's code that nobody could
    /// interrupt. If the time for it is over, that is said now, and nothing more is done. Answers the time.
    pub(super) fn has_saved(&mut self, begun: Instant) -> std::result::Result<Instant, Hitch> {
        let (now, deaf) = (self.net.clock.now(), self.net.deaf());
        let took = now.saturating_duration_since(begun);
        if let Some(handback) = &self.succession.handback {
            let late =
                now.saturating_duration_since(self.net.frozen_at) > handback.way.max_downtime;
            return if late { Err(Hitch::Overrun(took)) } else { Ok(now) };
        }
        let Some(attempt) = &mut self.succession.attempt else { return Ok(now) };
        let saving = attempt.steps.saved.unwrap_or_default() + took;
        attempt.steps.saved = Some(saving);
        attempt.deaf += took; // this was not deafness, and is no excuse
        let deaf = deaf.saturating_sub(attempt.deaf);
        let excused = if self.net.frozen { Duration::ZERO } else { deaf };
        if attempt.overdue + excused < now { Err(Hitch::Overrun(saving)) } else { Ok(now) }
    }

    /// Those that go, and behind them those with so much queued that there may be no room for all, the
    /// least first. What several have queued counts in part for each.
    pub(super) fn choose_outgoing(&mut self) {
        let Some(records) = self.succession.shipment().map(|it| it.records) else { return };
        for (_, conn) in self.net.conns.iter_mut().filter(|(_, conn)| conn.flags.moves) {
            conn.flags.moves = is_readable(conn, records);
        }
        let conn = |id: &ConnId| &self.net.conns[id.slot()];
        let sharing = self.sharing(records);
        let (mut large, small): (Vec<_>, Vec<_>) =
            self.moving().partition(|id| Allowance::counts(conn(id).kept()));
        large
            .sort_by_cached_key(|id| conn(id).input.len() + sharing.part_of_cost(&conn(id).output));
        let outgoing = small.into_iter().chain(large).collect();
        if records < DIALS_FROM {
            self.net.mark_dials(false); // they stay
        }
        let mut dials = Vec::new();
        self.net.moving_dials().iter().for_each(|dial| pack_dial(dial).encode(&mut dials));
        if let Some(shipment) = self.succession.shipment() {
            (shipment.outgoing, shipment.sharing) = (outgoing, sharing);
            shipment.dials = dials;
        }
    }

    /// What several of those that go have queued, for a program that reads records of this version.
    pub(super) fn sharing(&self, version: u64) -> Sharing {
        Sharing::of(version, self.moving().map(|id| &self.net.conns[id.slot()].output))
    }

    /// Sends batches of connections, as many as the other side can be expected to have room for.
    pub(in crate::turn) fn send_connections(&mut self) -> std::result::Result<(), Hitch> {
        loop {
            let Some(shipment) = self.succession.shipment() else { return Ok(()) };
            if !shipment.may_go_on() {
                return Ok(());
            }
            if shipment.outgoing.is_empty() && shipment.dials.is_empty() {
                shipment.handed = true;
                shipment.sharing = Sharing::default(); // it would keep what nobody waits for any more
                return match self.succession.attempt {
                    Some(_) => self.have_handed_over(),
                    None => self.ask_to_take_back(),
                };
            }
            let (records, mut fds, secrets) = self.pack_batch()?;
            let count = fds.len() as u64;
            if !records.is_empty() {
                let written = records.len();
                let secrets = self.net.reserve.lend(|| secrets.fill());
                fds.extend(secrets.map_err(|e| format!("keep keys: {e}"))?.map(Fd::Owned));
                let records = self.net.reserve.lend(|| memfd::seal(&records));
                fds.push(records.map_err(|e| format!("seal connections: {e}"))?.into());
                self.succession.shipment().into_iter().for_each(|it| it.in_flight += 1);
                if let Some(attempt) = &mut self.succession.attempt {
                    attempt.steps.moved_bytes += written;
                }
                self.send_across(&Message::Connections { count }, fds)?;
            }
        }
    }

    /// The new side has been sent everything.
    fn have_handed_over(&mut self) -> std::result::Result<(), Hitch> {
        let Some(attempt) = &mut self.succession.attempt else { return Ok(()) };
        attempt.steps.kept_back = attempt.shipment.allowance.kept_back;
        let (last_serial, slots) = (self.net.last_serial, self.net.conns.end() as u64);
        self.send_across(&Message::Handed { last_serial, slots }, Vec::new())?;
        fault::point(Step::OldHanded, self.succession.link_to_new());
        Ok(self.advance(Event::AllSent)?)
    }

    /// The sockets are lent: they stay here, frozen, until the other side has served.
    fn pack_batch(&mut self) -> std::result::Result<(Vec<u8>, Vec<Fd>, Secrets), Hitch> {
        let (mut records, mut fds, mut secrets) = (Vec::new(), Vec::new(), Secrets::default());
        let mut now = self.net.clock.now();
        while fds.len() < FDS_PER_MESSAGE - 2 && records.len() < BATCH_BYTES {
            let Some(shipment) = self.succession.shipment() else { break };
            let Some(id) = shipment.outgoing.pop_front() else { break };
            let conn = &self.net.conns[id.slot()];
            let sealed = conn.stream.secure().map_or(0, Secure::kept);
            let kept = conn.input.len() + sealed + shipment.sharing.cost(&conn.output);
            let fits = shipment.allowance.has_room_for(kept);
            // What has no room without its session is not written down for nothing.
            let exported = if fits { self.export(id)? } else { None };
            let written = exported.iter().flatten().map(Vec::len).sum::<usize>();
            let Some(shipment) = self.succession.shipment() else { break };
            if exported == Some(None) || !shipment.allowance.take(kept + written) {
                self.net.conns[id.slot()].flags.moves = false; // it stays after all
                continue;
            }
            let conn = &self.net.conns[id.slot()];
            let output = shipment.sharing.write(&conn.output);
            let record = pack(conn, exported.flatten(), output, self.net.stamp(), now);
            Record { tls: secrets.write(conn), ..record }.encode(&mut records);
            fds.extend(conn.stream.raw_fd().map(Fd::Lent));
            now = self.has_saved(now)?;
        }
        if let Some(shipment) = self.succession.shipment() {
            records.append(&mut shipment.dials);
        }
        Ok((records, fds, secrets))
    }

    /// A session, written down if the service can do that. The outer `None`: there is none.
    pub(super) fn export(
        &mut self,
        id: ConnId,
    ) -> std::result::Result<Option<Option<Vec<u8>>>, String> {
        let service = &self.service;
        guard_restart(&mut self.net, "export", |net| {
            let session = net.sessions.get::<S::Session>(id.slot());
            session.map(|session| service.export(session))
        })
    }

    pub(super) fn send_across(
        &mut self,
        message: &Message,
        fds: Vec<Fd>,
    ) -> std::result::Result<(), Hitch> {
        match self.link_across().map_or(Ok(()), |link| link.send_fds(message, fds)) {
            Ok(()) | Err(LinkError::Closed) => Ok(()), // that it is closed will be heard
            Err(e) => Err(e.into()),
        }
    }

    /// The other side has them. Their sessions live on there, so nobody hears `on_close`.
    pub(in crate::turn) fn let_go(&mut self) {
        if !self.net.frozen {
            return;
        }
        let mut gone: Vec<_> = self.moving().collect();
        let mut sessions = Vec::with_capacity(gone.len());
        // It goes on with them by now, so this is no part of the time in which nobody does.
        let downtime = self.net.clock.now().saturating_duration_since(self.net.frozen_at);
        if let Some(attempt) = &mut self.succession.attempt {
            attempt.steps.downtime = Some(downtime);
        }
        let count = gone.len();
        self.net.let_go_of_dials();
        gone.retain(|&id| {
            self.net.let_go(id);
            sessions.push(self.net.sessions.take(id.slot()));
            matches!(sessions.last(), Some(Some(_))) // of others no service knows
        });
        if self.succession.phase == Phase::Released {
            self.succession.moved = gone; // they may come back, or die there
        }
        self.inherited.push(match self.succession.heap.is_shared() {
            true => Inherited::shared(Default::default(), sessions),
            false => Inherited::own(sessions),
        });
        let stay = self.net.connections();
        let ms = downtime.as_secs_f64() * 1e3;
        log::info!(
            target: RESTART,
            "moved: {count} connections, {stay} stay; none was served for {ms:.3} ms"
        );
        self.net.shared = false;
        self.net.thaw();
    }

    // The side that takes: the new one, or an old one that takes back.

    /// Connections, on their way in.
    pub(in crate::turn) fn receive(
        &mut self,
        count: u64,
        fds: Vec<OwnedFd>,
    ) -> std::result::Result<(), String> {
        self.receive_batch(count, fds)?;
        if let Some(old) = &mut self.succession.old {
            let _ = old.link.send(&Message::Taken, Vec::new());
            fault::point(Step::NewTaken, Some(&mut old.link));
        }
        Ok(())
    }

    /// So many connections, behind them what holds their secrets, if there are any, and the memfd with their records.
    pub(super) fn receive_batch(
        &mut self,
        count: u64,
        mut fds: Vec<OwnedFd>,
    ) -> std::result::Result<(), String> {
        let memfd = fds.pop().ok_or("no memfd came along")?;
        let vessel = if fds.len() as u64 > count { fds.pop() } else { None };
        let secrets = vessel.map_or(Ok(Secrets::default()), Secrets::empty);
        let mut secrets = secrets.map_err(|e| format!("keys of connections: {e}"))?;
        let records = memfd::open(memfd, BATCH_MAX).map_err(|e| format!("connections: {e}"))?;
        let mut records = records.as_slice();
        for fd in fds {
            let record = Record::decode(&mut records).map_err(|e| format!("connection: {e}"))?;
            let record = record.filter(|record| !record.is_of_dial());
            let record = record.ok_or("fewer records than sockets")?;
            let at_its_end = record.proxy.as_ref().unwrap_or(&record.peer);
            let stream = Stream::adopt(fd, Peer::from_bytes(at_its_end));
            let expected = stream.map_err(|e| e.to_string()).and_then(|mut stream| {
                secrets.read(&mut stream, record.tls.as_deref())?;
                self.expect(record, stream)
            });
            expected.map_err(|e| format!("take over a connection: {e}"))?;
        }
        while let Some(record) = Record::decode(&mut records).map_err(|e| format!("dial: {e}"))? {
            let dial = unpack_dial(&record).map_err(|_| "more records than sockets")?;
            self.succession.arrivals.dials.push(dial);
        }
        Ok(())
    }

    /// Takes in what has come. Nothing is read, written or accepted before this side serves.
    pub(in crate::turn) fn take_in(&mut self) -> Result {
        let arrivals = std::mem::take(&mut self.succession.arrivals);
        let count = arrivals.connections.len();
        if count == 0 && arrivals.dials.is_empty() {
            return Ok(());
        }
        self.net.freeze();
        self.net.shared = true;
        self.net.take_in_dials(arrivals.dials);
        if !self.net.take_in(arrivals.connections).is_empty() {
            return Err("two connections with the same slot".into());
        }
        for (id, session) in arrivals.sessions {
            self.import(id, &session)?;
        }
        log::info!(target: RESTART, "taken over: {count} connections");
        Ok(())
    }

    /// Makes a connection of its record, which waits for the others.
    pub(super) fn expect(
        &mut self,
        record: Record,
        stream: Stream,
    ) -> std::result::Result<(), String> {
        let (stamp, now) = (self.net.stamp(), self.net.clock.now());
        let shared = &mut self.succession.arrivals.shared;
        let unpacked = unpack(record, stream, shared, stamp, now);
        let (mut conn, session) = unpacked.map_err(|e| e.to_string())?;
        self.net.renumber(&mut conn);
        self.net.expect(&mut conn).map_err(|e| e.to_string())?;
        let arrivals = &mut self.succession.arrivals;
        arrivals.sessions.extend(session.map(|session| (conn.id, session)));
        arrivals.connections.push(conn);
        Ok(())
    }

    fn import(&mut self, id: ConnId, saved: &[u8]) -> std::result::Result<(), String> {
        let service = &mut self.service;
        let imported = guard_restart(&mut self.net, "import", |net| {
            service.import(&mut Connection::new(net, id), saved)
        })?;
        self.keep_session(id, imported.map_err(Reason::Failed));
        Ok(())
    }
}

/// Asks the old side for the rest: this program is up, and does not want some of its sockets.
pub(in crate::turn) fn claim(link: &mut Link, unwanted: Vec<u64>) {
    // A failure means that the old side is gone; the link will say so.
    let (pid, records) = (std::process::id(), record::VERSION);
    let _ = link.send(&Message::Claim { pid, unwanted, records }, Vec::new());
}
