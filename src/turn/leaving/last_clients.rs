//! Sockets that go with this process, since no other generation wants them: whoever has come is served.

use crate::{limits::BACKLOG, net::Origin, service::Service, turn::Turn};

impl<S: Service> Turn<S> {
    /// The sockets that nobody has after this process, by their places: those that the new side does not
    /// want, or, on a new side that goes back, those that it has bound.
    pub(super) fn sockets_of_its_own(&self) -> Vec<usize> {
        match &self.succession.attempt {
            Some(attempt) => attempt.unwanted.clone(),
            None => {
                let sockets = self.net.sockets().enumerate();
                sockets.filter(|(_, socket)| socket.is_new).map(|(place, _)| place).collect()
            }
        }
    }

    /// Removes their paths, so that nobody comes after, and accepts who has come before.
    pub(super) fn accept_the_last(&mut self, places: &[usize]) {
        for socket in places.iter().filter_map(|&place| self.net.sockets().nth(place)) {
            socket.unlink();
        }
        let listeners = self.net.listeners.len();
        for &place in places.iter().filter(|&&place| place < listeners) {
            let listener = self.net.listeners[place].number;
            // As many as may have waited: others must not come for ever.
            for _ in 0..BACKLOG {
                let Some(id) = self.net.accept(place) else { break };
                self.open(id, Origin::Accepted { listener });
            }
        }
    }
}
