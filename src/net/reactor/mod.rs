//! `Net`: every socket of this process, its clock and its work, lent to callbacks. Knows no
//! [`Service`](crate::Service): the turn calls in here to do I/O, and callbacks call in here to say
//! what they want done.
//!
//! This file has the data and the look-ups, `readiness` what it waits for. A connection comes by `accept` (through a proxy, by `header`, too) or
//! `dial` (`names`, where it is by name), its bytes by `flow`, its deadlines are watched in `timeouts` (`checks` says when), its silence is judged in `idle`, it goes by `close` or, whole, by `handover`; `connection` is
//! what a callback may do with it, `sessions` with what others remember, `secure` what is different with TLS (`upgrade`: in
//! mid-conversation). `paths` is about Unix sockets that nobody finds, `datagrams`, `tasks` and `words`
//! about what is no connection, `watches` about descriptors of others (`watched` has them), `process`, `standing`, `request`, `deadline` and `said` about the process; `time` says
//! what time it is, and by `hearing` when a deadline may be judged; `inventory` says
//! which descriptors are ours, `metrics` publishes what is counted.

mod accept;
mod checks;
mod close;
mod connection;
mod datagrams;
mod deadline;
mod dial;
mod flow;
mod handover;
mod header;
mod hearing;
mod idle;
mod inventory;
mod metrics;
#[cfg_attr(not(feature = "names"), path = "nameless.rs")]
mod names;
mod paths;
mod process;
mod readiness;
mod request;
mod said;
#[cfg_attr(not(feature = "tls"), path = "insecure.rs")]
mod secure;
mod sessions;
mod standing;
mod tasks;
mod time;
mod timeouts;
#[cfg(feature = "tls")]
mod upgrade;
mod watched;
mod watches;
mod words;

use std::{
    collections::{BTreeMap, VecDeque},
    fmt,
    time::{Duration, Instant},
};

use mio::Poll;

pub use self::connection::Connection;
use self::{checks::Checks, hearing::Hearing, watched::Watches};
pub(crate) use self::{
    deadline::{Deadline, Expired},
    request::Request,
};
use super::{
    conn::{CameBy, ConnState, Destinations, Limits, Phase, Sessions, SharedTimeouts, Slots},
    datagram::Datagrams,
    id::{ConnId, Timer},
    leaving::LeaveReason,
    listen::Listener,
    resolver::Resolver,
    standing::Standing,
};
use crate::{
    buffer::Pool,
    clock::{Clock, Stamp},
    inventory::Meant,
    logging::Repeats,
    metrics::Metrics,
    plan::{Engine, Restart},
    stats::Stats,
    system::reserve::Reserve,
    tasks::{AlarmChange, Alarms, DeferredQueue, Holds, Mailboxes, Words},
    timer::TimerQueue,
    tls::{ServerTerms, Ticketer},
    workers::Worker,
};

/// What a process in memory does not do.
#[derive(Debug, Default)]
pub(crate) struct Staged {
    pub dials: Vec<(String, u64)>,
    pub restarts: Vec<Restart>,
    /// How the one goes that a test makes.
    pub how: Option<Restart>,
    pub signals: VecDeque<i32>,
    /// What is new about the alarms, and when that was told.
    pub alarms: Vec<(Instant, Vec<AlarmChange>)>,
}

