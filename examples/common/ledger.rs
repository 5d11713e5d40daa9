//! What each key of a server has to hold, whoever serves it by now: every answer is known before it comes, to
//! the byte. Pure: knows no socket, and nothing of restarts.
//!
//! It speaks the inline commands of the Redis protocol, one line each. `SET key text GET` is answered by the text
//! that was there before, so a write that was lost or taken back is noticed by the next one; `INCR key` by how
//! often the key was counted up, so one that was carried out twice is, too.
//!
//! The load test of `tests/state_load.rs`, `demo --state` and the benchmarks compare by it.

use std::ops::Range;

/// Of a text, in bytes.
pub const TEXT: usize = 100;

/// What to send, and what has to come back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Exchange {
    pub request: Vec<u8>,
    pub answer: Vec<u8>,
}

impl Exchange {
    pub fn clear(&mut self) {
        self.request.clear();
        self.answer.clear();
    }
}

/// The keys that one client alone writes: texts, and behind them counters.
#[derive(Debug)]
pub struct Ledger {
    /// The number of its first text; that of its first counter is the same.
    first: u64,
    texts: usize,
    /// How often each was written.
    versions: Vec<u32>,
}

impl Ledger {
    /// Keys that are not there yet. No other ledger of the same server may have one of these numbers.
    pub fn new(first: u64, texts: usize, counters: usize) -> Ledger {
        Ledger { first, texts, versions: vec![0; texts + counters] }
    }

    pub fn len(&self) -> usize {
        self.versions.len()
    }

    /// The first key behind the texts.
    pub fn texts(&self) -> usize {
        self.texts
    }

    /// How many writes it has noted.
    pub fn writes(&self) -> u64 {
        self.versions.iter().map(|&version| u64::from(version)).sum()
    }

    /// Asks for the next version of a key, and notes that it has been.
    pub fn write(&mut self, at: usize, exchange: &mut Exchange) {
        let number = self.number(at);
        let before = self.versions[at];
        self.versions[at] += 1;
        if at < self.texts {
            self.expect(at, before, exchange);
            exchange.request.extend(format!("SET k{number:09} ").into_bytes());
            exchange.request.extend(text(number, before + 1));
            exchange.request.extend(b" GET\n");
        } else {
            exchange.request.extend(format!("INCR c{number:09}\n").into_bytes());
            exchange.answer.extend(format!(":{}\r\n", before + 1).into_bytes());
        }
    }

    /// Asks what a key holds.
    pub fn read(&self, at: usize, exchange: &mut Exchange) {
        let kind = if at < self.texts { 'k' } else { 'c' };
        let line = format!("GET {kind}{:09}\n", self.number(at));
        exchange.request.extend(line.into_bytes());
        self.expect(at, self.versions[at], exchange);
    }

    /// Asks for the next version of each of these.
    pub fn write_all(&mut self, keys: Range<usize>) -> Exchange {
        let mut exchange = Exchange::default();
        keys.for_each(|at| self.write(at, &mut exchange));
        exchange
    }

    /// Asks what each of these holds.
    pub fn read_all(&self, keys: Range<usize>) -> Exchange {
        let mut exchange = Exchange::default();
        keys.for_each(|at| self.read(at, &mut exchange));
        exchange
    }

    /// The reply that has this version of a key.
    fn expect(&self, at: usize, version: u32, exchange: &mut Exchange) {
        let answer = &mut exchange.answer;
        if version == 0 {
            answer.extend(b"$-1\r\n");
        } else if at < self.texts {
            answer.extend(format!("${TEXT}\r\n").into_bytes());
            answer.extend(text(self.number(at), version));
            answer.extend(b"\r\n");
        } else {
            let digits = version.to_string();
            answer.extend(format!("${}\r\n{digits}\r\n", digits.len()).into_bytes());
        }
    }

    fn number(&self, at: usize) -> u64 {
        self.first + (if at < self.texts { at } else { at - self.texts }) as u64
    }
}

/// Letters that follow from a key and its version. They differ from those of any other from the first ones on,
/// and do not repeat, so that a piece in the wrong place is noticed.
pub fn text(number: u64, version: u32) -> impl Iterator<Item = u8> {
    let mut state = mix(number << 32 | u64::from(version));
    (0..TEXT).map(move |_| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        b'a' + ((state >> 32) as u32 % 26) as u8
    })
}

