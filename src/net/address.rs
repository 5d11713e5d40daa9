//! Where to listen or to dial, as an author writes it. Binds and connects nothing.

use std::{
    fmt, fs, io,
    net::{SocketAddr, ToSocketAddrs},
    os::{linux::net::SocketAddrExt, unix::fs::MetadataExt},
    path::{Path, PathBuf, absolute},
};

use crate::error::{Error, Result};

/// Where to listen or to dial: `host:port`, `unix:/path`, or `unix:@name`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Address {
    Tcp(SocketAddr),
    Unix(PathBuf),
    /// A name that is in no file system (see `unix(7)`).
    Abstract(Vec<u8>),
}

impl Address {
    /// Reads an address. A host name is looked up, which blocks, so this is for start-up; it may have
    /// several addresses, in the order in which the system prefers them.
    pub fn resolve(operation: &'static str, text: &str) -> Result<Vec<Address>> {
        if let Some(address) = Address::unix(operation, text)? {
            return Ok(vec![address]);
        }
        if !text.contains(':') {
            return Err(malformed(operation, text));
        }
        let mut addresses = Vec::new();
        match text.to_socket_addrs() {
            Ok(found) => {
                // Each comes once for every line of the table of hosts that has it.
                for address in found.map(Address::Tcp) {
                    if !addresses.contains(&address) {
                        addresses.push(address);
                    }
                }
            }
            Err(e) if e.kind() == io::ErrorKind::InvalidInput => {
                return Err(malformed(operation, text));
            }
            Err(e) => return Err(Error::io(operation, text, e)),
        }
        match addresses.is_empty() {
            true => Err(Error::invalid(operation, text, "the name has no address")),
            false => Ok(addresses),
        }
    }

    /// Reads an address that needs no look-up.
    pub fn literal(operation: &'static str, text: &str) -> Result<Address> {
        match Address::unix(operation, text)? {
            Some(address) => Ok(address),
            None => text.parse().map(Address::Tcp).map_err(|_| malformed(operation, text)),
        }
    }

    /// Where a Unix socket is bound.
    pub fn bound(address: &std::os::unix::net::SocketAddr) -> Address {
        match address.as_abstract_name() {
            Some(name) => Address::Abstract(name.to_vec()),
            None => Address::Unix(address.as_pathname().unwrap_or(Path::new("")).to_owned()),
        }
    }

    fn unix(operation: &'static str, text: &str) -> Result<Option<Address>> {
        match text.strip_prefix("unix:") {
            Some("" | "@") => Err(malformed(operation, text)),
            Some(path) => Ok(Some(match path.strip_prefix('@') {
                Some(name) => Address::Abstract(name.as_bytes().to_vec()),
                None => Address::Unix(PathBuf::from(path)),
            })),
            None => Ok(None),
        }
    }

    /// Whether a socket that is bound to `bound` is what is meant, however either is spelled.
    pub fn is_of(&self, bound: &Address) -> bool {
        match (self, bound) {
            (Address::Tcp(asked), Address::Tcp(bound)) => {
                asked.port() != 0 && asked.port() == bound.port() && self.has_host_of(bound)
            }
            (Address::Unix(asked), Address::Unix(bound)) => is_same_path(asked, bound),
            (asked, bound) => asked == bound,
        }
    }

    /// Whether it is the same host as that of a TCP address: `::ffff:10.0.0.1` is `10.0.0.1`.
    pub fn has_host_of(&self, bound: &SocketAddr) -> bool {
        let scope = |address: &SocketAddr| match address {
            SocketAddr::V6(address) => address.scope_id(),
            SocketAddr::V4(_) => 0,
        };
        matches!(self, Address::Tcp(asked) if scope(asked) == scope(bound)
            && asked.ip().to_canonical() == bound.ip().to_canonical())
    }

    /// The port of a TCP address.
    pub fn port(&self) -> Option<u16> {
        match self {
            Address::Tcp(address) => Some(address.port()),
            _ => None,
        }
    }

    /// Whether it is every address of this machine, at a port that `other` has as well: who connects
    /// to `other` could be served by either. (Where `[::]` is for IPv6 alone, it does not stand for IPv4.)
    pub fn is_wildcard_over(&self, other: &Address) -> bool {
        let (Address::Tcp(wide), Address::Tcp(narrow)) = (self, other) else { return false };
        wide.ip().is_unspecified()
            && wide.port() == narrow.port()
            && wide.ip() != narrow.ip()
            && (wide.is_ipv6() || narrow.ip().to_canonical().is_ipv4())
    }
}

