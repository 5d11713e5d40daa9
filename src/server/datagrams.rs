//! Datagram sockets of a server to be.

use super::Server;
use crate::{
    error::Result,
    net::{Datagrams, name_of},
    service::Service,
};

impl<S: Service> Server<S> {
    /// Reads datagrams at `address`: `host:port` for UDP, or `unix:/path`. May be called several times;
    /// the sockets are numbered from 0 in that order (see [`SocketId`](crate::SocketId)).
    ///
    /// As with [`listen`](Self::listen), a socket of this very name that an older generation has is taken over,
    /// with the datagrams that are in its buffer, and is bound otherwise. A port 0 stays the same port. The
    /// same address may be listened on as well: UDP and TCP have ports of their own.
    ///
    /// One process at a time reads: the old one stops when the new one is ready, with nothing in hand
    /// that it has read; the new one begins with what is in the buffer by then. So a restart loses no datagram,
    /// and none is read twice. (If the buffer runs full meanwhile, the kernel drops what comes, as always.)
    /// Which generation then handles it is [`generation_of`](Service::generation_of)'s business. A
    /// process that is told to stop reads on as long as it has anything else to do.
    ///
    /// # Errors
    /// When `address` is none, is in use, or lies in a directory that does not exist.
    ///
    /// ```
    /// # use heirloom::{Result, Server, Service};
    /// fn open<S: Service>(server: Server<S>) -> Result<Server<S>> {
    ///     server.datagrams("127.0.0.1:5353")?.listen("127.0.0.1:5353")
    /// }
    /// ```
    pub fn datagrams(mut self, address: &str) -> Result<Server<S>> {
        let socket = self.claim_or_bind(&name_of(address))?;
        self.net.datagrams.extend(socket.map(Datagrams::of));
        Ok(self)
    }
}
