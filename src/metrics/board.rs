//! Which word of the memory is which number. The names are in the memory, too, so each program finds its own and
//! leaves those of others alone: what an older version has counted is told by a newer one that counts it no more.
//!
//! ```text
//! words   [ magic, series, entries of the journal, 0 ... | values | texts | ring of entries | roster ]
//! text    [ state: kind, lengths of name, labels, help | 63 words of text ]
//! labels  key US value, RS between them
//! ```
//!
//! A place is given out by one atomic addition, and counts once its state is there. A process that dies in between
//! leaves a place without a name, which is skipped. Two that add the same name at one moment leave two places, which
//! are one number.

use std::sync::{
    Arc,
    atomic::{
        AtomicU64,
        Ordering::{Acquire, Relaxed, Release},
    },
};

use super::{
    ring, roster,
    words::{put_text, text_of},
};
use crate::system::shared_words::SharedWords;

/// Numbers with a name and labels of their own, those of a service included: ours are a hundred, and what takes many
/// more is for another tool. One that is used takes 520 bytes.
pub(super) const SERIES: usize = 1024;

/// Another one, once the layout is another.
const MAGIC: u64 = u64::from_le_bytes(*b"hrlmnum2");

const AT_MAGIC: usize = 0;
const AT_SERIES: usize = 1;
const AT_ENTRIES: usize = 2;
const VALUES: usize = 16;
const TEXTS: usize = VALUES + SERIES;
/// Words of a text, its state included.
const TEXT: usize = 64;
/// Bytes of a name, its labels and its help.
pub(super) const TEXT_BYTES: usize = (TEXT - 1) * 8;
const RING: usize = TEXTS + SERIES * TEXT;
const ROSTER: usize = RING + ring::WORDS;
/// All of them.
pub(super) const WORDS: usize = ROSTER + roster::WORDS;

const UNIT: char = '\u{1f}';
const RECORD: char = '\u{1e}';

/// What a number is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A count.
    Counter = 1,
    /// A sum of nanoseconds, told as seconds.
    Time = 2,
    /// Those in a bucket of a histogram and in no smaller one; `le` is the last of its labels.
    Bucket = 3,
    /// All that is in the buckets of a histogram, in nanoseconds.
    Sum = 4,
    /// What was so last.
    Gauge = 5,
}

impl Kind {
    fn of(number: u64) -> Option<Kind> {
        let all = [Kind::Counter, Kind::Time, Kind::Bucket, Kind::Sum, Kind::Gauge];
        all.into_iter().find(|kind| *kind as u64 == number)
    }
}

/// A number by name.
#[derive(Clone, Copy, Debug)]
pub(super) struct Series<'a> {
    pub kind: Kind,
    pub name: &'a str,
    pub labels: &'a [(&'a str, &'a str)],
    pub help: &'a str,
}

/// A number as it was found.
#[cfg(any(test, feature = "metrics"))]
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sample {
    pub kind: Kind,
    pub name: String,
    pub labels: Vec<(String, String)>,
    pub help: String,
    pub value: u64,
}

#[derive(Clone, Debug)]
pub(super) struct Board {
    pub words: Arc<SharedWords>,
}

/// Whether it may be the name of a metric or of a label.
fn is_name(name: &str) -> bool {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    name.chars().all(is_part) && name.starts_with(|c: char| c.is_ascii_alphabetic())
}

impl Series<'_> {
    /// # Errors
    /// What a service may not call its own.
    pub fn check(&self) -> Result<(), &'static str> {
        let texts = self.labels.iter().map(|(_, value)| *value).chain([self.help]);
        if !is_name(self.name) || self.name.starts_with("heirloom_") {
            return Err(
                "its name must be letters, digits and underscores, and not begin with heirloom_",
            );
        }
        if !self.labels.iter().all(|(key, _)| is_name(key) && *key != "le") {
            return Err("a label is called by letters, digits and underscores, and not le");
        }
        if texts.into_iter().any(|text| text.contains(char::is_control)) {
            return Err(
                "a label or the help has a line end, or another character that is not printable",
            );
        }
        if self.name.len() + self.packed_labels().len() + self.help.len() > TEXT_BYTES {
            return Err("its name, labels and help are too long: 504 bytes in all");
        }
        Ok(())
    }

    fn packed_labels(&self) -> String {
        let pairs = self.labels.iter().map(|(key, value)| format!("{key}{UNIT}{value}"));
        pairs.collect::<Vec<_>>().join(&RECORD.to_string())
    }
}

