//! Where a server to be listens: clients, datagrams, operators.

use std::{mem, path::Path};

use super::Server;
use crate::{
    error::{Error, Result},
    net::{BY_NAME, CONTROL, Datagrams, Listen, ListenOptions, Listener, name_of, obtain},
    service::Service,
};

impl<S: Service> Server<S> {
    /// Listens on `address`: `host:port`, `unix:/path`, or `unix:@name`, which is in no file system (see
    /// `unix(7)`). May be called several times. A host name may stand for several addresses, such as
    /// `127.0.0.1` and `::1` for `localhost`: all are listened on that this machine has, a port 0 being the
    /// same for all.
    ///
    /// If an older generation has a socket of this name or at this address, however it was spelled, it is
    /// taken over: the same socket, with the clients that are queued. Otherwise it is bound. A port 0 is
    /// known by its name, and stays the same port in all generations. A Unix socket that nobody listens on
    /// any more is replaced.
    ///
    /// A wildcard such as `0.0.0.0:80` has, after an upgrade, those sockets of the old generation as well
    /// that are at addresses under it, such as `127.0.0.1:80`, so nobody is refused; and the other way round
    /// both generations listen until the new one stays. What the new one does not ask for at all,
    /// the old one goes on to accept from until then.
    ///
    /// A service manager may have opened the socket before the program was started (`sd_listen_fds(3)`):
    /// one that is bound to this very address is used, and `systemd:NAME` asks for all those that
    /// the manager calls `NAME` (`FileDescriptorName=`). These pass from generation to generation, too.
    ///
    /// # Errors
    /// When `address` is none, is in use, by this program itself for instance, or lies in a directory that
    /// does not exist; when there is no socket called `NAME`. The error names the address. A host name is
    /// looked up here, which blocks.
    ///
    /// ```
    /// # use heirloom::{Result, Server, Service};
    /// fn open<S: Service>(server: Server<S>) -> Result<Server<S>> {
    ///     server.listen("127.0.0.1:6379")?.listen("unix:/run/kv.sock,mode=660,group=www-data")
    /// }
    /// ```
    pub fn listen(self, address: &str) -> Result<Server<S>> {
        self.listen_on(Listen::new(address))
    }

    /// [Listens](Self::listen) on an address of which more is said: the options of its sockets, who may connect to a
    /// path, that its clients come through a proxy. The [`guide`](crate::guide::sockets) has the whole list.
    ///
    /// # Errors
    /// As [`listen`](Self::listen) does; and when an option makes no sense for this address, as most do not for a
    /// Unix socket, or is refused by the kernel; when a user or a group is not known, or may not be given.
    ///
    /// ```
    /// # use heirloom::{KeepAlive, Listen, Result, Server, Service, SocketPermissions};
    /// fn open<S: Service>(server: Server<S>) -> Result<Server<S>> {
    ///     let for_the_proxy = SocketPermissions::new().mode(0o660).group("www-data");
    ///     server
    ///         .listen_on(Listen::new("0.0.0.0:6379").keep_alive(KeepAlive::new()).backlog(512))?
    ///         .listen_on(Listen::new("unix:/run/kv.sock").permissions(for_the_proxy))
    /// }
    /// ```
    pub fn listen_on(mut self, listen: Listen) -> Result<Server<S>> {
        let address = format!("{}{}", listen.address, listen.permissions);
        let mut obtained = match address.starts_with(BY_NAME) {
            true => self.claim_activated(&address, &listen.options)?,
            false => self.obtain(&address, &listen.options)?,
        };
        obtained.iter_mut().for_each(|listener| listener.number = self.listens);
        if let Some(timeouts) = listen.timeouts {
            self.net.timeouts.set_of_listener(self.listens, timeouts);
        }
        self.listens += 1;
        self.net.listeners.extend(obtained);
        Ok(self)
    }

