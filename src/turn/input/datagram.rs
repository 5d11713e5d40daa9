//! How datagrams reach the service that is to have them: this process's own, or that of an older
//! generation that still has the flow.
//!
//! A connection belongs to one process. A datagram socket is one queue for all peers, so the questions
//! of a restart are who reads it, and who handles what was read.
//!
//! *Who reads.* One process at a time. The old side stops at `Released`, the new one begins when it
//! serves; in between, and while connections are frozen, nobody does, and the kernel's buffer holds what
//! comes. A batch is handled whole in its turn, so between turns, which is when processes fork or change
//! places, no datagram is in memory, and nothing has to be handed over. After a roll back the old side
//! registers the socket anew and reads at once, while the new one goes on until it knows that: for that
//! moment both read, which costs the order of datagrams and nothing else, since the kernel gives each
//! to one of them.
//!
//! *Who sends.* Everybody who has something to say, by the same socket: a client sees one address. So a
//! retired process keeps the socket, unread. What the socket does not take stays in the outbox of the
//! process that has queued it; a forked child empties its copy.
//!
//! *Flows.* The newest generation reads everything and asks its service whose a datagram is
//! (`generation_of`). What is another one's goes over the link to it. An older generation never forwards,
//! so nothing goes in circles. The routing is exact only where the packet names the generation, as a
//! connection id of QUIC can: the number of one that has served is never given twice. With ids that the
//! client chooses, or with none, nobody but the old heap knows; then the flows have to go along with the
//! state (`self` by fork, `save` by fork-exec).

use crate::{
    limits::{DATAGRAM_BUDGET, FORWARD_BUDGET, READ_BUDGET},
    net::{DatagramPeer, SocketId, Source},
    restart::link::Forwarded,
    service::Service,
    turn::{Turn, guard::guard_process},
};

impl<S: Service> Turn<S> {
    /// Part of phase 4. Whatever is read is handled in this turn: between turns, a datagram is in the
    /// kernel's buffer or with a service, so a restart has none in hand.
    pub(in crate::turn) fn read_datagrams(&mut self) {
        if self.net.frozen {
            return;
        }
        let mut inbox = std::mem::take(&mut self.inbox);
        for socket in (0..self.net.datagrams.len()).map(SocketId) {
            let (mut count, mut bytes) = (0, 0);
            while count < DATAGRAM_BUDGET
                && bytes < READ_BUDGET
                && self.net.receive(socket.0, &mut inbox)
            {
                for (from, datagram) in inbox.datagrams() {
                    count += 1;
                    bytes += datagram.len();
                    self.route(socket, from, datagram);
                }
            }
            self.net.stats.bytes_in += bytes as u64;
        }
        self.inbox = inbox;
        self.post();
    }

    /// To the service here, unless another generation is to have it and lives.
    fn route(&mut self, socket: SocketId, from: &DatagramPeer, bytes: &[u8]) {
        let service = &self.service;
        let owner = guard_process(&mut self.net, "generation_of", |_| {
            service.generation_of(socket, from, bytes)
        });
        let other =
            owner.flatten().filter(|&owner| owner != self.net.generation()).and_then(|owner| {
                self.succession.others_mut().find(|other| other.who.generation == owner)
            });
        let Some(other) = other else {
            return self.tell_datagram(socket, from, bytes);
        };
        let (from, bytes) = (from.to_bytes(), bytes.to_vec());
        let socket = self.net.datagrams[socket.0].address();
        if !other.forward.push(Forwarded { socket, from, bytes }) {
            self.net.stats.datagrams_dropped += 1;
        }
    }

    fn tell_datagram(&mut self, socket: SocketId, from: &DatagramPeer, bytes: &[u8]) {
        let service = &mut self.service;
        guard_process(&mut self.net, "on_datagram", |net| {
            service.on_datagram(net, socket, from, bytes);
        });
    }

    /// Sends other generations what is theirs, as far as the links take it.
    fn post(&mut self) {
        for other in self.succession.others_mut() {
            let count = other.forward.send(&mut other.link);
            self.net.stats.datagrams_forwarded += count as u64;
        }
    }

    /// From here on somebody else talks with them.
    pub(in crate::turn) fn discard_forwarded(&mut self) {
        let older = self.succession.older.iter_mut();
        let lost: usize = older.map(|generation| generation.forward.discard()).sum();
        self.net.stats.datagrams_dropped += lost as u64;
    }

