//! When a connection will have been silent, or have taken, for too long. Pure: time is an argument, and a byte
//! that comes or goes is a stamp and nothing else.

use std::{collections::BTreeMap, time::Duration};

use super::{ConnState, Phase, patience::Patience};
use crate::{
    clock::Stamp,
    limits::PROXY_HEADER_WITHIN,
    net::reason::Reason,
    timeouts::{Direction, Idle, Timeouts},
};

/// What a deadline of a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Watched {
    Dial,
    ProxyHeader,
    Handshake,
    FirstMessage,
    WriteStall,
    Close,
    Idle(Direction),
}

impl Watched {
    /// The number by which it is counted: a place in [`NAMES`](Self::NAMES).
    pub fn kind(self) -> usize {
        match self {
            Watched::Dial => 0,
            Watched::ProxyHeader => 1,
            Watched::Handshake => 2,
            Watched::FirstMessage => 3,
            Watched::WriteStall => 4,
            Watched::Close => 5,
            Watched::Idle(Direction::Read) => 6,
            Watched::Idle(Direction::Write) => 7,
            Watched::Idle(Direction::All) => 8,
        }
    }

    /// As a monitor knows them.
    pub const NAMES: [&str; 9] = [
        "dial",
        "proxy_header",
        "handshake",
        "first_message",
        "write_stall",
        "close",
        "read_idle",
        "write_idle",
        "all_idle",
    ];
}

/// The timeouts of connections that have none of their own: those of a listener, or of all.
#[derive(Clone, Debug, Default)]
pub(crate) struct SharedTimeouts {
    pub of_all: Timeouts,
    of_listeners: BTreeMap<u16, Timeouts>,
}

impl SharedTimeouts {
    /// How a connection knows the listener that it has come by: a program that is started later finds it by
    /// the same number.
    pub fn number(listener: usize) -> u16 {
        u16::try_from(listener + 1).unwrap_or(0)
    }

    pub fn set_of_listener(&mut self, listener: usize, timeouts: Timeouts) {
        self.of_listeners.insert(SharedTimeouts::number(listener), timeouts);
    }

    fn of(&self, number: u16) -> &Timeouts {
        self.of_listeners.get(&number).unwrap_or(&self.of_all)
    }
}

impl ConnState {
    /// The timeouts that hold for it now.
    pub fn timeouts<'a>(&'a self, shared: &'a SharedTimeouts) -> &'a Timeouts {
        let own = self.patience().and_then(|patience| patience.own.as_ref());
        let own = self.flags.caller.timeouts().or(own);
        own.unwrap_or_else(|| shared.of(self.listener))
    }

    pub fn patience(&self) -> Option<&Patience> {
        self.rare()?.patience.as_deref()
    }

    pub fn patience_mut(&mut self) -> &mut Patience {
        self.rare_mut().patience.get_or_insert_default()
    }

    /// When a byte last came or went.
    pub fn active(&self) -> Stamp {
        self.read_at.max(self.written_at)
    }

    /// Its input is read from here on, which it was not: it was paused, or congested.
    pub fn listen_from(&mut self, now: Stamp) {
        self.read_at = now;
        if !self.flags.greeted {
            self.patience_mut().first_from = Some(now);
        }
    }

    /// A silence in this direction counts from here on.
    pub fn count_from(&mut self, direction: Direction, now: Stamp) {
        self.patience_mut().counts_from[direction as usize] = Some(now);
    }

    /// Since when it is silent.
    pub fn silent_since(&self, direction: Direction) -> Stamp {
        match direction {
            Direction::Read => self.read_at,
            Direction::Write => self.written_at,
            Direction::All => self.active(),
        }
    }

    /// Whether a silence in this direction means anything. Nobody is called silent whom nobody listens to, nor
    /// for what waits: that the peer takes none of it is a matter of its own.
    fn counts(&self, direction: Direction) -> bool {
        let flags = &self.flags;
        match direction {
            Direction::Read => !flags.paused && !flags.congested && !flags.eof,
            Direction::Write => self.output.is_empty() && !flags.half_close,
            Direction::All => self.output.is_empty() && !flags.paused,
        }
    }

