//! The table of hosts of this machine: see `hosts(5)`. Pure.

use std::{collections::BTreeMap, net::IpAddr};

/// Addresses by name, as the table has them.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Hosts(BTreeMap<String, Vec<IpAddr>>);

impl Hosts {
    /// Reads it: an address and the names that it has, on each line. A line that makes no sense is nobody's.
    pub fn parse(text: &str) -> Hosts {
        let mut hosts = Hosts::default();
        for line in text.lines() {
            let mut words = line.split('#').next().unwrap_or_default().split_ascii_whitespace();
            let Some(Ok(address)) = words.next().map(str::parse::<IpAddr>) else { continue };
            for name in words {
                let name = name.trim_end_matches('.').to_ascii_lowercase();
                let addresses = hosts.0.entry(name).or_default();
                if !addresses.contains(&address) {
                    addresses.push(address);
                }
            }
        }
        hosts
    }

    /// The addresses of a name in lower case and without a dot at its end; none if it is not in there.
    pub fn addresses(&self, name: &str) -> &[IpAddr] {
        self.0.get(name).map_or(&[], Vec::as_slice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn each_line_has_an_address_and_its_names() {
        let hosts = Hosts::parse(
            "# of this machine\n\
             127.0.0.1\tlocalhost db # ours\n\
             ::1 localhost\n\
             \n\
             10.0.0.1 DB db.example.\n\
             10.0.0.1 db\n\
             nonsense x\n\
             10.0.0.2\n",
        );
        let find =
            |name| -> Vec<_> { hosts.addresses(name).iter().map(ToString::to_string).collect() };
        assert_eq!(find("localhost"), ["127.0.0.1", "::1"]);
        assert_eq!(find("db"), ["127.0.0.1", "10.0.0.1"]);
        assert_eq!(find("db.example"), ["10.0.0.1"]);
        assert!(find("x").is_empty() && find("").is_empty() && find("ours").is_empty());
    }

    proptest! {
        #[test]
        fn random_text_does_no_harm(text in "[0-9a-f:.# \t\n]{0,200}") {
            Hosts::parse(&text);
        }
    }
}
