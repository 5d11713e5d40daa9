//! What one side of a restart says of an alarm, as bytes. Pure.
//!
//! ```text
//! word = key u64  [left u64  [every u64]]         (times in microseconds; no time: it is not set)
//! ```

use std::time::Duration;

use super::wire::{Fields, Malformed, from_micros, micros, put};

/// An alarm and what is new about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AlarmWord {
    pub key: u64,
    /// How much is left, and how often it comes after that; `None`: it is not set any more.
    pub times: Option<(Duration, Option<Duration>)>,
}

impl AlarmWord {
    pub(super) fn to_bytes(self) -> Vec<u8> {
        let mut bytes = self.key.to_le_bytes().to_vec();
        if let Some((left, every)) = self.times {
            bytes.extend(micros(left).to_le_bytes());
            every.iter().for_each(|&every| bytes.extend(micros(every).to_le_bytes()));
        }
        bytes
    }

    fn of(bytes: &[u8]) -> Option<AlarmWord> {
        let (numbers, rest) = bytes.as_chunks::<8>();
        let number = |at: usize| numbers.get(at).map(|bytes| u64::from_le_bytes(*bytes));
        let time = |at| number(at).map(from_micros);
        let is_whole = rest.is_empty() && numbers.len() <= 3;
        let word = AlarmWord { key: number(0)?, times: time(1).map(|left| (left, time(2))) };
        is_whole.then_some(word)
    }

    pub(super) fn put_all(out: &mut Vec<u8>, tag: u16, words: &[AlarmWord]) {
        words.iter().for_each(|word| put(out, tag, &word.to_bytes()));
    }

    /// All words of a message.
    pub(super) fn all_of(fields: Fields<'_>, tag: u16) -> Result<Vec<AlarmWord>, Malformed> {
        let words = fields.all(tag)?.into_iter().map(AlarmWord::of);
        words.collect::<Option<_>>().ok_or(Malformed::Field("alarm"))
    }
}
