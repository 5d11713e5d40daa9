//! Connections that come through a proxy: nothing to the service until the header is there that says for whom.

use crate::{
    net::{ConnId, Phase, Reason, read_header},
    service::Service,
    turn::Turn,
};

impl<S: Service> Turn<S> {
    /// One read of a connection that awaits its header. What came behind the header is offered at once.
    pub(super) fn serve_header(&mut self, id: ConnId) {
        let Some(conn) = self.net.conn(id) else { return };
        if !conn.flags.readable || conn.flags.eof {
            return;
        }
        let Some(count) = self.net.read(id, &mut self.buffer) else {
            return self.end_without_header(id);
        };
        let mut input = std::mem::take(&mut self.net.conns[id.slot()].input);
        if input.capacity() == 0 {
            input = self.net.pool.take();
        }
        input.extend_from_slice(&self.buffer[..count]);
        let header = read_header(&input);
        self.net.conns[id.slot()].input = input;
        match header {
            Ok(None) => {}
            Ok(Some((header, length))) => {
                let origin = self.net.introduce(id, header, length);
                self.open(id, origin);
                if self.net.draining {
                    self.tell_late(id);
                }
                self.offer_kept(id);
            }
            Err(why) => self.net.kill(id, Reason::BadHeader(why)),
        }
    }

    /// Nothing was read: perhaps since nothing will come. Who looks whether a port is open is no failure.
    fn end_without_header(&mut self, id: ConnId) {
        let Some(conn) = self.net.conn(id) else { return };
        if conn.flags.eof && conn.phase == Phase::AwaitsHeader {
            let has_begun = !conn.input.is_empty();
            let why = match has_begun {
                true => Reason::BadHeader("it has ended before"),
                false => Reason::PeerClosed,
            };
            self.net.kill(id, why);
        }
    }
}
