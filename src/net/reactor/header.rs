//! Connections that come through a proxy: what it says of them before they are anybody's.

use std::net::SocketAddr;

use super::Net;
use crate::net::{
    conn::{CameBy, ConnState, Phase},
    id::ConnId,
    listen::Listener,
    proxy::{Header, Via},
    reason::{Origin, Reason},
    stream::{Peer, Secure},
};

impl Net {
    /// A connection has come by a listener whose clients come through a proxy.
    pub(super) fn await_header(&mut self, id: ConnId, index: usize) {
        let listener = &self.listeners[index];
        let conn = &mut self.conns[id.slot()];
        if listener.options.proxy().is_some_and(|proxy| !proxy.trusts(&conn.peer)) {
            let why = "none is taken from its address";
            return self.kill(id, Reason::BadHeader(why));
        }
        let came_by = CameBy { number: listener.number, name: listener.name.clone() };
        conn.rare_mut().came_by = Some(Box::new(came_by));
    }

    /// The header is there, `length` bytes of the input: from here on it is a connection like any other.
    pub(crate) fn introduce(&mut self, id: ConnId, header: Header, length: usize) -> Origin {
        let conn = &mut self.conns[id.slot()];
        conn.input.drain(..length);
        if conn.input.is_empty() {
            self.pool.give(std::mem::take(&mut conn.input));
        }
        conn.read_at = self.stamp;
        let (client, destination) = header.addresses.unzip();
        let proxy = conn.peer;
        conn.peer = client.map_or(proxy, Peer::Tcp);
        let rare = conn.rare_mut();
        rare.via = Some(Box::new(Via { proxy, destination, tlvs: header.tlvs }));
        let listener = rare.came_by.take().map_or(0, |came_by| came_by.number);
        self.begin_service(id, listener);
        self.schedule_check(id);
        Origin::Accepted { listener }
    }

    /// It is the service's, or shakes hands before. What is read of it already is the beginning of that.
    fn begin_service(&mut self, id: ConnId, listener: usize) {
        let conn = &mut self.conns[id.slot()];
        let mut tls = self.listeners.iter().filter(|it| it.number == listener);
        let Some(terms) = tls.find_map(|it| it.options.tls()) else {
            conn.phase = Phase::Open;
            return;
        };
        match Secure::accept(terms) {
            Ok(secure) => {
                conn.stream.secure_by(secure);
                (conn.phase, conn.flags.readable) = (Phase::Handshaking, true);
            }
            Err(e) => self.kill(id, Reason::Broken(e)),
        }
    }

    /// Where another program has accepted it, the listener has the number that this one gave to that name.
    pub(crate) fn renumber(&self, conn: &mut ConnState) {
        if conn.phase == Phase::AwaitsHeader
            && let Some(came_by) = &mut conn.rare_mut().came_by
        {
            let same = |it: &&Listener| it.name == came_by.name;
            let mut named = self.listeners.iter().filter(same).map(|it| it.number);
            // One name may be asked for twice, as a port that the system chooses.
            if !named.clone().any(|number| number == came_by.number) {
                came_by.number = named.next().unwrap_or(came_by.number);
            }
        }
    }

    /// The address at this end of a connection, as its client knows it.
    pub(super) fn local(&self, id: ConnId) -> Option<SocketAddr> {
        let conn = &self.conns[id.slot()];
        let via = conn.rare().and_then(|rare| rare.via.as_ref());
        via.and_then(|via| via.destination).or_else(|| conn.stream.local())
    }
}
