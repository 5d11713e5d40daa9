//! Who is asked, and how: see `resolv.conf(5)`. Pure.

use std::{
    net::{SocketAddr, SocketAddrV6},
    time::Duration,
};

use resolv_conf::{Config, ScopedIp};

/// The port of name servers; the file cannot name another one.
const PORT: u16 = 53;

/// More is not meant: the C library allows that much, too.
const NDOTS_MAX: u32 = 15;
const TIMEOUT_MAX: u32 = 30;
const ATTEMPTS_MAX: u32 = 5;

/// What the file says, or what holds without it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Conf {
    pub servers: Vec<SocketAddr>,
    pub search: Vec<String>,
    pub ndots: usize,
    /// How long one server is waited for.
    pub timeout: Duration,
    /// How often all of them are asked.
    pub attempts: usize,
    /// Each look-up begins with another one.
    pub rotate: bool,
    /// Nobody is asked for IPv6 addresses.
    pub no_aaaa: bool,
}

impl Conf {
    /// Reads it. What makes no sense is skipped, as the C library does. `host` is the name of this machine,
    /// whose domain is searched where no other is named; `interface` numbers the interfaces that addresses
    /// name.
    pub fn parse(text: &[u8], host: &str, interface: impl Fn(&str) -> Option<u32>) -> Conf {
        let (mut config, _) = Config::parse_with_errors(text);
        config.glibc_normalize();
        let servers = config.get_nameservers_or_local().into_iter();
        let servers = servers.filter_map(|server| match server {
            ScopedIp::V4(ip) => Some(SocketAddr::from((ip, PORT))),
            ScopedIp::V6(ip, None) => Some(SocketAddr::from((ip, PORT))),
            ScopedIp::V6(ip, Some(scope)) => {
                let scope = scope.parse().ok().or_else(|| interface(&scope))?;
                Some(SocketAddrV6::new(ip, PORT, 0, scope).into())
            }
        });
        let named = config.get_last_search_or_domain().cloned();
        let mut search: Vec<String> = named.collect();
        let says_none = config.get_search().is_some() || config.get_domain().is_some();
        if let (false, Some((_, domain))) = (says_none, host.split_once('.')) {
            search.push(domain.to_owned());
        }
        Conf {
            servers: servers.collect(),
            search,
            ndots: config.ndots.min(NDOTS_MAX) as usize,
            timeout: Duration::from_secs(config.timeout.clamp(1, TIMEOUT_MAX).into()),
            attempts: config.attempts.clamp(1, ATTEMPTS_MAX) as usize,
            rotate: config.rotate,
            no_aaaa: config.no_aaaa,
        }
    }

    /// Those that are asked in one look-up, the `turn`th, in this order.
    pub fn servers_in_turn(&self, turn: usize) -> Vec<SocketAddr> {
        let mut servers = self.servers.clone();
        if self.rotate && !servers.is_empty() {
            let first = turn % servers.len();
            servers.rotate_left(first);
        }
        servers
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(text: &str) -> Conf {
        let interface = |name: &str| (name == "eth0").then_some(7);
        Conf::parse(text.as_bytes(), "db.corp.example", interface)
    }

    fn addresses(servers: &[SocketAddr]) -> Vec<String> {
        servers.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_stands_in_the_file_holds() {
        let conf = parse(
            "# made by somebody\n\
             nameserver 10.0.0.1\n\
             nameserver fe80::1%eth0\n\
             nameserver fe80::2%3 ; a comment\n\
             domain elsewhere.example\n\
             search a.example b.example\n\
             options ndots:3 timeout:2 attempts:1 rotate\n",
        );
        assert_eq!(addresses(&conf.servers), ["10.0.0.1:53", "[fe80::1%7]:53", "[fe80::2%3]:53"]);
        assert_eq!(conf.search, ["a.example", "b.example"]);
        assert_eq!((conf.ndots, conf.timeout, conf.attempts), (3, Duration::from_secs(2), 1));
        assert!(conf.rotate && !conf.no_aaaa);
    }

    #[test]
    fn without_a_file_this_machine_is_asked_and_its_domain_searched() {
        let conf = parse("");
        assert_eq!(addresses(&conf.servers), ["127.0.0.1:53", "[::1]:53"]);
        assert_eq!(conf.search, ["corp.example"]);
        assert_eq!((conf.ndots, conf.timeout, conf.attempts), (1, Duration::from_secs(5), 2));
        assert!(Conf::parse(b"", "db", |_| None).search.is_empty());
        assert!(parse("search .\n").search.iter().all(|domain| domain == "."));
    }

    #[test]
    fn one_line_that_makes_no_sense_does_not_undo_the_others() {
        let conf = parse(
            "nameserver nonsense\nfrobnicate yes\nnameserver 10.0.0.1\n\
             options frobnicate ndots:99 timeout:0 attempts:1000 no-aaaa\n",
        );
        assert_eq!(addresses(&conf.servers), ["10.0.0.1:53"]);
        assert_eq!((conf.ndots, conf.timeout, conf.attempts), (15, Duration::from_secs(1), 5));
        assert!(conf.no_aaaa);
    }

    #[test]
    fn rotation_begins_with_another_server_each_time() {
        let three = "nameserver 10.0.0.1\nnameserver 10.0.0.2\nnameserver 10.0.0.3\n";
        let firsts = |conf: &Conf| -> Vec<_> {
            (0..4).map(|turn| addresses(&conf.servers_in_turn(turn))[0].clone()).collect()
        };
        assert_eq!(firsts(&parse(three)), ["10.0.0.1:53"; 4]);
        let rotating = parse(&format!("{three}options rotate\n"));
        assert_eq!(firsts(&rotating), ["10.0.0.1:53", "10.0.0.2:53", "10.0.0.3:53", "10.0.0.1:53"]);
    }

    proptest! {
        #[test]
        fn random_bytes_do_no_harm(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            Conf::parse(&bytes, "", |_| None);
        }
    }
}
