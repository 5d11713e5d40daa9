//! Whom a server asks for names, and in which files it looks first.

use std::{net::SocketAddr, path::PathBuf};

use super::Server;
use crate::service::Service;

impl<S: Service> Server<S> {
    /// Asks these servers for [names](crate::Net::dial_host), in this order, in place of those that
    /// [`resolv_conf`](Self::resolv_conf) names: where one listens at another port than 53, or in a test. With none
    /// it is as if this had not been called.
    ///
    /// ```
    /// # use heirloom::{Server, Service};
    /// fn tune<S: Service>(server: Server<S>) -> Server<S> {
    ///     server.name_servers([([127, 0, 0, 1], 8600).into()]) // consul on this machine
    /// }
    /// ```
    pub fn name_servers(mut self, servers: impl IntoIterator<Item = SocketAddr>) -> Server<S> {
        self.net.ask_name_servers(servers.into_iter().collect());
        self
    }

    /// Looks for [names](crate::Net::dial_host) in this file first (`/etc/hosts`, see `hosts(5)`). It is looked up
    /// before each dial whether it has changed. One that is not there has no names.
    ///
    /// ```
    /// # use heirloom::{Server, Service};
    /// fn tune<S: Service>(server: Server<S>) -> Server<S> {
    ///     server.hosts_file("/run/app/hosts").resolv_conf("/run/app/resolv.conf")
    /// }
    /// ```
    pub fn hosts_file(mut self, path: impl Into<PathBuf>) -> Server<S> {
        self.net.set_hosts_file(path.into());
        self
    }

    /// Asks for [names](crate::Net::dial_host) as this file says (`/etc/resolv.conf`, see `resolv.conf(5)`): of
    /// which servers, in which domains, for how long and how often (`nameserver`, `domain`, `search`, and the
    /// options `ndots`, `timeout`, `attempts`, `rotate` and `no-aaaa`; the others are ignored). It is looked up
    /// before each dial whether it has changed. Where it names no server, this machine is asked.
    /// [`hosts_file`](Self::hosts_file) has an example.
    pub fn resolv_conf(mut self, path: impl Into<PathBuf>) -> Server<S> {
        self.net.set_resolv_conf(path.into());
        self
    }
}