    /// Datagrams of this process's flows, which the newest generation has read.
    pub(in crate::turn) fn deliver(&mut self, forwarded: Vec<Forwarded>) {
        for Forwarded { socket, from, bytes } in forwarded {
            match (self.net.datagrams_at(&socket), DatagramPeer::from_bytes(&from)) {
                (Some(socket), Some(from)) => {
                    self.tell_datagram(socket, &from, &bytes);
                }
                _ => self.net.stats.datagrams_dropped += 1,
            }
        }
    }

    /// The same, counted in `taken` so that a flood may not starve the connections: `false` when the rest
    /// has to wait for the next turn.
    pub(in crate::turn) fn deliver_some(
        &mut self,
        forwarded: Vec<Forwarded>,
        taken: &mut usize,
        source: Source,
    ) -> bool {
        self.deliver(forwarded);
        *taken += 1;
        let goes_on = *taken < FORWARD_BUDGET;
        if !goes_on {
            self.ready.push(source);
        }
        goes_on
    }

    /// A datagram of a test.
    pub(crate) fn receive_in_memory(
        &mut self,
        socket: SocketId,
        from: &DatagramPeer,
        bytes: &[u8],
    ) {
        self.net.stats.datagrams_in += 1;
        self.route(socket, from, bytes);
    }
}

#[cfg(test)]
mod tests {
    use std::{net::UdpSocket, time::Instant};

    use mio::Poll;

    use super::*;
    use crate::{
        error::Result,
        net::{Connection, Datagrams, ListenOptions, Net, Origin, name_of, obtain},
        turn::Succession,
    };

    /// Counts what comes.
    struct Counter(usize);

    impl Service for Counter {
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

        fn on_datagram(&mut self, _: &mut Net, _: SocketId, _: &DatagramPeer, _: &[u8]) {
            self.0 += 1;
        }
    }

    /// A server that reads datagrams, and a client of it.
    fn served() -> (Turn<Counter>, UdpSocket) {
        let now = Instant::now();
        let mut net = Net::new(Some(Poll::new().unwrap()), now);
        let (name, none) = (name_of("127.0.0.1:0"), std::iter::empty());
        let (options, mut passed_on) = (ListenOptions::default(), Vec::new());
        let found = obtain(&name, &options, &mut passed_on, none);
        let socket = found.unwrap().pop().expect("one");
        let client = UdpSocket::bind("127.0.0.1:0").unwrap();
        client.connect(socket.address.to_string()).unwrap();
        net.datagrams.push(Datagrams::of(socket));
        net.start_accepting().unwrap();
        (Turn::new(Counter(0), net, Succession::in_memory(now)), client)
    }

    #[test]
    fn a_turn_reads_no_more_than_its_budget() {
        let (mut turn, client) = served();
        for _ in 0..DATAGRAM_BUDGET + 1 {
            client.send(b"hello").unwrap();
        }
        turn.act().unwrap();
        assert_eq!(turn.service.0, DATAGRAM_BUDGET);
        assert_eq!(
            turn.wait(turn.net.now()),
            Some(std::time::Duration::ZERO),
            "the rest would wait for an edge"
        );
        turn.act().unwrap();
        assert_eq!(turn.service.0, DATAGRAM_BUDGET + 1);
        assert_eq!(turn.wait(turn.net.now()), None);
        // Long ones use up the bytes first: a batch goes over, a second one does not come.
        for _ in 0..40 {
            client.send(&[0; 4000]).unwrap();
        }
        turn.poll().unwrap();
        turn.act().unwrap();
        assert_eq!(turn.service.0, DATAGRAM_BUDGET + 1 + crate::limits::DATAGRAM_BATCH);
    }

    #[test]
    fn nobody_reads_while_connections_move_or_another_process_serves() {
        let (mut turn, client) = served();
        turn.net.freeze();
        client.send(b"hello").unwrap();
        turn.poll().unwrap();
        turn.act().unwrap();
        assert_eq!(turn.service.0, 0, "its state is on the way to another process");
        turn.net.thaw();
        turn.act().unwrap();
        assert_eq!(turn.service.0, 1);
        turn.net.stop_reading(&[]);
        client.send(b"hello").unwrap();
        turn.act().unwrap();
        assert_eq!(turn.service.0, 1);
        // Taken up again, it looks without waiting for an edge.
        turn.net.start_accepting().unwrap();
        turn.act().unwrap();
        assert_eq!(turn.service.0, 2);
    }
}
