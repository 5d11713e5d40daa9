//! What is remembered of a process's own leave, for the journal: data.

use std::time::Instant;

use crate::cause::Cause;

#[derive(Debug, Default)]
pub(in crate::turn) struct Leave {
    /// Who has told it first that the service is to end.
    pub cause: Option<Cause>,
    /// Since when it drains.
    pub begun: Option<Instant>,
    /// Why it did not wait for those who were left, and how many were ended.
    aborted: Option<(&'static str, usize)>,
}

impl Leave {
    /// It ends so many connections, because their time is over or because it was told to.
    pub fn abort(&mut self, is_late: bool, left: usize) {
        let (how, before) = self.aborted.unwrap_or((if is_late { "deadline" } else { "stop" }, 0));
        self.aborted = Some((how, before + left));
    }

    /// How it went, and how many connections were ended.
    pub fn outcome(&self) -> (&'static str, usize) {
        self.aborted.unwrap_or(("empty", 0))
    }
}
