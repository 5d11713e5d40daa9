//! One turn of the loop in named phases. The only caller of a [`Service`].
//!
//! Each room adds methods to [`Turn`]: `input` brings what arrives to the service, `restart` carries out what
//! the state machine decides, `leaving` is how a process goes, `report` tells others how it is. `generation`
//! is what they have to remember, and `inboxes` where other threads post. ARCHITECTURE.md numbers the phases
//! as they are numbered here.

mod generation;
mod inboxes;
mod input;
mod leaving;
mod report;
mod restart;

use std::time::{Duration, Instant};

use mio::Events;

use crate::{
    error::{Error, Result},
    limits::{ACCEPT_BUDGET, EVENTS, READ_BUDGET},
    net::{
        ConnId, Connection, DatagramInbox, Deadline, Expired, Net, Origin, Phase as ConnPhase,
        Reason, Source,
    },
    restart::Phase,
    service::Service,
};
use generation::Inherited;
pub(crate) use generation::{AtMax, Generation, Succession, Trigger};
pub(crate) use inboxes::Inboxes;

/// A server at work. Three disjoint fields make the callbacks possible: each gets one `&mut` to the
/// service, to its session and to the net, and `input` borrows from a fourth.
pub(crate) struct Turn<S: Service> {
    /// First, since fields are dropped in this order: a forked child that fails before it serves ends
    /// with it, and touches nothing of its parent's.
    pub succession: Succession,
    pub service: S,
    /// By slot, beside the slab of connections.
    sessions: Vec<Option<S::Session>>,
    pub net: Net,
    pub inboxes: Inboxes<S>,
    /// What every connection is read into.
    buffer: Box<[u8]>,
    events: Events,
    /// What datagrams are read into.
    inbox: DatagramInbox,
    /// Sources that are no sockets and have something to say in this turn.
    ready: Vec<Source>,
    /// In a forked child: what the parent's connections have left in memory.
    inherited: Option<Inherited<S::Session>>,
}

impl<S: Service> Turn<S> {
    pub fn new(service: S, net: Net, succession: Succession) -> Turn<S> {
        Turn {
            service,
            sessions: Vec::new(),
            net,
            inboxes: Inboxes::none(),
            buffer: vec![0; READ_BUDGET].into_boxed_slice(),
            events: Events::with_capacity(EVENTS),
            inbox: DatagramInbox::default(),
            ready: Vec::new(),
            succession,
            inherited: None,
        }
    }

    /// Turns until this process has nothing left to do.
    pub fn run(mut self) -> Result {
        self.begin()?;
        while self.succession.phase() != Phase::Ended {
            self.poll()?;
            self.act()?;
        }
        self.end();
        Ok(())
    }

    /// 1. Waits for events and files each with its connection or listener. Nothing else sleeps.
    fn poll(&mut self) -> Result {
        let now = self.net.clock.now();
        let wait = self.wait(now);
        self.net.poll(&mut self.events, now, wait)?;
        self.net.stats.turns += 1;
        for event in &self.events {
            self.ready.extend(self.net.note(event));
        }
        Ok(())
    }

    /// How long to sleep: not at all while somebody is still to be heard, nor while there is inherited memory
    /// to free, which begins when it serves.
    fn wait(&self, now: Instant) -> Option<Duration> {
        match &self.inherited {
            _ if !self.ready.is_empty() => Some(Duration::ZERO),
            Some(_) if self.succession.phase() != Phase::Waiting => Some(Duration::ZERO),
            _ => self.net.wait(now),
        }
    }

    /// The rest of a turn: everything but the waiting. While connections are frozen, on their way from
    /// one process to another, only the process goes on: phases 2, 5 and 6.
    pub fn act(&mut self) -> Result {
        self.dispatch()?;
        self.accept();
        self.read();
        self.read_datagrams();
        self.run_timers()?;
        self.decide()?;
        self.flush();
        self.writable();
        self.reap();
        // `on_writable` and `on_close` send too: never sleep with unsent output.
        self.flush();
        self.work();
        self.settle()
    }

    /// 2. Signals, the link to the other side of a restart, children; mail.
    fn dispatch(&mut self) -> Result {
        for source in std::mem::take(&mut self.ready) {
            self.dispatch_source(source)?;
        }
        self.receive_mail();
        Ok(())
    }

    /// 3. New clients, up to the budget of each listener; and dials that came to nothing.
    fn accept(&mut self) {
        if self.net.frozen {
            return;
        }
        for listener in 0..self.net.listeners.len() {
            for _ in 0..ACCEPT_BUDGET {
                if !self.net.listeners[listener].ready {
                    break;
                }
                let Some(id) = self.net.accept(listener) else { break };
                self.open(id, Origin::Accepted { listener });
            }
        }
        for (tag, why) in self.net.take_refused_dials() {
            self.service.on_dial_failed(&mut self.net, tag, why);
        }
    }

    pub fn open(&mut self, id: ConnId, origin: Origin) {
        if self.net.conns[id.slot()].flags.control {
            return self.open_control(id);
        }
        let opened = self.service.on_open(&mut Connection::new(&mut self.net, id), origin);
        self.keep_session(id, opened);
    }

