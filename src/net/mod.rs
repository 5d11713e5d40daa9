//! Every socket of this process, and the clock. Knows no [`Service`](crate::Service): the turn
//! calls in here to do I/O, and callbacks call in here to say what they want done.
//!
//! `conn` is the data of one connection, `flow` moves its bytes, `timing` watches its deadlines,
//! `io` is what a callback may do with it.

mod conn;
mod flow;
mod id;
mod io;
mod listener;
pub(crate) mod memory;
mod reason;
mod stream;
mod timing;

use std::{
    fmt,
    io::Result as IoResult,
    os::fd::AsRawFd,
    time::{Duration, Instant},
};

use mio::{Events, Interest, Poll, Registry, unix::SourceFd};
use slab::Slab;

pub(crate) use self::{
    conn::{Conn, Phase},
    id::Source,
    listener::{Address, Listener},
    stream::Stream,
    timing::Key,
};
pub use self::{
    id::ConnId,
    io::Io,
    reason::{Origin, Reason},
    stream::Peer,
};
use crate::{
    buffer::Pool,
    error::{Error, Result},
    limits::Limits,
    plan::{Engine, Restart},
    stats::Stats,
    timer::TimerQueue,
};

/// Names a timer of one connection. The number is the author's: a constant, a call number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timer(pub u64);

/// Names a timer of the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Alarm(pub u64);

/// Work in hand that is no connection: while one exists, a draining process does not exit.
///
/// A message consumer takes one per message that it has fetched and not acknowledged.
#[derive(Debug)]
#[must_use = "give it back with `Net::unhold`, or this process never drains"]
pub struct Hold {
    /// Who counts it: a forked child has copies of its parent's.
    generation: u64,
}

/// What a callback has asked of the process; done in the decision phase of the turn.
#[derive(Debug)]
pub(crate) enum Request {
    Restart(Restart),
    Drain,
    Stop,
}

/// What a process in memory does not do.
#[derive(Debug, Default)]
pub(crate) struct Staged {
    pub dials: Vec<(String, u64)>,
    pub restarts: Vec<Restart>,
}

/// Every socket of this process, and the clock, lent to a callback.
pub struct Net {
    // Identity: changed by a restart alone.
    pub(crate) generation: u64,
    pub(crate) engine: Option<Engine>,
    pub(crate) limits: Limits,

    // The kernel. `None` in a test, where streams are in memory.
    pub(crate) poll: Option<Poll>,
    pub(crate) listeners: Vec<Listener>,
    /// Whether clients are to be accepted: from start to retirement.
    accepting: bool,
    /// Accepting waits for a descriptor, until this time at the latest.
    starved_until: Option<Instant>,
    /// Accepting waits for the connection count to fall.
    full: bool,

    // The connections.
    pub(crate) conns: Slab<Conn>,
    /// Of the connection that came last. Never runs back, also not in a successor.
    pub(crate) last_serial: u64,
    pub(crate) pool: Pool,

    // Who has something to do in this turn; each list is emptied by its phase.
    readable: Vec<ConnId>,
    dirty: Vec<ConnId>,
    writable: Vec<ConnId>,
    dead: Vec<ConnId>,
    /// Dials that never became a connection: told in the dial phase.
    refused_dials: Vec<(u64, std::io::Error)>,
    /// In a test: what would go to the kernel, for the test to decide.
    pub(crate) staged: Staged,

    // Time.
    now: Instant,
    timers: TimerQueue<Key>,
    alarms: Vec<(Alarm, Instant)>,

    // The process.
    pub(crate) requests: Vec<Request>,
    pub(crate) draining: bool,
    holds: usize,
    /// Everything was aborted: what begins now is not waited for.
    hurried: bool,
    /// Another process may have our connections too, so a close alone may not end them.
    pub(crate) shared: bool,
    pub(crate) stats: Stats,
}

impl Net {
    pub(crate) fn new(poll: Option<Poll>, now: Instant) -> Net {
        Net {
            generation: 0,
            engine: None,
            limits: Limits::default(),
            poll,
            listeners: Vec::new(),
            accepting: false,
            starved_until: None,
            full: false,
            conns: Slab::new(),
            last_serial: 0,
            pool: Pool::default(),
            readable: Vec::new(),
            dirty: Vec::new(),
            writable: Vec::new(),
            dead: Vec::new(),
            refused_dials: Vec::new(),
            staged: Staged::default(),
            now,
            timers: TimerQueue::new(),
            alarms: Vec::new(),
            requests: Vec::new(),
            draining: false,
            holds: 0,
            hurried: false,
            shared: false,
            stats: Stats::default(),
        }
    }

