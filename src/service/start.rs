//! How a process came to serve, as its service is told.

use crate::net::ConnId;

/// From when on this process serves, and what it found. Told to
/// [`on_start`](crate::Service::on_start).
///
/// The connections that it names are those that a service knows: established, and not yet told to
/// [`on_close`](crate::Service::on_close).
///
/// ```
/// use heirloom::{ConnId, Net, Start};
/// use std::collections::BTreeSet;
///
/// fn on_start(guests: &mut BTreeSet<ConnId>, net: &mut Net, start: Start) {
///     // Those that have stayed with the old process, or have died with the new one.
///     for id in start.elsewhere() {
///         guests.remove(id);
///     }
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Start {
    /// The program was started by hand, or by its supervisor, at first or after a crash: there is nobody
    /// to take anything over from.
    Fresh,
    /// This process is the child of the old one and has its whole heap. `self` is as it was at the
    /// fork, but for the sessions of what has stayed.
    Forked {
        /// How many connections are here now, those that are being dialed included.
        moved: usize,
        /// Those that have stayed with the old process, in no particular order: what `self` holds of their ids
        /// leads nowhere here.
        stayed: Vec<ConnId>,
    },
    /// A new program, with the old one's listeners, and what was saved and imported.
    Upgraded {
        /// How many connections are here now, those that are being dialed included. Whether one that
        /// [`load`](crate::Service::load) has read of is among them, [`Net::get`](crate::Net::get) tells.
        moved: usize,
    },
    /// The new side has died, or was rolled back, after this process had stopped accepting: it serves
    /// again. What was handed back is loaded and imported by now.
    Resumed {
        /// Those that had gone to the new side and have not come back, in no particular order: they died with it,
        /// or have ended there, or are kept there to their end. This process does not hear
        /// [`on_close`](crate::Service::on_close) of them.
        gone: Vec<ConnId>,
    },
}

impl Start {
    /// Whether this process has the heap of another one, which goes on with a part of it.
    ///
    /// ```
    /// use heirloom::{Alarm, Net, Start};
    /// use std::time::Duration;
    ///
    /// fn on_start(net: &mut Net, start: Start) {
    ///     if !start.is_forked() {
    ///         net.set_interval(Alarm(0), Duration::from_secs(60)); // a forked child has it already
    ///     }
    /// }
    /// ```
    pub fn is_forked(&self) -> bool {
        matches!(self, Start::Forked { .. })
    }

    /// Whether this is a new process that takes the service over from an old one, by either engine.
    pub fn is_successor(&self) -> bool {
        matches!(self, Start::Forked { .. } | Start::Upgraded { .. })
    }

    /// Whether this process had stopped accepting, and serves again.
    pub fn is_resumed(&self) -> bool {
        matches!(self, Start::Resumed { .. })
    }

    /// The connections that `self` may know and that are not here: those that have [stayed](Self::Forked) or
    /// are [gone](Self::Resumed).
    pub fn elsewhere(&self) -> &[ConnId] {
        match self {
            Start::Forked { stayed, .. } => stayed,
            Start::Resumed { gone } => gone,
            Start::Fresh | Start::Upgraded { .. } => &[],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_may_know_of_connections_elsewhere_is_told_which() {
        let ids = vec![ConnId::new(3, 7)];
        let forked = Start::Forked { moved: 1, stayed: ids.clone() };
        let resumed = Start::Resumed { gone: ids.clone() };
        assert_eq!((forked.elsewhere(), resumed.elsewhere()), (&ids[..], &ids[..]));
        let upgraded = Start::Upgraded { moved: 1 };
        assert!(upgraded.elsewhere().is_empty() && Start::Fresh.elsewhere().is_empty());
        assert!(forked.is_successor() && upgraded.is_successor() && !resumed.is_successor());
        assert!(forked.is_forked() && !upgraded.is_forked());
        assert!(resumed.is_resumed() && !Start::Fresh.is_resumed());
    }
}
