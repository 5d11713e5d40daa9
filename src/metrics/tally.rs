//! What the reactor counts, added to the memory once in a turn: what has changed since, and no more.

use super::board::{Board, Kind, Series};
use crate::{
    net::{Reason, Watched},
    stats::{REASONS, Stats, TIMEOUTS, TurnLengths},
};

const BUCKETS: usize = TurnLengths::BOUNDS.len() + 1;

/// Places for what has one name each.
const PLAIN: usize = 25;
const COUNTS: usize = PLAIN + REASONS + TIMEOUTS + BUCKETS + 1;

/// A name and its help.
type Named = (&'static str, &'static str);
type Label = Option<(&'static str, &'static str)>;

const OPENED: Named = ("heirloom_connections_opened", "Connections that began.");
const CLOSED: Named =
    ("heirloom_connections_closed", "Connections that ended, by the reason that the log has.");
const MOVED: Named = (
    "heirloom_connections_moved",
    "Connections that came to a process from another generation (in), or went to one (out).",
);
const TIMED_OUT: Named = (
    "heirloom_timeouts",
    "Timeouts of connections that have passed, by what for; of an idle one the service may have thought otherwise.",
);
const TURNS: Named = (
    "heirloom_turn_seconds",
    "How long turns of the loop took, from the end of a wait for events to the next one.",
);
const BYTES: Named = ("heirloom_bytes", "Bytes that clients have sent (in) and got (out).");
const CALLS: Named = (
    "heirloom_system_calls",
    "Calls of read and write for connections, those of handshakes included.",
);
const DATAGRAMS: Named = (
    "heirloom_datagrams",
    "Datagrams, by what became of them: read, sent, read and passed on to another generation, too long, or not \
     to be sent.",
);

/// What has one name each, in the order of [`counts`].
const NAMES: [(Named, Label); PLAIN] = [
    (OPENED, Some(("by", "accept"))),
    (OPENED, Some(("by", "dial"))),
    (("heirloom_tls_handshakes", "TLS handshakes that were made."), None),
    (("heirloom_tls_handshake_steps", "Steps of TLS handshakes, with one read each."), None),
    (MOVED, Some(("direction", "in"))),
    (MOVED, Some(("direction", "out"))),
    (
        (
            "heirloom_connections_failed",
            "Connections that ended because something went wrong: not by a close of either side, nor for silence.",
        ),
        None,
    ),
    (("heirloom_messages", "Messages that the service has taken."), None),
    (BYTES, Some(("direction", "in"))),
    (BYTES, Some(("direction", "out"))),
    (CALLS, Some(("call", "read"))),
    (CALLS, Some(("call", "write"))),
    (DATAGRAMS, Some(("outcome", "read"))),
    (DATAGRAMS, Some(("outcome", "sent"))),
    (DATAGRAMS, Some(("outcome", "forwarded"))),
    (DATAGRAMS, Some(("outcome", "truncated"))),
    (DATAGRAMS, Some(("outcome", "dropped"))),
    (("heirloom_turns", "Turns of the loop, which is waits for events."), None),
    (("heirloom_ticks_missed", "Ticks of intervals that were coalesced with a later one."), None),
    (("heirloom_holds_expired", "Holds that were given up because their time was over."), None),
    (("heirloom_deferred_pieces", "Pieces of deferred work."), None),
    (("heirloom_mails", "Messages from other threads."), None),
    (("heirloom_panics", "Callbacks that panicked and did not end the process."), None),
    (("heirloom_ghost_events", "Readiness events for connections that were gone."), None),
    (("heirloom_accept_pauses", "Times that accepting paused because descriptors ran out."), None),
];

/// All counts, each at its place.
fn counts(stats: &Stats) -> [u64; COUNTS] {
    let mut all = [0; COUNTS];
    let plain = [
        stats.accepted,
        stats.dialed,
        stats.handshakes,
        stats.handshake_steps,
        stats.moved_in,
        stats.moved_out,
        stats.failed,
        stats.messages,
        stats.bytes_in,
        stats.bytes_out,
        stats.reads,
        stats.writes,
        stats.datagrams_in,
        stats.datagrams_out,
        stats.datagrams_forwarded,
        stats.datagrams_truncated,
        stats.datagrams_dropped,
        stats.turns,
        stats.ticks_missed,
        stats.holds_expired,
        stats.pieces,
        stats.mails,
        stats.panics,
        stats.ghosts,
        stats.accept_pauses,
    ];
    let parts: [&[u64]; 5] =
        [&plain, &stats.ends, &stats.timeouts, &stats.lengths.buckets, &[stats.lengths.nanos]];
    let mut rest = &mut all[..];
    for part in parts {
        let (own, behind) = rest.split_at_mut(part.len());
        own.copy_from_slice(part);
        rest = behind;
    }
    all
}