    /// Reads datagrams at `address`: `host:port` for UDP, `unix:/path` or `unix:@name`. May be called
    /// several times; the sockets are numbered from 0 in that order (see [`SocketId`](crate::SocketId)).
    /// The mode, the owner and the group of a path stand behind it (see [`SocketPermissions`](crate::SocketPermissions)). Of a host
    /// name with several addresses one is bound, and the log says which.
    ///
    /// As with [`listen`](Self::listen), a socket of this name or at this address that an older generation has
    /// is taken over, with the datagrams that are in its buffer, and is bound otherwise. A port 0 stays the
    /// same port. The same address may be listened on as well: UDP and TCP have ports of their own.
    ///
    /// On a wildcard such as `0.0.0.0:53`, an answer leaves from the address that was asked
    /// ([`DatagramPeer::UdpVia`](crate::DatagramPeer::UdpVia)).
    ///
    /// One process at a time reads: the old one stops when the new one is ready, with nothing in hand
    /// that it has read; the new one begins with what is in the buffer by then. So a restart loses no datagram,
    /// and none is read twice. (If the buffer runs full meanwhile, the kernel drops what comes, as always.)
    /// Which generation then handles it is [`generation_of`](Service::generation_of)'s business. A
    /// process that is told to stop reads on as long as it has anything else to do.
    ///
    /// # Errors
    /// When `address` is none, is in use, or lies in a directory that does not exist. A wildcard in place of
    /// an address under it that an older generation has, or the other way round, is in use as well: which of
    /// two sockets gets a datagram is up to the kernel, and the old one may still be needed for answers.
    ///
    /// ```
    /// # use heirloom::{Result, Server, Service};
    /// fn open<S: Service>(server: Server<S>) -> Result<Server<S>> {
    ///     server.datagrams("127.0.0.1:5353")?.listen("127.0.0.1:5353")
    /// }
    /// ```
    pub fn datagrams(mut self, address: &str) -> Result<Server<S>> {
        let sockets = self.obtain(&name_of(address), &ListenOptions::default())?;
        self.net.datagrams.extend(sockets.into_iter().map(Datagrams::of));
        Ok(self)
    }

    /// Answers an operator on this Unix socket, which only its own user may use: `status`, `restart`,
    /// `rollback`, `drain`, `stop`, each a line of text; the program `heirloom` asks in a
    /// friendlier way. The socket passes from generation to generation like any listener. `@name` is one
    /// that is in no file system; anybody may connect there, and only the own user is answered.
    ///
    /// # Errors
    /// When the path is in use or lies in a directory that does not exist.
    ///
    /// ```
    /// # use heirloom::{Result, Server, Service};
    /// fn tune<S: Service>(server: Server<S>) -> Result<Server<S>> {
    ///     server.control("/run/echo/control") // `heirloom --control /run/echo/control status`
    /// }
    /// ```
    pub fn control(mut self, path: impl AsRef<Path>) -> Result<Server<S>> {
        if self.is_worker() {
            return Ok(self); // its supervisor has bound it
        }
        let name = format!("{CONTROL}unix:{}", path.as_ref().display());
        self.control = self.obtain(&name, &ListenOptions::default())?.pop();
        Ok(self)
    }

    /// All that the service manager has opened and calls as `name` says.
    fn claim_activated(&mut self, name: &str, options: &ListenOptions) -> Result<Vec<Listener>> {
        let (mut claimed, left): (Vec<_>, _) = mem::take(&mut self.unclaimed)
            .into_iter()
            .partition(|listener| listener.is_activated_as(name));
        self.unclaimed = left;
        // In a dry run nobody has passed anything on.
        if claimed.is_empty() && !self.is_dry_run {
            return Err(Error::invalid("listen on", name, "no socket of that name was passed on"));
        }
        claimed.iter_mut().try_for_each(|listener| listener.configure(name, options))?;
        Ok(claimed)
    }

    /// The sockets that a name stands for. None in a dry run, which only looks whether it makes sense.
    fn obtain(&mut self, name: &str, options: &ListenOptions) -> Result<Vec<Listener>> {
        if self.is_dry_run {
            return Listener::check(name, options).map(|()| Vec::new());
        }
        let datagrams = self.net.datagrams.iter().filter_map(Datagrams::socket);
        let own = self.net.listeners.iter().chain(datagrams).chain(&self.control);
        let mut options = options.clone();
        options.among_workers = self.is_worker();
        obtain(name, &options, &mut self.unclaimed, own).inspect_err(|_| self.withdraw())
    }

    /// What was bound for a server that cannot run is not left behind.
    pub(super) fn withdraw(&self) {
        let datagrams = self.net.datagrams.iter().filter_map(Datagrams::socket);
        self.net
            .listeners
            .iter()
            .chain(datagrams)
            .chain(&self.control)
            .for_each(Listener::withdraw);
    }
}
