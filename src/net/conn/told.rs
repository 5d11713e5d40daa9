//! What a service was told about the end of a connection, kept until its socket has ended as well.

use std::borrow::Cow;

use log::Level;

use crate::net::reason::Reason;

/// What the log needs of a reason that the service has by now.
#[derive(Debug)]
pub(crate) struct Told {
    pub text: Cow<'static, str>,
    /// How it is counted.
    pub kind: usize,
    /// The kind of line that it is, and at which level.
    pub name: &'static str,
    pub level: Level,
    /// Whether something went wrong.
    pub is_failure: bool,
    /// Of a peer that was idle nobody expects that it completes the close; of one that was served, yes.
    was_orderly: bool,
}

impl Told {
    pub fn of(reason: &Reason) -> Told {
        let was_orderly = matches!(reason, Reason::Closed | Reason::PeerClosed);
        let (kind, name) = (reason.kind(), reason.name());
        let (level, is_failure) = (reason.level(), reason.is_failure());
        Told { text: reason.text(), kind, name, level, is_failure, was_orderly }
    }

    /// What the log says of the end: what was told, or what then became of a close in good order.
    pub fn or_worse(self, then: Option<Reason>) -> Told {
        let worse = then.filter(|then| self.was_orderly && then.is_failure());
        worse.map_or(self, |worse| Told::of(&worse))
    }
}
