//! Datagram sockets in a turn: who reads them, what is read, what leaves.

use std::{
    io::Result as IoResult,
    os::fd::{AsRawFd, BorrowedFd},
};

use log::Level;
use mio::{Interest, unix::SourceFd};
use nix::{
    errno::Errno,
    sys::socket::{SockaddrStorage, UnixAddr},
};

use super::Net;
use crate::{
    log_target::NET,
    logging::Escaped,
    net::{
        address::Address,
        datagram::{Carrier, DatagramInbox, DatagramPeer, Datagrams, SocketId},
        id::Source,
        listen::{Listener, kept},
    },
};

impl Net {
    /// Queues a datagram, which leaves at the end of the turn.
    ///
    /// Datagrams may be lost, also here: what the socket refuses, what goes over
    /// [`limits::DATAGRAM_OUTPUT`](crate::limits::DATAGRAM_OUTPUT) of unsent bytes, and what the buffer of
    /// a Unix socket's peer has no room for is dropped and counted
    /// ([`Stats::datagrams_dropped`](crate::Stats::datagrams_dropped)).
    ///
    /// ```
    /// # use heirloom::{DatagramPeer, Net, SocketId};
    /// fn on_datagram(net: &mut Net, socket: SocketId, from: &DatagramPeer, bytes: &[u8]) {
    ///     net.send_to(socket, from, bytes); // an echo
    /// }
    /// ```
    pub fn send_to(&mut self, socket: SocketId, to: &DatagramPeer, bytes: &[u8]) {
        let socket = self.datagrams.get_mut(socket.0);
        if !socket.is_some_and(|socket| socket.outbox.push(to.clone(), bytes)) {
            self.stats.datagrams_dropped += 1;
        }
    }

    /// Begins to read datagrams; those in the buffers already are found as well.
    pub(super) fn start_reading(&mut self) -> IoResult<()> {
        for index in 0..self.datagrams.len() {
            let socket = &mut self.datagrams[index];
            (socket.reading, socket.readable) = (true, true);
            self.watch_datagrams(index)?;
        }
        Ok(())
    }

    /// Looks at the buffers without waiting for an edge.
    pub(crate) fn look_for_datagrams(&mut self) {
        self.datagrams.iter_mut().for_each(|socket| socket.readable = true);
    }

    /// Leaves the buffers alone. What was read is with the service; what is to be sent is sent. For `keep`
    /// see [`stop_accepting`](Self::stop_accepting).
    pub(crate) fn stop_reading(&mut self, keep: &[usize]) {
        let first = self.listeners.len();
        for index in (0..self.datagrams.len()).filter(|index| !keep.contains(&(first + index))) {
            self.datagrams[index].reading = false;
            self.watch_or_complain(index);
        }
    }

    /// The next batch from a socket. `false` when there is none for now.
    pub(crate) fn receive(&mut self, index: usize, inbox: &mut DatagramInbox) -> bool {
        let mut failed = false;
        loop {
            let socket = &mut self.datagrams[index];
            let (true, Carrier::Socket(carrier)) = (socket.is_due(), &socket.carrier) else {
                return false;
            };
            let result = match carrier.address {
                Address::Tcp(_) => {
                    inbox.receive::<SockaddrStorage>(carrier.as_raw_fd(), socket.is_told)
                }
                _ => inbox.receive::<UnixAddr>(carrier.as_raw_fd(), false),
            };
            match result {
                Ok(truncated) => {
                    self.stats.datagrams_truncated += truncated as u64;
                    self.stats.datagrams_in += inbox.datagrams().count() as u64;
                    return true;
                }
                Err(Errno::EINTR) => {}
                // Only this says that it is empty: a short batch may have ended before an error.
                Err(Errno::EAGAIN) => socket.readable = false,
                // Of an earlier datagram, and told once. One that stays is told at each edge only.
                Err(e) => {
                    socket.readable = !std::mem::replace(&mut failed, true);
                    let address = socket.address();
                    let line = format_args!("{address}: {e}");
                    self.log(NET, Level::Debug, "datagram not received", line);
                }
            }
        }
    }

    /// Sends what is queued, as far as the sockets take it.
    pub(super) fn flush_datagrams(&mut self) {
        for index in 0..self.datagrams.len() {
            while !self.datagrams[index].blocked && self.datagrams[index].has_unsent() {
                self.send_batch(index);
            }
            let Datagrams { outbox, watched, blocked, .. } = &mut self.datagrams[index];
            outbox.compact();
            if watched.is_some_and(Interest::is_writable) && !*blocked {
                self.watch_or_complain(index);
            }
        }
    }

    fn send_batch(&mut self, index: usize) {
        let socket = &mut self.datagrams[index];
        match socket.send() {
            Ok(count) => {
                socket.outbox.advance(count);
                self.stats.datagrams_out += count as u64;
            }
            Err(Errno::EINTR) => {}
            Err(Errno::EAGAIN) if socket.may_wait() => {
                socket.blocked = true;
                self.watch_or_complain(index);
            }
            // A peer that is gone, or full, or out of reach is no reason to stop for the others.
            Err(e) => {
                let first = socket.outbox.front().next();
                let (to, count) = first.map(|(to, bytes)| (to.clone(), bytes.len())).unzip();
                socket.outbox.advance(1);
                self.stats.datagrams_dropped += 1;
                if let (Some(to), Some(count)) = (to, count) {
                    let address = self.datagrams[index].address();
                    let line = format_args!("{address}: {count} bytes to {}: {e}", Escaped(to));
                    self.log(NET, Level::Debug, "datagram not sent", line);
                }
            }
        }
    }

