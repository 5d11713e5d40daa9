//! Descriptors of others that the service has watched, and that are ready.

use crate::{
    service::Service,
    turn::{Turn, guard::guard_process},
};

impl<S: Service> Turn<S> {
    /// Whether there may be some of which the service could be told now.
    pub(in crate::turn) fn has_ready_watches(&self) -> bool {
        self.net.watches_wait() && self.may_be_told()
    }

    /// Part of phase 4: each that is ready, up to the budget. A callback may unwatch others of them.
    pub(in crate::turn) fn tell_ready(&mut self) {
        if !self.has_ready_watches() {
            return;
        }
        for (registration, ready) in self.net.report_watches().iter() {
            let Some(key) = self.net.watched_by(registration) else { continue };
            let service = &mut self.service;
            guard_process(&mut self.net, "on_ready", |net| service.on_ready(net, key, ready));
        }
    }
}
