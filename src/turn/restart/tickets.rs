//! Keys of tickets, which all generations have: a client that shakes hands with the next one resumes what it began with this
//! one. By fork they are in the heap; another program is sent them, and so is who takes back.

use std::os::fd::OwnedFd;

use super::moving::Hitch;
use crate::{
    log_target::RESTART,
    restart::{
        link::Message,
        transfer::secrets::{empty_of_tickets, fill_with_tickets},
    },
    service::Service,
    turn::Turn,
};

impl<S: Service> Turn<S> {
    /// Sends them across, before the state is complete there. Without them clients shake hands in full, and nothing is
    /// lost: so a vessel that cannot be had holds nobody up.
    pub(super) fn hand_over_tickets(&mut self) -> std::result::Result<(), Hitch> {
        let Some(tickets) = &self.net.tickets else { return Ok(()) };
        let now = self.net.clock.now();
        match self.net.reserve.lend(|| fill_with_tickets(tickets, now)) {
            Ok(vessel) => self.send_across(&Message::TicketKeys, vec![vessel.into()]),
            Err(e) => {
                log::warn!(target: RESTART, "the keys of tickets stay here: {e}");
                Ok(())
            }
        }
    }

    /// They have come.
    pub(super) fn inherit_tickets(&mut self, mut fds: Vec<OwnedFd>) {
        let (Some(tickets), Some(vessel)) = (&self.net.tickets, fds.pop()) else { return };
        let now = self.net.clock.now();
        match empty_of_tickets(tickets, now, vessel) {
            Ok(()) if self.net.worker.is_some() => tickets.have_in_common(now),
            Ok(()) => {}
            Err(e) => log::warn!(target: RESTART, "the keys of tickets have not come: {e}"),
        }
    }
}
