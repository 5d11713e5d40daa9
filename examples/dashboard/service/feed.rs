//! The streams of the pages, and the feed that fills them: the connection to the observer.

use std::rc::Rc;

use heirloom::{Connection, Net};

use super::{Dashboard, FEED, State, end_stream, event};

impl Dashboard {
    /// Sends an event to all who look. Its number is the service's, whichever process counts.
    pub(super) fn tell(&mut self, net: &mut Net, event: &str, data: &str) {
        let State { sequence, .. } = &mut self.state;
        *sequence += 1;
        let who = &self.who;
        let data = if data.is_empty() { String::new() } else { format!(",\"{event}\":{data}") };
        let chunk: Rc<[u8]> = event::chunk(*sequence, event, &format!("{who}{data}")).into();
        self.streams.retain(|&stream| match net.get(stream) {
            Some(mut conn) => {
                conn.send_shared(Rc::clone(&chunk));
                true
            }
            None => false,
        });
    }

    /// Sends browsers away: they come back to the generation that serves.
    pub(super) fn leave_pages(&mut self, net: &mut Net) {
        for page in std::mem::take(&mut self.pages) {
            net.get(page).iter_mut().for_each(Connection::close);
        }
        for stream in std::mem::take(&mut self.streams) {
            net.get(stream).iter_mut().for_each(end_stream);
        }
    }

    /// Tells the observer what it has to be told, and lets go of it where nobody looks any more.
    pub(super) fn look_after_feed(&mut self, net: &mut Net) {
        let Some(mut conn) = self.feed.and_then(|feed| net.get(feed)) else {
            self.feed = None;
            return;
        };
        if !self.orders.is_empty() {
            conn.send(std::mem::take(&mut self.orders).as_bytes());
        }
        // A process that is leaving does not stay for its own sake.
        if conn.is_draining() && self.streams.is_empty() {
            conn.close();
        }
    }

    /// Asks the observer for pictures.
    pub(super) fn dial_feed(&mut self, net: &mut Net) {
        let is_of_use = !net.is_draining() || !self.streams.is_empty();
        if self.feed.is_none()
            && is_of_use
            && let Err(e) = net.dial(&self.feed_address, FEED)
        {
            log::error!("{e}");
        }
    }
}
