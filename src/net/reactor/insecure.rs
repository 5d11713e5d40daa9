//! Without the feature `tls` no connection has any: what [`secure`](super) has otherwise, of nothing.

use std::io;

use super::Net;
use crate::net::{
    conn::ConnState,
    id::ConnId,
    reason::{Origin, Reason},
};

impl Net {
    pub(crate) fn next_handshake(&mut self) -> Option<ConnId> {
        None
    }

    pub(crate) fn shake(&mut self, _: ConnId, _: &mut [u8]) -> Option<Origin> {
        None
    }

    pub(super) fn handshake_overdue(&mut self, _: ConnId) {}

    pub(super) fn flush_secure(&mut self, _: ConnId) {}

    pub(super) fn keep_ciphers(&mut self, _: ConnId) {}

    pub(super) fn break_off(&mut self, id: ConnId, e: io::Error) {
        self.kill(id, Reason::Broken(e));
    }
}

impl ConnState {
    pub(crate) fn is_shaking(&self) -> bool {
        false
    }
}
