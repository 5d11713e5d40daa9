//! A server without sockets and without time: peers in memory, a clock that the test moves.
//!
//! ```
//! use heirloom::{Io, Origin, Result, Service, testing::Harness};
//!
//! /// Answers each line with its length.
//! struct Length;
//!
//! impl Service for Length {
//!     type Session = ();
//!     fn on_open(&mut self, _io: &mut Io<'_>, _origin: Origin) -> Result {
//!         Ok(())
//!     }
//!     fn on_data(&mut self, io: &mut Io<'_>, _: &mut (), input: &[u8]) -> Result<usize> {
//!         let Some((line, taken)) = heirloom::codec::line(input, 100)? else { return Ok(0) };
//!         io.send(format!("{}\n", line.len()).as_bytes());
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

mod split;

use std::time::{Duration, Instant};

pub use split::{every_split, every_split_restarted};

use crate::{
    error::Result,
    net::{
        ConnId, DatagramPeer, Datagrams, Inbox, Net, Origin, Phase, SocketId, Stream, memory::Pipe,
    },
    plan::Restart,
    service::{Mail, Service, Start},
    turn::{Succession, Turn},
};

/// Turns enough for anything a test feeds in one go to come to rest.
const PATIENCE: usize = 100_000;

/// A peer in memory: the client's end of one connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Peer(usize);

/// A service at work, with everything around it in the hands of a test.
///
/// Every method that lets something happen turns the loop until nothing is left to do, with the same
/// code that turns it in a server.
///
/// # Panics
/// When the service is still busy after 100,000 turns, or when a [`Peer`] of another harness is given.
pub struct Harness<S: Service> {
    turn: Turn<S>,
    pipes: Vec<(Pipe, ConnId)>,
}

impl<S: Service> Harness<S> {
    /// A server that has just started ([`Start::Fresh`]).
    pub fn new(service: S) -> Harness<S> {
        let now = Instant::now();
        let net = Net::new(None, now);
        let mut turn = Turn::new(service, net, Succession::in_memory(now));
        turn.service.on_start(&mut turn.net, Start::Fresh);
        let mut harness = Harness { turn, pipes: Vec::new() };
        harness.settle();
        harness
    }

