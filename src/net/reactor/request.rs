//! What was asked of the process, to be done when the callbacks of the turn are through.

use crate::{cause::Cause, net::id::ConnId, plan::Restart};

/// What a callback has asked of the process; done in the decision phase of the turn.
#[derive(Debug)]
pub(crate) enum Request {
    Restart {
        how: Restart,
        /// The control connection that waits for the verdict.
        by: Option<ConnId>,
        cause: Cause,
    },
    RollBack {
        reason: String,
        by: Option<ConnId>,
        cause: Cause,
    },
    /// The service wants its state to be kept as it is now.
    Checkpoint,
    Drain {
        cause: Cause,
    },
    Stop {
        cause: Cause,
    },
}
