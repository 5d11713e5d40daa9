//! What a process may be asked by signals and for a restart, and how often it was, as data.

use std::time::Duration;

use crate::{cause::Cause, net::ConnId, plan::Restart};

/// What a signal means.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Trigger {
    Restart(Restart),
    /// Drain; the second time, stop.
    Leave,
    /// What the service makes of it.
    Service,
}

/// What is done about a restart that would make one generation too many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AtMax {
    Refuse,
    /// The oldest has this long to leave; the restart waits for it.
    DismissOldest(Duration),
}

/// A restart, and the control connection that has asked for it, if one has.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub how: Restart,
    pub by: Option<ConnId>,
    pub cause: Cause,
}

/// How often a signal has told this process to leave: by itself, and through its supervisor.
///
/// Who signals a whole group, such as systemd a control group, tells both this process and the supervisor,
/// which forwards it. That was one, and only a second one means now. (A signal that comes while
/// the same is still unread is lost, so a third may be needed.)
#[derive(Debug, Default)]
pub(in crate::turn) struct StopSignals {
    direct: u32,
    forwarded: u32,
}

impl StopSignals {
    /// Counts one, and tells whether it is news.
    pub fn count(&mut self, forwarded: bool) -> bool {
        let heard = self.direct.max(self.forwarded);
        let count = if forwarded { &mut self.forwarded } else { &mut self.direct };
        *count += 1;
        *count > heard
    }
}