    /// Where a datagram goes that another generation has read from the socket at `address`, whatever either calls
    /// it.
    pub(crate) fn datagrams_at(&self, address: &str) -> Option<SocketId> {
        let is_meant = |it: &Datagrams| it.address() == address;
        self.datagrams.iter().position(is_meant).map(SocketId)
    }

    /// The sockets that every generation has, by name: it may claim them or not. Each has a place in this
    /// order.
    pub(crate) fn passed_on(&self) -> impl Iterator<Item = &Listener> {
        self.listeners.iter().chain(self.datagrams.iter().filter_map(Datagrams::socket))
    }

    /// The same, as a service manager keeps them, but for those at these places.
    pub(crate) fn kept(&self, but: &[usize]) -> impl Iterator<Item = (String, BorrowedFd<'_>)> {
        let all = self.passed_on().enumerate();
        kept(0, all.filter(|(place, _)| !but.contains(place)).map(|(_, listener)| listener))
    }

    /// Asks the kernel for those edges that matter now. After a change one comes at once, if it is so.
    pub(super) fn watch_datagrams(&mut self, index: usize) -> IoResult<()> {
        let Datagrams { carrier, reading, blocked, watched, .. } = &mut self.datagrams[index];
        let wanted = match (*reading, *blocked) {
            (false, false) => None,
            (true, false) => Some(Interest::READABLE),
            (false, true) => Some(Interest::WRITABLE),
            (true, true) => Some(Interest::READABLE | Interest::WRITABLE),
        };
        let Carrier::Socket(socket) = carrier else { return Ok(()) };
        let (fd, token) = (socket.as_raw_fd(), Source::Datagrams(index).token());
        let before = std::mem::replace(watched, wanted);
        Net::with_registry(&self.poll, |registry| match (before, wanted) {
            (before, wanted) if before == wanted => Ok(()),
            (None, Some(interest)) => registry.register(&mut SourceFd(&fd), token, interest),
            (Some(_), Some(interest)) => registry.reregister(&mut SourceFd(&fd), token, interest),
            (_, None) => registry.deregister(&mut SourceFd(&fd)),
        })
    }

    fn watch_or_complain(&mut self, index: usize) {
        if let Err(e) = self.watch_datagrams(index) {
            log::error!(
                target: NET,
                "wait for datagrams on {}: {e}", self.datagrams[index].address()
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::{DATAGRAM_MAX, DATAGRAM_OUTPUT};
    use std::time::Instant;

    const SOCKET: SocketId = SocketId(0);

    fn net(room: usize) -> Net {
        let mut net = Net::new(None, Instant::now());
        net.datagrams.push(Datagrams::by(Carrier::Memory { sent: Vec::new(), room }));
        net
    }

    #[test]
    fn what_the_socket_does_not_take_waits_in_order_for_an_edge() {
        let mut net = net(40);
        for number in 0..100u8 {
            net.send_to(SOCKET, &DatagramPeer::Memory(number.into()), &[number; 3]);
        }
        net.flush_datagrams();
        assert!(net.datagrams[0].blocked && !net.datagrams[0].is_busy());
        let mut sent = net.datagrams[0].take_sent();
        assert_eq!(sent.len(), 40);
        net.datagrams[0].carrier = Carrier::Memory { sent: Vec::new(), room: usize::MAX };
        net.send_to(SOCKET, &DatagramPeer::Memory(100), &[100; 3]);
        net.flush_datagrams();
        assert!(net.datagrams[0].take_sent().is_empty(), "it is blocked");
        net.datagrams[0].note(false, true);
        net.flush_datagrams();
        sent.extend(net.datagrams[0].take_sent());
        let all = (0..=100u8).map(|number| (DatagramPeer::Memory(number.into()), vec![number; 3]));
        assert_eq!(sent, all.collect::<Vec<_>>());
        assert_eq!((net.stats.datagrams_out, net.stats.datagrams_dropped), (101, 0));
    }

    #[test]
    fn unsent_output_is_bounded() {
        let mut net = net(0);
        let bytes = vec![0; DATAGRAM_MAX];
        for _ in 0..2 * DATAGRAM_OUTPUT / DATAGRAM_MAX {
            net.send_to(SOCKET, &DatagramPeer::Memory(0), &bytes);
            net.flush_datagrams();
        }
        assert_eq!(net.stats.datagrams_dropped as usize, DATAGRAM_OUTPUT / DATAGRAM_MAX);
        let mut net = self::net(0);
        for _ in 0..=DATAGRAM_OUTPUT {
            net.send_to(SOCKET, &DatagramPeer::Memory(0), b"");
        }
        assert!(net.stats.datagrams_dropped > 0, "empty ones take room, too");
    }

    #[test]
    fn a_forked_child_does_not_send_what_its_parent_will() {
        let mut net = net(0);
        net.send_to(SOCKET, &DatagramPeer::Memory(0), b"hello");
        net.flush_datagrams();
        let child = net.datagrams.pop().expect("one").anew();
        assert!(!child.has_unsent() && !child.is_due());
    }

    #[test]
    fn nobody_hears_of_a_socket_that_is_not_there() {
        let mut net = net(1);
        net.send_to(SocketId(1), &DatagramPeer::Memory(0), b"hello");
        assert_eq!(net.stats.datagrams_dropped, 1);
    }
}
