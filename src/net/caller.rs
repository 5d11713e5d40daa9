//! Who comes by a listener, or has come: a client of the service, or somebody who asks about it.

use crate::{
    limits::{CONTROL_CONNECTIONS, MONITOR_CONNECTIONS},
    timeouts::Timeouts,
};

/// For whom a listener is. All but clients are served by the library: they are no business of the service, are
/// not counted, do not move, and have limits and timeouts of their own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Caller {
    #[default]
    Client,
    /// Of the control socket.
    Operator,
    /// Asks by HTTP how the service is.
    Monitor,
    /// Asks by HTTP for numbers.
    Scraper,
    /// A balancer that wants a line about it (HAProxy's agent check).
    Agent,
}

impl Caller {
    pub fn is_client(self) -> bool {
        self == Caller::Client
    }

    pub fn is_operator(self) -> bool {
        self == Caller::Operator
    }

    /// Whether it asks about the service and nothing else.
    pub fn is_monitor(self) -> bool {
        matches!(self, Caller::Monitor | Caller::Scraper | Caller::Agent)
    }

    /// How many of its kind there may be at a time.
    pub fn places(self) -> usize {
        match self {
            Caller::Client => usize::MAX,
            Caller::Operator => CONTROL_CONNECTIONS,
            Caller::Monitor | Caller::Scraper | Caller::Agent => MONITOR_CONNECTIONS,
        }
    }

    /// What holds for it, whatever an author allows clients.
    pub fn timeouts(self) -> Option<&'static Timeouts> {
        match self {
            Caller::Client => None,
            Caller::Operator => Some(&Timeouts::CONTROL),
            Caller::Monitor | Caller::Scraper | Caller::Agent => Some(&Timeouts::MONITOR),
        }
    }
}