    /// When this turn began. Use it instead of asking the system for the time.
    pub fn now(&self) -> Instant {
        self.now
    }

    pub(crate) fn set_now(&mut self, now: Instant) {
        self.now = now;
    }

    /// A connection by its name, if it is still in service.
    pub fn to(&mut self, id: ConnId) -> Option<Io<'_>> {
        match self.conn(id) {
            Some(conn) if conn.phase == Phase::Open => Some(Io::new(self, id)),
            _ => None,
        }
    }

    /// All connections in service, in no particular order.
    pub fn ids(&self) -> Vec<ConnId> {
        let open = self.conns.iter().filter(|(_, conn)| conn.phase == Phase::Open);
        open.map(|(_, conn)| conn.id).collect()
    }

    /// How many connections there are, those that are closing included.
    pub fn connections(&self) -> usize {
        self.conns.len()
    }

    /// Connects to `address` (`ip:port` or `unix:/path`; no host name, since a look-up blocks).
    ///
    /// When the connection stands, [`on_open`](crate::Service::on_open) is called with
    /// [`Origin::Dialed`] and `tag`, otherwise [`on_dial_failed`](crate::Service::on_dial_failed).
    ///
    /// # Errors
    /// When `address` is none.
    pub fn dial(&mut self, address: &str, tag: u64) -> Result {
        let target = Address::literal("dial", address)?;
        if self.poll.is_none() {
            self.staged.dials.push((address.to_owned(), tag));
            return Ok(());
        }
        match Stream::connect(&target) {
            Ok(stream) => {
                if let Err(e) = self.insert(stream, Phase::Dialing { tag }) {
                    self.refused_dials.push((tag, e));
                }
            }
            Err(e) => self.refused_dials.push((tag, e)),
        }
        Ok(())
    }

    /// Has [`on_alarm`](crate::Service::on_alarm) called with `key`, `after` from now. One that
    /// is set already is set anew.
    ///
    /// Alarms belong to the service, so at a restart they go to the new generation: a forked one
    /// has them as they are, and the old one loses them before
    /// [`on_retire`](crate::Service::on_retire), which may set others.
    pub fn set_alarm(&mut self, key: Alarm, after: Duration) {
        self.clear_alarm(key);
        let at = self.later(after);
        self.alarms.push((key, at));
        self.timers.insert(at, Key::Alarm(key));
    }

    /// Takes an alarm back; nothing happens if it was not set.
    pub fn clear_alarm(&mut self, key: Alarm) {
        if let Some(found) = self.alarms.iter().position(|&(set, _)| set == key) {
            let (_, at) = self.alarms.swap_remove(found);
            self.timers.remove(at, Key::Alarm(key));
        }
    }

    /// In a forked child that serves from now on: its parent's alarms are its own, also those that
    /// came due while it waited.
    pub(crate) fn start_alarms(&mut self) {
        for &(key, at) in &self.alarms {
            self.timers.insert(at, Key::Alarm(key));
        }
    }

    pub(crate) fn clear_alarms(&mut self) {
        for (key, at) in std::mem::take(&mut self.alarms) {
            self.timers.remove(at, Key::Alarm(key));
        }
    }

    /// Keeps this process from exiting, while it drains, until the hold is given back.
    pub fn hold(&mut self) -> Hold {
        self.holds += 1;
        Hold { generation: self.generation }
    }

    /// Gives a hold back. In a forked child those of its parent count for nothing.
    pub fn unhold(&mut self, hold: Hold) {
        if hold.generation == self.generation {
            self.holds = self.holds.saturating_sub(1);
        }
    }

    /// Waits for nobody's work any more, nor for what an `on_close` may begin.
    pub(crate) fn hurry(&mut self) {
        self.hurried = true;
    }

    /// Whether nothing is left that a draining process has to wait for.
    pub(crate) fn is_empty(&self) -> bool {
        self.hurried || (self.conns.is_empty() && self.holds == 0)
    }

    /// Asks for a new generation. It is begun at the end of this turn; how it went is told to
    /// [`on_restart_ended`](crate::Service::on_restart_ended).
    pub fn restart(&mut self, how: Restart) {
        self.requests.push(Request::Restart(how));
    }

    /// Asks this process to stop accepting, serve what it has, and exit.
    pub fn drain(&mut self) {
        self.requests.push(Request::Drain);
    }

    /// Asks this process to abort what it has and exit.
    pub fn stop(&mut self) {
        self.requests.push(Request::Stop);
    }

    /// The number of this process in the succession, from 0.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// How this process was made; `None` for one that was started by hand.
    pub fn engine(&self) -> Option<Engine> {
        self.engine
    }

    /// Whether this process is leaving.
    pub fn is_draining(&self) -> bool {
        self.draining
    }

    /// What this process has done so far.
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    /// Adds an event source that is no connection; edge-triggered like all others.
    pub(crate) fn watch(&self, fd: &impl AsRawFd, source: Source) -> Result {
        let interest = Interest::READABLE | Interest::WRITABLE;
        Net::with_registry(&self.poll, |registry| {
            registry.register(&mut SourceFd(&fd.as_raw_fd()), source.token(), interest)
        })
        .map_err(|e| Error::io("watch", format_args!("{source:?}"), e))
    }

    /// Takes it out again, before it is closed.
    pub(crate) fn unwatch(&self, fd: &impl AsRawFd) {
        let _ = Net::with_registry(&self.poll, |registry| {
            registry.deregister(&mut SourceFd(&fd.as_raw_fd()))
        });
    }

    /// In a forked child: leaves every connection to the parent and begins with none. The listeners
    /// and the alarms stay. The caller has taken `conns` out before: dropping them here would close
    /// numbers that are no longer theirs.
    pub(crate) fn begin_anew(&mut self, poll: Poll) -> Result {
        let fresh = Net::new(Some(poll), self.now);
        let old = std::mem::replace(self, fresh);
        self.generation = old.generation + 1;
        self.engine = Some(Engine::Fork);
        self.limits = old.limits;
        self.last_serial = old.last_serial;
        for listener in old.listeners {
            self.listeners.push(listener.rewrap()?);
        }
        self.alarms = old.alarms; // none goes off before this process serves
        Ok(())
    }

    /// A connection by name, whatever its phase.
    pub(crate) fn conn(&mut self, id: ConnId) -> Option<&mut Conn> {
        self.conns.get_mut(id.slot()).filter(|conn| conn.id == id)
    }

    /// Waits for events, up to `wait`.
    pub(crate) fn poll(&mut self, events: &mut Events, wait: Option<Duration>) -> Result {
        let Some(poll) = &mut self.poll else { return Ok(()) };
        match poll.poll(events, wait) {
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {
                events.clear();
                Ok(())
            }
            result => result.map_err(|e| Error::io("wait for", "events", e)),
        }
    }

    /// Does `what` with the epoll set; in a test there is none.
    fn with_registry(
        poll: &Option<Poll>,
        what: impl FnOnce(&Registry) -> IoResult<()>,
    ) -> IoResult<()> {
        poll.as_ref().map_or(Ok(()), |poll| what(poll.registry()))
    }
}

