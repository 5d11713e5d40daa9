//! What an author says of one listener. Binds nothing.

use std::time::Duration;

use super::permissions::SocketPermissions;
use crate::{
    limits::BACKLOG,
    net::{
        address::Address,
        keep_alive::{KeepAlive, whole_seconds},
        options::{SocketOptions, no_meaning},
        proxy::ProxyProtocol,
        sockopt::{IPV6_V6ONLY, SO_REUSEPORT, Setting, TCP_DEFER_ACCEPT, TCP_FASTOPEN},
    },
    timeouts::Timeouts,
    tls::ServerTerms,
};

/// An address to listen on, and how: for [`Server::listen_on`](crate::Server::listen_on).
///
/// What is said of connections ([`SocketOptions`]) is set on the listening socket, from which the kernel gives it to
/// each that is accepted, at no cost. One thing is not passed on: the [`send_buffer`](Self::send_buffer) of a Unix socket, which
/// takes a system call for each connection.
///
/// At a restart the socket goes on with the options that it has. What the new program says is set when it begins to accept,
/// and is put back when it is rolled back. Two things cannot be changed of a socket that is bound,
/// [`reuse_port`](Self::reuse_port) and [`only_v6`](Self::only_v6); the log says where they are asked for in vain.
///
/// ```
/// # use heirloom::{KeepAlive, Listen, Result, Server, Service, SocketPermissions};
/// # use std::time::Duration;
/// fn open<S: Service>(server: Server<S>) -> Result<Server<S>> {
///     server
///         .listen_on(
///             Listen::new("[::]:7000")
///                 .only_v6(true)
///                 .backlog(16_384)
///                 .keep_alive(KeepAlive::new().idle(Duration::from_secs(60))),
///         )?
///         .listen_on(
///             Listen::new("unix:/run/kv.sock")
///                 .permissions(SocketPermissions::new().mode(0o660).group("www-data")),
///         )
/// }
/// ```
#[derive(Clone, Debug)]
#[must_use = "it is for `Server::listen_on`"]
pub struct Listen {
    pub(crate) address: String,
    pub(crate) permissions: SocketPermissions,
    pub(crate) options: ListenOptions,
    pub(crate) timeouts: Option<Timeouts>,
}

/// What was said beside the address. Of a socket that is taken over each program says it anew.
#[derive(Clone, Debug, Default)]
pub(crate) struct ListenOptions {
    socket: SocketOptions,
    backlog: Option<u32>,
    reuse_port: bool,
    only_v6: Option<bool>,
    defer_accept: Option<Duration>,
    fast_open: Option<u32>,
    proxy: Option<ProxyProtocol>,
    tls: Option<ServerTerms>,
    /// Others of this server bind a socket of their own at the same address.
    pub among_workers: bool,
}

impl Listen {
    /// The address as for [`Server::listen`](crate::Server::listen).
    pub fn new(address: impl Into<String>) -> Listen {
        let (permissions, options) = (SocketPermissions::new(), ListenOptions::default());
        Listen { address: address.into(), permissions, options, timeouts: None }
    }

    /// Who may connect to the path of a Unix socket.
    pub fn permissions(mut self, permissions: SocketPermissions) -> Listen {
        self.permissions = permissions;
        self
    }

    /// Clients that may wait to be accepted (`listen(2)`): 4,096, of which the kernel grants
    /// `net.core.somaxconn` at most. The queue is what holds clients while two generations change places.
    pub fn backlog(mut self, clients: u32) -> Listen {
        self.options.backlog = Some(clients);
        self
    }

    /// Lets other sockets of this user, in this program or another one, listen at the same address (`SO_REUSEPORT`,
    /// `socket(7)`); the kernel deals clients out among them. A restart needs it not. TCP only.
    ///
    /// A second server that is started by mistake is not refused then, where it asks for it as well.
    pub fn reuse_port(mut self) -> Listen {
        self.options.reuse_port = true;
        self
    }

    /// Whether `[::]` is for IPv6 alone (`IPV6_V6ONLY`, `ipv6(7)`), so that `0.0.0.0` at the same port is another socket. What
    /// is not said is as the system has it (`net.ipv6.bindv6only`). An address of IPv6 only.
    pub fn only_v6(mut self, yes: bool) -> Listen {
        self.options.only_v6 = Some(yes);
        self
    }

    /// Who connects is accepted with the first bytes that come, or after about this long without any
    /// (`TCP_DEFER_ACCEPT`, `tcp(7)`; whole seconds, zero: off). It spares a wake-up where clients speak first, and
    /// costs the time where they do not; who is silent is in no queue meanwhile, and is not let in at a stop. TCP only.
    pub fn defer_accept(mut self, at_most: Duration) -> Listen {
        self.options.defer_accept = Some(at_most);
        self
    }

    /// Takes the first bytes of a client with its `SYN` (RFC 7413, `TCP_FASTOPEN`), from so many at a time whose handshake
    /// is not over yet; zero: off. Such bytes may come twice, so it is for requests that may be made twice. It does
    /// something only where `net.ipv4.tcp_fastopen` allows servers to (bit 1). TCP only.
    pub fn fast_open(mut self, pending: u32) -> Listen {
        self.options.fast_open = Some(pending);
        self
    }

    /// How long its connections may be silent, in place of what holds [for all](crate::Server::timeouts). Of a
    /// listener that was made elsewhere it is said by its [number](crate::Server::listener_timeouts).
    pub fn timeouts(mut self, timeouts: Timeouts) -> Listen {
        self.timeouts = Some(timeouts);
        self
    }

    /// [`SocketOptions::keep_alive`] of its connections.
    pub fn keep_alive(mut self, how: KeepAlive) -> Listen {
        self.options.socket = self.options.socket.keep_alive(how);
        self
    }

