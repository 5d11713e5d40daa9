//! One turn of the loop in named phases. The only caller of a [`Service`].
//!
//! `process` takes what concerns the process and decides. Each room adds methods to [`Turn`]: `input` brings
//! what arrives to the service, `restart` carries out what the state machine decides, `leaving` is how a
//! process goes, `report` tells others how it is. `generation` is what they have to remember, `inboxes` where
//! other threads post, and `guard` how the author's code is called. ARCHITECTURE.md numbers the phases as
//! they are numbered here.

mod generation;
mod guard;
mod inboxes;
mod input;
mod leaving;
mod process;
mod report;
mod restart;

use std::{
    panic::{self, AssertUnwindSafe},
    time::{Duration, Instant},
};

use mio::Events;

use crate::{
    error::Result,
    limits::{ACCEPT_BUDGET, EVENTS, READ_BUDGET},
    net::{
        ConnId, Connection, DatagramInbox, Deadline, Expired, Net, Origin, Phase as ConnPhase,
        Reason, Sessions, Source,
    },
    restart::Phase,
    service::Service,
    timeouts::Idle,
};
use generation::Inherited;
pub(crate) use generation::{AtMax, Generation, Handback, Succession, Trigger};
use guard::{guard_connection, guard_process};
pub(crate) use inboxes::Inboxes;

/// A server at work. Disjoint fields make the callbacks possible: each gets one `&mut` to the service and one to
/// the net, out of which its session is [lent](Net::lend) meanwhile, and `input` borrows from a third.
pub(crate) struct Turn<S: Service> {
    /// First, since fields are dropped in this order: a forked child that fails before it serves ends
    /// with it, and touches nothing of its parent's.
    pub succession: Succession,
    pub service: S,
    pub net: Net,
    pub inboxes: Inboxes<S>,
    /// What every connection is read into.
    buffer: Box<[u8]>,
    events: Events,
    /// What datagrams are read into.
    inbox: DatagramInbox,
    /// Sources that are no sockets and have something to say in this turn.
    ready: Vec<Source>,
    /// What connections have left in memory that are another process's.
    inherited: Vec<Inherited<S::Session>>,
}

impl<S: Service> Turn<S> {
    pub fn new(service: S, mut net: Net, succession: Succession) -> Turn<S> {
        net.sessions = Sessions::new::<S::Session>();
        Turn {
            service,
            net,
            inboxes: Inboxes::none(),
            buffer: vec![0; READ_BUDGET].into_boxed_slice(),
            events: Events::with_capacity(EVENTS),
            inbox: DatagramInbox::default(),
            ready: Vec::new(),
            succession,
            inherited: Vec::new(),
        }
    }

    /// Turns until this process has nothing left to do. However it ends, also by a panic that is not caught
    /// before, nothing stays behind that says that it serves, and nothing is destroyed that is another
    /// process's as well.
    pub fn run(mut self) -> Result {
        let ran = panic::catch_unwind(AssertUnwindSafe(|| {
            let turned = self.turn();
            self.succession.unready = None; // a child that has never served ends here
            if turned.is_ok() {
                self.end();
            } else {
                self.tell_end();
            }
            turned
        }));
        if !matches!(ran, Ok(Ok(()))) {
            self.withdraw();
        }
        self.net.publish();
        self.part();
        ran.unwrap_or_else(|panic| panic::resume_unwind(panic))
    }

    fn turn(&mut self) -> Result {
        self.begin()?;
        while self.succession.phase() != Phase::Ended {
            self.poll()?;
            self.act()?;
        }
        Ok(())
    }

    /// 1. Waits for events and files each with its connection or listener. Nothing else sleeps.
    fn poll(&mut self) -> Result {
        self.tell_standing();
        let now = self.net.clock.now();
        let wait = self.wait(now);
        self.net.poll(&mut self.events, now, wait)?;
        self.net.stats.turns += 1;
        for event in &self.events {
            self.ready.extend(self.net.note(event));
        }
        Ok(())
    }

    /// How long to sleep: not at all while somebody is still to be heard, nor while there is memory to give
    /// back.
    fn wait(&self, now: Instant) -> Option<Duration> {
        let is_told = self.has_own_signals() || self.has_ready_watches();
        let is_busy = !self.ready.is_empty() || self.gives_back() || self.copies() || is_told;
        if is_busy { Some(Duration::ZERO) } else { self.net.wait(now) }
    }

    /// The rest of a turn: everything but the waiting. While connections are frozen, on their way from
    /// one process to another, only the process goes on: phases 2, 5 and 6.
    pub fn act(&mut self) -> Result {
        self.dispatch()?;
        self.accept();
        self.read();
        self.read_datagrams();
        self.tell_ready();
        self.run_timers()?;
        self.decide()?;
        self.answer_waiters();
        self.flush();
        self.writable();
        self.reap();
        // `on_writable` and `on_close` send too: never sleep with unsent output.
        self.flush();
        self.work();
        self.copy_more()?;
        self.settle()
    }

    /// 2. Signals, the link to the other side of a restart, children; mail and words.
    fn dispatch(&mut self) -> Result {
        for source in std::mem::take(&mut self.ready) {
            self.dispatch_source(source)?;
        }
        self.tell_signals();
        self.receive_mail();
        self.receive_words();
        Ok(())
    }

