//! One connection as the reactor keeps it: plain data, the questions about it, and its place in
//! the epoll set. No I/O.

use std::{
    io,
    time::{Duration, Instant},
};

use mio::{Interest, Registry};

use super::told::Told;
use crate::{
    buffer::Output,
    clock::Stamp,
    limits::Limits,
    net::{
        destination::Destination,
        id::{ConnId, Source, Timer},
        reason::Reason,
        stream::{Peer, Stream},
    },
};

/// The life of a connection. It only moves down this list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Dialed, not yet established.
    Dialing,
    /// In service.
    Open,
    /// To be closed when its output is sent; input is thrown away.
    Flushing,
    /// Our FIN is sent; we wait for the peer's, so that no reset overtakes our last bytes.
    Lingering,
    /// To be reaped at the end of this turn.
    Dead,
}

/// A connection. Its size is what an idle one costs.
#[derive(Debug)]
pub(crate) struct ConnState {
    pub id: ConnId,
    pub stream: Stream,
    pub peer: Peer,
    pub phase: Phase,
    /// Input that was read and not taken: the beginning of a message, or what arrived before a pause.
    pub input: Vec<u8>,
    /// `on_data` is not called with less input than this.
    pub at_least: usize,
    pub output: Output,
    /// What it has beyond this, if anything.
    rare: Option<Box<Rare>>,
    pub opened: Stamp,
    /// When a byte last came or went.
    pub active: Stamp,
    /// When the peer last took output, or output began to wait for it.
    pub progress: Stamp,
    /// When the timeouts are looked at next. Activity does not move it: a look that comes too
    /// early just sets the next one, so a request touches no timer.
    pub check_at: Option<Stamp>,
    pub bytes_in: u64,
    pub bytes_out: u64,
    pub flags: Flags,
}

/// What most connections have none of, in a box of its own.
#[derive(Debug, Default)]
pub(crate) struct Rare {
    /// Where it was dialed to, if it was, and the author's tag for that.
    pub destination: Option<Destination>,
    pub tag: u64,
    /// The author's timers and when they are due.
    pub timers: Vec<(Timer, Instant)>,
    /// Why it ends: the first cause wins. Once that is told, what then went wrong with the close.
    pub reason: Option<Reason>,
    /// Of the control socket: how often it wants to hear that the server turns, while a request waits.
    pub heartbeat: Option<Duration>,
    /// What the service was told, for the log: the conversation is over, though the socket may not be.
    pub told: Option<Told>,
}

/// What is true of a connection right now.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Flags {
    /// The socket may have input: set by an edge, cleared by `WouldBlock` or a short read.
    pub readable: bool,
    /// The peer's FIN is known to be queued behind the input, or urgent data in the middle of it: a
    /// short read is not the end.
    pub fin: bool,
    /// The peer's FIN was read.
    pub eof: bool,
    /// `on_eof` was called.
    pub eof_told: bool,
    /// The socket takes no more output until the next edge.
    pub blocked: bool,
    /// The epoll set tells when the socket takes output again.
    pub awaits_room: bool,
    /// The service wants no input for now.
    pub paused: bool,
    /// Output went over the high mark and has not fallen to the low one.
    pub congested: bool,
    /// `on_data` has said that `input` is no whole message.
    pub incomplete: bool,
    /// A first message was taken.
    pub greeted: bool,
    /// Send our FIN when the output is gone, but go on reading.
    pub half_close: bool,
    /// Our FIN was sent.
    pub fin_sent: bool,
    /// Output waited when the timeouts were looked at last.
    pub watches_output: bool,
    /// `on_writable` is owed.
    pub writable_due: bool,
    /// Goes to the new side of the restart in progress.
    pub moves: bool,
    /// Of the control socket: no business of the service.
    pub control: bool,
    /// `on_drain` was called.
    pub told_to_drain: bool,
    /// It ended with output that was thrown away.
    pub cut: bool,
    /// Dialed and never established: it was no connection to anybody.
    pub stillborn: bool,
    /// Stands in the list of connections of which an end is to be looked at.
    pub ended: bool,
    /// Stands in the list of connections to be read.
    pub listed: bool,
    /// Stands in the list of connections to be flushed.
    pub dirty: bool,
}

impl ConnState {
    pub fn new(id: ConnId, stream: Stream, peer: Peer, phase: Phase, now: Stamp) -> ConnState {
        ConnState {
            id,
            stream,
            peer,
            phase,
            input: Vec::new(),
            at_least: 0,
            output: Output::default(),
            rare: None,
            opened: now,
            active: now,
            progress: now,
            check_at: None,
            bytes_in: 0,
            bytes_out: 0,
            flags: Flags::default(),
        }
    }