/// What this process has published so far.
#[derive(Debug)]
pub(super) struct Tally {
    /// Where each count is on the board, if there was room.
    places: [Option<usize>; COUNTS],
    published: [u64; COUNTS],
}

impl Tally {
    pub fn new(board: &Board) -> Tally {
        let mut places = [None; COUNTS];
        let mut at = places.iter_mut();
        let mut name = |kind, (name, help): (&str, &str), label: Option<(&str, &str)>| {
            let labels: Vec<_> = label.into_iter().collect();
            let series = Series { kind, name, labels: &labels, help };
            at.next().into_iter().for_each(|place| *place = board.find_or_add(&series));
        };
        for (of, label) in NAMES {
            name(Kind::Counter, of, label);
        }
        for reason in Reason::NAMES {
            let reason = reason.trim_start_matches("close ").replace(' ', "_");
            name(Kind::Counter, CLOSED, Some(("reason", &reason)));
        }
        for timeout in Watched::NAMES {
            name(Kind::Counter, TIMED_OUT, Some(("timeout", timeout)));
        }
        for bound in TurnLengths::BOUNDS {
            name(Kind::Bucket, TURNS, Some(("le", &bound.as_secs_f64().to_string())));
        }
        name(Kind::Bucket, TURNS, Some(("le", "+Inf")));
        name(Kind::Sum, TURNS, None);
        Tally { places, published: [0; COUNTS] }
    }

    /// Adds what is new. None of the counts runs backwards.
    pub fn publish(&mut self, board: &Board, stats: &Stats) {
        let counts = counts(stats);
        for ((count, published), place) in counts.iter().zip(&mut self.published).zip(&self.places)
        {
            if count != published {
                let more = count.wrapping_sub(*published);
                *published = *count;
                place.iter().for_each(|&index| board.add(index, more));
            }
        }
    }

    /// What was counted up to now is another process's, which publishes it.
    pub fn begin_anew(&mut self) {
        self.published = [0; COUNTS];
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{
        super::board::{Sample, WORDS},
        *,
    };
    use crate::system::shared_words::SharedWords;

    fn value(board: &Board, name: &str, label: Option<&str>) -> u64 {
        let labels = |sample: &Sample| sample.labels.first().map(|(_, value)| value.clone());
        let is_it = |sample: &&Sample| sample.name == name && labels(sample).as_deref() == label;
        board.samples().iter().find(is_it).expect(name).value
    }

    /// Each count is at the place of its name.
    #[test]
    fn each_name_has_its_own_count() {
        let board = Board::begin(SharedWords::new("test", WORDS).unwrap());
        let mut tally = Tally::new(&board);
        let mut stats = Stats {
            accepted: 1,
            moved_out: 2,
            messages: 3,
            bytes_out: 4,
            datagrams_dropped: 5,
            turns: 6,
            accept_pauses: 7,
            ..Stats::default()
        };
        stats.ends[Reason::Stopped.kind()] = 8;
        stats.timeouts[Watched::Close.kind()] = 9;
        stats.lengths.add(Duration::from_secs(2));
        tally.publish(&board, &stats);
        for (name, label, count) in [
            (OPENED.0, Some("accept"), 1),
            (MOVED.0, Some("out"), 2),
            ("heirloom_messages", None, 3),
            (BYTES.0, Some("out"), 4),
            (DATAGRAMS.0, Some("dropped"), 5),
            ("heirloom_turns", None, 6),
            ("heirloom_accept_pauses", None, 7),
            (CLOSED.0, Some("stopped"), 8),
            (TIMED_OUT.0, Some("close"), 9),
            (TURNS.0, Some("+Inf"), 1),
            (TURNS.0, None, 2_000_000_000),
        ] {
            assert_eq!(value(&board, name, label), count, "{name} {label:?}");
        }
    }

    #[test]
    fn what_was_published_is_not_published_again_and_a_child_begins_anew() {
        let board = Board::begin(SharedWords::new("test", WORDS).unwrap());
        let mut parent = Tally::new(&board);
        let of_parent = Stats { messages: 10, ..Stats::default() };
        parent.publish(&board, &of_parent);
        parent.publish(&board, &of_parent);
        let mut child = Tally { places: parent.places, published: parent.published };
        child.begin_anew();
        child.publish(&board, &Stats { messages: 1, ..Stats::default() });
        parent.publish(&board, &Stats { messages: 12, ..Stats::default() });
        assert_eq!(value(&board, "heirloom_messages", None), 13);
    }
}
