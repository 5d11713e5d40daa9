//! The jobs that this process has in hand, and how far each of them is. Pure: knows no Redis, no socket
//! and no clock.

use std::{collections::BTreeMap, fmt};

use super::request::{Entry, EntryId};

/// A job that was delivered more often than this is not tried again.
pub const MAX_DELIVERIES: u64 = 20;

/// A job in hand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    step: Step,
    /// What is still to be done.
    rounds: u64,
    pub digest: u64,
    /// How often Redis has given it to anybody, this time included.
    pub deliveries: u64,
    /// The line broke when its effect was on the way: it may have come about.
    in_doubt: bool,
}

/// How far a job is. Forward only, but for `Recording`, which may have to be begun again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// Taken over from another worker; nobody has looked yet how often it was delivered.
    Uncounted,
    Working,
    /// Its effect is to be written down.
    Finished,
    /// Redis was told its effect.
    Recording,
    /// Redis has its effect. To be acknowledged.
    Recorded,
}

impl Job {
    /// It was tried too often, and nobody has done it.
    pub fn is_failed(&self) -> bool {
        self.deliveries > MAX_DELIVERIES
    }

    /// Its effect may exist twice.
    pub fn is_repeated(&self) -> bool {
        self.deliveries > 1 || self.in_doubt
    }
}

/// What has become of jobs that were in hand.
#[derive(Debug, Default)]
pub struct Counts {
    done: u64,
    /// Of these, jobs whose effect may exist twice.
    repeated: u64,
    /// Given up, since they were tried too often.
    failed: u64,
}

impl Counts {
    /// One more is acknowledged.
    pub fn add(&mut self, job: &Job) {
        if job.is_failed() {
            self.failed += 1;
        } else {
            self.done += 1;
            self.repeated += u64::from(job.is_repeated());
        }
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Counts { done, repeated, failed } = self;
        write!(f, "done={done} repeated={repeated} failed={failed}")
    }
}

/// All jobs in hand, oldest first.
#[derive(Debug, Default)]
pub struct Batch(BTreeMap<EntryId, Job>);

impl Batch {
    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn entries(&self) -> Vec<EntryId> {
        self.0.keys().copied().collect()
    }

    /// Jobs that nobody had before.
    pub fn deliver(&mut self, entries: Vec<Entry>) {
        self.add(entries, Step::Working);
    }

    /// Jobs of others, to be worked on when they are [counted](Self::count). Those that are in hand already
    /// stay as they are.
    pub fn take_over(&mut self, entries: Vec<Entry>) {
        self.add(entries, Step::Uncounted);
    }

    fn add(&mut self, entries: Vec<Entry>, step: Step) {
        for Entry { id, rounds, digest } in entries {
            let job = Job { step, rounds, digest, deliveries: 1, in_doubt: false };
            self.0.entry(id).or_insert(job);
        }
    }

    /// The first and the last of those that are to be counted.
    pub fn uncounted(&self) -> Option<(EntryId, EntryId)> {
        let mut ids =
            self.0.iter().filter(|(_, job)| job.step == Step::Uncounted).map(|(id, _)| *id);
        let first = ids.next()?;
        Some((first, ids.next_back().unwrap_or(first)))
    }

    /// How often jobs were delivered. One that was to be counted and is not named here has gone to yet
    /// another worker.
    pub fn count(&mut self, deliveries: &BTreeMap<EntryId, u64>) {
        self.0.retain(|id, job| {
            if job.step != Step::Uncounted {
                return true;
            }
            job.deliveries = deliveries.get(id).copied().unwrap_or_default();
            job.step = if job.is_failed() { Step::Finished } else { Step::Working };
            job.deliveries > 0
        });
    }

    pub fn has_work(&self) -> bool {
        self.0.values().any(|job| job.step == Step::Working)
    }

    /// Works for at most `rounds` rounds, on the oldest jobs.
    pub fn work(&mut self, mut rounds: u64) {
        for job in self.0.values_mut().filter(|job| job.step == Step::Working) {
            let piece = job.rounds.min(rounds);
            for _ in 0..piece {
                job.digest = fnv(&job.digest.to_le_bytes());
            }
            job.rounds -= piece;
            rounds -= piece;
            if job.rounds > 0 {
                return;
            }
            job.step = Step::Finished;
        }
    }

    /// A job whose effect is to be written down now.
    pub fn next_finished(&mut self) -> Option<(EntryId, &Job)> {
        let (id, job) = self.0.iter_mut().find(|(_, job)| job.step == Step::Finished)?;
        job.step = Step::Recording;
        Some((*id, job))
    }

    /// Its effect is written down.
    pub fn recorded(&mut self, id: EntryId) {
        if let Some(job) = self.0.get_mut(&id) {
            job.step = Step::Recorded;
        }
    }

    /// Those of which nothing is left to do but to tell Redis.
    pub fn unacknowledged(&self) -> Vec<EntryId> {
        let recorded = self.0.iter().filter(|(_, job)| job.step == Step::Recorded);
        recorded.map(|(id, _)| *id).collect()
    }

    /// It is out of our hands.
    pub fn acknowledged(&mut self, id: EntryId) -> Option<Job> {
        self.0.remove(&id)
    }

    /// The line to Redis broke: nobody can say whether what was on the way has arrived.
    pub fn interrupted(&mut self) {
        for job in self.0.values_mut().filter(|job| job.step == Step::Recording) {
            job.step = Step::Finished;
            job.in_doubt = true;
        }
    }
}

/// FNV-1a, which stands here for any work that takes its time.
pub fn fnv(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
