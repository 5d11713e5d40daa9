//! Counters of one process since it began; a forked child begins at zero.

use std::time::Duration;

/// What this process has done so far. Read it with [`Net::stats`](crate::Net::stats).
///
/// All are counts since the process began, or since the fork that made it; none runs backwards.
///
/// ```
/// # use heirloom::Net;
/// /// Output per system call: how well one write per turn gathers.
/// fn bytes_per_write(net: &Net) -> u64 {
///     let stats = net.stats();
///     stats.bytes_out / stats.writes.max(1)
/// }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Connections accepted.
    pub accepted: u64,
    /// Connections dialed and established.
    pub dialed: u64,
    /// TLS handshakes that were made, of either kind.
    pub handshakes: u64,
    /// And the steps that were made for them, each with one `read`.
    pub handshake_steps: u64,
    /// Connections that came from an older generation.
    pub moved_in: u64,
    /// Connections that went to a newer generation.
    pub moved_out: u64,
    /// Connections ended, for whatever reason.
    pub closed: u64,
    /// Connections ended because they went over a limit or a timeout, or their service said `Err`; not those that
    /// were [silent](crate::Reason::Idle).
    pub failed: u64,
    /// Messages taken by [`on_data`](crate::Service::on_data).
    pub messages: u64,
    /// Bytes received from clients and peers; those of operators are not counted.
    pub bytes_in: u64,
    /// Bytes sent to them.
    pub bytes_out: u64,
    /// Calls of `read`.
    pub reads: u64,
    /// Calls of `write` and `writev`.
    pub writes: u64,
    /// Datagrams read, and not too long.
    pub datagrams_in: u64,
    /// Datagrams that a socket has taken.
    pub datagrams_out: u64,
    /// Datagrams that this process has read and an older generation has got.
    pub datagrams_forwarded: u64,
    /// Datagrams longer than [`limits::DATAGRAM_MAX`](crate::limits::DATAGRAM_MAX): not given to the service.
    pub datagrams_truncated: u64,
    /// Datagrams that were to be sent or forwarded, and could not.
    pub datagrams_dropped: u64,
    /// Turns of the loop, which is calls of `epoll_wait`.
    pub turns: u64,
    /// Ticks of [intervals](crate::Net::set_interval) that were coalesced with a later one.
    pub ticks_missed: u64,
    /// Holds that were given up because [their time](crate::Net::hold_within) was over.
    pub holds_expired: u64,
    /// Pieces of [deferred](crate::Net::defer) work.
    pub pieces: u64,
    /// Messages [received](crate::Mail::on_mail).
    pub mails: u64,
    /// Callbacks that [panicked](crate::Service#a-callback-that-panics) and did not end the process.
    pub panics: u64,
    /// Readiness events for connections that were gone already. They are harmless, and rare.
    pub ghosts: u64,
    /// Times that accepting was paused because descriptors ran out.
    pub accept_pauses: u64,
    /// Of those that were [closed](Self::closed), how many for each reason, by its number.
    pub(crate) ends: [u64; REASONS],
    /// Timeouts of connections that have gone off, by what they were for.
    pub(crate) timeouts: [u64; TIMEOUTS],
    pub(crate) lengths: TurnLengths,
}

/// Reasons for the end of a connection.
pub(crate) const REASONS: usize = 16;

/// What a timeout of a connection may be for.
pub(crate) const TIMEOUTS: usize = 9;

/// How long turns have taken, from the end of one wait to the beginning of the next.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct TurnLengths {
    /// Those up to each bound and over the one before, and those over the last.
    pub buckets: [u64; TurnLengths::BOUNDS.len() + 1],
    pub nanos: u64,
}

impl TurnLengths {
    /// From what a turn with one message takes up to a second, in which nobody is heard.
    pub const BOUNDS: [Duration; 12] = [
        Duration::from_micros(10),
        Duration::from_micros(25),
        Duration::from_micros(50),
        Duration::from_micros(100),
        Duration::from_micros(250),
        Duration::from_millis(1),
        Duration::from_micros(2500),
        Duration::from_millis(10),
        Duration::from_millis(25),
        Duration::from_millis(100),
        Duration::from_millis(250),
        Duration::from_secs(1),
    ];

    pub fn add(&mut self, length: Duration) {
        let bucket = TurnLengths::BOUNDS.partition_point(|bound| *bound < length);
        self.buckets[bucket] += 1;
        self.nanos += u64::try_from(length.as_nanos()).unwrap_or(u64::MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_is_in_the_first_bucket_that_has_room_for_it() {
        let mut lengths = TurnLengths::default();
        for micros in [0, 10, 11, 1_000_000, 1_000_001] {
            lengths.add(Duration::from_micros(micros));
        }
        let [first, second, .., last, over] = lengths.buckets;
        assert_eq!((first, second, last, over), (2, 1, 1, 1));
        assert_eq!(lengths.nanos, 2_000_022_000);
    }
}
