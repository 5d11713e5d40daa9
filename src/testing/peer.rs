//! Peers that do not end as they should: one that is silent, one that resets; and whether the server has. What
//! the server remembers of one.

use super::{Harness, Peer};
use crate::{
    net::{Origin, stream::memory::Pipe},
    service::Service,
};

impl<S: Service> Harness<S> {
    /// From here on the peer leaves our FIN unanswered, as one does that has lost its network. Without
    /// this, a peer sends its own when it has seen ours.
    ///
    /// ```
    /// # use heirloom::{Connection, Origin, Result, Service, testing::Harness};
    /// # use std::time::Duration;
    /// # struct Once;
    /// # impl Service for Once {
    /// #     type Session = ();
    /// #     fn on_open(&mut self, conn: &mut Connection<'_>, _origin: Origin) -> Result {
    /// #         conn.close();
    /// #         Ok(())
    /// #     }
    /// #     fn on_data(&mut self, _conn: &mut Connection<'_>, _: &mut (), input: &[u8]) -> Result<usize> {
    /// #         Ok(input.len())
    /// #     }
    /// # }
    /// # let mut harness = Harness::new(Once); // which closes each connection as it comes
    /// let peer = harness.connect_silent();
    /// assert!(harness.is_closed(peer));
    /// assert_eq!(harness.net().connections(), 1); // the socket waits for the peer's FIN
    /// harness.advance(Duration::from_secs(5)); // the close timeout
    /// assert_eq!(harness.net().connections(), 0);
    /// ```
    pub fn fall_silent(&mut self, peer: Peer) {
        self.pipes[peer.0].0.fall_silent();
    }

    /// A client connects that will leave our FIN unanswered: see [`fall_silent`](Self::fall_silent).
    pub fn connect_silent(&mut self) -> Peer {
        let pipe = Pipe::new(self.pipes.len());
        pipe.fall_silent();
        self.connect_by(pipe, Origin::Accepted { listener: 0 })
    }

    /// The peer resets the connection: what either side has sent and the other has not taken is lost.
    ///
    /// ```
    /// # use heirloom::{Connection, Net, ConnId, Origin, Reason, Result, Service, testing::Harness};
    /// # #[derive(Default)]
    /// # struct Ends(Vec<String>);
    /// # impl Service for Ends {
    /// #     type Session = ();
    /// #     fn on_open(&mut self, _conn: &mut Connection<'_>, _origin: Origin) -> Result { Ok(()) }
    /// #     fn on_data(&mut self, _conn: &mut Connection<'_>, _: &mut (), input: &[u8]) -> Result<usize> {
    /// #         Ok(input.len())
    /// #     }
    /// #     fn on_close(&mut self, _net: &mut Net, _id: ConnId, _: (), why: Reason) {
    /// #         self.0.push(why.to_string());
    /// #     }
    /// # }
    /// # let mut harness = Harness::new(Ends::default()); // which notes the end of each
    /// let peer = harness.connect();
    /// harness.reset(peer);
    /// assert_eq!(harness.service().0, ["broken: connection reset"]);
    /// ```
    pub fn reset(&mut self, peer: Peer) {
        let (pipe, id) = &self.pipes[peer.0];
        pipe.reset_by_client();
        self.turn.net.note_stream(*id, true, true, true);
        self.settle();
    }

    /// What the service remembers of the peer's connection; `None` when that is over, or has none.
    ///
    /// ```
    /// # use heirloom::{Connection, Origin, Result, Service, testing::Harness};
    /// # struct Count;
    /// # impl Service for Count {
    /// #     type Session = usize;
    /// #     fn on_open(&mut self, _conn: &mut Connection<'_>, _origin: Origin) -> Result<usize> { Ok(0) }
    /// #     fn on_data(&mut self, _conn: &mut Connection<'_>, size: &mut usize, input: &[u8]) -> Result<usize> {
    /// #         *size += input.len();
    /// #         Ok(input.len())
    /// #     }
    /// # }
    /// # let mut harness = Harness::new(Count); // which counts bytes
    /// let peer = harness.connect();
    /// harness.feed(peer, b"hello");
    /// assert_eq!(harness.session(peer), Some(&mut 5));
    /// harness.finish(peer);
    /// assert_eq!(harness.session(peer), None);
    /// ```
    pub fn session(&mut self, peer: Peer) -> Option<&mut S::Session> {
        let id = self.id(peer);
        self.turn.net.session(id)
    }

    /// Whether the server has ended the connection by a reset, so that the peer knows that what it has got
    /// is not the whole. Where there was nothing left to send it is a FIN.
    pub fn is_reset(&self, peer: Peer) -> bool {
        self.pipes[peer.0].0.is_reset_by_server()
    }
}
