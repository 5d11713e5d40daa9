//! What few connections have to say of their timeouts. `timeouts` decides by it.

use crate::{clock::Stamp, timeouts::Timeouts};

/// Timeouts of their own, or a silence that was told and goes on.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Patience {
    pub own: Option<Timeouts>,
    /// From when on a silence counts at the earliest, by direction: since its limit was set, or its service was
    /// asked what to do about it.
    pub counts_from: [Option<Stamp>; 3],
    /// From when on a first message could be heard, if not from the beginning.
    pub first_from: Option<Stamp>,
}
