//! What a listener is for, as its name says: generations know it by that, so sockets of two kinds are never taken for
//! each other.

use crate::net::caller::Caller;

/// What the name of a control socket begins with; its address follows.
pub(crate) const CONTROL: &str = "control ";

/// What the name of a socket for monitors that ask by HTTP begins with.
pub(crate) const MONITOR: &str = "health ";

/// What the name of a socket for monitors that want numbers begins with.
pub(crate) const METRICS: &str = "metrics ";

/// What the name of a socket for balancers that want a line begins with.
pub(crate) const AGENT: &str = "agent-check ";

/// What the name of a datagram socket begins with; its address follows. So the same address may be
/// listened on as well.
pub(crate) const DATAGRAMS: &str = "datagrams ";

/// What the name of a listener begins with, before its address.
pub(super) fn kind_of(name: &str) -> &'static str {
    let kinds = [CONTROL, MONITOR, METRICS, AGENT, DATAGRAMS];
    kinds.into_iter().find(|kind| name.starts_with(kind)).unwrap_or("")
}

/// Who comes by a listener of this name.
pub(super) fn caller_of(name: &str) -> Caller {
    match kind_of(name) {
        CONTROL => Caller::Operator,
        MONITOR => Caller::Monitor,
        METRICS => Caller::Scraper,
        AGENT => Caller::Agent,
        _ => Caller::Client,
    }
}