/// Lengths and kind of a text, in its first word.
#[derive(Clone, Copy, PartialEq, Eq)]
struct State {
    kind: Kind,
    name: usize,
    labels: usize,
    help: usize,
}

impl State {
    fn pack(self) -> u64 {
        let [name, labels, help] = [self.name, self.labels, self.help].map(|length| length as u64);
        self.kind as u64 | name << 8 | labels << 24 | help << 40
    }

    /// `None`: nothing is there yet, or what no program of ours has written.
    fn unpack(word: u64) -> Option<State> {
        let [name, labels, help] = [8, 24, 40].map(|at| (word >> at & 0xffff) as usize);
        let is_whole = name + labels + help <= TEXT_BYTES;
        let kind = Kind::of(word & 0xff).filter(|_| is_whole)?;
        Some(State { kind, name, labels, help })
    }
}

impl Board {
    /// On memory that nobody has used.
    pub fn begin(words: SharedWords) -> Board {
        words[AT_MAGIC].store(MAGIC, Release);
        Board { words: Arc::new(words) }
    }

    /// On memory that a program has begun; `None` if that was another kind of program.
    pub fn find(words: SharedWords) -> Option<Board> {
        let is_ours = words[AT_MAGIC].load(Acquire) == MAGIC;
        is_ours.then(|| Board { words: Arc::new(words) })
    }

    fn count(&self) -> usize {
        (self.words[AT_SERIES].load(Acquire) as usize).min(SERIES)
    }

    fn text(&self, index: usize) -> &[AtomicU64] {
        &self.words[TEXTS + index * TEXT..][..TEXT]
    }

    /// The place of a number, which is added if it is new. `None` if there is no room.
    pub fn find_or_add(&self, series: &Series<'_>) -> Option<usize> {
        let labels = series.packed_labels();
        let (name, help) = (series.name.len(), series.help.len());
        let state = State { kind: series.kind, name, labels: labels.len(), help };
        let text = format!("{}{labels}", series.name);
        let is_it = |&index: &usize| {
            let found = State::unpack(self.text(index)[0].load(Acquire));
            let same = found.is_some_and(|it| State { help: state.help, ..it } == state);
            same && self.bytes(index, text.len()) == text.as_bytes()
        };
        let count = self.count();
        if let Some(index) = (0..count).find(is_it) {
            return Some(index);
        }
        if count >= SERIES || text.len() + help > TEXT_BYTES {
            return None;
        }
        let index = self.words[AT_SERIES].fetch_add(1, Relaxed) as usize;
        if index >= SERIES {
            return None;
        }
        let place = self.text(index);
        put_text(&place[1..], format!("{text}{}", series.help).as_bytes());
        place[0].store(state.pack(), Release);
        Some(index)
    }

    /// What the numbers of this name are.
    pub fn kinds(&self, name: &str) -> impl Iterator<Item = Kind> {
        (0..self.count()).filter_map(move |index| {
            let state = State::unpack(self.text(index)[0].load(Acquire))?;
            let same = state.name == name.len() && self.bytes(index, name.len()) == name.as_bytes();
            same.then_some(state.kind)
        })
    }

    pub fn add(&self, index: usize, more: u64) {
        self.words[VALUES + index].fetch_add(more, Relaxed);
    }

    pub fn set(&self, index: usize, value: u64) {
        self.words[VALUES + index].store(value, Relaxed);
    }

    /// How many entries of the journal there were.
    pub fn next_entry(&self) -> &AtomicU64 {
        &self.words[AT_ENTRIES]
    }

    pub fn ring(&self) -> &[AtomicU64] {
        &self.words[RING..ROSTER]
    }

    pub fn roster(&self) -> &[AtomicU64] {
        &self.words[ROSTER..]
    }

    fn bytes(&self, index: usize, length: usize) -> Vec<u8> {
        text_of(&self.text(index)[1..], length)
    }

    /// All numbers that there are.
    #[cfg(any(test, feature = "metrics"))]
    pub fn samples(&self) -> Vec<Sample> {
        (0..self.count()).filter_map(|index| self.sample(index)).collect()
    }

