//! Connections on their way to the other side of a restart, in either direction: which are still to go, and
//! how many it can be expected to have room for. Pure.

use std::collections::VecDeque;

use super::{allowance::Allowance, record, shared::Sharing};
use crate::{limits::BATCHES_IN_FLIGHT, net::ConnId};

/// What is on its way, or will be.
#[derive(Debug)]
pub(crate) struct Shipment {
    /// Still to be sent.
    pub outgoing: VecDeque<ConnId>,
    /// Records of dials to names, which go with the first batch.
    pub dials: Vec<u8>,
    /// What may still go along of the bytes that they have queued.
    pub allowance: Allowance,
    /// What they have queued that others have queued as well.
    pub sharing: Sharing,
    /// Up to which version the other side reads records.
    pub records: u64,
    /// Batches that the other side has not taken yet.
    pub in_flight: usize,
    /// It has been sent everything.
    pub handed: bool,
}

impl Shipment {
    /// None so far.
    pub fn new(max_moved: usize) -> Shipment {
        Shipment {
            outgoing: VecDeque::new(),
            dials: Vec::new(),
            allowance: Allowance::of(max_moved),
            sharing: Sharing::default(),
            records: record::VERSION,
            in_flight: 0,
            handed: false,
        }
    }

    /// Whether more may be sent by now.
    pub fn may_go_on(&self) -> bool {
        !self.handed && self.in_flight < BATCHES_IN_FLIGHT
    }
}
