//! TLS handshakes: a few steps of them in each turn, so that who is here already is served.

use crate::{limits::HANDSHAKE_BUDGET, service::Service, turn::Turn};

impl<S: Service> Turn<S> {
    /// Part of phase 4, behind all that is read: those who are served already come first.
    pub(in crate::turn) fn shake_hands(&mut self) {
        for _ in 0..HANDSHAKE_BUDGET {
            let Some(id) = self.net.next_handshake() else { return };
            if let Some(origin) = self.net.shake(id, &mut self.buffer) {
                self.open(id, origin);
                if self.net.draining {
                    self.tell_late(id);
                }
            }
            if self.net.conn(id).is_some_and(|conn| conn.needs_reading()) {
                self.net.list(id);
            }
        }
    }
}
