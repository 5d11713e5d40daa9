//! When mail reaches the service: each message once, and in the process that it was posted in.

use crate::{restart::Phase, service::Service, turn::Turn};

impl<S: Service> Turn<S> {
    /// Part of phase 2: mail. While connections are frozen it waits, and before this process serves,
    /// when the service has not been told yet what it goes on with.
    pub(in crate::turn) fn receive_mail(&mut self) {
        let is_waiting = self.succession.phase() == Phase::Waiting;
        let mut left = false;
        for inbox in &self.inboxes.0 {
            left |= match is_waiting || self.net.frozen {
                true => !inbox.is_empty(),
                false => inbox.deliver(&mut self.service, &mut self.net),
            };
        }
        self.net.mail.waits = left && !is_waiting;
    }

    /// After the last turn: nothing that was posted is lost.
    pub(in crate::turn) fn receive_last_mail(&mut self) {
        for inbox in &self.inboxes.0 {
            inbox.deliver_last(&mut self.service, &mut self.net);
        }
    }
}
