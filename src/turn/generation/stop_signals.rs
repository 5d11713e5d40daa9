//! How often this process was told to leave. Pure.

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
