//! A server without sockets and without time: peers in memory, a clock that the test moves.
//!
//! ```
//! use heirloom::{Connection, Origin, Result, Service, testing::Harness};
//!
//! /// Answers each line with its length.
//! struct Length;
//!
//! impl Service for Length {
//!     type Session = ();
//!     fn on_open(&mut self, _conn: &mut Connection<'_>, _origin: Origin) -> Result {
//!         Ok(())
//!     }
//!     fn on_data(&mut self, conn: &mut Connection<'_>, _: &mut (), input: &[u8]) -> Result<usize> {
//!         let Some((line, taken)) = heirloom::codec::line(input, 100)? else { return Ok(0) };
//!         conn.send(format!("{}\n", line.len()).as_bytes());
//!         Ok(taken)
//!     }
//! }
//!
//! let mut harness = Harness::new(Length);
//! let peer = harness.connect();
//! harness.feed(peer, b"hello\nhel");
//! assert_eq!(harness.take(peer), b"5\n");
//! harness.feed(peer, b"lo\n");
//! assert_eq!(harness.take(peer), b"5\n");
//!
//! // However the bytes are cut, the answer is the same.
//! heirloom::testing::every_split(|| Length, b"one\ntwelve\n\n", b"3\n6\n0\n");
//! ```

mod clock;
mod datagram;
mod dial;
mod outside;
mod peer;
mod restart;
mod sides;
mod split;
mod timeouts;

use std::time::{Duration, Instant};

pub use clock::Clock;
pub use sides::Sides;
pub use split::{every_split, every_split_restarted};

use crate::{
    error::Result,
    net::{ConnId, Net, Origin, Phase, Stream, stream::memory::Pipe},
    service::{Mail, Service, Start},
    tasks::Inbox,
    turn::{Succession, Turn},
};

/// Turns enough for anything a test feeds in one go to come to rest.
const PATIENCE: usize = 100_000;

/// A peer in memory: the client's end of one connection. It is a name that a test uses in calls of
/// its [`Harness`], which has an example.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Peer(usize);

/// What a peer sends later.
#[derive(Debug)]
struct Arrival {
    at: Instant,
    peer: Peer,
    bytes: Vec<u8>,
}

/// A service at work, with everything around it in the hands of a test.
///
/// Every method that lets something happen turns the loop until nothing is left to do, with the same
/// code that turns it in a server.
///
/// Peers speak in plain text, whatever a listener of the server would have them speak: what TLS, or the header of a proxy, puts
/// before the first byte is no business of a service.
///
/// # Panics
/// When the service is still busy after 100,000 turns, or when a [`Peer`] of another harness is given.
///
/// ```
/// use heirloom::{Connection, Origin, Result, Service, testing::{Harness, Peer}};
///
/// /// Echo, which counts.
/// #[derive(Default)]
/// struct Echo { bytes: usize }
///
/// impl Service for Echo {
///     type Session = ();
///     fn on_open(&mut self, _conn: &mut Connection<'_>, _origin: Origin) -> Result {
///         Ok(())
///     }
///     fn on_data(&mut self, conn: &mut Connection<'_>, _: &mut (), input: &[u8]) -> Result<usize> {
///         self.bytes += input.len();
///         conn.send(input);
///         Ok(input.len())
///     }
/// }
///
/// let mut harness = Harness::new(Echo::default());
/// let [slow, other]: [Peer; 2] = [harness.connect(), harness.connect()];
/// harness.set_window(slow, 2);
/// harness.feed(slow, b"hello");
/// assert_eq!(harness.service().bytes, 5);
/// let id = harness.id(slow);
/// assert_eq!(harness.net().get(id).map(|conn| conn.queued()), Some(3)); // there was room for two
/// assert_eq!(harness.take(slow), b"hello"); // which makes room
///
/// harness.feed_and_finish(slow, b"!");
/// assert_eq!(harness.take(slow), b"!");
/// assert!(harness.is_closed(slow) && !harness.is_closed(other));
///
/// harness.net().drain(); // as SIGTERM does
/// harness.finish(other);
/// assert!(harness.has_ended());
/// ```
pub struct Harness<S: Service> {
    turn: Turn<S>,
    pipes: Vec<(Pipe, ConnId)>,
    /// What is yet to come.
    arrivals: Vec<Arrival>,
}

