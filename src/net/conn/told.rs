//! What a service was told about the end of a connection, kept until its socket has ended as well.

use std::borrow::Cow;

use crate::net::reason::Reason;

/// What the log needs of a reason that the service has by now.
#[derive(Debug)]
pub(crate) struct Told {
    text: Cow<'static, str>,
    is_failure: bool,
    /// Of a peer that was idle nobody expects that it completes the close; of one that was served, yes.
    was_orderly: bool,
}

impl Told {
    pub fn of(reason: &Reason) -> Told {
        let was_orderly = matches!(reason, Reason::Closed | Reason::PeerClosed);
        Told { text: reason.text(), is_failure: reason.is_failure(), was_orderly }
    }

    /// What the log says of the end, and whether something went wrong: what was told, or what then became
    /// of a close in good order.
    pub fn or_worse(self, then: Option<Reason>) -> (Cow<'static, str>, bool) {
        match then.filter(|then| self.was_orderly && then.is_failure()) {
            Some(worse) => (worse.text(), true),
            None => (self.text, self.is_failure),
        }
    }
}
