//! Where to listen or to dial, as an author writes it. Binds and connects nothing.

use std::{
    fmt, io,
    net::{SocketAddr, ToSocketAddrs},
    path::{Path, PathBuf},
};

use crate::error::{Error, Result};

/// Where to listen or to dial: `host:port`, or `unix:/path`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Address {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

impl Address {
    /// Reads an address; a host name is looked up, which blocks, so this is for start-up.
    pub fn resolve(operation: &'static str, text: &str) -> Result<Address> {
        match Address::unix(operation, text)? {
            Some(address) => Ok(address),
            None if !text.contains(':') => Err(malformed(operation, text)),
            None => match text.to_socket_addrs() {
                Ok(mut found) => found
                    .next()
                    .map(Address::Tcp)
                    .ok_or_else(|| Error::invalid(operation, text, "the name has no address")),
                Err(e) if e.kind() == io::ErrorKind::InvalidInput => {
                    Err(malformed(operation, text))
                }
                Err(e) => Err(Error::io(operation, text, e)),
            },
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
        Address::Unix(address.as_pathname().unwrap_or(Path::new("")).to_owned())
    }

    fn unix(operation: &'static str, text: &str) -> Result<Option<Address>> {
        match text.strip_prefix("unix:") {
            Some("") => Err(malformed(operation, text)),
            Some(path) => Ok(Some(Address::Unix(PathBuf::from(path)))),
            None => Ok(None),
        }
    }
}

fn malformed(operation: &'static str, text: &str) -> Error {
    Error::invalid(operation, text, "an address is host:port or unix:/path")
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Tcp(address) => address.fmt(f),
            Address::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_host_and_port_or_a_path() {
        assert!(matches!(Address::literal("dial", "127.0.0.1:80"), Ok(Address::Tcp(_))));
        assert!(matches!(Address::literal("dial", "unix:/run/x"), Ok(Address::Unix(_))));
        for wrong in ["", "80", "127.0.0.1", "unix:", "127.0.0.1:99999", "nonsense"] {
            let error = Address::resolve("listen on", wrong).unwrap_err().to_string();
            assert!(error.starts_with(&format!("listen on {wrong}:")), "{error}");
        }
    }
}
