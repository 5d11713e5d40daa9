//! Sockets: what the kernel is told of them, and clients that come through a proxy.
//!
//! [`listen`](crate::Server::listen) and [`dial`](crate::Net::dial) tell it nothing but `TCP_NODELAY`, which is always on. What
//! a protocol or a network needs beyond that is said of a listener by [`Listen`](crate::Listen), and of a dial by
//! [`SocketOptions`](crate::SocketOptions).
//!
//! ```
//! use heirloom::{KeepAlive, Listen, Result, Server, Service};
//! use std::time::Duration;
//!
//! fn open<S: Service>(server: Server<S>) -> Result<Server<S>> {
//!     let keep_alive = KeepAlive::new().idle(Duration::from_secs(60)).count(3);
//!     server.listen_on(Listen::new("0.0.0.0:1883").keep_alive(keep_alive).backlog(1024).dscp(10))
//! }
//! ```
//!
//! # Options
//!
//! | option | of | listener | dial | Unix | said by |
//! |---|---|---|---|---|---|
//! | `SO_KEEPALIVE` and its times | connection | yes | yes | | [`keep_alive`](crate::SocketOptions::keep_alive) |
//! | `TCP_USER_TIMEOUT` | connection | yes | yes | | [`user_timeout`](crate::SocketOptions::user_timeout) |
//! | `SO_RCVBUF` | connection | yes | yes | | [`receive_buffer`](crate::SocketOptions::receive_buffer) |
//! | `SO_SNDBUF` | connection | yes | yes | yes, by a call for each | [`send_buffer`](crate::SocketOptions::send_buffer) |
//! | `IP_TOS`, `IPV6_TCLASS` | connection | yes | yes | | [`dscp`](crate::SocketOptions::dscp) |
//! | `TCP_FASTOPEN_CONNECT` | connection | | yes | | [`SocketOptions::fast_open`](crate::SocketOptions::fast_open) |
//! | `TCP_FASTOPEN` | listener | yes | | | [`Listen::fast_open`](crate::Listen::fast_open) |
//! | `TCP_DEFER_ACCEPT` | listener | yes | | | [`defer_accept`](crate::Listen::defer_accept) |
//! | the length of the queue | listener | yes | | yes | [`backlog`](crate::Listen::backlog) |
//! | `SO_REUSEPORT` | listener, once | yes | | | [`reuse_port`](crate::Listen::reuse_port) |
//! | `IPV6_V6ONLY` | listener, once | yes | | | [`only_v6`](crate::Listen::only_v6) |
//! | mode, owner and group | path | | | yes | [`permissions`](crate::Listen::permissions) |
//!
//! What is of a connection is set on the listening socket, and Linux gives it to each connection that is accepted: no call for
//! each. A Unix socket passes nothing on, so the one option that it has costs one.
//!
//! What makes no sense is one error, before anything is bound, with the address and the reason:
//! `listen on unix:/run/kv.sock: keep-alive has no meaning for a Unix socket`. So is what the kernel refuses. What it only
//! cuts, as buffers to `net.core.rmem_max` and queues to `net.core.somaxconn`, it cuts silently.
//!
//! # At a restart
//!
//! The options are the socket's. A connection that moves has them, and so has a listener that is passed on, whatever the new
//! program says or does not say. What it says is set when it begins to accept, not before: until then the clients are
//! the old one's. If the new one is rolled back, or dies, the old one puts back what it had left, option by
//! option. What is decided when a socket is bound (`SO_REUSEPORT`, `IPV6_V6ONLY`) stays; the log says where a new program has
//! asked for something else. An option that an old program has set and a new one does not name stays as well: to take
//! it away, say so ([`KeepAlive::off`](crate::KeepAlive::off), a time or a count of zero).
//!
//! # Clients that come through a proxy
//!
//! Behind HAProxy, or the balancer of a cloud, every client has the proxy's address. The PROXY protocol has the proxy say by
//! a header who it is, in version 1 (a line of text) or 2 (binary); a listener reads both.
//!
//! ```
//! use heirloom::{Listen, ProxyProtocol, Result, Server, Service};
//!
//! fn open<S: Service>(server: Server<S>) -> Result<Server<S>> {
//!     let proxies = ProxyProtocol::new().from(["10.1.0.0/16"]);
//!     server
//!         .listen_on(Listen::new("0.0.0.0:7000").proxy_protocol(proxies))?
//!         .listen("127.0.0.1:7001") // without one, for those who are here
//! }
//! ```
//!
//! ```text
//! backend kv
//!     server one 10.1.0.9:7000 send-proxy-v2 check check-send-proxy
//! ```
//!
//! | | |
//! |---|---|
//! | [`Connection::peer`](crate::Connection::peer) | the client |
//! | [`Connection::local`](crate::Connection::local) | where it has connected to, at the proxy |
//! | [`Connection::via`](crate::Connection::via) | the proxy's own address, and further fields of version 2: host name, TLS, a unique id |
//! | [`on_open`](crate::Service::on_open) | when the header is there; what came behind it is offered as ever |
//! | a health check, `LOCAL` or `UNKNOWN` | the peer is the proxy |
//! | no header, a broken one, none in time, from elsewhere | closed, a line in the log; the service hears nothing of it |
//!
//! A client is the same after it has moved, by either engine, and after a roll back. One whose header is half read
//! moves like the others, and its `on_open` is called where the other half comes in.
//!
//! Next: TLS, or, without that, [operating](super::operating).
