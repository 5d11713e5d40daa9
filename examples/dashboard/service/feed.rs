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

    /// What the observer says.
    pub(super) fn heed(&mut self, net: &mut Net, line: &str) {
        match line.split_once(' ') {
            Some(("picture", picture)) => self.tell(net, "picture", picture),
            Some(("moves", moves)) => self.state.clients_move = moves == "true",
            Some(("doomed", doomed)) => self.state.doomed = doomed == "true",
            _ => log::error!("{line:?} is nothing that an observer says"),
        }
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

    /// Something for the journal, which the observer keeps: it has seen all generations.
    pub(super) fn note(&mut self, net: &mut Net, kind: &str, text: &str) {
        let text: String =
            text.chars().map(|it| if it < ' ' { ' ' } else { it }).take(600).collect();
        self.order(net, &format!("note {kind} {text}\n"));
    }

    /// Something for the observer. It has been told when the feed is there; one that has moved along is gone from
    /// here, so that who has retired opens another one for its last words.
    pub(super) fn order(&mut self, net: &mut Net, order: &str) {
        self.orders.push_str(order);
        self.look_after_feed(net);
        self.dial_feed(net);
    }

    /// Looks after the feed, if there is one.
    pub(super) fn look_after_feed(&mut self, net: &mut Net) {
        match self.feed.and_then(|feed| net.get(feed)) {
            Some(mut conn) => self.use_feed(&mut conn),
            None => self.feed = None,
        }
    }

    /// Tells the observer what it has to be told, and lets go of it where nobody looks any more: a process that is leaving
    /// does not stay for its own sake. Streams that have moved along are not looked at here.
    pub(super) fn use_feed(&mut self, conn: &mut Connection<'_>) {
        if !self.orders.is_empty() {
            conn.send(std::mem::take(&mut self.orders).as_bytes());
        }
        self.streams.retain(|&stream| conn.net.get(stream).is_some());
        if conn.is_draining() && self.streams.is_empty() {
            conn.close();
        }
    }

    /// Asks the observer for pictures.
    pub(super) fn dial_feed(&mut self, net: &mut Net) {
        let is_of_use = !net.is_draining() || !self.streams.is_empty() || !self.orders.is_empty();
        if self.feed.is_some() || self.is_dialing || !is_of_use {
            return;
        }
        match net.dial(&self.feed_address, FEED) {
            Ok(_) => self.is_dialing = true,
            Err(e) => log::error!("{e}"),
        }
    }
}
