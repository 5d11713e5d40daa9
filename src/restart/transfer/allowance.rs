//! How much of what clients have queued goes along in one move. Pure: counts bytes.
//!
//! While connections move nobody serves them, and each byte of a record takes its time: it is copied,
//! sealed, read and put in its place. What clients send and do not read is theirs to decide, so it has a
//! bound: a connection with more than there is room for stays with its process, and drains.

use crate::limits::MOVE_SMALL;

/// What is left of the bytes that may go along.
#[derive(Debug)]
pub(crate) struct Allowance {
    left: usize,
    /// Connections for which there was no room.
    pub kept_back: usize,
}

impl Allowance {
    pub fn of(bytes: usize) -> Allowance {
        Allowance { left: bytes, kept_back: 0 }
    }

    /// Whether that much counts at all. What most have is so little that they all go.
    pub fn counts(bytes: usize) -> bool {
        bytes > MOVE_SMALL
    }

    pub fn has_room_for(&self, bytes: usize) -> bool {
        !Allowance::counts(bytes) || bytes <= self.left
    }

    /// A connection with that much goes, if there is room; tells whether there was.
    pub fn take(&mut self, bytes: usize) -> bool {
        let has_room = self.has_room_for(bytes);
        if !has_room {
            self.kept_back += 1;
        } else if Allowance::counts(bytes) {
            self.left -= bytes;
        }
        has_room
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_more_goes_than_is_allowed_but_for_the_small(
            bytes in 0..MOVE_SMALL * 20,
            all in proptest::collection::vec(0..MOVE_SMALL * 10, 0..40),
        ) {
            let mut allowance = Allowance::of(bytes);
            let taken: Vec<_> = all.iter().map(|&one| (one, allowance.take(one))).collect();
            let large = taken.iter().filter(|(one, goes)| *goes && *one > MOVE_SMALL);
            prop_assert!(large.map(|(one, _)| one).sum::<usize>() <= bytes);
            let stays: Vec<_> = taken.iter().filter(|(_, goes)| !goes).collect();
            prop_assert!(stays.iter().all(|(one, _)| *one > MOVE_SMALL));
            prop_assert_eq!(stays.len(), allowance.kept_back);
        }
    }
}
