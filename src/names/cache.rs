//! What was learned about names, for as long as it holds (RFC 1035, RFC 2308) and as far as there is room. Pure.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
    time::{Duration, Instant},
};

use super::host::Family;
use crate::limits::{NAME_CACHE, NAME_NEGATIVE_TTL_MAX, NAME_TTL_MAX, NAME_TTL_MIN};

/// What is known about the addresses of one kind that a full name has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Known {
    Addresses(Vec<IpAddr>),
    NoSuchName,
    NoAddress,
}

/// A full name, in lower case, and a kind of address.
pub(crate) type Key = (String, Family);

#[derive(Debug)]
struct Entry {
    known: Known,
    /// Who has said so.
    server: SocketAddr,
    until: Instant,
}

/// At most [`NAME_CACHE`] entries.
#[derive(Debug, Default)]
pub(crate) struct Cache {
    entries: BTreeMap<Key, Entry>,
    /// The same by their ends: what ends first makes room.
    ends: BTreeSet<(Instant, Key)>,
}

impl Cache {
    pub fn get(&mut self, key: &Key, now: Instant) -> Option<(&Known, SocketAddr)> {
        self.forget_until(now);
        self.entries.get(key).map(|entry| (&entry.known, entry.server))
    }

    /// Keeps what a server has said, for `ttl` or as long as there is reason to believe that.
    pub fn put(&mut self, key: Key, known: Known, server: SocketAddr, ttl: Duration, now: Instant) {
        let longest = match known {
            Known::Addresses(_) => NAME_TTL_MAX,
            Known::NoSuchName | Known::NoAddress => NAME_NEGATIVE_TTL_MAX,
        };
        self.forget_until(now);
        let until = now + ttl.clamp(NAME_TTL_MIN, longest);
        self.remove(&key);
        if self.entries.len() >= NAME_CACHE
            && let Some((_, key)) = self.ends.pop_first()
        {
            self.entries.remove(&key);
        }
        self.ends.insert((until, key.clone()));
        self.entries.insert(key, Entry { known, server, until });
    }

    fn remove(&mut self, key: &Key) {
        if let Some(entry) = self.entries.remove(key) {
            self.ends.remove(&(entry.until, key.clone()));
        }
    }

    fn forget_until(&mut self, now: Instant) {
        while self.ends.first().is_some_and(|(until, _)| *until <= now)
            && let Some((_, key)) = self.ends.pop_first()
        {
            self.entries.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn server() -> SocketAddr {
        ([127, 0, 0, 1], 53).into()
    }

    fn key(number: usize) -> Key {
        (format!("{number}.example."), Family::V4)
    }

    fn address(number: usize) -> Known {
        Known::Addresses(vec![[10, 0, 0, number as u8].into()])
    }

    #[test]
    fn it_holds_as_long_as_was_said_within_bounds() {
        let start = Instant::now();
        let second = Duration::from_secs(1);
        for (known, ttl, holds) in [
            (address(1), 60 * second, 60 * second),
            (address(1), Duration::ZERO, NAME_TTL_MIN),
            (address(1), 1_000_000 * second, NAME_TTL_MAX),
            (Known::NoSuchName, 60 * second, 60 * second),
            (Known::NoAddress, 1_000_000 * second, NAME_NEGATIVE_TTL_MAX),
        ] {
            let mut cache = Cache::default();
            cache.put(key(1), known.clone(), server(), ttl, start);
            let nearly = start + holds - Duration::from_nanos(1);
            assert_eq!(cache.get(&key(1), nearly), Some((&known, server())));
            assert_eq!(cache.get(&(key(1).0, Family::V6), nearly), None);
            assert_eq!(cache.get(&key(1), start + holds), None);
        }
    }

    #[test]
    fn what_ends_first_makes_room() {
        let now = Instant::now();
        let mut cache = Cache::default();
        for number in 0..=NAME_CACHE {
            let ttl = Duration::from_secs(if number == 5 { 10 } else { 20 });
            cache.put(key(number), address(number), server(), ttl, now);
        }
        assert_eq!(cache.entries.len(), NAME_CACHE);
        assert_eq!(cache.get(&key(5), now), None);
        assert!(cache.get(&key(0), now).is_some() && cache.get(&key(NAME_CACHE), now).is_some());
    }

    proptest! {
        /// Of a plain map with times, whatever is done; and both tables have the same.
        #[test]
        fn says_what_was_put_last(what in proptest::collection::vec((0..8usize, 1..20u64, 0..5u64), 0..60)) {
            let (mut cache, mut model) = (Cache::default(), BTreeMap::new());
            let mut now = Instant::now();
            for (number, ttl, passes) in what {
                now += Duration::from_secs(passes);
                let ttl = Duration::from_secs(ttl);
                cache.put(key(number), address(number + passes as usize), server(), ttl, now);
                model.insert(number, (address(number + passes as usize), now + ttl));
                for number in 0..8 {
                    let expected = model.get(&number).filter(|(_, until)| *until > now);
                    let found = cache.get(&key(number), now).map(|(known, _)| known);
                    prop_assert_eq!(found, expected.map(|(known, _)| known));
                }
                prop_assert_eq!(cache.entries.len(), cache.ends.len());
            }
        }
    }
}