    /// 3. New clients, up to the budget of each listener; and dials that came to nothing.
    fn accept(&mut self) {
        if self.net.frozen {
            return;
        }
        self.net.fill_reserve();
        for listener in 0..self.net.listeners.len() {
            for _ in 0..ACCEPT_BUDGET {
                if !self.net.listeners[listener].ready {
                    break;
                }
                let Some(id) = self.net.accept(listener) else { break };
                let listener = self.net.listeners[listener].number;
                self.open(id, Origin::Accepted { listener });
            }
        }
        self.net.look_up_names();
        for (tag, why) in self.net.take_refused_dials() {
            self.tell_dial_failed(tag, why);
        }
    }

    pub fn tell_dial_failed(&mut self, tag: u64, why: std::io::Error) {
        let service = &mut self.service;
        guard_process(&mut self.net, "on_dial_failed", |net| service.on_dial_failed(net, tag, why));
    }

    pub fn open(&mut self, id: ConnId, origin: Origin) {
        let conn = &self.net.conns[id.slot()];
        if !conn.flags.caller.is_client() {
            return self.open_caller(id);
        }
        if conn.phase != ConnPhase::Open {
            return; // it awaits a header, and is opened when that is there
        }
        let service = &mut self.service;
        let opened = guard_connection(&mut self.net, "on_open", |net| {
            service.on_open(&mut Connection::new(net, id), origin)
        });
        self.keep_session(id, opened);
    }

    /// A connection has its session from here on, or ends because it gets none.
    fn keep_session(&mut self, id: ConnId, opened: std::result::Result<S::Session, Reason>) {
        match opened {
            Ok(session) => self.net.sessions.put(id.slot(), session),
            Err(why) => self.net.finish(id, why),
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
        self.shake_hands();
    }

    /// 5. Timers and alarms, of the time up to which all that has come was used.
    fn run_timers(&mut self) -> Result {
        self.net.catch_up();
        while let Some(expired) = self.net.next_expired() {
            match expired {
                Expired::Timer(id, _) if self.is_control(id) => self.beat(id),
                Expired::Timer(id, timer) => {
                    self.call(id, "on_timer", |service, conn, session| {
                        service.on_timer(conn, session, timer)
                    });
                }
                Expired::Idle(id, idle) => self.tell_idle(id, idle),
                Expired::Alarm(key) => self.fire_alarm(key),
                Expired::Deadline(deadline) => self.deadline(deadline)?,
            }
        }
        Ok(())
    }

    /// Part of phase 5: a connection that has been silent for too long.
    fn tell_idle(&mut self, id: ConnId, idle: Idle) {
        self.call(id, "on_idle", |service, conn, session| service.on_idle(conn, session, idle));
        self.net.idle_told(id, idle);
    }

    /// Part of phase 5: the deadlines of this process.
    fn deadline(&mut self, deadline: Deadline) -> Result {
        match deadline {
            Deadline::NewOverdue => self.new_side_overdue()?,
            Deadline::OldSilent => self.old_side_silent()?,
            Deadline::OldEnding => self.old_side_ending()?,
            Deadline::Proven => self.probation_over()?,
            Deadline::LameDuck => self.lame_duck_over(),
            Deadline::DrainStep => self.drain_step(self.net.heard())?,
            Deadline::OlderOverdue => self.older_overdue()?,
            Deadline::Reports => self.reports_due(),
            Deadline::Stderr => self.forward_stderr(),
            Deadline::Watchdog => self.watchdog_due(),
            Deadline::Barrier => self.barrier_overdue(),
            Deadline::Announced => self.announced(),
            Deadline::Prepared => self.preparation_overdue(),
            Deadline::Repeats => self.net.tell_repeats(),
        }
        Ok(())
    }

    // 6. Decisions about the process are in `process`: `decide`.

    /// 7. Output: one write for each connection that has some.
    fn flush(&mut self) {
        if !self.net.frozen {
            self.tell_alarms(); // before anybody reads an answer that rests on them
            self.send_words(); // nor on these
            self.net.flush();
        }
    }

    /// 8. Connections whose peer has caught up. More input may wait for them as well.
    fn writable(&mut self) {
        for id in self.net.take_writable() {
            self.call(id, "on_writable", |service, conn, session| {
                service.on_writable(conn, session)
            });
            if self.net.conn(id).is_some_and(|conn| conn.takes_input()) {
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
            if let Some(session) = self.net.sessions.take(id.slot()) {
                let service = &mut self.service;
                guard_process(&mut self.net, "on_close", |net| {
                    service.on_close(net, id, session, why);
                });
            }
        }
    }

    /// 11. One piece of deferred work, now that everybody has had an answer; the next turn comes at once.
    fn work(&mut self) {
        if let Some(key) = self.net.next_deferred() {
            self.net.stats.pieces += 1;
            let service = &mut self.service;
            guard_process(&mut self.net, "on_deferred", |net| service.on_deferred(net, key));
        }
    }

    /// Calls the service for a connection, if that is in service.
    fn call(
        &mut self,
        id: ConnId,
        name: &'static str,
        callback: impl FnOnce(&mut S, &mut Connection<'_>, &mut S::Session) -> Result,
    ) {
        if self.net.conn(id).is_none_or(|conn| conn.phase != ConnPhase::Open) {
            return;
        }
        let service = &mut self.service;
        let called = self.net.lend(id, |net, session| {
            guard_connection(net, name, |net| {
                callback(service, &mut Connection::new(net, id), session)
            })
        });
        // Rule 2: an `Err` closes this connection.
        if let Some(Err(why)) = called {
            self.net.finish(id, why);
        }
    }
}

#[cfg(test)]
mod tests;