/// Spreads neighbouring numbers over all bits (the finaliser of SplitMix64): for texts, and for a load that
/// picks keys at random and is the same each time.
pub fn mix(number: u64) -> u64 {
    let number = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    /// The server by its definition: one line in, one reply out.
    #[derive(Clone, Default)]
    struct Server(BTreeMap<String, String>);

    impl Server {
        fn take(&mut self, line: &str) -> String {
            let bulk = |text: Option<String>| match text {
                Some(text) => format!("${}\r\n{text}\r\n", text.len()),
                None => "$-1\r\n".to_owned(),
            };
            match line.split(' ').collect::<Vec<_>>()[..] {
                ["SET", key, text, "GET"] => bulk(self.0.insert(key.to_owned(), text.to_owned())),
                ["GET", key] => bulk(self.0.get(key).cloned()),
                ["INCR", key] => {
                    let count = self.0.get(key).map_or(0, |digits| digits.parse::<u64>().unwrap());
                    self.0.insert(key.to_owned(), (count + 1).to_string());
                    format!(":{}\r\n", count + 1)
                }
                _ => panic!("no command: {line}"),
            }
        }

        fn take_all(&mut self, exchange: &Exchange) -> Vec<u8> {
            let request = std::str::from_utf8(&exchange.request).unwrap();
            request.lines().map(|line| self.take(line)).collect::<String>().into_bytes()
        }
    }

    /// Two ledgers of one server, some keys of which were written now and then.
    fn played(writes: &[usize]) -> (Server, [Ledger; 2]) {
        let (mut server, mut ledgers) = (Server::default(), [0, 5].map(|n| Ledger::new(n, 5, 2)));
        for (turn, at) in writes.iter().enumerate() {
            let mut exchange = Exchange::default();
            ledgers[turn % 2].write(*at, &mut exchange);
            assert_eq!(server.take_all(&exchange), exchange.answer);
        }
        (server, ledgers)
    }

    fn notices(server: &Server, ledger: &Ledger) -> bool {
        let all = ledger.read_all(0..ledger.len());
        server.clone().take_all(&all) != all.answer
    }

    proptest! {
        #[test]
        fn a_server_that_keeps_everything_answers_as_it_should(
            writes in proptest::collection::vec(0..7usize, 0..60),
        ) {
            let (server, ledgers) = played(&writes);
            prop_assert!(!ledgers.iter().any(|ledger| notices(&server, ledger)));
            prop_assert_eq!(ledgers.iter().map(Ledger::writes).sum::<u64>(), writes.len() as u64);
        }

        #[test]
        fn a_write_that_is_lost_or_done_twice_is_noticed(
            writes in proptest::collection::vec(0..7usize, 1..60),
            which in any::<proptest::sample::Index>(),
        ) {
            let (mut server, mut ledgers) = played(&writes);
            let (turn, at) = (which.index(writes.len()) % 2, writes[which.index(writes.len())]);
            let before = server.clone();
            let lost = ledgers[turn].write_all(at..at + 1);
            prop_assert!(notices(&before, &ledgers[turn]));
            let mut next = Exchange::default();
            ledgers[turn].write(at, &mut next);
            prop_assert_ne!(&before.clone().take_all(&next), &next.answer);
            if at >= 5 {
                server.take_all(&lost);
                server.take_all(&lost);
                prop_assert_ne!(&server.take_all(&next), &next.answer);
            }
        }

        #[test]
        fn every_byte_counts(
            writes in proptest::collection::vec(0..7usize, 1..30),
            which in any::<proptest::sample::Index>(),
        ) {
            let (mut server, ledgers) = played(&writes);
            let keys: Vec<_> = server.0.keys().cloned().collect();
            let text = server.0.get_mut(&keys[which.index(keys.len())]).unwrap();
            let at = which.index(text.len());
            let other = if text.as_bytes()[at] == b'1' { "2" } else { "1" };
            text.replace_range(at..=at, other);
            prop_assert!(ledgers.iter().any(|ledger| notices(&server, ledger)));
        }
    }

    #[test]
    fn no_two_texts_begin_alike() {
        let mut all = BTreeMap::new();
        for (number, version) in (0..1000).flat_map(|number| (1..4).map(move |v| (number, v))) {
            let start: Vec<u8> = text(number, version).take(12).collect();
            assert_eq!(text(number, version).count(), TEXT);
            assert_eq!(all.insert(start, (number, version)), None);
        }
    }

    #[test]
    fn a_swap_of_two_keys_is_noticed() {
        let (mut server, ledgers) = played(&[0, 0, 1, 1]);
        let (one, other) = ("k000000000".to_owned(), "k000000001".to_owned());
        let (first, second) = (server.0[&one].clone(), server.0[&other].clone());
        server.0.extend([(one, second), (other, first)]);
        assert!(notices(&server, &ledgers[0]));
    }
}
