//! The last entries of the journal, in the same memory: texts in a ring, each with its number. Knows nothing of what
//! is in them.
//!
//! A place is taken by one atomic addition. Its number is there once the text is, and is taken away before another
//! one is written; a reader that finds two different numbers around a text leaves it out, as it does one whose writer
//! has died in between.

use std::sync::atomic::{
    AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
    fence,
};

use super::words::{put_text, text_of};

/// Entries that are kept: a year of weekly restarts, with three each, and a bad night.
pub(super) const ENTRIES: usize = 384;
/// Words of an entry, its number and its length included.
const ENTRY: usize = 256;
/// All of them.
pub(super) const WORDS: usize = ENTRIES * ENTRY;
/// The longest text; what is longer is cut.
pub(crate) const ENTRY_BYTES: usize = (ENTRY - 2) * 8;

/// Writes down one more. `next` counts them.
pub(super) fn note(next: &AtomicU64, ring: &[AtomicU64], text: &str) {
    let number = next.fetch_add(1, Relaxed);
    let place = place(ring, number);
    let text = &text[..text.floor_char_boundary(ENTRY_BYTES)];
    place[0].store(0, Relaxed);
    fence(Release);
    place[1].store(text.len() as u64, Relaxed);
    put_text(&place[2..], text.as_bytes());
    place[0].store(number + 1, Release);
}

/// Those that are there, with their numbers, the oldest first.
pub(super) fn entries(next: &AtomicU64, ring: &[AtomicU64]) -> Vec<(u64, String)> {
    let end = next.load(Acquire);
    let begin = end.saturating_sub(ENTRIES as u64);
    (begin..end).filter_map(|number| Some((number, entry(ring, number)?))).collect()
}

fn entry(ring: &[AtomicU64], number: u64) -> Option<String> {
    let place = place(ring, number);
    if place[0].load(Acquire) != number + 1 {
        return None;
    }
    let length = (place[1].load(Relaxed) as usize).min(ENTRY_BYTES);
    let text = text_of(&place[2..], length);
    fence(Acquire);
    let is_still = place[0].load(Relaxed) == number + 1;
    String::from_utf8(text).ok().filter(|_| is_still)
}

fn place(ring: &[AtomicU64], number: u64) -> &[AtomicU64] {
    &ring[(number % ENTRIES as u64) as usize * ENTRY..][..ENTRY]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ring() -> (AtomicU64, Vec<AtomicU64>) {
        (AtomicU64::new(0), (0..WORDS).map(|_| AtomicU64::new(0)).collect())
    }

    #[test]
    fn the_last_ones_are_kept_in_order() {
        let (next, ring) = ring();
        assert!(entries(&next, &ring).is_empty());
        for number in 0..ENTRIES + 5 {
            note(&next, &ring, &format!("entry {number}"));
        }
        let all = entries(&next, &ring);
        let (first, last) = (all.first().unwrap(), all.last().unwrap());
        assert_eq!((all.len(), first.0, first.1.as_str()), (ENTRIES, 5, "entry 5"));
        assert_eq!((last.0, last.1.as_str()), (ENTRIES as u64 + 4, "entry 388"));
    }

    #[test]
    fn what_is_too_long_is_cut_and_what_is_not_whole_left_out() {
        let (next, ring) = ring();
        note(&next, &ring, &"ä".repeat(ENTRY_BYTES));
        note(&next, &ring, "whole");
        next.fetch_add(1, Relaxed); // by somebody who has died
        let all = entries(&next, &ring);
        assert_eq!(all.len(), 2);
        assert_eq!((all[0].1.len(), all[1].1.as_str()), (ENTRY_BYTES, "whole"));
        ring[ENTRY].store(0, Relaxed);
        assert_eq!(entries(&next, &ring).len(), 1);
        ring[0].store(1, Relaxed);
        ring[1].store(u64::MAX, Relaxed); // nonsense
        assert_eq!(entries(&next, &ring)[0].1.len(), ENTRY_BYTES);
        ring[2].store(u64::MAX, Relaxed);
        assert!(entries(&next, &ring).is_empty());
    }
}
