//! Connections that come through a proxy: what it says of them before they are anybody's.

use std::{io, net::SocketAddr};

use super::Net;
use crate::{
    net::{
        conn::{CameBy, ConnState, Phase},
        id::ConnId,
        listen::Listener,
        proxy::{Header, Via},
        reason::{Origin, Reason},
        stream::{Peer, Secure},
    },
    tls::ServerTerms,
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
        conn.rare_mut().came_by = Some(Box::new(came_by(listener)));
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
        let came_by = rare.came_by.take().unwrap_or_default();
        self.begin_service(id, &came_by);
        self.schedule_check(id);
        Origin::Accepted { listener: came_by.number }
    }

    /// It is the service's, or shakes hands before. What is read of it already is the beginning of that.
    fn begin_service(&mut self, id: ConnId, came_by: &CameBy) {
        let secure = match self.terms_behind(came_by) {
            Some(terms) => Secure::accept(terms).map(Some),
            None if came_by.is_tls => {
                let why = "its listener has TLS, and this process has no certificate for it";
                Err(io::Error::other(why))
            }
            None => Ok(None),
        };
        let conn = &mut self.conns[id.slot()];
        match secure {
            Ok(None) => conn.phase = Phase::Open,
            Ok(Some(secure)) => {
                conn.stream.secure_by(secure);
                (conn.phase, conn.flags.readable) = (Phase::Handshaking, true);
            }
            Err(e) => self.kill(id, Reason::Broken(e)),
        }
    }

    /// How hands are shaken behind the header, by what the listener says now, or has said last.
    fn terms_behind(&self, by: &CameBy) -> Option<&ServerTerms> {
        let is = |number: usize, name: &str| (number, name) == (by.number, &by.name);
        let mut here = self.listeners.iter().filter(|it| is(it.number, &it.name));
        let mut gone = self.closed_tls.iter().filter(|(it, _)| is(it.number, &it.name));
        let terms = here.find_map(|it| it.options.tls());
        terms.or_else(|| gone.next().map(|(_, terms)| terms))
    }

    /// Before listeners close: whoever has come by one and has yet to send its header shakes hands as it was told.
    pub(crate) fn keep_terms(&mut self) {
        let by_proxy = self.listeners.iter().filter(|it| it.options.proxy().is_some());
        let with_tls = by_proxy.filter_map(|it| Some((came_by(it), it.options.tls()?.clone())));
        self.closed_tls.extend(with_tls);
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

fn came_by(listener: &Listener) -> CameBy {
    let is_tls = listener.options.tls().is_some();
    CameBy { number: listener.number, name: listener.name.clone(), is_tls }
}