impl fmt::Debug for Net {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Net")
            .field("generation", &self.generation)
            .field("listeners", &self.listeners.len())
            .field("connections", &self.conns.len())
            .field("draining", &self.draining)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fork_of(mut net: Net) -> Net {
        net.conns = Slab::new();
        net.begin_anew(Poll::new().unwrap()).unwrap();
        net
    }

    #[test]
    fn a_hold_of_the_parent_does_not_undo_one_of_the_child() {
        let mut net = Net::new(None, Instant::now());
        let inherited = net.hold();
        let mut net = fork_of(net);
        assert!(net.is_empty());
        let own = net.hold();
        net.unhold(inherited);
        assert!(!net.is_empty());
        net.unhold(own);
        assert!(net.is_empty());
    }

    #[test]
    fn a_child_has_no_alarms_before_it_serves() {
        let start = Instant::now();
        let mut net = Net::new(None, start);
        net.set_alarm(Alarm(1), Duration::from_secs(1));
        net.set_alarm(Alarm(2), Duration::from_secs(2));
        let mut net = fork_of(net);
        net.set_now(start + Duration::from_secs(5));
        assert_eq!(net.next_due(), None);
        net.start_alarms();
        net.clear_alarm(Alarm(2));
        assert_eq!(net.next_due(), Some(Key::Alarm(Alarm(1))));
        assert_eq!(net.next_due(), None);
    }
}