impl<S: Service> Harness<S> {
    /// A server that has just started ([`Start::Fresh`]).
    pub fn new(service: S) -> Harness<S> {
        let now = Instant::now();
        let mut net = Net::new(None, now);
        net.propagates_panics = true;
        let mut turn = Turn::new(service, net, Succession::in_memory(now));
        turn.service.on_start(&mut turn.net, Start::Fresh);
        let mut harness = Harness { turn, pipes: Vec::new(), arrivals: Vec::new() };
        harness.settle();
        harness
    }

    /// Takes a [mailbox](crate::mailbox())'s messages to the service. Nobody is woken here: messages are looked for whenever
    /// something happens, such as [`advance`](Self::advance) by no time at all. [`Mail`] has an example.
    pub fn inbox<M: 'static>(mut self, inbox: Inbox<M>) -> Harness<S>
    where
        S: Mail<M>,
    {
        self.turn.inboxes.add(inbox);
        self.settle();
        self
    }

    /// Catches panics of callbacks, as a [`Server`](crate::Server) does. A harness lets them through otherwise, so
    /// that an assertion in a service fails the test that it stands in.
    ///
    /// ```
    /// # use heirloom::{Connection, Origin, Result, Service, testing::Harness};
    /// # struct Brittle;
    /// # impl Service for Brittle {
    /// #     type Session = ();
    /// #     fn on_open(&mut self, _conn: &mut Connection<'_>, _origin: Origin) -> Result { Ok(()) }
    /// #     fn on_data(&mut self, conn: &mut Connection<'_>, _: &mut (), input: &[u8]) -> Result<usize> {
    /// #         conn.send(&[100 / input[0]]);
    /// #         Ok(1)
    /// #     }
    /// # }
    /// let mut harness = Harness::new(Brittle).catch_panics(); // which divides
    /// let [one, other] = [harness.connect(), harness.connect()];
    /// harness.feed(one, &[0]);
    /// assert!(harness.is_closed(one));
    /// harness.feed(other, &[50]);
    /// assert_eq!(harness.take(other), [2]);
    /// ```
    pub fn catch_panics(mut self) -> Harness<S> {
        self.turn.net.propagates_panics = false;
        self
    }

    /// The service, to look at what it knows.
    pub fn service(&mut self) -> &mut S {
        &mut self.turn.service
    }

    /// What callbacks are given, to do what a callback would.
    pub fn net(&mut self) -> &mut Net {
        &mut self.turn.net
    }

    /// A client connects.
    pub fn connect(&mut self) -> Peer {
        self.connect_as(Origin::Accepted { listener: 0 })
    }

    fn connect_by(&mut self, pipe: Pipe, origin: Origin) -> Peer {
        let stream = Stream::Memory(pipe.clone());
        let peer = stream.peer();
        let net = &mut self.turn.net;
        let id = match origin {
            Origin::Accepted { listener } => {
                net.insert_accepted(stream, peer, Phase::Open, listener)
            }
            Origin::Dialed { .. } => net.insert(stream, peer, Phase::Open),
        };
        let id = id.expect("a stream in memory is not registered, so nothing can fail");
        self.pipes.push((pipe, id));
        self.turn.open(id, origin);
        self.settle();
        Peer(self.pipes.len() - 1)
    }

    /// The server's name for a peer's connection.
    pub fn id(&self, peer: Peer) -> ConnId {
        self.pipes[peer.0].1
    }

    /// The peer sends `bytes`, all in one piece.
    pub fn feed(&mut self, peer: Peer, bytes: &[u8]) {
        let (pipe, id) = &self.pipes[peer.0];
        pipe.feed(bytes);
        self.turn.net.note_stream(*id, true, false, false);
        self.settle();
    }

    /// The peer sends `bytes` and its FIN in the same packet.
    pub fn feed_and_finish(&mut self, peer: Peer, bytes: &[u8]) {
        let (pipe, id) = &self.pipes[peer.0];
        pipe.feed(bytes);
        pipe.finish();
        self.turn.net.note_stream(*id, true, false, true);
        self.settle();
    }

    /// The peer will send no more.
    pub fn finish(&mut self, peer: Peer) {
        self.feed_and_finish(peer, b"");
    }

    /// What the server has sent to the peer since the last call. Taking it makes room in the window.
    pub fn take(&mut self, peer: Peer) -> Vec<u8> {
        let (pipe, id) = &self.pipes[peer.0];
        let mut taken = pipe.take();
        loop {
            self.turn.net.note_stream(*id, false, true, false);
            run_turns(&mut self.turn, &self.pipes, &mut self.arrivals);
            let more = pipe.take();
            if more.is_empty() {
                return taken;
            }
            taken.extend(more);
        }
    }