/// Every socket of this process, and the clock, lent to a callback.
///
/// What is asked of the process here ([`restart`](Self::restart), [`drain`](Self::drain),
/// [`stop`](Self::stop)) is done when the callbacks of the turn are through.
///
/// ```
/// use heirloom::{Net, Restart};
///
/// /// What an operator has typed.
/// fn command(net: &mut Net, line: &str) -> String {
///     match line {
///         "reload" => net.restart(Restart::fork()),
///         "drain" => net.drain(),
///         "stop" => net.stop(),
///         "kick" => {
///             for id in net.ids() {
///                 net.get(id).into_iter().for_each(|mut conn| conn.close());
///             }
///         }
///         _ => {}
///     }
///     let (made_by, turns) = (net.engine(), net.stats().turns);
///     let left = if net.is_draining() { "the last " } else { "" };
///     format!(
///         "generation {} ({made_by:?}), {left}{} connections, {turns} turns",
///         net.generation(),
///         net.connections(),
///     )
/// }
/// ```
pub struct Net {
    // Identity: changed by a restart alone.
    pub(crate) generation: u64,
    pub(crate) engine: Option<Engine>,
    pub(crate) worker: Option<Worker>,
    pub(crate) limits: Limits,
    pub(crate) timeouts: SharedTimeouts,

    // The kernel. `None` in a test, where streams are in memory.
    pub(crate) poll: Option<Poll>,
    pub(crate) listeners: Vec<Listener>,
    /// Of those behind a proxy that are closed: how the clients that they had accepted shake hands.
    closed_tls: Vec<(CameBy, ServerTerms)>,
    pub(crate) datagrams: Vec<Datagrams>,
    /// Accepting waits for a descriptor, until this time at the latest.
    starved_until: Option<Instant>,
    /// Accepting waits for the connection count to fall.
    full: bool,
    /// What operators and restarts have when clients have all other descriptors.
    pub(crate) reserve: Reserve,

    /// Whose keys the next generation has as well.
    pub(crate) tickets: Option<Ticketer>,

    // The connections.
    pub(crate) conns: Slots,
    /// What those of them that are in service remember, but for what is lent to a callback.
    pub(crate) sessions: Sessions,
    /// Where the dialed ones of them lead.
    destinations: Destinations,
    /// Those of them that are no clients.
    pub(crate) callers: Vec<ConnId>,
    /// Of the connection that came last. Never runs back, also not in a successor.
    pub(crate) last_serial: u64,
    pub(crate) pool: Pool,

    // Who has something to do in this turn; each list is emptied by its phase.
    readable: Vec<ConnId>,
    dirty: Vec<ConnId>,
    writable: Vec<ConnId>,
    ended: Vec<ConnId>,
    /// Whose handshake can go on. Some of them do in this turn, and the others wait.
    shaking: VecDeque<ConnId>,
    /// Who has ciphers that are ready, in the order in which they were made.
    #[cfg_attr(not(feature = "tls"), expect(dead_code, reason = "nobody has any"))]
    warm: VecDeque<ConnId>,
    /// Dials that never became a connection: told in phase 3, `accept`.
    refused_dials: Vec<(u64, std::io::Error)>,
    /// Dials to hosts by name.
    names: Resolver,
    /// In a test: what would go to the kernel, for the test to decide.
    pub(crate) staged: Staged,

    // Time.
    pub(crate) clock: Clock,
    /// When this turn began.
    now: Instant,
    /// The time of the connections, in which their peers can be heard. It stands still while they are frozen,
    /// and while this process is deaf.
    stamp: Stamp,
    /// How much of its time this process was deaf for, up to this turn.
    deaf: Duration,
    hearing: Hearing,
    /// Those that authors set on connections.
    timers: TimerQueue<(ConnId, Timer)>,
    /// When the reactor's own timeouts of a connection are to be looked at.
    checks: Checks,
    /// Those of the process, which go on while its connections are frozen.
    deadlines: TimerQueue<Deadline>,
    /// Connections are on their way to another process, or from one: nobody serves them.
    pub(crate) frozen: bool,
    /// Since when they are, or were.
    pub(crate) frozen_at: Instant,
    /// While connections arrive, which have no place yet: what [`note_stream`](Self::note_stream) has heard.
    early: Option<BTreeMap<ConnId, (bool, bool, bool)>>,