    /// [`SocketOptions::user_timeout`] of its connections.
    pub fn user_timeout(mut self, limit: Duration) -> Listen {
        self.options.socket = self.options.socket.user_timeout(limit);
        self
    }

    /// [`SocketOptions::receive_buffer`] of its connections. It is set before the socket listens, since it
    /// decides about the window (`tcp(7)`).
    pub fn receive_buffer(mut self, bytes: usize) -> Listen {
        self.options.socket = self.options.socket.receive_buffer(bytes);
        self
    }

    /// [`SocketOptions::send_buffer`] of its connections. Of a Unix socket it is set for each one.
    pub fn send_buffer(mut self, bytes: usize) -> Listen {
        self.options.socket = self.options.socket.send_buffer(bytes);
        self
    }

    /// [`SocketOptions::dscp`] of its connections.
    pub fn dscp(mut self, code_point: u8) -> Listen {
        self.options.socket = self.options.socket.dscp(code_point);
        self
    }

    /// All that is said of its connections, in place of what was said before.
    pub fn options(mut self, options: SocketOptions) -> Listen {
        self.options.socket = options;
        self
    }

    /// Its clients come through a proxy that says for whom it connects: [`Connection::peer`](crate::Connection::peer)
    /// is the client, and [`Connection::via`](crate::Connection::via) the proxy. See [`ProxyProtocol`].
    #[cfg(feature = "proxy-protocol")]
    pub fn proxy_protocol(mut self, from: ProxyProtocol) -> Listen {
        self.options.proxy = Some(from);
        self
    }

    /// Its clients shake hands by TLS before the service hears of them; behind the header of a
    /// [proxy](Self::proxy_protocol), if there is to be one. See [`Server::listen_tls`](crate::Server::listen_tls).
    #[cfg(feature = "tls")]
    pub fn tls(mut self, config: std::sync::Arc<crate::tls::rustls::ServerConfig>) -> Listen {
        self.options.tls = Some(ServerTerms::of(&config));
        self
    }
}

impl ListenOptions {
    /// Whether something is said about keep-alive.
    pub fn says_keep_alive(&self) -> bool {
        self.socket.says_keep_alive()
    }

    pub fn backlog(&self) -> i32 {
        self.backlog.map_or(BACKLOG, |clients| i32::try_from(clients).unwrap_or(i32::MAX))
    }

    pub fn says_backlog(&self) -> bool {
        self.backlog.is_some()
    }

    /// Whether its clients come through a proxy that says so.
    pub fn proxy(&self) -> Option<&ProxyProtocol> {
        self.proxy.as_ref()
    }

    /// How its clients shake hands, if they do.
    pub fn tls(&self) -> Option<&ServerTerms> {
        self.tls.as_ref()
    }

    /// The same, to be changed.
    #[cfg(feature = "tls")]
    pub fn tls_mut(&mut self) -> Option<&mut ServerTerms> {
        self.tls.as_mut()
    }

    /// What is to be set on a new socket at this address, before it is bound.
    ///
    /// # Errors
    /// What makes no sense, in words.
    pub fn settings(&self, address: &Address) -> Result<Vec<Setting>, String> {
        let mut settings = self.fixed(address);
        settings.extend(self.changeable(address)?);
        Ok(settings)
    }

    /// The part of it that is decided when a socket is bound.
    pub fn fixed(&self, address: &Address) -> Vec<Setting> {
        let Address::Tcp(address) = address else { return Vec::new() };
        let reuse = self.reuse_port.then_some((SO_REUSEPORT, 1));
        let only_v6 = self.only_v6.filter(|_| address.is_ipv6());
        reuse.into_iter().chain(only_v6.map(|yes| (IPV6_V6ONLY, i32::from(yes)))).collect()
    }

    /// The part of it that may be set on any socket.
    pub fn changeable(&self, address: &Address) -> Result<Vec<Setting>, String> {
        if self.socket.is_of_dial() {
            return Err("fast open of a dial: a listener has a queue for it".to_owned());
        }
        let is_tcp = matches!(address, Address::Tcp(_));
        let mut settings = self.socket.settings(address)?;
        if !is_tcp {
            no_meaning(&[
                ("SO_REUSEPORT", self.reuse_port),
                ("IPV6_V6ONLY", self.only_v6.is_some()),
                ("a deferred accept", self.defer_accept.is_some()),
                ("fast open", self.fast_open.is_some()),
            ])?;
            settings.clear(); // nobody would inherit it
        }
        self.proxy.iter().try_for_each(|proxy| proxy.check(is_tcp))?;
        self.tls.iter().try_for_each(|tls| tls.check().map_err(|why| format!("TLS: {why}")))?;
        settings.extend(self.defer_accept.map(|time| (TCP_DEFER_ACCEPT, whole_seconds(time))));
        if let Some(pending) = self.fast_open {
            let why = |_| format!("so many cannot be pending: {pending}");
            settings.push((TCP_FASTOPEN, i32::try_from(pending).map_err(why)?));
        }
        Ok(settings)
    }

    /// Looks at what can only be said of all addresses of a name together.
    pub fn check(&self, addresses: &[Address]) -> Result<(), String> {
        addresses.iter().try_for_each(|address| self.changeable(address).map(drop))?;
        let has_v6 = addresses.iter().any(|at| matches!(at, Address::Tcp(at) if at.is_ipv6()));
        match self.only_v6 {
            Some(_) if !has_v6 => Err("IPV6_V6ONLY has no meaning for IPv4".to_owned()),
            _ => Ok(()),
        }
    }

    /// What has to be set on each connection of a Unix socket, which inherits nothing: the one option that there is.
    pub fn of_each(&self) -> Option<Setting> {
        self.socket.own_send_buffer()
    }
}