    /// When it will have taken too long over what it is doing, and over what.
    pub fn deadline(&self, timeouts: &Timeouts, dial: Duration) -> Option<(Stamp, Watched)> {
        match self.phase {
            Phase::Dead => None,
            Phase::Dialing => Some((self.opened + dial, Watched::Dial)),
            Phase::AwaitsHeader => {
                let within = timeouts.first_message.unwrap_or(PROXY_HEADER_WITHIN);
                Some((self.opened + within, Watched::ProxyHeader))
            }
            Phase::Lingering => Some((self.written_at + timeouts.close, Watched::Close)),
            Phase::Flushing => self.stall_deadline(timeouts),
            // Nothing that is read meanwhile counts as read.
            _ if self.is_shaking() => Some((self.read_at + timeouts.handshake, Watched::Handshake)),
            Phase::Handshaking | Phase::Open => {
                let idle = Direction::EACH.map(|direction| self.idle_deadline(direction, timeouts));
                let others = [self.stall_deadline(timeouts), self.first_deadline(timeouts)];
                others.into_iter().chain(idle).flatten().min_by_key(|&(at, _)| at)
            }
        }
    }

    fn stall_deadline(&self, timeouts: &Timeouts) -> Option<(Stamp, Watched)> {
        let limit = timeouts.write_stall.filter(|_| self.has_unsent())?;
        Some((self.written_at + limit, Watched::WriteStall))
    }

    /// It is the service that keeps a paused connection waiting; `resume` sets the next look.
    fn first_deadline(&self, timeouts: &Timeouts) -> Option<(Stamp, Watched)> {
        let is_due = !self.flags.greeted && !self.flags.paused && self.output.is_empty();
        let limit = timeouts.first_message.filter(|_| is_due)?;
        let from = self.patience().and_then(|patience| patience.first_from);
        Some((from.unwrap_or(self.opened) + limit, Watched::FirstMessage))
    }

    fn idle_deadline(&self, direction: Direction, timeouts: &Timeouts) -> Option<(Stamp, Watched)> {
        let limit = timeouts.idle(direction).filter(|_| self.counts(direction))?;
        let since = self.silent_since(direction);
        let from = self.patience().and_then(|patience| patience.counts_from[direction as usize]);
        Some((from.map_or(since, |from| from.max(since)) + limit, Watched::Idle(direction)))
    }

    /// Whether something is left to be done for it, in this turn or the next, after which it may not be late any
    /// more: input to be read, or output to be offered to a peer that has made room. Who was `given` that turn already gets
    /// no other, or a peer that sends a byte in each would never be late.
    pub fn has_yet_to_show(&self, watched: Watched, given: bool) -> bool {
        match watched {
            Watched::WriteStall => self.flags.dirty, // is done in this one
            // Waits for its turn among others, and is looked at then.
            Watched::Handshake => self.flags.listed,
            Watched::ProxyHeader
            | Watched::FirstMessage
            | Watched::Idle(Direction::Read | Direction::All) => self.flags.listed && !given,
            // Nothing that the peer does makes us say anything; who sends without end after our FIN is not
            // waited for.
            Watched::Idle(Direction::Write) | Watched::Dial | Watched::Close => false,
        }
    }

    /// What to say of a silence that has lasted up to `now`.
    pub fn idle(&self, direction: Direction, timeouts: &Timeouts, now: Stamp) -> Idle {
        let silent = now.since(self.silent_since(direction));
        Idle { direction, silent, limit: timeouts.idle(direction).unwrap_or(silent) }
    }

    /// Why it ends for it.
    pub fn reason_for(&self, watched: Watched, timeouts: &Timeouts, now: Stamp) -> Reason {
        match watched {
            Watched::ProxyHeader => Reason::BadHeader("it has not come in time"),
            Watched::FirstMessage => Reason::NoFirstMessage,
            Watched::Dial | Watched::Handshake | Watched::WriteStall => Reason::NoProgress,
            Watched::Close => Reason::NoFin,
            Watched::Idle(direction) => Reason::Idle(self.idle(direction, timeouts, now)),
        }
    }
}
