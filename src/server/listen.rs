//! Where a server to be listens: clients, datagrams, operators.

use std::{mem, path::Path};

use super::Server;
use crate::{
    error::{Error, Result},
    net::{AGENT, BY_NAME, CONTROL, Datagrams, Listen, ListenOptions, Listener, name_of, obtain},
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
    pub fn control(self, path: impl AsRef<Path>) -> Result<Server<S>> {
        if self.is_worker() {
            return Ok(self); // its supervisor has bound it
        }
        let name = format!("{CONTROL}unix:{}", path.as_ref().display());
        self.listen_for_own(&name)
    }

    /// Answers monitors by HTTP/1 at `address` (`host:port`, `unix:/path` with a mode and so on, `unix:@name`): whether this process
    /// turns, and whether it should be sent clients. May be called several times.
    ///
    /// | `GET` or `HEAD` | answer |
    /// |---|---|
    /// | `/livez` | 200, as long as the loop turns: for who would start the program anew otherwise |
    /// | `/readyz` | 200; 503 while the service [says so](crate::Net::set_ready), and from the moment on in which the service is told to stop, [lame duck](Self::lame_duck) included |
    ///
    /// Any other path is 404, any other method 405, what is no request 400. The body is a short text. Each connection is
    /// for one request, which has 2 s and 4 KiB, and they are no clients: the service does not hear of them, they are not counted, have places
    /// of their own (64), and are let in when descriptors have run out for clients.
    ///
    /// It is about the service and not about a process: through a restart by either engine, and a roll back, the answers go on and stay
    /// 200, since somebody serves. The socket passes from generation to generation like any listener. Connections that move stand
    /// still for a moment ([`max_downtime`](crate::Restart::max_downtime)), and so do these answers.
    ///
    /// There is no TLS and no access control: let it be an address that only monitors reach.
    ///
    /// # Errors
    /// As [`listen`](Self::listen) does.
    ///
    /// ```
    /// # use heirloom::{Result, Server, Service};
    /// # use std::time::Duration;
    /// fn tune<S: Service>(server: Server<S>) -> Result<Server<S>> {
    ///     Ok(server.health("0.0.0.0:8081")?.lame_duck(Duration::from_secs(10)))
    /// }
    /// ```
    #[cfg(feature = "health")]
    pub fn health(self, address: &str) -> Result<Server<S>> {
        self.listen_for_own(&format!("{}{address}", crate::net::MONITOR))
    }

    /// Gives [numbers](crate::guide::operating#numbers) at `address`, written as for [`health`](Self::health), to monitors
    /// such as Prometheus: `GET /metrics` by HTTP/1, in the text format of OpenMetrics. May be called several times.
    ///
    /// They are those of the service, summed up over all generations, also while older ones drain. So a restart by either engine
    /// is no gap, and no counter falls. One generation that hangs costs an answer half a second. What [`health`](Self::health) says
    /// of restarts, of limits and of access holds here, too.
    ///
    /// # Errors
    /// As [`listen`](Self::listen) does.
    ///
    /// ```
    /// # use heirloom::{Result, Server, Service};
    /// fn tune<S: Service>(server: Server<S>) -> Result<Server<S>> {
    ///     server.metrics("127.0.0.1:9100")
    /// }
    /// ```
    #[cfg(feature = "metrics")]
    pub fn metrics(self, address: &str) -> Result<Server<S>> {
        self.listen_for_own(&format!("{}{address}", crate::net::METRICS))
    }

    /// Answers HAProxy's agent check at `address` (`host:port`, `unix:/path` with a mode and so on, `unix:@name`): one line on
    /// each connection, whatever it sends. May be called several times.
    ///
    /// | the service | line |
    /// |---|---|
    /// | serves | `ready up 100%`, with the [weight](crate::Net::set_weight) that it would like to have |
    /// | says that it [cannot](crate::Net::set_ready) | `ready down#not ready` |
    /// | was told to stop, and is a [lame duck](Self::lame_duck) or drains | `drain` |
    ///
    /// What [`health`](#method.health) says of restarts, of limits and of access holds here, too. A server that comes back says `ready`,
    /// which ends the `drain` of before, and also one that somebody has set by hand at the balancer. HAProxy's
    /// configuration manual, section 5.2, has the words and `agent-check`; beside it `check` should be there, since
    /// HAProxy does not mind an agent that is gone.
    ///
    /// # Errors
    /// As [`listen`](Self::listen) does.
    ///
    /// ```
    /// # use heirloom::{Result, Server, Service};
    /// // server s1 10.0.0.1:8080 check agent-check agent-port 8082 agent-inter 1s
    /// fn tune<S: Service>(server: Server<S>) -> Result<Server<S>> {
    ///     server.agent_check("0.0.0.0:8082")
    /// }
    /// ```
    pub fn agent_check(self, address: &str) -> Result<Server<S>> {
        self.listen_for_own(&format!("{AGENT}{address}"))
    }

    fn listen_for_own(mut self, name: &str) -> Result<Server<S>> {
        let mut obtained = self.obtain(name, &ListenOptions::default())?;
        self.own.append(&mut obtained);
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
        let own = self.net.listeners.iter().chain(datagrams).chain(&self.own);
        let mut options = options.clone();
        options.among_workers = self.is_worker();
        obtain(name, &options, &mut self.unclaimed, own).inspect_err(|_| self.withdraw())
    }

    /// What was bound for a server that cannot run is not left behind.
    pub(super) fn withdraw(&self) {
        let datagrams = self.net.datagrams.iter().filter_map(Datagrams::socket);
        self.net.listeners.iter().chain(datagrams).chain(&self.own).for_each(Listener::withdraw);
    }
}
