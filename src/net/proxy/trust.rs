//! From whom a header is accepted.

use std::net::IpAddr;

use crate::net::stream::Peer;

/// The clients of a listener come through a proxy (HAProxy, a load balancer of a cloud) that puts a header of the PROXY protocol,
/// of either version, before their first byte
/// ([specification](https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt)).
///
/// [`Connection::peer`](crate::Connection::peer) is the client then, [`Connection::local`](crate::Connection::local) where it
/// has connected to at the proxy, and [`Connection::via`](crate::Connection::via) the proxy, by both engines also
/// after a move. [`on_open`](crate::Service::on_open) is called when the header is there. Where the proxy connects
/// for itself (`LOCAL`, by which it sees whether we are there), or says no address (`UNKNOWN`), the peer is the proxy.
///
/// A connection that begins with anything else, takes longer than the
/// [first-message timeout](crate::Timeouts::first_message) (10 s where there is none) or has a header beyond
/// [`limits::PROXY_HEADER`](crate::limits::PROXY_HEADER) is closed, with a line in the log
/// ([`Reason::BadHeader`](crate::Reason::BadHeader)). The service never hears of it.
///
/// **Whoever can connect can claim to be anybody.** So such a listener belongs where only the proxy reaches it, or it
/// says [`from`](Self::from) where that is.
///
/// It needs the feature `proxy-protocol`, which is on by default.
///
/// ```
/// # use heirloom::{Listen, ProxyProtocol, Result, Server, Service};
/// fn open<S: Service>(server: Server<S>) -> Result<Server<S>> {
///     let balancers = ProxyProtocol::new().from(["10.1.0.0/16", "fd00::7"]);
///     server.listen_on(Listen::new("0.0.0.0:7000").proxy_protocol(balancers))
/// }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProxyProtocol {
    networks: Vec<Network>,
    /// The first text that is no network.
    wrong: Option<String>,
}

impl ProxyProtocol {
    /// From whoever connects.
    pub fn new() -> ProxyProtocol {
        ProxyProtocol::default()
    }

    /// Only from these networks, or addresses: who connects from elsewhere is closed at once. TCP only; who may connect to
    /// a Unix socket is its path's business.
    #[must_use]
    pub fn from<'n>(mut self, networks: impl IntoIterator<Item = &'n str>) -> ProxyProtocol {
        for text in networks {
            match Network::parse(text) {
                Some(network) => self.networks.push(network),
                None => drop(self.wrong.get_or_insert(text.to_owned())),
            }
        }
        self
    }

    /// # Errors
    /// What makes no sense, in words.
    pub(crate) fn check(&self, is_tcp: bool) -> Result<(), String> {
        match &self.wrong {
            Some(text) => Err(format!("{text:?} is no network: those are like 10.0.0.0/8 or ::1")),
            None if !is_tcp && !self.networks.is_empty() => {
                Err("a network has no meaning for a Unix socket".to_owned())
            }
            None => Ok(()),
        }
    }

    /// Whether a header of this peer is believed.
    pub(crate) fn trusts(&self, peer: &Peer) -> bool {
        match peer {
            _ if self.networks.is_empty() => true,
            Peer::Tcp(address) => self.networks.iter().any(|it| it.contains(address.ip())),
            _ => false,
        }
    }
}

/// Addresses that begin with the same bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Network {
    address: IpAddr,
    bits: u32,
}

impl Network {
    fn parse(text: &str) -> Option<Network> {
        let (address, bits) = text.split_once('/').unzip();
        let address: IpAddr = address.unwrap_or(text).parse().ok()?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.map_or(Some(most), |bits: &str| bits.parse().ok())?;
        (bits <= most).then_some(Network { address, bits })
    }

    /// A client of IPv4 that comes to a socket of IPv6 is the same client.
    fn contains(&self, other: IpAddr) -> bool {
        match (self.address, other.to_canonical()) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                (own.to_bits() ^ other.to_bits()).leading_zeros() >= self.bits
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => {
                (own.to_bits() ^ other.to_bits()).leading_zeros() >= self.bits
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trusts(networks: &[&str], ip: &str) -> bool {
        let proxy = ProxyProtocol::new().from(networks.iter().copied());
        assert_eq!(proxy.check(true), Ok(()));
        proxy.trusts(&Peer::Tcp((ip.parse::<IpAddr>().expect("an address"), 1).into()))
    }

    #[test]
    fn a_network_has_the_addresses_that_begin_like_it() {
        for ip in ["10.1.0.0", "10.1.255.255", "::ffff:10.1.2.3"] {
            assert!(trusts(&["10.1.0.0/16"], ip), "{ip}");
        }
        for ip in ["10.2.0.0", "10.0.255.255", "::1", "::10.1.0.0"] {
            assert!(!trusts(&["10.1.0.0/16"], ip), "{ip}");
        }
        assert!(trusts(&["fd00::/7", "192.0.2.1"], "fc01::1") && trusts(&["0.0.0.0/0"], "8.8.8.8"));
        assert!(!trusts(&["192.0.2.1"], "192.0.2.0") && trusts(&["::/0"], "::"));
        assert!(!trusts(&["0.0.0.0/0"], "::1"), "another family");
        assert!(trusts(&[], "8.8.8.8"), "nothing was said");
    }

    #[test]
    fn what_is_no_network_is_said() {
        for text in ["", "10.0.0.0/33", "::/129", "10.0.0/8", "proxy", "10.0.0.0/", "::1/-1"] {
            let error = ProxyProtocol::new().from(["::1", text]).check(true).unwrap_err();
            assert!(error.starts_with(&format!("{text:?} is no network")), "{error}");
        }
        assert!(ProxyProtocol::new().from(["::1"]).check(false).is_err());
        assert_eq!(ProxyProtocol::new().check(false), Ok(()));
    }
}