    /// Takes a [mailbox](crate::mailbox())'s letters to the service. No bell rings here: letters are looked for whenever
    /// something happens, such as [`advance`](Self::advance) by no time at all.
    pub fn inbox<M: 'static>(mut self, inbox: Inbox<M>) -> Harness<S>
    where
        S: Mail<M>,
    {
        self.turn.inboxes.add(inbox);
        self.settle();
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

    /// Addresses and tags that the service has dialed since the last call. Answer each by
    /// [`connect_as`](Self::connect_as) or [`refuse`](Self::refuse).
    ///
    /// ```
    /// # use heirloom::{Io, Net, Origin, Result, Service, Start, testing::Harness};
    /// # struct Proxy;
    /// # impl Service for Proxy {
    /// #     type Session = ();
    /// #     fn on_open(&mut self, io: &mut Io<'_>, origin: Origin) -> Result {
    /// #         if let Origin::Dialed { .. } = origin {
    /// #             io.send(b"hello\n");
    /// #         }
    /// #         Ok(())
    /// #     }
    /// #     fn on_data(&mut self, _io: &mut Io<'_>, _: &mut (), input: &[u8]) -> Result<usize> {
    /// #         Ok(input.len())
    /// #     }
    /// #     fn on_start(&mut self, net: &mut Net, _start: Start) {
    /// #         net.dial("127.0.0.1:80", 7).expect("an address");
    /// #     }
    /// # }
    /// let mut harness = Harness::new(Proxy); // which dials as it starts
    /// assert_eq!(harness.dialed(), [("127.0.0.1:80".to_owned(), 7)]);
    /// let upstream = harness.connect_as(Origin::Dialed { tag: 7 });
    /// assert_eq!(harness.take(upstream), b"hello\n");
    /// ```
    pub fn dialed(&mut self) -> Vec<(String, u64)> {
        std::mem::take(&mut self.turn.net.staged.dials)
    }

    /// A connection of that origin stands.
    pub fn connect_as(&mut self, origin: Origin) -> Peer {
        let pipe = Pipe::new(self.pipes.len());
        let id = self.turn.net.insert(Stream::Memory(pipe.clone()), Phase::Open);
        let id = id.expect("a stream in memory is not registered, so nothing can fail");
        self.pipes.push((pipe, id));
        self.turn.open(id, origin);
        self.settle();
        Peer(self.pipes.len() - 1)
    }

    /// A dial comes to nothing.
    pub fn refuse(&mut self, tag: u64, why: std::io::ErrorKind) {
        self.turn.service.on_dial_failed(&mut self.turn.net, tag, why.into());
        self.settle();
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
            run_turns(&mut self.turn, &self.pipes);
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

    /// A datagram arrives by `socket`. Every peer is a [`DatagramPeer`], such as `DatagramPeer::Memory(1)`.
    ///
    /// ```
    /// # use heirloom::{DatagramPeer, Io, Net, Origin, Result, Service, SocketId, testing::Harness};
    /// # struct Mirror;
    /// # impl Service for Mirror {
    /// #     type Session = ();
    /// #     fn on_open(&mut self, _io: &mut Io<'_>, _origin: Origin) -> Result { Ok(()) }
    /// #     fn on_data(&mut self, _io: &mut Io<'_>, _: &mut (), input: &[u8]) -> Result<usize> {
    /// #         Ok(input.len())
    /// #     }
    /// #     fn on_datagram(&mut self, net: &mut Net, socket: SocketId, from: &DatagramPeer, bytes: &[u8]) {
    /// #         net.send_to(socket, from, bytes);
    /// #     }
    /// # }
    /// let mut harness = Harness::new(Mirror); // which sends datagrams back
    /// let (socket, peer) = (SocketId(0), DatagramPeer::Memory(7));
    /// harness.datagram(socket, &peer, b"hello");
    /// assert_eq!(harness.sent_datagrams(socket), [(peer, b"hello".to_vec())]);
    /// ```
    pub fn datagram(&mut self, socket: SocketId, from: &DatagramPeer, bytes: &[u8]) {
        while self.turn.net.datagrams.len() <= socket.0 {
            self.turn.net.datagrams.push(Datagrams::in_memory());
        }
        self.turn.receive_in_memory(socket, from, bytes);
        self.settle();
    }

    /// Datagrams that the service has sent by `socket` since the last call, and to whom. A socket exists
    /// once a datagram has come by it.
    pub fn sent_datagrams(&mut self, socket: SocketId) -> Vec<(DatagramPeer, Vec<u8>)> {
        let socket = self.turn.net.datagrams.get_mut(socket.0);
        socket.map_or(Vec::new(), Datagrams::take_sent)
    }

    /// Lets time pass, timer by timer. The clock is the harness's own: nothing waits.
    ///
    /// ```
    /// # use heirloom::{Io, Origin, Result, Service, testing::Harness};
    /// # use std::time::Duration;
    /// # struct Quiet;
    /// # impl Service for Quiet {
    /// #     type Session = ();
    /// #     fn on_open(&mut self, _io: &mut Io<'_>, _origin: Origin) -> Result { Ok(()) }
    /// #     fn on_data(&mut self, _io: &mut Io<'_>, _: &mut (), input: &[u8]) -> Result<usize> {
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
        let end = self.turn.net.now() + time;
        while let Some(next) = self.turn.net.next_deadline().filter(|&next| next <= end) {
            self.turn.net.set_now(next.max(self.turn.net.now()));
            self.settle();
        }
        self.turn.net.set_now(end);
        self.settle();
    }

    /// Restarts that the service has asked for since the last call; in memory none is made.
    ///
    /// ```
    /// # use heirloom::{Io, Origin, Restart, Result, Service, testing::Harness};
    /// # struct Admin;
    /// # impl Service for Admin {
    /// #     type Session = ();
    /// #     fn on_open(&mut self, _io: &mut Io<'_>, _origin: Origin) -> Result { Ok(()) }
    /// #     fn on_data(&mut self, io: &mut Io<'_>, _: &mut (), input: &[u8]) -> Result<usize> {
    /// #         io.net().restart(Restart::fork());
    /// #         Ok(input.len())
    /// #     }
    /// # }
    /// let mut harness = Harness::new(Admin); // whose clients may ask for a reload
    /// let peer = harness.connect();
    /// harness.feed(peer, b"reload\n");
    /// assert_eq!(harness.restarts(), [Restart::fork()]);
    /// ```
    pub fn restarts(&mut self) -> Vec<Restart> {
        std::mem::take(&mut self.turn.net.staged.restarts)
    }

    /// What a restart by fork-exec does that [moves connections](Restart::move_connections): `service`
    /// stands for the new program, and may be of another type than the old one's.
    ///
    /// What [`save`](Service::save) and [`export`](Service::export) write is all that `service` gets
    /// to see; ids, timers, partial input and unsent output go along as they do between processes. A
    /// connection that stays behind (see [`Move`](crate::Move), or `export` answers `None`) is cut off,
    /// since there is no old process to serve it.
    ///
    /// # Errors
    /// When `save` or [`load`](Service::load) fails: between processes, the old one would serve on.
    ///
    /// ```
    /// use heirloom::{Io, Origin, Result, Service, testing::Harness};
    ///
    /// /// Answers each byte with how many there were so far.
    /// struct Count;
    ///
    /// impl Service for Count {
    ///     type Session = u8;
    ///     fn on_open(&mut self, _io: &mut Io<'_>, _origin: Origin) -> Result<u8> {
    ///         Ok(0)
    ///     }
    ///     fn on_data(&mut self, io: &mut Io<'_>, count: &mut u8, _: &[u8]) -> Result<usize> {
    ///         *count += 1;
    ///         io.send(count.to_string().as_bytes());
    ///         Ok(1)
    ///     }
    ///     fn export(&self, count: &u8) -> Option<Vec<u8>> {
    ///         Some(vec![*count])
    ///     }
    ///     fn import(&mut self, _io: &mut Io<'_>, saved: &[u8]) -> Result<u8> {
    ///         saved.first().copied().ok_or("not a count".into())
    ///     }
    /// }
    ///
    /// let mut harness = Harness::new(Count);
    /// let peer = harness.connect();
    /// harness.feed(peer, b"xx");
    /// let mut harness = harness.restart(Count)?;
    /// harness.feed(peer, b"x");
    /// assert_eq!(harness.take(peer), b"123");
    /// # Ok::<(), heirloom::Error>(())
    /// ```
    pub fn restart<N: Service>(self, service: N) -> Result<Harness<N>> {
        let mut harness = Harness { turn: self.turn.hand_on(service)?, pipes: self.pipes };
        for (pipe, id) in &harness.pipes {
            if harness.turn.net.conn(*id).is_some() {
                // What a fresh registration says.
                harness.turn.net.note_stream(*id, true, true, pipe.is_client_finished());
            } else {
                let _ = pipe.shutdown(std::net::Shutdown::Both);
            }
        }
        harness.settle();
        Ok(harness)
    }

    /// Whether the process would have left its loop.
    pub fn has_ended(&self) -> bool {
        self.turn.succession.phase() == crate::restart::Phase::Ended
    }

    /// Turns until nothing is left to do at this time.
    fn settle(&mut self) {
        run_turns(&mut self.turn, &self.pipes);
    }
}

fn run_turns<S: Service>(turn: &mut Turn<S>, pipes: &[(Pipe, ConnId)]) {
    for _ in 0..PATIENCE {
        act(turn).expect("in memory no system call can fail");
        // A real peer answers our FIN with its own at the latest when it has read everything.
        for (pipe, id) in
            pipes.iter().filter(|(pipe, _)| pipe.is_finished() && !pipe.is_client_finished())
        {
            pipe.finish();
            turn.net.note_stream(*id, true, false, true);
        }
        if turn.net.is_settled() {
            return;
        }
    }
    panic!("the server is still busy after {PATIENCE} turns");
}

fn act<S: Service>(turn: &mut Turn<S>) -> Result {
    turn.net.stats.turns += 1;
    turn.act()
}

impl<S: Service> std::fmt::Debug for Harness<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Harness").field("net", &self.turn.net).finish_non_exhaustive()
    }
}
