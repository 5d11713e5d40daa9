//! The worker of the jobs example without a Redis: the test reads what it asks and says what Redis would.
//! Each test is one story, told in commands and answers.

#[path = "../examples/jobs/batch.rs"]
mod batch;
#[path = "../examples/jobs/line.rs"]
mod line;
#[path = "../examples/kv/reply.rs"]
mod reply;
#[path = "../examples/jobs/request.rs"]
mod request;
#[allow(dead_code)]
#[path = "../examples/kv/resp.rs"]
mod resp;
#[path = "../examples/jobs/stage.rs"]
mod stage;
#[path = "../examples/jobs/worker.rs"]
mod worker;

use std::{io::ErrorKind, time::Duration};

use batch::{Batch, MAX_DELIVERIES, fnv};
use heirloom::{
    Origin,
    testing::{Harness, Peer},
};
use proptest::prelude::*;
use reply::{Reply, reply};
use request::{Entry, EntryId};
use worker::Worker;

const LEASE: Duration = Duration::from_secs(30);
const FETCH: &str = "XREADGROUP GROUP workers ME COUNT 16 BLOCK 2000 STREAMS jobs >";
const SEARCH: &str = "XAUTOCLAIM jobs workers ME 30000 0-0 COUNT 16";
const NOTHING_FOUND: &str = "*3 $0-0 *0 *0";

/// A worker, and the ends of its lines that are Redis's.
struct Story {
    harness: Harness<Worker>,
    fetch: Peer,
    work: Peer,
}

impl Story {
    /// Up to the first fetch.
    fn begin() -> Story {
        let mut harness = Harness::new(Worker::new("127.0.0.1:6379".to_owned(), LEASE));
        let dialed: Vec<_> = harness.dialed().into_iter().map(|(_, tag)| tag).collect();
        assert_eq!(dialed, [0, 1]);
        let fetch = harness.connect_as(Origin::Dialed { tag: 0 });
        let work = harness.connect_as(Origin::Dialed { tag: 1 });
        let mut story = Story { harness, fetch, work };
        story.fetches(&["XGROUP CREATE jobs workers 0 MKSTREAM", "CLIENT ID", FETCH]);
        story.asks(&["XGROUP CREATE jobs workers 0 MKSTREAM", SEARCH]);
        story.fetched("+OK");
        story.fetched(":7");
        story.answered(&["-BUSYGROUP there is one", NOTHING_FOUND]);
        story
    }

    /// What was asked on the work line since the last look.
    fn asks(&mut self, expected: &[&str]) {
        let sent = self.harness.take(self.work);
        assert_eq!(commands(&sent), expected);
    }

    /// The same of the fetch line.
    fn fetches(&mut self, expected: &[&str]) {
        let sent = self.harness.take(self.fetch);
        assert_eq!(commands(&sent), expected);
    }

    fn answered(&mut self, answers: &[&str]) {
        answers.iter().for_each(|answer| self.harness.feed(self.work, &wire(answer)));
    }

    fn fetched(&mut self, answer: &str) {
        self.harness.feed(self.fetch, &wire(answer));
    }

    /// Time for the pieces of all jobs in hand; not long enough for any timer.
    fn work(&mut self) {
        self.harness.advance(Duration::from_millis(1));
    }

    /// The work line breaks; after a while there is a new one.
    fn break_work_line(&mut self) {
        self.harness.finish(self.work);
        self.harness.advance(Duration::from_millis(60));
        let dialed: Vec<_> = self.harness.dialed().into_iter().map(|(_, tag)| tag).collect();
        assert_eq!(dialed, [1]);
        self.work = self.harness.connect_as(Origin::Dialed { tag: 1 });
    }

    fn stat(&mut self, name: &str) -> String {
        let operator = self.harness.connect();
        self.harness.feed(operator, b"stats\n");
        let stats = String::from_utf8(self.harness.take(operator)).expect("text");
        self.harness.finish(operator);
        let mut words = stats.split_whitespace().filter_map(|word| word.split_once('='));
        words.find(|(found, _)| *found == name).expect(name).1.to_owned()
    }
}

