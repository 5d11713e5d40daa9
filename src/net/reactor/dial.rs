//! Connections that this process makes: how many there may be to one destination, and how each ends or
//! begins.

use std::{io, os::fd::OwnedFd};

use super::Net;
use crate::{
    error::{Error, Result},
    net::{
        address::Address,
        conn::Phase,
        destination::Destination,
        id::ConnId,
        keep_alive::ask_the_silent,
        options::SocketOptions,
        reason::{Origin, Reason},
        sockopt::set_all,
        stream::{Peer, Secure, Stream},
    },
};

impl Net {
    /// Connects to `address`: `ip:port`, `unix:/path` or `unix:@name`. No host name: `dial_host`, which is there
    /// with the feature `names`, takes one, and looks it up.
    ///
    /// When the connection stands, [`on_open`](crate::Service::on_open) is called with
    /// [`Origin::Dialed`] and `tag`, otherwise [`on_dial_failed`](crate::Service::on_dial_failed): also after the
    /// [dial timeout](crate::Server::dial_timeout), and at once (`QuotaExceeded`) where there are as many
    /// connections to this address as [may be](crate::Server::max_per_destination).
    /// [`Backoff`](crate::Backoff) says when to try again.
    ///
    /// A dialed connection is one like any other: at a restart it stays and drains, or
    /// [moves](crate::Restart::move_connections), even before it stands.
    ///
    /// # Errors
    /// When `address` is none. What the network says comes later.
    ///
    /// ```
    /// # use heirloom::{Connection, Result};
    /// /// A proxy: `tag` pairs the two sides, and the client waits for the upstream.
    /// fn begin(conn: &mut Connection<'_>) -> Result {
    ///     let tag = conn.id().to_bits();
    ///     conn.pause();
    ///     conn.net.dial("127.0.0.1:6379", tag)
    /// }
    /// ```
    pub fn dial(&mut self, address: &str, tag: u64) -> Result {
        self.dial_with(address, tag, &SocketOptions::new())
    }

    /// [Dials](Self::dial) by a socket of which the kernel is told something before. [`SocketOptions`] has an
    /// example.
    ///
    /// # Errors
    /// As [`dial`](Self::dial) does; and when an option makes no sense for this address, or is refused by the
    /// kernel.
    pub fn dial_with(&mut self, address: &str, tag: u64, options: &SocketOptions) -> Result {
        self.dial_by(address, tag, options, None)
    }

    /// The same, with TLS or without.
    pub(super) fn dial_by(
        &mut self,
        address: &str,
        tag: u64,
        options: &SocketOptions,
        tls: Option<Secure>,
    ) -> Result {
        let target = Address::literal("dial", address)?;
        let settings = options.settings(&target);
        let settings = settings.map_err(|why| Error::invalid("dial", address, why))?;
        if self.poll.is_none() {
            self.staged.dials.push((address.to_owned(), tag));
            return Ok(());
        }
        let begun = match self.open_dial(&target) {
            Ok(socket) => {
                set_all(&socket, &settings).map_err(|e| Error::io("dial", address, e))?;
                if !options.says_keep_alive() {
                    // Without it a connection is as good until its peer dies.
                    let _ = ask_the_silent(&socket, &target);
                }
                self.begin_dial(socket, target, tag, tls)
            }
            Err(e) => Err(e),
        };
        if let Err(e) = begun {
            self.refused_dials.push((tag, e));
        }
        Ok(())
    }

    fn open_dial(&self, target: &Address) -> io::Result<OwnedFd> {
        self.may_dial(&Destination::Address(target.clone()))?;
        Stream::unconnected(target)
    }

    fn begin_dial(
        &mut self,
        socket: OwnedFd,
        target: Address,
        tag: u64,
        tls: Option<Secure>,
    ) -> io::Result<()> {
        let mut stream = Stream::connect(socket, &target)?;
        tls.into_iter().for_each(|tls| stream.secure_by(tls));
        let id = self.insert(stream, Peer::Unknown, Phase::Dialing)?;
        let destination = Destination::Address(target);
        let conn = &mut self.conns[id.slot()];
        let rare = conn.rare_mut();
        (rare.destination, rare.tag) = (Some(destination), tag);
        self.destinations.add(conn);
        Ok(())
    }

    /// Whether there may be one more connection to this destination.
    pub(super) fn may_dial(&self, destination: &Destination) -> io::Result<()> {
        let limit = self.limits.per_destination;
        if self.destinations.count(destination) < limit {
            return Ok(());
        }
        let why = format!("{limit} connections to {destination}, which is the limit");
        Err(io::Error::new(io::ErrorKind::QuotaExceeded, why))
    }

    /// Decides a dial that has seen an event. `Some` when the connection stands; with TLS it has yet to shake hands.
    pub(crate) fn finish_dial(&mut self, id: ConnId) -> Option<Origin> {
        let now = self.stamp;
        let conn = self.conn(id).filter(|conn| conn.phase == Phase::Dialing)?;
        let tag = conn.rare_mut().tag;
        match conn.stream.connected()? {
            Ok(()) => {
                let _ = conn.stream.set_nodelay();
                let is_tls = conn.stream.secure().is_some();
                conn.phase = if is_tls { Phase::Handshaking } else { Phase::Open };
                conn.peer = match (conn.stream.peer(), conn.destination()) {
                    (Peer::Unknown, Some(Destination::Address(Address::Tcp(there)))) => {
                        Peer::Tcp(*there)
                    }
                    (peer, _) => peer,
                };
                (conn.read_at, conn.written_at) = (now, now);
                self.stats.dialed += u64::from(!is_tls);
                self.schedule_check(id);
                if is_tls {
                    self.mark_dirty(id);
                    self.list(id); // who speaks first, or has left, has said so by the edge that this was
                }
                (!is_tls).then_some(Origin::Dialed { tag })
            }
            Err(e) => {
                self.refused_dials.push((tag, e));
                self.kill(id, Reason::Closed);
                None
            }
        }
    }

    pub(crate) fn take_refused_dials(&mut self) -> Vec<(u64, io::Error)> {
        std::mem::take(&mut self.refused_dials)
    }
}
