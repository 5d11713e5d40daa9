//! What of a new program's stderr gets through to ours: what there is room for, up to so much a second.
//! What is given up is counted, and the gap is told. Nobody waits for whoever reads our stderr.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd},
    time::{Duration, Instant},
};

use nix::fcntl::{FcntlArg, fcntl};

use super::exec::unread;
use crate::{
    limits::{STDERR_RATE, STDERR_READ},
    system::stdio::write_some,
};

const SECOND: Duration = Duration::from_secs(1);

/// How soon it is tried again to write to a stderr that takes nothing: no event says when it does, since it
/// is shared with whoever has started the server.
const RETRY: Duration = Duration::from_millis(20);

/// What is on its way, what has got through in this second, and what has not.
#[derive(Debug, Default)]
pub(super) struct Passage {
    /// Taken in, and not written yet.
    held: Vec<u8>,
    /// When this second began.
    since: Option<Instant>,
    taken: usize,
    passed: usize,
    /// Bytes that were given up since that was last said.
    dropped: usize,
    /// Some of them in this second: one gap a second is enough to tell.
    has_gap: bool,
}

impl Passage {
    /// Begins another second, if it is time.
    pub fn set_now(&mut self, now: Instant) {
        if self.since.is_none_or(|since| now.saturating_duration_since(since) >= SECOND) {
            (self.since, self.taken, self.passed, self.has_gap) = (Some(now), 0, 0, false);
        }
    }

    /// In this second no more is taken in: until when.
    pub fn rests_until(&self) -> Option<Instant> {
        self.since.filter(|_| self.taken >= STDERR_READ).map(|since| since + SECOND)
    }

    /// When there may be room again.
    pub fn try_again_at(&self, now: Instant) -> Instant {
        let next = self.since.filter(|_| !self.may_pass()).map(|since| since + SECOND);
        next.unwrap_or(now + RETRY)
    }

    fn may_pass(&self) -> bool {
        !self.has_gap && self.passed + self.held.len() <= STDERR_RATE
    }

    /// Takes in the next bytes; those before are gone, one way or the other.
    pub fn hold(&mut self, bytes: &[u8]) {
        self.taken += bytes.len();
        self.held.extend_from_slice(bytes);
    }

    /// Writes what there is room for; `true`: nothing is held any more.
    pub fn deliver(&mut self) -> bool {
        // Nothing comes behind a gap before it is told.
        if !self.held.is_empty() && self.may_pass() && self.tell_gap() {
            let passed = write(&self.held);
            self.held.drain(..passed);
            self.passed += passed;
        }
        self.held.is_empty()
    }

    /// There is no time to wait for room.
    pub fn give_up(&mut self) {
        self.has_gap = true;
        self.dropped += self.held.len();
        self.held.clear();
    }

    /// Says how much is missing, if anything is; `false` if there is no room for that either.
    pub fn tell_gap(&mut self) -> bool {
        let words = || {
            format!(
                "\nheirloom: {} bytes of the new program's stderr are missing here\n",
                self.dropped
            )
        };
        if self.dropped > 0 && write(words().as_bytes()) > 0 {
            self.dropped = 0;
        }
        self.dropped == 0
    }
}

/// Writes what fits to our stderr; tells how much. Half of a pipe is left alone: who else writes to it, such as
/// the server's own log, may wait for room.
fn write(bytes: &[u8]) -> usize {
    let stderr = io::stderr();
    let is_half_full = capacity(stderr.as_fd())
        .is_some_and(|capacity| unread(stderr.as_fd()) + bytes.len() > capacity / 2);
    if is_half_full { 0 } else { write_some(stderr.as_fd(), bytes).unwrap_or(0) }
}

/// What a pipe holds at most; `None`: it is none.
pub(super) fn capacity(fd: BorrowedFd<'_>) -> Option<usize> {
    fcntl(fd, FcntlArg::F_GETPIPE_SZ).ok().map(|size| size as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Counts only, for what is written goes to the stderr of the tests.
    #[test]
    fn each_second_has_its_own_bounds() {
        let start = Instant::now();
        let mut passage = Passage::default();
        passage.set_now(start);
        assert_eq!(passage.rests_until(), None);
        assert_eq!(passage.try_again_at(start), start + RETRY);
        (passage.taken, passage.passed) = (STDERR_READ - 5, STDERR_RATE);
        passage.set_now(start + SECOND / 2);
        passage.hold(b"stays");
        assert!(!passage.deliver());
        assert_eq!(passage.rests_until(), Some(start + SECOND));
        assert_eq!(passage.try_again_at(start + SECOND / 2), start + SECOND);
        passage.give_up();
        assert!(passage.deliver() && passage.has_gap);
        passage.set_now(start + SECOND);
        assert_eq!((passage.rests_until(), passage.passed, passage.dropped), (None, 0, 5));
    }
}