    // Work that is no connection.
    pub(crate) alarms: Alarms,
    pub(crate) holds: Holds,
    deferred: DeferredQueue,
    pub(crate) mail: Mailboxes,
    pub(crate) watches: Watches,
    /// What other generations and this one tell each other.
    pub(crate) words: Words,

    // The process.
    pub(crate) requests: Vec<Request>,
    pub(crate) draining: bool,
    /// Why, as the connections are told.
    pub(crate) leaving: Option<LeaveReason>,
    /// As balancers and other monitors are told.
    pub(crate) standing: Standing,
    /// Everything was aborted: what begins now is not waited for.
    hurried: bool,
    /// Another process may have our connections too, so a close alone may not end them.
    pub(crate) shared: bool,
    /// A panic of the author's code ends the process.
    pub(crate) propagates_panics: bool,
    /// What a fork may share without a word.
    pub(crate) meant: Meant,
    repeats: Repeats,
    pub(crate) stats: Stats,
    /// What all generations have counted. `None` in a test, and where the system has no memory for it.
    pub(crate) metrics: Option<Metrics>,
}

impl Net {
    /// With no `poll` time is in the hand of a test as well.
    pub(crate) fn new(poll: Option<Poll>, now: Instant) -> Net {
        let clock = if poll.is_some() { Clock::System } else { Clock::test(now) };
        Net::by_clock(poll, clock, now)
    }

    fn by_clock(poll: Option<Poll>, clock: Clock, now: Instant) -> Net {
        Net {
            generation: 0,
            engine: None,
            worker: None,
            limits: Limits::default(),
            timeouts: SharedTimeouts::default(),
            poll,
            listeners: Vec::new(),
            closed_tls: Vec::new(),
            datagrams: Vec::new(),
            starved_until: None,
            full: false,
            reserve: Reserve::default(),
            conns: Slots::new(),
            sessions: Sessions::default(),
            destinations: Destinations::default(),
            callers: Vec::new(),
            last_serial: 0,
            pool: Pool::default(),
            readable: Vec::new(),
            dirty: Vec::new(),
            writable: Vec::new(),
            ended: Vec::new(),
            shaking: VecDeque::new(),
            warm: VecDeque::new(),
            tickets: None,
            refused_dials: Vec::new(),
            names: Resolver::default(),
            staged: Staged::default(),
            clock,
            now,
            stamp: now.into(),
            deaf: Duration::ZERO,
            hearing: Hearing::begin(now),
            timers: TimerQueue::new(),
            checks: Checks::default(),
            deadlines: TimerQueue::new(),
            frozen: false,
            frozen_at: now,
            early: None,
            alarms: Alarms::default(),
            holds: Holds::default(),
            deferred: DeferredQueue::default(),
            mail: Mailboxes::default(),
            watches: Watches::default(),
            words: Words::default(),
            requests: Vec::new(),
            draining: false,
            leaving: None,
            standing: Standing::default(),
            hurried: false,
            shared: false,
            propagates_panics: false,
            meant: Meant::default(),
            repeats: Repeats::default(),
            stats: Stats::default(),
            metrics: None,
        }
    }

    /// All connections in service, in no particular order.
    pub fn ids(&self) -> Vec<ConnId> {
        let open = self.clients().filter(|conn| conn.phase == Phase::Open);
        open.map(|conn| conn.id).collect()
    }

    /// Every connection but those of operators and monitors, whatever its phase.
    pub(crate) fn clients(&self) -> impl Iterator<Item = &ConnState> {
        self.conns.iter().map(|(_, conn)| conn).filter(|conn| conn.flags.caller.is_client())
    }

    /// How many connections there are, those that are closing included.
    pub fn connections(&self) -> usize {
        self.conns.len() - self.callers.len() + self.dials_to_names()
    }

    /// A connection by name, whatever its phase.
    pub(crate) fn conn(&mut self, id: ConnId) -> Option<&mut ConnState> {
        self.conns.get_mut(id.slot()).filter(|conn| conn.id == id)
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
