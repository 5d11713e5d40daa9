//! Dials to names, from the name to a stream that is connected, or to the reason why there is none.

use std::{
    io::{self, ErrorKind},
    net::{IpAddr, SocketAddr},
};

use mio::{Interest, Token};

use super::{
    Moment, Resolver,
    dial::{Dial, Ended},
    endpoint::Endpoint,
};
use crate::{
    clock::Stamp,
    limits::NAME_LOOKUPS,
    names::{Family, HostName},
    net::{
        address::Address,
        destination::{Destination, NamedDial},
        keep_alive::ask_the_silent,
        stream::Stream,
    },
};

impl Resolver {
    /// A dial that is to begin as soon as it may. Answers its number.
    pub fn add(&mut self, dial: Dial) -> u64 {
        self.last_dial += 1;
        self.due = Some(self.due.map_or(dial.give_up, |due| due.min(dial.give_up)));
        self.dials.insert(self.last_dial, dial);
        self.fresh.push_back(self.last_dial);
        self.last_dial
    }

    pub fn destinations(&self) -> impl Iterator<Item = Destination> {
        self.dials.values().map(Dial::destination)
    }

    /// Those that move, by `now`.
    pub fn moving(&self, now: Stamp) -> Vec<NamedDial> {
        let moving = self.dials.values().filter(|dial| dial.moves);
        let written = moving.map(|dial| NamedDial {
            destination: dial.destination(),
            tag: dial.tag,
            age: now.since(dial.begun),
        });
        written.collect()
    }

    /// Connections are about to move, and dials with them; those that have begun to shake hands stay.
    pub fn mark(&mut self, moves: bool) {
        self.dials.values_mut().for_each(|dial| dial.moves = moves && dial.tls.is_none());
    }

    /// Those that have moved are another process's. Answers where they lead.
    pub fn let_go(&mut self) -> Vec<Destination> {
        let moved = self.dials.iter().filter(|(_, dial)| dial.moves);
        let moved: Vec<_> = moved.map(|(&number, _)| number).collect();
        moved.into_iter().filter_map(|number| self.forget(number)).collect()
    }

    /// Takes a dial out of everything. Answers where it leads.
    pub fn forget(&mut self, number: u64) -> Option<Destination> {
        self.remove(number).map(|dial| dial.destination())
    }

    /// Fails those that have not begun, since they cannot.
    pub fn refuse_fresh(&mut self, why: &io::Error) -> Vec<Ended> {
        for number in std::mem::take(&mut self.fresh) {
            self.fail(number, io::Error::new(why.kind(), why.to_string()));
        }
        self.poll = None; // the caller cannot watch it
        std::mem::take(&mut self.ended)
    }

    pub(super) fn begin_fresh(&mut self, now: Moment) {
        let changed = !self.fresh.is_empty() && self.files.refresh();
        if changed {
            self.silent.clear();
        }
        while self.lookups.len() < NAME_LOOKUPS
            && let Some(number) = self.fresh.pop_front()
        {
            self.begin(number, now);
        }
    }

    fn begin(&mut self, number: u64, now: Moment) {
        let Some(dial) = self.dials.get(&number) else { return };
        let host = dial.host.clone();
        let mut addresses = self.files.hosts.addresses(host.bare()).to_vec();
        if addresses.is_empty() && host.is_local() {
            addresses = HostName::loopback().to_vec();
        }
        if addresses.is_empty() {
            return self.join(number, &host, now);
        }
        let (v4, v6): (Vec<_>, Vec<_>) = addresses.into_iter().partition(IpAddr::is_ipv4);
        self.found(number, Family::V6, &v6, now);
        self.found(number, Family::V4, &v4, now);
    }

    /// All addresses of a kind that the host of a dial has.
    pub(super) fn found(&mut self, number: u64, family: Family, addresses: &[IpAddr], now: Moment) {
        if let Some(dial) = self.dials.get_mut(&number) {
            dial.race.found(family, addresses, now.stamp);
            self.run(number, now);
        }
    }

