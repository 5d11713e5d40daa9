//! Hosts that are dialed by name, with the feature `names`: `dial_host NAME:PORT` answers as `dial` does, and where it
//! fails with the whole reason.
//!
//! `LAB_NAME_SERVERS=IP:PORT,...` are asked, `LAB_HOSTS_FILE` and `LAB_RESOLV_CONF` are read in place of the system's.

use std::io;

use heirloom::{ConnId, Net, Result, Server};

use crate::Lab;

/// Marks the tags of these dials.
const NAMED: u64 = 1 << 63;

pub fn tag(id: ConnId) -> u64 {
    NAMED | id.to_bits()
}

#[cfg(feature = "names")]
pub fn dial(net: &mut Net, host: &str, tag: u64) -> Result {
    net.dial_host(host, tag)
}

#[cfg(not(feature = "names"))]
pub fn dial(_net: &mut Net, _host: &str, _tag: u64) -> Result {
    Err("the lab is built without the feature names".into())
}

/// What is answered when a dial has failed.
pub fn failure(tag: u64, why: &io::Error) -> String {
    match tag & NAMED {
        0 => format!("dial failed: {}", why.kind()),
        _ => format!("dial failed: {}: {why}", why.kind()),
    }
}

#[cfg(feature = "names")]
pub fn tune(mut server: Server<Lab>) -> Server<Lab> {
    use crate::settings::setting;
    if let Some(servers) = setting::<String>("NAME_SERVERS") {
        let servers = servers.split(',').map(|server| server.parse().expect("an address"));
        server = server.name_servers(servers);
    }
    if let Some(path) = setting::<String>("HOSTS_FILE") {
        server = server.hosts_file(path);
    }
    if let Some(path) = setting::<String>("RESOLV_CONF") {
        server = server.resolv_conf(path);
    }
    server
}

#[cfg(not(feature = "names"))]
pub fn tune(server: Server<Lab>) -> Server<Lab> {
    server
}