    /// The peer holds at most `bytes` that it has not [taken](Self::take).
    ///
    /// What goes over it waits in the server, as with a peer that reads slowly.
    pub fn set_window(&mut self, peer: Peer, bytes: usize) {
        self.pipes[peer.0].0.set_window(bytes);
    }

    /// Whether the server has sent its FIN or aborted.
    pub fn is_closed(&self, peer: Peer) -> bool {
        self.pipes[peer.0].0.is_finished()
    }

    /// Whether the peer's connection is in service here: it may be over, or have gone to another side of a
    /// [restart](Self::begin_restart).
    pub fn has(&mut self, peer: Peer) -> bool {
        let id = self.id(peer);
        self.turn.net.conn(id).is_some()
    }

    /// Lets time pass, timer by timer. The clock is the harness's own: nothing waits.
    ///
    /// # Panics
    /// When the clock would go past what an [`Instant`] can hold.
    ///
    /// ```
    /// # use heirloom::{Connection, Origin, Result, Service, testing::Harness};
    /// # use std::time::Duration;
    /// # struct Quiet;
    /// # impl Service for Quiet {
    /// #     type Session = ();
    /// #     fn on_open(&mut self, _conn: &mut Connection<'_>, _origin: Origin) -> Result { Ok(()) }
    /// #     fn on_data(&mut self, _conn: &mut Connection<'_>, _: &mut (), input: &[u8]) -> Result<usize> {
    /// #         Ok(input.len())
    /// #     }
    /// # }
    /// let mut harness = Harness::new(Quiet);
    /// let peer = harness.connect();
    /// harness.advance(Duration::from_secs(9));
    /// assert!(!harness.is_closed(peer));
    /// harness.advance(Duration::from_secs(2)); // the first-message timeout is 10 s
    /// assert!(harness.is_closed(peer));
    /// ```
    pub fn advance(&mut self, time: Duration) {
        let end = self.turn.net.clock.now() + time;
        while let Some(next) = self.next_event().filter(|&next| next <= end) {
            self.turn.net.set_now(next.max(self.turn.net.now()));
            self.settle();
        }
        self.turn.net.set_now(end);
        self.settle();
    }

    /// When something happens next by itself.
    fn next_event(&self) -> Option<Instant> {
        let arrivals = self.arrivals.iter().map(|arrival| arrival.at);
        arrivals.chain(self.turn.net.next_deadline()).min()
    }

    /// Whether the process would have left its loop.
    pub fn has_ended(&self) -> bool {
        self.turn.succession.phase() == crate::restart::Phase::Ended
    }

    /// Turns until nothing is left to do at this time.
    fn settle(&mut self) {
        run_turns(&mut self.turn, &self.pipes, &mut self.arrivals);
    }
}

fn run_turns<S: Service>(
    turn: &mut Turn<S>,
    pipes: &[(Pipe, ConnId)],
    arrivals: &mut Vec<Arrival>,
) {
    for _ in 0..PATIENCE {
        let now = turn.net.clock.now();
        for Arrival { peer, bytes, .. } in arrivals.extract_if(.., |arrival| arrival.at <= now) {
            let (pipe, id) = &pipes[peer.0];
            pipe.feed(&bytes);
            turn.net.note_stream(*id, true, false, false);
        }
        act(turn).expect("in memory no system call can fail");
        if turn.succession.phase() == crate::restart::Phase::Ended {
            turn.tell_end();
        }
        // A real peer answers our FIN with its own at the latest when it has read everything.
        for (pipe, id) in pipes.iter().filter(|(pipe, _)| pipe.is_finished()) {
            let answers = !pipe.is_client_finished() && !pipe.is_silent();
            if answers && turn.net.conn(*id).is_some() {
                pipe.finish();
                turn.net.note_stream(*id, true, false, true);
            }
        }
        // Where a callback has moved the clock, something may have come or be due by now.
        let now = turn.net.clock.now();
        let has_come = arrivals.iter().any(|arrival| arrival.at <= now);
        if !has_come && turn.net.wait(now) != Some(Duration::ZERO) {
            return;
        }
    }
    panic!("the server is still busy after {PATIENCE} turns");
}

fn act<S: Service>(turn: &mut Turn<S>) -> Result {
    turn.net.poll_in_memory();
    turn.net.stats.turns += 1;
    turn.act()
}

impl<S: Service> std::fmt::Debug for Harness<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Harness").field("net", &self.turn.net).finish_non_exhaustive()
    }
}
