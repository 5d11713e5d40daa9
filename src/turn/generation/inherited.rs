//! What a forked child inherits and does not use: the memory of its parent's connections. It is
//! given back in pieces, after the child serves, since each free may copy a page.

use std::mem::ManuallyDrop;

use slab::Slab;

use crate::{limits::FREE_PIECE, net::ConnState};

/// Connections and sessions of the parent, in the child. Their descriptors are closed already.
pub(in crate::turn) struct Inherited<T> {
    /// Never dropped as a whole: a stream would close a number that is somebody else's by now.
    conns: ManuallyDrop<slab::IntoIter<ConnState>>,
    sessions: std::vec::IntoIter<Option<T>>,
}

impl<T> Inherited<T> {
    pub fn new(conns: Slab<ConnState>, sessions: Vec<Option<T>>) -> Inherited<T> {
        let conns = ManuallyDrop::new(conns.into_iter());
        Inherited { conns, sessions: sessions.into_iter() }
    }

    /// Gives a piece of it back. `false` when nothing is left.
    pub fn free_piece(&mut self) -> bool {
        let mut left = false;
        for (_, conn) in self.conns.by_ref().take(FREE_PIECE) {
            conn.stream.forget();
            left = true;
        }
        left | (self.sessions.by_ref().take(FREE_PIECE).count() > 0)
    }
}
