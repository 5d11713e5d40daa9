//! What the picture shows: when it was asked for what, and who has answered how fast. Plain data.

use std::time::Duration;

/// How long it is watched.
pub const LIFE: Duration = Duration::from_secs(6);

/// When the server is asked to restart, and by which engine.
pub const TRIGGERS: [(Duration, &str); 2] =
    [(Duration::from_millis(1500), "fork"), (Duration::from_millis(3500), "fork-exec")];

/// New clients a second; each has one request.
pub const RATE: u32 = 1000;

/// Long-lived clients, and how often all of them have asked.
pub const CROWD: usize = 40;
pub const ROUND: Duration = Duration::from_millis(80);

/// One answer: when, by which generation, how fast, and to whom.
pub struct Answer {
    pub at: Duration,
    pub generation: u64,
    pub took: Duration,
    pub is_new: bool,
}

/// What has been seen.
#[derive(Default)]
pub struct Trace {
    pub answers: Vec<Answer>,
    pub failed: usize,
}

impl Trace {
    /// What became of a request: the answer, or none.
    pub fn add(&mut self, answer: Option<Answer>) {
        match answer {
            Some(answer) => self.answers.push(answer),
            None => self.failed += 1,
        }
    }
}
