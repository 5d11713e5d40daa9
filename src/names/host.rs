//! A host name, and under which full names it is looked for.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use hickory_proto::rr::{Name, RecordType};

/// Which kind of address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Family {
    V6,
    V4,
}

impl Family {
    /// The records that have them.
    pub fn record(self) -> RecordType {
        match self {
            Family::V6 => RecordType::AAAA,
            Family::V4 => RecordType::A,
        }
    }

    pub fn other(self) -> Family {
        match self {
            Family::V6 => Family::V4,
            Family::V4 => Family::V6,
        }
    }
}

/// The name of a host as it is dialed, in lower case. One with a dot at its end is the full name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct HostName(String);

impl HostName {
    /// `None`: it is none, such as one with an empty label, or with one of more than 63 bytes (RFC 1035,
    /// section 2.3.4). Other letters than those of ASCII are encoded (RFC 5890).
    pub fn parse(text: &str) -> Option<HostName> {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c) || !c.is_ascii();
        if text.is_empty() || text == "." || !text.chars().all(is_plain) {
            return None;
        }
        let name = full(text)?;
        let mut name = name.to_lowercase().to_ascii();
        if !text.ends_with('.') {
            name.truncate(name.trim_end_matches('.').len());
        }
        Some(HostName(name))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name without the dot that says that it is the full one.
    pub fn bare(&self) -> &str {
        self.0.trim_end_matches('.')
    }

    /// Whether it stands for this machine, whatever anybody says (RFC 6761, section 6.3).
    pub fn is_local(&self) -> bool {
        self.bare() == "localhost" || self.bare().ends_with(".localhost")
    }

    /// The addresses of this machine.
    pub fn loopback() -> [IpAddr; 2] {
        [Ipv6Addr::LOCALHOST.into(), Ipv4Addr::LOCALHOST.into()]
    }

    /// What is asked for, in this order: see `search` and `ndots` in `resolv.conf(5)`.
    pub fn candidates(&self, ndots: usize, search: &[String]) -> Vec<Name> {
        let as_it_is = full(&self.0);
        if self.0.ends_with('.') {
            return as_it_is.into_iter().collect();
        }
        let dots = self.0.matches('.').count();
        let longer = search.iter().filter_map(|domain| {
            let domain = domain.trim_matches('.');
            if domain.is_empty() { None } else { full(&format!("{}.{domain}", self.0)) }
        });
        let mut names: Vec<Name> = longer.collect();
        if let Some(name) = as_it_is {
            let place = if dots >= ndots { 0 } else { names.len() };
            names.insert(place, name);
        }
        let mut seen = std::collections::BTreeSet::new();
        names.retain(|name| seen.insert(name.clone()));
        names
    }
}

/// The full name that is written so, with a dot at its end or without.
fn full(text: &str) -> Option<Name> {
    let text = text.strip_suffix('.').unwrap_or(text);
    let name = if text.is_ascii() { Name::from_ascii(text) } else { Name::from_utf8(text) };
    let mut name = name.ok().filter(|name| !name.is_root() && !text.ends_with('.'))?;
    name.set_fqdn(true);
    Some(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn candidates(name: &str, ndots: usize, search: &[&str]) -> Vec<String> {
        let search: Vec<_> = search.iter().map(|&domain| domain.to_owned()).collect();
        let names = HostName::parse(name).expect("a name").candidates(ndots, &search);
        names.iter().map(Name::to_ascii).collect()
    }

    #[test]
    fn a_name_is_labels_with_dots_between_them() {
        for (text, name) in [
            ("db", "db"),
            ("DB.Example", "db.example"),
            ("db.example.", "db.example."),
            ("_x-1.example", "_x-1.example"),
            ("bücher.example", "xn--bcher-kva.example"),
        ] {
            assert_eq!(HostName::parse(text).map(|it| it.0).as_deref(), Some(name), "{text}");
        }
        let long = "x".repeat(64);
        let longest = "x.".repeat(128);
        for wrong in ["", ".", "..", "a..b", ".a", "a..", "a b", "a/b", "a\\b", &long, &longest] {
            assert_eq!(HostName::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn the_search_list_comes_behind_a_name_with_dots_and_before_one_without() {
        let search = ["a.example", "b.example."];
        let short = ["db.a.example.", "db.b.example.", "db."];
        assert_eq!(candidates("db", 1, &search), short);
        let long = ["db.x.", "db.x.a.example.", "db.x.b.example."];
        assert_eq!(candidates("db.x", 1, &search), long);
        assert_eq!(candidates("db.x", 2, &search)[2], "db.x.");
        assert_eq!(candidates("db", 0, &search)[0], "db.");
        assert_eq!(candidates("db.x.", 5, &search), ["db.x."]);
        assert_eq!(candidates("db", 1, &[]), ["db."]);
        assert_eq!(candidates("db", 1, &["example", "example."]), ["db.example.", "db."]);
    }

    #[test]
    fn localhost_and_what_is_below_it_is_this_machine() {
        for (name, is_local) in [
            ("localhost", true),
            ("LOCALHOST.", true),
            ("db.localhost", true),
            ("notlocalhost", false),
            ("localhost.example", false),
        ] {
            assert_eq!(HostName::parse(name).expect("a name").is_local(), is_local, "{name}");
        }
    }

    proptest! {
        /// Whatever is written, it is a name that can be asked for, or none.
        #[test]
        fn any_text_is_a_name_or_none(text in ".{0,80}", ndots in 0usize..4) {
            if let Some(name) = HostName::parse(&text) {
                prop_assert_eq!(HostName::parse(name.as_str()), Some(name.clone()));
                let names = name.candidates(ndots, &["example".to_owned()]);
                prop_assert!(!names.is_empty());
                prop_assert!(names.iter().all(|name| name.is_fqdn()));
            }
        }
    }
}
