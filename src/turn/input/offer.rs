//! How input reaches the service: read once, offered message by message, the rest kept.

use crate::{
    error::Result,
    limits::READ_BUDGET,
    net::{ConnId, Connection, Net, Phase, Reason},
    service::Service,
    turn::{Turn, guard::guard_connection},
};

/// A partial message up to this size is put in front of the next read, so that both can be offered
/// as one slice of the shared buffer. A longer one stays where it is and the read is added to it:
/// each way copies the smaller part.
const REJOIN: usize = READ_BUDGET / 2;

impl<S: Service> Turn<S> {
    /// Does what a listed connection needs: at most one read, or two where the FIN rode along.
    pub(in crate::turn) fn serve(&mut self, id: ConnId) {
        let Some(conn) = self.net.conn(id) else { return };
        conn.flags.listed = false;
        match conn.phase {
            Phase::Dead => return,
            Phase::Dialing => {
                if let Some(origin) = self.net.finish_dial(id) {
                    self.open(id, origin);
                    self.net.list(id);
                }
                return;
            }
            Phase::Flushing | Phase::Lingering => {
                if conn.needs_reading() {
                    self.net.discard(id, &mut self.buffer);
                }
            }
            Phase::AwaitsHeader => self.serve_header(id),
            _ if conn.is_shaking() => self.net.queue_handshake(id),
            Phase::Handshaking => {}
            Phase::Open if !conn.flags.caller.is_client() => self.serve_caller(id),
            Phase::Open => {
                self.offer_kept(id);
                self.read_and_offer(id);
                if self.net.conn(id).is_some_and(|conn| conn.flags.fin && conn.flags.readable) {
                    self.read_and_offer(id);
                }
                self.tell_eof(id);
                self.net.end_if_reset(id);
            }
        }
        if self.net.conn(id).is_some_and(|conn| conn.needs_reading()) {
            self.net.list(id);
        }
    }

    /// One read, and all of it offered.
    fn read_and_offer(&mut self, id: ConnId) {
        let Some(conn) = self.net.conn(id) else { return };
        if !conn.takes_input() || !conn.flags.readable || conn.flags.eof || conn.has_offer() {
            return;
        }
        if conn.input.len() > REJOIN || conn.at_least > READ_BUDGET {
            let Some(count) = self.net.read(id, &mut self.buffer) else { return };
            self.net.conns[id.slot()].input.extend_from_slice(&self.buffer[..count]);
            return self.offer_kept_input(id);
        }
        let mut kept = std::mem::take(&mut conn.input);
        self.buffer[..kept.len()].copy_from_slice(&kept);
        let start = kept.len();
        let Some(count) = self.net.read(id, &mut self.buffer[start..]) else {
            self.net.conns[id.slot()].input = kept;
            return;
        };
        let input = &self.buffer[..start + count];
        let Some(taken) = offer(&mut self.service, &mut self.net, id, input) else { return };
        kept.clear();
        let rest = &input[taken..];
        if rest.is_empty() {
            self.net.pool.give(kept);
        } else {
            if kept.capacity() == 0 {
                kept = self.net.pool.take();
            }
            kept.extend_from_slice(rest);
            self.net.conns[id.slot()].input = kept;
        }
        self.check_length(id);
    }

    /// Offers input that was kept, if anything has changed since it was offered last.
    pub(super) fn offer_kept(&mut self, id: ConnId) {
        if self.net.conn(id).is_some_and(|conn| conn.has_offer() && conn.takes_input()) {
            self.offer_kept_input(id);
        }
    }

    fn offer_kept_input(&mut self, id: ConnId) {
        let mut input = std::mem::take(&mut self.net.conns[id.slot()].input);
        let offered = offer(&mut self.service, &mut self.net, id, &input);
        let Some(taken) = offered else { return };
        input.drain(..taken);
        let conn = &mut self.net.conns[id.slot()];
        if input.is_empty() {
            self.net.pool.give(input);
        } else {
            conn.input = input;
        }
        self.check_length(id);
    }

    /// A message that is longer than its limit ends its connection, whatever the service hopes for.
    fn check_length(&mut self, id: ConnId) {
        let limit = self.net.limits.message;
        let conn = &self.net.conns[id.slot()];
        if conn.flags.incomplete && conn.input.len().max(conn.at_least) > limit {
            self.net.finish(id, Reason::TooLong);
        }
    }

    /// Tells the service that no more will come, after it was offered everything.
    fn tell_eof(&mut self, id: ConnId) {
        let Some(conn) = self.net.conn(id) else { return };
        if conn.takes_input() && conn.owes_eof() {
            conn.flags.eof_told = true;
            self.call(id, "on_eof", |service, conn, session| service.on_eof(conn, session));
        }
    }
}

/// Offers `input` message by message, with the session lent and panics caught once for all of it; answers the bytes that
/// were taken.
fn offer<S: Service>(service: &mut S, net: &mut Net, id: ConnId, input: &[u8]) -> Option<usize> {
    net.lend(id, |net, session| {
        let offered =
            guard_connection(net, "on_data", |net| offer_each(service, session, net, id, input));
        offered.unwrap_or_else(|why| {
            net.finish(id, why);
            input.len()
        })
    })
}

fn offer_each<S: Service>(
    service: &mut S,
    session: &mut S::Session,
    net: &mut Net,
    id: ConnId,
    input: &[u8],
) -> Result<usize> {
    let mut taken = 0;
    loop {
        let rest = &input[taken..];
        let conn = &mut net.conns[id.slot()];
        conn.flags.incomplete = false;
        if rest.is_empty() || !conn.takes_input() {
            return Ok(taken);
        }
        if rest.len() < conn.at_least {
            conn.flags.incomplete = true;
            return Ok(taken);
        }
        conn.at_least = 0;
        let count = service.on_data(&mut Connection::new(net, id), session, rest)?;
        if count > rest.len() {
            return Err(format!("on_data took {count} bytes of {}", rest.len()).into());
        }
        let conn = &mut net.conns[id.slot()];
        if count == 0 {
            // A pause makes the next call worthwhile without more input.
            conn.flags.incomplete = !conn.flags.paused;
            return Ok(taken);
        }
        conn.flags.greeted = true;
        net.stats.messages += 1;
        taken += count;
    }
}
