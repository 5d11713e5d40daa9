//! Dials to names. Who is asked and tried when is the [`Resolver`]'s business; here a dial becomes a connection, or
//! fails, and goes along in a restart.

use std::{io, os::fd::RawFd, path::PathBuf};

use super::Net;
use crate::{
    clock::Stamp,
    error::{Error, Result},
    names::HostName,
    net::{
        conn::Phase,
        destination::{Destination, NamedDial},
        id::Source,
        options::SocketOptions,
        resolver::{Dial, Ended, Moment, Resolver},
        stream::{Peer, Secure},
    },
};

impl Net {
    /// Connects to a host by its name: `host:port`; or to whatever [`dial`](Self::dial) takes. With the feature
    /// `names`.
    ///
    /// The name is looked up in `/etc/hosts`, then asked of the name servers that `/etc/resolv.conf` names, under
    /// each name that its search list makes of it; one with a dot at its end is the full name. (What
    /// `nsswitch.conf(5)` says beside these two is not done.) Both files are read anew when they have changed. The
    /// loop is not blocked meanwhile, and there is no thread. Answers are kept for as long as they say, within
    /// [bounds](crate::limits::NAME_TTL_MAX).
    ///
    /// The addresses are tried IPv6 and IPv4 in turns, a quarter of a second apart (RFC 8305). The first that
    /// connects is the one; of the others the service hears nothing. As with `dial` it ends in
    /// [`on_open`](crate::Service::on_open) with [`Origin::Dialed`](crate::Origin::Dialed) and `tag`, or in
    /// [`on_dial_failed`](crate::Service::on_dial_failed), which is told a [`NameError`](crate::NameError) where
    /// the name is to blame, and otherwise what the last address has said. The
    /// [dial timeout](crate::Server::dial_timeout) is for the look-up and the connection together, and the limit
    /// [per destination](crate::Server::max_per_destination) counts a name as one destination, whatever its
    /// addresses are.
    ///
    /// At a restart a dial that has no connection yet stays with the old process, or, where connections
    /// [move](crate::Restart::move_connections), is begun anew by the new one, in the time that is left.
    ///
    /// # Errors
    /// When `address` is neither a name with a port nor an address.
    ///
    /// ```
    /// # use heirloom::{Net, Result};
    /// /// Of `on_start`, with what stands in the configuration.
    /// fn connect(net: &mut Net) -> Result {
    ///     net.dial_host("db.example:5432", 1)?;
    ///     net.dial_host("unix:/run/cache.sock", 2)
    /// }
    /// ```
    pub fn dial_host(&mut self, address: &str, tag: u64) -> Result {
        self.dial_host_by(address, tag, None)
    }

    /// The same, with TLS or without.
    pub(super) fn dial_host_by(&mut self, address: &str, tag: u64, tls: Option<Secure>) -> Result {
        let Destination::Name(host, port) = Destination::parse("dial", address)? else {
            return self.dial_by(address, tag, &SocketOptions::new(), tls);
        };
        let host = HostName::parse(&host);
        let host = host.ok_or_else(|| Error::invalid("dial", address, "it is no host name"))?;
        if self.poll.is_none() {
            self.staged.dials.push((address.to_owned(), tag));
            return Ok(());
        }
        let mut dial = Dial::new(host, port, tag, self.stamp, self.stamp + self.limits.dial);
        dial.tls = tls;
        let destination = dial.destination();
        match self.may_dial(&destination) {
            Ok(()) => {
                self.destinations.enter(&destination);
                self.names.add(dial);
            }
            Err(e) => self.refused_dials.push((tag, e)),
        }
        Ok(())
    }

    pub(crate) fn ask_name_servers(&mut self, servers: Vec<std::net::SocketAddr>) {
        self.names.ask_servers(servers);
    }

    pub(crate) fn set_hosts_file(&mut self, path: PathBuf) {
        self.names.set_hosts_file(path);
    }

    pub(crate) fn set_resolv_conf(&mut self, path: PathBuf) {
        self.names.set_conf_file(path);
    }

