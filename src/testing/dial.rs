//! Dials of a test: what the service has asked for, and how it ends.

use super::{Harness, Peer};
use crate::{
    net::{Origin, stream::memory::Pipe},
    service::Service,
};

impl<S: Service> Harness<S> {
    /// Addresses and tags that the service has dialed since the last call. Answer each by
    /// [`connect_as`](Self::connect_as) or [`refuse`](Self::refuse).
    ///
    /// ```
    /// # use heirloom::{Connection, Net, Origin, Result, Service, Start, testing::Harness};
    /// # struct Proxy;
    /// # impl Service for Proxy {
    /// #     type Session = ();
    /// #     fn on_open(&mut self, conn: &mut Connection<'_>, origin: Origin) -> Result {
    /// #         if let Origin::Dialed { .. } = origin {
    /// #             conn.send(b"hello\n");
    /// #         }
    /// #         Ok(())
    /// #     }
    /// #     fn on_data(&mut self, _conn: &mut Connection<'_>, _: &mut (), input: &[u8]) -> Result<usize> {
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
    ///
    /// let mut harness = Harness::new(Proxy);
    /// harness.refuse(7, std::io::ErrorKind::ConnectionRefused); // told to `on_dial_failed`
    /// ```
    pub fn dialed(&mut self) -> Vec<(String, u64)> {
        std::mem::take(&mut self.turn.net.staged.dials)
    }

    /// A connection of that origin stands.
    pub fn connect_as(&mut self, origin: Origin) -> Peer {
        self.connect_by(Pipe::new(self.pipes.len()), origin)
    }

    /// A dial comes to nothing.
    pub fn refuse(&mut self, tag: u64, why: std::io::ErrorKind) {
        self.turn.tell_dial_failed(tag, why.into());
        self.settle();
    }
}