    /// A connection has its session from here on, or ends because it gets none.
    fn keep_session(&mut self, id: ConnId, opened: Result<S::Session>) {
        let slot = id.slot();
        if slot >= self.sessions.len() {
            self.sessions.resize_with(slot + 1, || None);
        }
        match opened {
            Ok(session) => self.sessions[slot] = Some(session),
            Err(why) => self.net.finish(id, Reason::Failed(why)),
        }
    }

    /// 4. Input: what the last turn left over, then what this turn's events announce.
    fn read(&mut self) {
        if self.net.frozen {
            return;
        }
        let list = self.net.take_readable();
        for &id in &list {
            self.serve(id);
        }
        self.net.recycle_readable(list);
    }

    /// 5. Timers and alarms, of the time up to which all that has come was used.
    fn run_timers(&mut self) -> Result {
        self.net.catch_up();
        while let Some(expired) = self.net.next_expired() {
            match expired {
                Expired::Timer(id, timer) => {
                    self.call(id, |service, conn, session| service.on_timer(conn, session, timer));
                }
                Expired::Alarm(key) => self.fire_alarm(key),
                Expired::Deadline(deadline) => self.deadline(deadline)?,
            }
        }
        Ok(())
    }

    /// Part of phase 5: the deadlines of this process.
    fn deadline(&mut self, deadline: Deadline) -> Result {
        match deadline {
            Deadline::NewOverdue => self.new_side_overdue()?,
            Deadline::OldSilent => self.old_side_silent()?,
            Deadline::OldEnding => self.old_side_ending()?,
            Deadline::Proven => self.probation_over()?,
            Deadline::DrainStep => self.drain_step(self.net.heard())?,
            Deadline::OlderOverdue => self.older_overdue()?,
            Deadline::Reports => self.reports_due(),
            Deadline::Watchdog => self.watchdog_due(),
            Deadline::Barrier => self.barrier_overdue(),
        }
        Ok(())
    }

    // 6. Decisions about the process are in `restart`: `decide`.
    /// 7. Output: one write for each connection that has some.
    fn flush(&mut self) {
        if !self.net.frozen {
            self.tell_alarms(); // before anybody reads an answer that rests on them
            self.net.flush();
        }
    }

    /// 8. Connections whose peer has caught up. More input may wait for them as well.
    fn writable(&mut self) {
        for id in self.net.take_writable() {
            if self.call(id, |service, conn, session| service.on_writable(conn, session)) {
                self.net.list(id);
            }
        }
    }

    /// 9. Conversations that are over; the sockets may still have something to send. `on_close` may end others:
    ///    it goes on until none is left.
    fn reap(&mut self) {
        while !self.net.frozen
            && let Some((id, why)) = self.net.take_ended()
        {
            if let Some(session) = self.sessions.get_mut(id.slot()).and_then(Option::take) {
                self.service.on_close(&mut self.net, id, session, why);
            }
        }
    }

    /// 11. One piece of deferred work, now that everybody has had an answer; the next turn comes at once.
    fn work(&mut self) {
        if let Some(key) = self.net.next_deferred() {
            self.net.stats.pieces += 1;
            self.service.on_deferred(&mut self.net, key);
        }
    }

    /// Calls the service for a connection in service; tells whether there was one.
    fn call(
        &mut self,
        id: ConnId,
        callback: impl FnOnce(&mut S, &mut Connection<'_>, &mut S::Session) -> Result,
    ) -> bool {
        if self.net.conn(id).is_none_or(|conn| conn.phase != ConnPhase::Open) {
            return false;
        }
        let Some(Some(session)) = self.sessions.get_mut(id.slot()) else { return false };
        let result = callback(&mut self.service, &mut Connection::new(&mut self.net, id), session);
        self.finish_if_failed(id, result);
        true
    }

    /// Rule 2: an `Err` closes this connection.
    fn finish_if_failed(&mut self, id: ConnId, result: std::result::Result<(), Error>) {
        if let Err(why) = result {
            self.net.finish(id, Reason::Failed(why));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::restart::{Event, engine::exec::Launch};

    struct Silent;

    impl Service for Silent {
        type Session = ();

        fn on_open(&mut self, _conn: &mut Connection<'_>, _origin: Origin) -> Result {
            Ok(())
        }

        fn on_data(
            &mut self,
            _conn: &mut Connection<'_>,
            _: &mut (),
            input: &[u8],
        ) -> Result<usize> {
            Ok(input.len())
        }
    }

    /// Its parent may be slow to let it serve, or stopped.
    #[test]
    fn a_successor_sleeps_until_it_is_released() {
        let net = Net::new(None, Instant::now());
        let mut successor =
            Turn::new(Silent, net, Succession::new(Launch::remember(), Instant::now()));
        successor.inherited = Some(Inherited::new(slab::Slab::new(), vec![Some(())]));
        let now = Instant::now();
        assert_eq!(successor.wait(now), None);
        successor.advance(Event::Released).unwrap();
        assert_eq!(successor.wait(now), Some(Duration::ZERO));
    }
}
