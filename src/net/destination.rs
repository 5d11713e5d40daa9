//! Where to dial, as an author writes it: an address, or a name that is not looked up here.

use std::{fmt, time::Duration};

use super::address::Address;
use crate::error::Result;

/// Where a connection was dialed to, or is to be.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Destination {
    Address(Address),
    /// A host that is known by name alone, and a port.
    Name(String, u16),
}

impl Destination {
    /// Reads it: `host:port`, or an [`Address`]. What looks like an address and is none is no name either.
    pub fn parse(operation: &'static str, text: &str) -> Result<Destination> {
        Address::literal(operation, text)
            .map(Destination::Address)
            .or_else(|why| Destination::name(text).ok_or(why))
    }

    fn name(text: &str) -> Option<Destination> {
        let (host, port) = text.rsplit_once(':')?;
        let is_name = !host.is_empty() && !host.contains([':', '[', ']', '/']);
        let is_number = host.chars().all(|c| c.is_ascii_digit() || c == '.');
        let port = port.parse().ok().filter(|_| is_name && !is_number)?;
        Some(Destination::Name(host.to_owned(), port))
    }
}

/// A dial to a name that goes to another process. Nothing was sent for it, so it is begun anew there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NamedDial {
    pub destination: Destination,
    /// The author's.
    pub tag: u64,
    /// How long ago it was begun.
    pub age: Duration,
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Destination::Address(address) => address.fmt(f),
            Destination::Name(host, port) => write!(f, "{host}:{port}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_an_address_or_a_name_and_nothing_that_looks_like_an_address() {
        let parse = |text: &str| Destination::parse("dial", text);
        let name = Destination::Name("db.example".to_owned(), 80);
        assert_eq!(parse("db.example:80").expect("a name"), name);
        for text in ["127.0.0.1:80", "[::1]:80", "unix:/run/x", "unix:@x", "db:80", "db.x.:80"] {
            assert_eq!(parse(text).expect("a destination").to_string(), text);
        }
        for wrong in [
            "",
            "db",
            "db:",
            ":80",
            "db:x",
            "db:99999",
            "127.0.0.1:99999",
            "10.1:80",
            "::1:80",
            "[x]:80",
            "a/b:80",
        ] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
