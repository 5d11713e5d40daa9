//! What the clients have seen, by balancer and by what was under way, and the table of it.

use std::{collections::BTreeMap, fmt, time::Duration};

/// What can become of a request.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fate {
    /// The answer is right.
    Answered,
    /// By the balancer's word for what went wrong behind it, or any other status.
    Status(u16),
    /// Nobody listens.
    Refused,
    /// The connection was torn down, or ended in the middle of an answer.
    Cut,
    /// Another answer than the one that was to come.
    Wrong,
    TimedOut,
}

impl fmt::Display for Fate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fate::Answered => f.write_str("answered"),
            Fate::Status(status) => write!(f, "{status}"),
            Fate::Refused => f.write_str("refused"),
            Fate::Cut => f.write_str("cut off"),
            Fate::Wrong => f.write_str("wrong"),
            Fate::TimedOut => f.write_str("timed out"),
        }
    }
}

/// Of one phase, through one balancer.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    fates: BTreeMap<Option<Fate>, u64>,
    posts: u64,
    slowest: Duration,
}

impl Tally {
    pub fn count(&mut self, fate: Fate, is_post: bool, took: Duration) {
        let fate = Some(fate).filter(|fate| *fate != Fate::Answered);
        *self.fates.entry(fate).or_default() += 1;
        self.posts += u64::from(is_post);
        self.slowest = self.slowest.max(took);
    }

    pub fn add(&mut self, other: &Tally) {
        for (fate, count) in &other.fates {
            *self.fates.entry(fate.clone()).or_default() += count;
        }
        self.posts += other.posts;
        self.slowest = self.slowest.max(other.slowest);
    }

    pub fn requests(&self) -> u64 {
        self.fates.values().sum()
    }

    pub fn failures(&self) -> u64 {
        self.requests() - self.fates.get(&None).copied().unwrap_or_default()
    }
}

/// Requests, POSTs among them, the slowest one, and what has failed.
impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let slowest = self.slowest.as_secs_f64() * 1000.0;
        write!(
            f,
            "{:>9} {:>9} {slowest:>9.1}ms {:>7}",
            self.requests(),
            self.posts,
            self.failures()
        )?;
        for (fate, count) in &self.fates {
            if let Some(fate) = fate {
                write!(f, "  {fate}: {count}")?;
            }
        }
        Ok(())
    }
}