    /// Asks for edges of input, which is enough for most: a socket that is never full has nothing to say
    /// of its output, and would say it of each connection that moves. One that is dialed says by an edge of
    /// output how that went.
    pub fn register(&mut self, registry: &Registry) -> io::Result<()> {
        self.flags.awaits_room = self.phase == Phase::Dialing;
        let interest = self.interest();
        self.stream.register(registry, Source::Conn(self.id).token(), interest)
    }

    /// The socket is full: asks for edges of output too, from the first time on.
    pub fn await_room(&mut self, registry: &Registry) -> io::Result<()> {
        if std::mem::replace(&mut self.flags.awaits_room, true) {
            return Ok(());
        }
        let interest = self.interest();
        self.stream.reregister(registry, Source::Conn(self.id).token(), interest)
    }

    fn interest(&self) -> Interest {
        // Urgent data is of no interest in itself, but a read stops short before it.
        let input = Interest::READABLE | Interest::PRIORITY;
        if self.flags.awaits_room { input | Interest::WRITABLE } else { input }
    }

    /// What few connections have, for reading.
    pub fn rare(&self) -> Option<&Rare> {
        self.rare.as_deref()
    }

    /// The same, made now if there was none.
    pub fn rare_mut(&mut self) -> &mut Rare {
        self.rare.get_or_insert_default()
    }

    pub fn destination(&self) -> Option<&Destination> {
        self.rare()?.destination.as_ref()
    }

    pub fn timers(&self) -> &[(Timer, Instant)] {
        self.rare().map_or(&[], |rare| &rare.timers)
    }

    /// Bytes that wait here for the service or for the peer.
    pub fn kept(&self) -> usize {
        self.input.len() + self.output.len()
    }

    /// Whether `on_data` may be called.
    pub fn takes_input(&self) -> bool {
        self.phase == Phase::Open && !self.flags.paused && !self.flags.congested
    }

    /// Whether there is anything to do for it in the read phase.
    pub fn needs_reading(&self) -> bool {
        match self.phase {
            Phase::Dialing | Phase::Dead => false,
            Phase::Flushing | Phase::Lingering => self.flags.readable && !self.flags.eof,
            Phase::Open => {
                self.takes_input()
                    && ((self.flags.readable && !self.flags.eof)
                        || self.has_offer()
                        || self.owes_eof())
            }
        }
    }

    /// Whether kept input has not been offered since something changed.
    pub fn has_offer(&self) -> bool {
        !self.input.is_empty() && !self.flags.incomplete
    }

    /// Whether there is something to send: bytes, or the FIN behind them.
    pub fn owes_output(&self) -> bool {
        !self.output.is_empty() || (self.flags.half_close && !self.flags.fin_sent)
    }

    /// Whether all input was offered and the service does not know yet that no more will come.
    pub fn owes_eof(&self) -> bool {
        self.flags.eof && !self.flags.eof_told && !self.has_offer()
    }

    /// Whether something is left to be done for it, in this turn or the next, after which `reason` may be none to
    /// end it: input to be read, or output to be offered to a peer that has made room.
    pub fn has_yet_to_show(&self, reason: &Reason) -> bool {
        match reason {
            Reason::NoProgress => self.flags.dirty,
            Reason::Idle | Reason::NoFirstMessage => self.flags.listed,
            // Who sends without end after our FIN is not waited for.
            _ => false,
        }
    }

    /// What it may use, where clients may use `of_clients`.
    pub fn limits<'a>(&self, of_clients: &'a Limits) -> &'a Limits {
        if self.flags.control { &Limits::CONTROL } else { of_clients }
    }

    /// When it will have taken too long over what it is doing, and what to say of it then.
    pub fn deadline(&self, of_clients: &Limits) -> Option<(Stamp, Reason)> {
        let limits = self.limits(of_clients);
        match self.phase {
            Phase::Dead => None,
            Phase::Dialing => Some((self.opened + limits.dial, Reason::NoProgress)),
            Phase::Lingering => Some((self.active + limits.close, Reason::NoFin)),
            _ if !self.output.is_empty() => {
                limits.write.map(|limit| (self.progress + limit, Reason::NoProgress))
            }
            // It is the service that keeps a paused connection waiting; `resume` sets the next look.
            _ if self.flags.paused => None,
            _ => {
                let first = limits
                    .first_message
                    .filter(|_| !self.flags.greeted)
                    .map(|limit| (self.opened + limit, Reason::NoFirstMessage));
                let idle = limits.idle.map(|limit| (self.active + limit, Reason::Idle));
                match (first, idle) {
                    (Some(first), Some(idle)) if idle.0 < first.0 => Some(idle),
                    (first, idle) => first.or(idle),
                }
            }
        }
    }
}
