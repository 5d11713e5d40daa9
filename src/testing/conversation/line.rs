//! A peer of a conversation, and what of a harness it has to do with. A peer is known by its connection's id, which is
//! the same on both sides of a restart.

use super::run::Side;
use crate::{
    net::ConnId,
    service::Service,
    testing::{Harness, Peer},
};

/// A peer's end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Line {
    pub id: Option<ConnId>,
    pub is_new: bool,
    /// Is on a side that is to leave.
    pub stayed: bool,
    /// What has come and was not looked at yet.
    pub heard: Vec<u8>,
    /// The server has closed it.
    pub ended: bool,
    /// It went down with a side.
    pub lost: bool,
    /// The peer has closed it.
    pub left: bool,
}

impl Line {
    pub fn side(&self) -> Side {
        if self.is_new { Side::New } else { Side::Old }
    }
}

impl<S: Service> Harness<S> {
    pub(super) fn peer_of(&self, id: ConnId) -> Option<Peer> {
        self.pipes.iter().rposition(|(_, known)| *known == id).map(Peer)
    }

    pub(super) fn serves(&self, id: ConnId) -> bool {
        self.turn.net.conns.get(id.slot()).is_some_and(|conn| conn.id == id)
    }

    /// What has come to the peer. There is always room for it, so nothing waits for this.
    pub(super) fn take_sent(&self, peer: Peer) -> Vec<u8> {
        self.pipes[peer.0].0.take()
    }
}
