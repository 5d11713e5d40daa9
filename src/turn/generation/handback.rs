//! What the two sides of a restart have to remember for the case that it is undone.

use std::os::fd::OwnedFd;

use crate::{
    net::ConnId,
    restart::{link::WayBack, transfer::shipment::Shipment},
};

/// On a new side, until it commits.
#[derive(Debug)]
pub(crate) struct Handback {
    pub(in crate::turn) way: WayBack,
    /// Its service notes what changes since it serves.
    pub(in crate::turn) tracks: bool,
    /// What had changed each time when it was tried. The old side may have taken that in or not, so it is sent
    /// again, and knows.
    pub(in crate::turn) pieces: Vec<OwnedFd>,
    /// Something that had changed is in none of them: only all of it can go back.
    pub(in crate::turn) has_gap: bool,
    /// How often it was tried: an answer to an earlier time is none.
    pub(in crate::turn) tries: u64,
    /// While it is tried: the connections that go.
    pub(in crate::turn) shipment: Option<Shipment>,
    /// Why it has come to nothing.
    pub(in crate::turn) failure: String,
}

impl Handback {
    pub fn new(way: WayBack) -> Handback {
        Handback {
            way,
            tracks: false,
            pieces: Vec::new(),
            has_gap: false,
            tries: 0,
            shipment: None,
            failure: String::new(),
        }
    }
}

/// On an old side that has released: what the new one has handed back so far, the state in memfds. Connections
/// are among the arrivals.
#[derive(Debug, Default)]
pub(in crate::turn) struct Returned {
    /// The number of the try, if the new side says one.
    pub number: Option<u64>,
    /// Changes, by the numbers of the pieces in which they have come.
    pub pieces: Vec<(u64, OwnedFd)>,
    /// All of the state.
    pub all: Option<OwnedFd>,
    /// The last piece that the service has loaded.
    pub loaded: u64,
    /// What was wrong with something that has come.
    pub flaw: Option<String>,
    /// Connections that were taken in.
    pub taken: Vec<ConnId>,
    /// Dials to names that were.
    pub dials: Vec<u64>,
}
