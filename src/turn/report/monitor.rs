//! Connections of monitors that ask by HTTP: a request, a reply, the end.

use std::mem;

use crate::{
    clock::http_date,
    limits::MONITOR_HEAD,
    net::{Caller, ConnId, Connection, Phase, Reason},
    operate::{
        health::Condition,
        http::{self, Ask, Reply, Status},
    },
    service::Service,
    turn::{Turn, generation::Question},
};

impl<S: Service> Turn<S> {
    /// Input of a monitor's connection: one read, and the request if it is whole.
    pub(super) fn serve_monitor(&mut self, id: ConnId) {
        let conn = &self.net.conns[id.slot()];
        let room = (MONITOR_HEAD + 1).saturating_sub(conn.input.len());
        if conn.takes_input()
            && conn.flags.readable
            && !conn.flags.eof
            && let Some(count) = self.net.read(id, &mut self.buffer[..room])
        {
            self.net.conns[id.slot()].input.extend_from_slice(&self.buffer[..count]);
        }
        let Some(conn) = self.net.conn(id).filter(|conn| conn.takes_input()) else { return };
        let input = mem::take(&mut conn.input);
        let is_scraper = conn.flags.caller == Caller::Scraper;
        let (reply, head_only) = match http::read(&input) {
            Ok(Some(ask)) if is_scraper && ask.path == "/metrics" => {
                return self.ask_all(id, Question::Scrape { head_only: ask.head_only });
            }
            Ok(Some(ask)) if is_scraper => (Reply::NOT_FOUND, ask.head_only),
            Ok(Some(ask)) => (self.reply_to(&ask), ask.head_only),
            Ok(None) if conn.flags.eof => return self.net.finish(id, Reason::PeerClosed),
            Ok(None) => {
                (conn.input, conn.flags.incomplete) = (input, true);
                return;
            }
            Err(refusal) => (refusal, input.starts_with(b"HEAD ")),
        };
        self.reply(id, &reply.write(head_only, &http_date()));
    }

    /// The last word on a connection.
    pub(super) fn reply(&mut self, id: ConnId, reply: &str) {
        if self.net.conn(id).is_some_and(|conn| conn.phase == Phase::Open) {
            Connection::new(&mut self.net, id).send(reply.as_bytes());
            self.net.finish(id, Reason::Closed);
        }
    }

    /// What there is. That this process turns is shown by its answering at all.
    fn reply_to(&self, ask: &Ask) -> Reply {
        let reply = |status, condition: Condition| Reply { status, text: condition.text() };
        match (ask.path.as_str(), self.condition()) {
            ("/livez", _) | ("/readyz", Condition::Ready) => reply(Status::Ok, Condition::Ready),
            ("/readyz", condition) => reply(Status::Unavailable, condition),
            _ => Reply::NOT_FOUND,
        }
    }
}
