//! What a new program was sent and has not taken in yet.

use crate::{
    net::{ConnId, ConnState, NamedDial},
    restart::{arrival::Has, transfer::shared::SharedBuffers},
};

/// What has come from the old side and waits to be taken in.
#[derive(Debug, Default)]
pub(in crate::turn) struct Arrivals {
    /// What of it was read.
    pub has: Has,
    /// Registered, and not in service.
    pub connections: Vec<ConnState>,
    /// What several of them have queued.
    pub shared: SharedBuffers,
    /// Dials to names, which are to be begun anew.
    pub dials: Vec<NamedDial>,
    /// What was exported of them.
    pub sessions: Vec<(ConnId, Vec<u8>)>,
}