/// Two spellings of one path: by what is there, and if nothing is, by the directory.
fn is_same_path(asked: &Path, bound: &Path) -> bool {
    let inode = |path: &Path| fs::metadata(path).ok().map(|meta| (meta.dev(), meta.ino()));
    let whole = |path: &Path| {
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        let parent = fs::canonicalize(parent.unwrap_or(Path::new("."))).ok()?;
        Some(parent.join(path.file_name()?))
    };
    let spelled = |path: &Path| whole(path).or_else(|| absolute(path).ok());
    spelled(asked) == spelled(bound) || inode(asked).is_some_and(|it| inode(bound) == Some(it))
}

fn malformed(operation: &'static str, text: &str) -> Error {
    Error::invalid(operation, text, "an address is host:port or unix:/path")
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Tcp(address) => address.fmt(f),
            Address::Unix(path) => write!(f, "unix:{}", path.display()),
            Address::Abstract(name) => write!(f, "unix:@{}", String::from_utf8_lossy(name)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn literal(text: &str) -> Address {
        Address::literal("dial", text).expect("an address")
    }

    #[test]
    fn an_address_is_host_and_port_or_a_path_or_a_name() {
        assert!(matches!(literal("127.0.0.1:80"), Address::Tcp(_)));
        assert!(matches!(literal("unix:/run/x"), Address::Unix(_)));
        assert_eq!(literal("unix:@x"), Address::Abstract(b"x".to_vec()));
        assert!(matches!(literal("unix:./@x"), Address::Unix(_)));
        for text in ["127.0.0.1:80", "[::1]:80", "unix:/run/x", "unix:@x"] {
            assert_eq!(literal(text).to_string(), text);
        }
        for wrong in ["", "80", "127.0.0.1", "unix:", "unix:@", "127.0.0.1:99999", "nonsense"] {
            let error = Address::resolve("listen on", wrong).unwrap_err().to_string();
            assert!(error.starts_with(&format!("listen on {wrong}:")), "{error}");
        }
    }

    #[test]
    fn an_address_may_be_spelled_in_several_ways() {
        let here = std::env::current_dir().expect("a directory");
        let path = |text: &str| Address::Unix(here.join(text));
        for (asked, bound) in [
            (literal("[::ffff:127.0.0.1]:80"), literal("127.0.0.1:80")),
            (literal("[0:0::1]:80"), literal("[::1]:80")),
            (literal("unix:./no-such-socket"), path("no-such-socket")),
            (literal("unix:src/../no-such-socket"), path("no-such-socket")),
            (path("src/./../src/lib.rs"), path("src/lib.rs")),
            (literal("unix:@x"), literal("unix:@x")),
        ] {
            assert!(asked.is_of(&bound) && bound.is_of(&asked), "{asked} {bound}");
        }
        for (asked, other) in [
            ("127.0.0.1:80", "127.0.0.1:81"),
            ("127.0.0.1:0", "127.0.0.1:0"), // any port, which may be another one
            ("0.0.0.0:80", "127.0.0.1:80"),
            ("0.0.0.0:80", "[::]:80"),
            ("[fe80::1%1]:80", "[fe80::1%2]:80"),
            ("unix:@x", "unix:x"),
            ("unix:/no/such/x", "unix:/no/such/y"),
        ] {
            assert!(!literal(asked).is_of(&literal(other)), "{asked} {other}");
        }
    }

    #[test]
    fn a_wildcard_stands_over_the_addresses_of_its_port() {
        let over = |wide: &str, narrow: &str| literal(wide).is_wildcard_over(&literal(narrow));
        assert!(over("0.0.0.0:80", "127.0.0.1:80") && over("[::]:80", "127.0.0.1:80"));
        assert!(over("[::]:80", "[::1]:80") && over("[::]:80", "0.0.0.0:80"));
        assert!(!over("0.0.0.0:80", "0.0.0.0:80") && !over("0.0.0.0:80", "127.0.0.1:81"));
        assert!(!over("0.0.0.0:80", "[::1]:80") && !over("127.0.0.1:80", "0.0.0.0:80"));
    }
}