    /// Begins the attempts for which it is time.
    fn run(&mut self, number: u64, now: Moment) {
        let (Some(dial), Some(poll)) = (self.dials.get_mut(&number), &self.poll) else { return };
        while let Some(ip) = dial.race.next(now.stamp) {
            let address = SocketAddr::new(ip, dial.port);
            self.last_token += 1;
            let (token, interest) = (self.last_token, Interest::READABLE | Interest::WRITABLE);
            let target = Address::Tcp(address);
            let stream = Stream::unconnected(&target).and_then(|socket| {
                let _ = ask_the_silent(&socket, &target);
                let mut stream = Stream::connect(socket, &target)?;
                stream.register(poll.registry(), Token(token), interest)?;
                Ok(stream)
            });
            match stream {
                Ok(stream) => {
                    dial.tokens.push(token);
                    self.sockets.insert(token, Endpoint::Attempt { dial: number, address, stream });
                }
                Err(e) => dial.fail_attempt(address, e),
            }
        }
        self.fail_if_lost(number);
    }

    /// Something has happened to an attempt.
    pub(super) fn attempt_decided(&mut self, number: u64, token: usize, now: Moment) {
        let Some(Endpoint::Attempt { stream, address, .. }) = self.sockets.get(&token) else {
            return;
        };
        let (Some(result), address) = (stream.connected(), *address) else { return };
        let Some(Endpoint::Attempt { stream, .. }) = self.take_out(token) else { return };
        match result {
            Ok(()) => self.end(number, Ok(stream)),
            Err(e) => {
                if let Some(dial) = self.dials.get_mut(&number) {
                    dial.tokens.retain(|&open| open != token);
                    dial.fail_attempt(address, e);
                }
                self.run(number, now);
            }
        }
    }

    pub(super) fn fail_if_lost(&mut self, number: u64) {
        let Some(dial) = self.dials.get_mut(&number) else { return };
        if dial.race.is_lost() {
            let why = dial.why_lost();
            self.fail(number, why);
        }
    }

    pub(super) fn expire_dials(&mut self, now: Moment) {
        let due = self.dials.iter().filter(|(_, dial)| dial.due() <= now.stamp);
        let due: Vec<_> = due.map(|(&number, dial)| (number, dial.give_up <= now.stamp)).collect();
        for (number, is_over) in due {
            if is_over {
                let why = self.why_late(number);
                self.fail(number, why);
            } else {
                self.run(number, now);
            }
        }
    }

    /// What took so long.
    fn why_late(&self, number: u64) -> io::Error {
        let Some(dial) = self.dials.get(&number) else { return ErrorKind::TimedOut.into() };
        let destination = dial.destination();
        match self.lookups.get(&dial.host) {
            _ if dial.race.has_begun() => {
                let last = dial.error.as_ref();
                let last =
                    last.map(|(address, e)| format!(" ({address}: {e})")).unwrap_or_default();
                let why = format!("{destination}: no address has connected in time{last}");
                io::Error::new(ErrorKind::TimedOut, why)
            }
            Some(running) => running.lookup.excuse().into(),
            None => {
                let why = format!("{destination}: {NAME_LOOKUPS} other names are being looked up");
                io::Error::new(ErrorKind::TimedOut, why)
            }
        }
    }

    pub(super) fn fail(&mut self, number: u64, why: io::Error) {
        self.end(number, Err(why));
    }

    /// The dial is over. Attempts that have lost, and a look-up for which nobody waits, end with it.
    fn end(&mut self, number: u64, result: io::Result<Stream>) {
        if let Some(dial) = self.remove(number) {
            let destination = dial.destination();
            let result = result.map(|mut stream| {
                dial.tls.into_iter().for_each(|tls| stream.secure_by(tls));
                stream
            });
            self.ended.push(Ended { destination, tag: dial.tag, result });
        }
    }

    fn remove(&mut self, number: u64) -> Option<Dial> {
        let dial = self.dials.remove(&number)?;
        dial.tokens.iter().for_each(|&token| drop(self.take_out(token)));
        self.leave(number, &dial.host);
        Some(dial)
    }
}