/// Commands as lines; the worker's name, which has the process id in it, as `ME`.
fn commands(mut sent: &[u8]) -> Vec<String> {
    let me = format!("0-{}-1", std::process::id());
    let mut found = Vec::new();
    while !sent.is_empty() {
        let (Reply::Array(words), taken) = reply(sent).expect("a command").expect("a whole one")
        else {
            panic!("a command is an array")
        };
        let words: Vec<_> = words
            .iter()
            .map(|word| match word {
                Reply::Bulk(bytes) => String::from_utf8_lossy(bytes).replace(&me, "ME"),
                other => panic!("a word is no {other:?}"),
            })
            .collect();
        found.push(words.join(" "));
        sent = &sent[taken..];
    }
    found
}

/// An answer, written in one line: `*2` and its items with blanks between, `$` before each bulk. A status
/// or an error is the whole line.
fn wire(answer: &str) -> Vec<u8> {
    if answer.starts_with(['+', '-']) {
        return format!("{answer}\r\n").into_bytes();
    }
    let item = |word: &str| match word.strip_prefix('$') {
        Some(bulk) => format!("${}\r\n{bulk}\r\n", bulk.len()),
        None => format!("{word}\r\n"),
    };
    answer.split(' ').map(item).collect::<String>().into_bytes()
}

/// The answer to a fetch that brings jobs.
fn jobs(entries: &[(&str, u64)]) -> String {
    format!("*1 *2 $jobs {}", list(entries))
}

fn list(entries: &[(&str, u64)]) -> String {
    let entry = |(id, rounds): &(&str, u64)| format!(" *2 ${id} *4 $text $hello $rounds ${rounds}");
    format!("*{}{}", entries.len(), entries.iter().map(entry).collect::<String>())
}

/// The command that writes a job's effect down.
fn effect(id: &str, deliveries: u64, rounds: u64) -> String {
    let digest = (0..rounds).fold(fnv(b"hello"), |digest, _| fnv(&digest.to_le_bytes()));
    format!("RPUSH jobs:done {id},ME,{deliveries},{digest:016x}")
}

#[test]
fn a_job_is_acknowledged_when_its_effect_is_confirmed() {
    let mut story = Story::begin();
    story.fetched(&jobs(&[("1-0", 3), ("1-1", 0)]));
    story.fetches(&[FETCH]);
    story.asks(&[]);
    story.work();
    story.asks(&[&effect("1-0", 1, 3), &effect("1-1", 1, 0)]);
    story.answered(&[":1"]);
    story.asks(&["XACK jobs workers 1-0"]);
    story.answered(&[":2", ":1"]);
    story.asks(&["XACK jobs workers 1-1"]);
    assert_eq!((story.stat("done"), story.stat("in_hand")), ("1".into(), "1".into()));
    story.answered(&[":1"]);
    assert_eq!((story.stat("done"), story.stat("in_hand")), ("2".into(), "0".into()));
}

#[test]
fn a_fetch_that_runs_out_of_time_is_asked_again() {
    let mut story = Story::begin();
    story.fetched("*-1");
    story.fetches(&[FETCH]);
}

#[test]
fn no_more_is_fetched_than_fits_in_the_hand() {
    let mut story = Story::begin();
    let mut fetches = 0;
    for round in 0.. {
        let ids: Vec<_> = (0..16).map(|n| format!("{}-{n}", round + 1)).collect();
        let entries: Vec<_> = ids.iter().map(|id| (id.as_str(), u64::MAX)).collect();
        story.fetched(&jobs(&entries));
        fetches += 1;
        if story.harness.take(story.fetch).is_empty() {
            break;
        }
    }
    assert_eq!(fetches, 3, "room is kept for what the work line may bring");
    assert_eq!(story.stat("in_hand"), "48");
}

#[test]
fn a_long_job_lets_others_in_between() {
    let mut story = Story::begin();
    story.fetched(&jobs(&[("1-0", 1_000_000)]));
    story.harness.advance(Duration::from_nanos(3)); // three turns
    assert_eq!(story.stat("done"), "0");
    story.asks(&[]);
    story.work();
    story.asks(&[&effect("1-0", 1, 1_000_000)]);
}

#[test]
fn a_long_job_keeps_its_lease() {
    let mut story = Story::begin();
    story.fetched(&jobs(&[("1-0", 0), ("1-1", 0)]));
    story.work();
    story.harness.take(story.work);
    story.harness.advance(LEASE / 4); // and Redis is slow to confirm
    story.asks(&["XCLAIM jobs workers ME 15000 1-0 1-1 JUSTID", SEARCH]);
}