    /// How many dials to names there are that are no connections yet.
    pub(super) fn dials_to_names(&self) -> usize {
        self.names.len()
    }

    /// Something has happened to a socket of the resolver.
    pub(super) fn note_names(&mut self) {
        self.names.note();
    }

    /// Whether the resolver has something to do in this turn.
    pub(super) fn is_busy_with_names(&self) -> bool {
        self.names.is_busy()
    }

    /// When it has something to do although nothing has happened.
    pub(super) fn names_due(&self) -> Option<Stamp> {
        self.names.due()
    }

    /// Part of phase 3: goes on with dials to names. One that has connected is a dialed connection like any
    /// other from here on.
    pub(crate) fn look_up_names(&mut self) {
        if !self.names.is_busy() {
            return;
        }
        let watched = self.names.open().and_then(|opened| match opened {
            Some(poll) => self.register(&poll, Source::Names).map_err(io::Error::other),
            None => Ok(()),
        });
        let moment = Moment { stamp: self.stamp, time: self.now };
        let ended = match watched {
            Ok(()) => self.names.look(moment),
            Err(e) => self.names.refuse_fresh(&e),
        };
        ended.into_iter().for_each(|dial| self.settle_dial(dial));
    }

    /// Part of phase 5: what has taken too long, of the time up to which all that has come was used.
    pub(super) fn expire_names(&mut self, used: Stamp) {
        let ended = self.names.expire(Moment { stamp: used, time: self.now });
        ended.into_iter().for_each(|dial| self.settle_dial(dial));
    }

    fn settle_dial(&mut self, dial: Ended) {
        let Ended { destination, tag, result } = dial;
        match result.and_then(|stream| self.insert(stream, Peer::Unknown, Phase::Dialing)) {
            Ok(id) => {
                let rare = self.conns[id.slot()].rare_mut(); // it counts already
                (rare.destination, rare.tag) = (Some(destination), tag);
            }
            Err(e) => {
                self.destinations.leave(&destination);
                self.refused_dials.push((tag, e));
                self.make_room();
            }
        }
    }

    /// Connections are about to move, and with them the dials that there are; or they are not.
    pub(crate) fn mark_dials(&mut self, moves: bool) {
        self.names.mark(moves);
    }

    /// Those that are marked.
    pub(crate) fn moving_dials(&self) -> Vec<NamedDial> {
        self.names.moving(self.stamp)
    }

    /// Those that are marked are another process's from here on.
    pub(crate) fn let_go_of_dials(&mut self) {
        self.names.let_go().iter().for_each(|destination| self.destinations.leave(destination));
    }

    /// Dials of another process, which this one begins anew when it serves. Answers their numbers here.
    pub(crate) fn take_in_dials(&mut self, dials: Vec<NamedDial>) -> Vec<u64> {
        let dials = dials.into_iter().filter_map(|NamedDial { destination, tag, age }| {
            let Destination::Name(host, port) = destination else { return None };
            let begun = self.stamp.before(age);
            let host = HostName::parse(&host)?;
            Some(Dial::new(host, port, tag, begun, begun + self.limits.dial))
        });
        let mut numbers = Vec::new();
        for dial in dials {
            self.destinations.enter(&dial.destination());
            numbers.push(self.names.add(dial));
        }
        numbers
    }

    /// Those are another process's after all.
    pub(crate) fn forget_dials(&mut self, numbers: Vec<u64>) {
        for destination in numbers.into_iter().filter_map(|number| self.names.forget(number)) {
            self.destinations.leave(&destination);
        }
    }

    /// In a forked child: takes over what was learned, and the dials that move.
    pub(super) fn inherit_names(&mut self, names: Resolver) {
        self.names = names.anew();
        self.names.destinations().for_each(|destination| self.destinations.enter(&destination));
    }

    /// Nobody waits for a dial any more.
    pub(super) fn abort_dials(&mut self) {
        self.names.close();
    }

    pub(super) fn descriptors_of_names(&self) -> impl Iterator<Item = RawFd> {
        self.names.descriptors()
    }
}
