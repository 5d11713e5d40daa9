//! One connection as the reactor keeps it: plain data, the questions about it, and its place in
//! the epoll set. No I/O.

use std::{
    io,
    time::{Duration, Instant},
};

use mio::{Interest, Registry};

use super::{limits::Limits, patience::Patience, told::Told};
use crate::{
    buffer::Output,
    clock::Stamp,
    net::{
        caller::Caller,
        destination::Destination,
        id::{ConnId, Source, Timer},
        proxy::Via,
        reason::Reason,
        stream::{Peer, Stream},
    },
};

/// The life of a connection. It only moves down this list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Dialed, not yet established.
    Dialing,
    /// Accepted from a proxy that has not said yet for whom: nothing to the service so far.
    AwaitsHeader,
    /// Established, and shaking hands by TLS: nothing to the service so far.
    Handshaking,
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
    /// When a byte last came, or input began to be read again.
    pub read_at: Stamp,
    /// When the peer last took output, or output began to wait for it.
    pub written_at: Stamp,
    /// When the timeouts are looked at next. Activity does not move it: a look that comes too
    /// early just sets the next one, so a request touches no timer.
    pub check_at: Option<Stamp>,
    pub bytes_in: u64,
    pub bytes_out: u64,
    /// Which listener it has come by: see [`SharedTimeouts::number`]. Zero: by none.
    pub listener: u16,
    pub flags: Flags,
}

/// What most connections have none of, in a box of its own.
#[derive(Debug, Default)]
pub(crate) struct Rare {
    /// Where it was dialed to, if it was, and the author's tag for that.
    pub destination: Option<Destination>,
    pub tag: u64,
    /// While it awaits the header of a proxy: the listener by which it came.
    pub came_by: Option<Box<CameBy>>,
    /// The proxy through which it came.
    pub via: Option<Box<Via>>,
    /// The author's timers and when they are due.
    pub timers: Vec<(Timer, Instant)>,
    /// Why it ends: the first cause wins. Once that is told, what then went wrong with the close.
    pub reason: Option<Reason>,
    /// Of the control socket: how often it wants to hear that the server turns, while a request waits.
    pub heartbeat: Option<Duration>,
    /// What the service was told, for the log: the conversation is over, though the socket may not be.
    pub told: Option<Told>,
    /// It ended with output that was thrown away.
    pub cut: bool,
    /// Dialed and never established: it was no connection to anybody.
    pub stillborn: bool,
    /// What of its timeouts is its own.
    pub patience: Option<Box<Patience>>,
}

/// A listener, as the service is told, and as another program would find it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct CameBy {
    pub number: usize,
    pub name: String,
    /// Behind the header hands are shaken, or nothing is said.
    pub is_tls: bool,
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
    /// In service, and shaking hands by TLS: nothing is offered, and what is queued waits.
    pub upgrades: bool,
    /// Goes to the new side of the restart in progress.
    pub moves: bool,
    /// Who it is. All but clients are no business of the service.
    pub caller: Caller,
    /// `on_drain` was called.
    pub told_to_drain: bool,
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
            read_at: now,
            written_at: now,
            check_at: None,
            bytes_in: 0,
            bytes_out: 0,
            listener: 0,
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
        let Flags { paused, congested, upgrades, .. } = self.flags;
        self.phase == Phase::Open && !(paused || congested || upgrades)
    }

    /// Whether there is anything to do for it in the read phase.
    pub fn needs_reading(&self) -> bool {
        match self.phase {
            Phase::Dialing | Phase::Dead => false,
            Phase::AwaitsHeader | Phase::Handshaking | Phase::Flushing | Phase::Lingering => {
                self.flags.readable && !self.flags.eof
            }
            Phase::Open if self.flags.upgrades => self.flags.readable,
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
        self.has_unsent() || (self.flags.half_close && !self.flags.fin_sent)
    }

    /// Whether bytes wait to be sent.
    pub fn has_unsent(&self) -> bool {
        !self.output.is_empty() || self.stream.owes()
    }

    /// Whether all input was offered and the service does not know yet that no more will come.
    pub fn owes_eof(&self) -> bool {
        self.flags.eof && !self.flags.eof_told && !self.has_offer()
    }

    /// What it may use, where clients may use `of_clients`.
    pub fn limits<'a>(&self, of_clients: &'a Limits) -> &'a Limits {
        if self.flags.caller.is_client() { of_clients } else { &Limits::CONTROL }
    }
}