/// The answer to the last fetch may be on its way: what it brings is done like everything else.
#[test]
fn jobs_that_arrive_after_the_release_are_finished() {
    let mut story = Story::begin();
    story.harness.net().drain();
    story.harness.advance(Duration::ZERO);
    story.asks(&["CLIENT UNBLOCK 7"]);
    story.fetched(&jobs(&[("1-0", 5)]));
    story.fetches(&[]); // no more
    story.answered(&[":0"]); // it was no longer waiting
    story.work();
    story.asks(&[&effect("1-0", 1, 5)]);
    story.answered(&[":1"]);
    story.asks(&["XACK jobs workers 1-0"]);
    story.answered(&[":1"]);
    story.asks(&["XPENDING jobs workers - + 1 ME"]);
    assert!(!story.harness.has_ended());
    story.answered(&["*0"]);
    story.asks(&["XGROUP DELCONSUMER jobs workers ME"]);
    story.answered(&[":0"]);
    assert!(story.harness.has_ended());
}

/// To take a name out of the group is to lose what it has.
#[test]
fn a_name_that_still_has_jobs_stays_in_the_group() {
    let mut story = Story::begin();
    story.harness.net().drain();
    story.harness.advance(Duration::ZERO);
    story.asks(&["CLIENT UNBLOCK 7"]);
    story.answered(&[":1"]);
    story.fetched("*-1");
    story.asks(&["XPENDING jobs workers - + 1 ME"]);
    story.answered(&["*1 *4 $1-0 $me :10 :1"]);
    story.asks(&[]);
    assert!(story.harness.has_ended());
}

#[test]
fn a_process_with_jobs_waits_for_redis_and_one_without_does_not() {
    for has_job in [true, false] {
        let mut story = Story::begin();
        if has_job {
            story.fetched(&jobs(&[("1-0", 0)]));
        }
        story.harness.net().drain();
        story.harness.advance(Duration::ZERO);
        story.harness.finish(story.fetch);
        story.harness.finish(story.work);
        assert_eq!(story.harness.has_ended(), !has_job);
        story.harness.advance(Duration::from_millis(60));
        let tags: Vec<_> = story.harness.dialed().into_iter().map(|(_, tag)| tag).collect();
        assert_eq!(tags, if has_job { vec![1] } else { vec![] }, "it fetches no more");
    }
}

#[test]
fn an_effect_in_doubt_is_written_again_and_counted_as_a_repeat() {
    let mut story = Story::begin();
    story.fetched(&jobs(&[("1-0", 0), ("1-1", 0)]));
    story.work();
    story.asks(&[&effect("1-0", 1, 0), &effect("1-1", 1, 0)]);
    story.answered(&[":1"]);
    story.break_work_line();
    // The first is known to be written, so it is only acknowledged.
    let group = "XGROUP CREATE jobs workers 0 MKSTREAM";
    story.asks(&[group, "XACK jobs workers 1-0", &effect("1-1", 1, 0), SEARCH]);
    story.answered(&["-BUSYGROUP", ":1", ":3", NOTHING_FOUND, ":1"]);
    assert_eq!((story.stat("done"), story.stat("repeated")), ("2".into(), "1".into()));
}

#[test]
fn a_refusal_is_no_confirmation() {
    let mut story = Story::begin();
    story.fetched(&jobs(&[("1-0", 0)]));
    story.work();
    story.asks(&[&effect("1-0", 1, 0)]);
    story.answered(&["-OOM command not allowed"]);
    story.asks(&[]);
    assert!(story.harness.is_closed(story.work));
    assert_eq!((story.stat("done"), story.stat("in_hand")), ("0".into(), "1".into()));
}

#[test]
fn jobs_of_a_dead_worker_are_counted_before_they_are_worked_on() {
    let mut story = Story::begin();
    story.harness.advance(LEASE / 4);
    story.asks(&[SEARCH]);
    let found = list(&[("1-0", 0), ("1-1", 0), ("1-2", 0)]);
    story.answered(&[&format!("*3 $1-3 {found} *0")]);
    story.work();
    story.asks(&["XPENDING jobs workers 1-0 1-2 64 ME"]);
    // The last one has gone to somebody else meanwhile, and the one in the middle has killed too many.
    let count = MAX_DELIVERIES + 1;
    story.answered(&[&format!("*2 *4 $1-0 $me :1 :2 *4 $1-1 $me :1 :{count}")]);
    story.work();
    let failed = effect("1-1", count, 0).replace("jobs:done", "jobs:failed");
    story.asks(&[&failed, &SEARCH.replace("0-0", "1-3"), &effect("1-0", 2, 0)]);
    story.answered(&[":1", NOTHING_FOUND, ":1", ":1", ":1"]);
    let [done, repeated, failed, rest] =
        ["done", "repeated", "failed", "in_hand"].map(|name| story.stat(name));
    assert_eq!((done, repeated, failed, rest), ("1".into(), "1".into(), "1".into(), "0".into()));
}