    #[cfg(any(test, feature = "metrics"))]
    fn sample(&self, index: usize) -> Option<Sample> {
        let State { kind, name, labels, help } = State::unpack(self.text(index)[0].load(Acquire))?;
        let text = String::from_utf8(self.bytes(index, name + labels + help)).ok()?;
        let (name, rest) = text.split_at_checked(name)?;
        let (labels, help) = rest.split_at_checked(labels)?;
        let pairs = labels.split(RECORD).filter_map(|pair| pair.split_once(UNIT));
        let labels = pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
        let value = self.words[VALUES + index].load(Relaxed);
        Some(Sample { kind, name: name.to_owned(), labels, help: help.to_owned(), value })
    }
}

/// The place of the word that counts a number of the board.
pub(super) fn value_at(index: usize) -> usize {
    VALUES + index
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;

    fn board() -> Board {
        Board::begin(SharedWords::new("test", WORDS).unwrap())
    }

    fn again(board: &Board) -> Board {
        let fd = board.words.as_fd().try_clone_to_owned().unwrap();
        Board::find(SharedWords::of(fd, WORDS).unwrap()).unwrap()
    }

    fn named<'a>(name: &'a str, labels: &'a [(&'a str, &'a str)]) -> Series<'a> {
        Series { kind: Kind::Counter, name, labels, help: "Some help." }
    }

    #[test]
    fn a_number_is_found_again_by_its_name_and_labels() {
        let board = board();
        let get = board.find_or_add(&named("commands", &[("name", "get")])).unwrap();
        let set = board.find_or_add(&named("commands", &[("name", "set")])).unwrap();
        board.add(get, 3);
        let other = again(&board);
        let series = Series { help: "In other words.", ..named("commands", &[("name", "get")]) };
        assert_eq!(other.find_or_add(&series), Some(get));
        other.add(get, 4);
        other.add(set, 1);
        let samples = board.samples();
        let values: Vec<_> = samples.iter().map(|it| (it.labels[0].1.as_str(), it.value)).collect();
        assert_eq!(values, [("get", 7), ("set", 1)]);
        assert_eq!(
            (samples[0].name.as_str(), samples[0].help.as_str()),
            ("commands", "Some help.")
        );
    }

    #[test]
    fn what_was_not_finished_or_is_nonsense_is_skipped() {
        let board = board();
        board.words[AT_SERIES].fetch_add(1, Relaxed); // by somebody who has died
        let index = board.find_or_add(&named("a", &[])).unwrap();
        assert_eq!((index, board.samples().len()), (1, 1));
        for nonsense in [u64::MAX, 9, 1 | 0xffff << 8] {
            board.text(0)[0].store(nonsense, Relaxed);
            assert_eq!(board.samples().len(), 1, "{nonsense:x}");
        }
        board.text(0)[0]
            .store(State { kind: Kind::Counter, name: 3, labels: 0, help: 0 }.pack(), Relaxed);
        board.text(0)[1].store(u64::MAX, Relaxed); // no text
        assert_eq!(board.samples().len(), 1);
        board.words[AT_SERIES].store(u64::MAX, Relaxed);
        assert_eq!(board.samples().len(), 1);
    }

    #[test]
    fn there_is_room_for_so_many() {
        let board = board();
        for number in 0..SERIES {
            let name = format!("n{number}");
            assert!(board.find_or_add(&named(&name, &[])).is_some());
        }
        assert_eq!(board.find_or_add(&named("one_more", &[])), None);
        assert_eq!(board.find_or_add(&named("n7", &[])), Some(7));
        assert_eq!(board.samples().len(), SERIES);
    }

    #[test]
    fn what_a_monitor_would_not_understand_is_refused() {
        assert_eq!(named("commands", &[("name", "\"a\\b\"")]).check(), Ok(()));
        let long = "x".repeat(TEXT_BYTES);
        for (name, labels) in [
            ("", &[][..]),
            ("9lives", &[]),
            ("a b", &[]),
            ("heirloom_turns", &[]),
            (&long, &[]),
            ("a", &[("le", "1")]),
            ("a", &[("", "1")]),
            ("a", &[("b", "two\nlines")]),
            ("a", &[("b", "\u{1f}")]),
        ] {
            assert!(named(name, labels).check().is_err(), "{name} {labels:?}");
        }
    }
}
