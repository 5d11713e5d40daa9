//! Datagrams of a test: they arrive when it says so, and what is sent is kept for it.

use super::Harness;
use crate::{
    net::{DatagramPeer, Datagrams, SocketId},
    service::Service,
};

impl<S: Service> Harness<S> {
    /// A datagram arrives by `socket`. Every peer is a [`DatagramPeer`], such as `DatagramPeer::Memory(1)`.
    ///
    /// ```
    /// # use heirloom::{DatagramPeer, Connection, Net, Origin, Result, Service, SocketId, testing::Harness};
    /// # struct Mirror;
    /// # impl Service for Mirror {
    /// #     type Session = ();
    /// #     fn on_open(&mut self, _conn: &mut Connection<'_>, _origin: Origin) -> Result { Ok(()) }
    /// #     fn on_data(&mut self, _conn: &mut Connection<'_>, _: &mut (), input: &[u8]) -> Result<usize> {
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
}