#[test]
fn a_job_that_is_in_hand_is_not_taken_over_from_ourselves() {
    let mut story = Story::begin();
    story.fetched(&jobs(&[("1-0", 0)]));
    story.work();
    story.asks(&[&effect("1-0", 1, 0)]);
    story.harness.advance(LEASE / 4);
    story.harness.take(story.work);
    story.answered(&[":1", "*0", &format!("*3 $0-0 {} *0", list(&[("1-0", 0)]))]);
    story.asks(&["XACK jobs workers 1-0"]);
    assert_eq!(story.stat("in_hand"), "1");
}

#[test]
fn a_dial_that_fails_is_tried_again_later_and_later() {
    let mut harness = Harness::new(Worker::new("127.0.0.1:6379".to_owned(), LEASE));
    assert_eq!(harness.dialed().len(), 2);
    let mut waited = Vec::new();
    for _ in 0..4 {
        harness.refuse(1, ErrorKind::ConnectionRefused);
        let mut millis = 0;
        while harness.dialed().is_empty() {
            harness.advance(Duration::from_millis(1));
            millis += 1;
        }
        waited.push(millis);
    }
    assert!(waited.is_sorted() && waited[0] >= 25 && waited[3] >= 200, "{waited:?}");
}

#[test]
fn what_does_not_fit_ends_the_line_and_nothing_else() {
    for answer in ["*0", ":1", "$x", "*1 *0", "*1 *2 $jobs :1", "*1 *2 $jobs *1 *2 $1 *0", "+OK"] {
        let mut story = Story::begin();
        story.fetched(answer);
        assert!(story.harness.is_closed(story.fetch), "{answer}");
        assert_eq!(story.stat("in_hand"), "0");
    }
}

#[test]
fn whatever_is_in_the_stream_is_a_job() {
    for fields in ["*0", "*1 $rounds", "*2 $rounds $many", "*2 $rounds $-1", "*4 $a $b $rounds $0"]
    {
        let mut story = Story::begin();
        story.fetched(&format!("*1 *2 $jobs *1 *2 $1-0 {fields}"));
        story.work();
        let digest = fnv(b"");
        story.asks(&[&format!("RPUSH jobs:done 1-0,ME,1,{digest:016x}")]);
    }
}

proptest! {
    /// However the lines break, a job is written down once for each doubt, and acknowledged after that.
    #[test]
    fn no_job_is_acknowledged_before_it_is_recorded(steps in proptest::collection::vec(0u8..6, 0..200)) {
        let mut batch = Batch::default();
        let (mut next, mut asked) = (0, Vec::new());
        let mut recorded = std::collections::BTreeSet::new();
        for step in steps {
            match step {
                0 => {
                    next += 1;
                    batch.deliver(vec![Entry { id: EntryId(next, 0), rounds: next % 3, digest: 0 }]);
                }
                1 => batch.work(2),
                2 => asked.extend(batch.next_finished().map(|(id, _)| id)),
                3 if !asked.is_empty() => {
                    let id = asked.remove(0);
                    recorded.insert(id);
                    batch.recorded(id);
                }
                4 => {
                    batch.interrupted();
                    asked.clear();
                }
                _ => {
                    for id in batch.unacknowledged() {
                        prop_assert!(recorded.contains(&id));
                        prop_assert!(batch.acknowledged(id).is_some());
                    }
                }
            }
        }
        // Without further trouble all comes to an end.
        batch.interrupted();
        while !batch.is_empty() {
            batch.work(u64::MAX);
            while let Some((id, _)) = batch.next_finished() {
                recorded.insert(id);
                batch.recorded(id);
            }
            for id in batch.unacknowledged() {
                batch.acknowledged(id);
            }
        }
        prop_assert_eq!(recorded.len() as u64, next);
    }
}
