//! What a run has come to, and the verdict. Knows the numbers; `table` and `json` lay them out.

use std::time::Duration;

use heirloom::Engine;

use crate::{generations::Attempt, options::Options, shared::State};

/// What the driver knows at the end, beside the state.
#[derive(Debug)]
pub struct Outcome {
    /// From the start until the clients were stopped.
    pub lasted: Duration,
    /// What has ended the run early.
    pub trouble: Option<String>,
    /// Processes that had to be killed.
    pub left_over: usize,
    /// With TLS: whole handshakes of clients, and those that have resumed a session.
    pub handshakes: Option<[u64; 2]>,
}

/// Everything that the report says.
pub struct Report<'a> {
    pub state: &'a State,
    pub outcome: &'a Outcome,
    pub restarts: Vec<ByEngine>,
    /// What was counted and should be zero, by name.
    pub failures: Vec<(&'static str, u64)>,
}

/// The restarts by one engine.
pub struct ByEngine {
    pub engine: Engine,
    pub begun: usize,
    /// From the trigger until the new process said that it serves, one time for each that did, in
    /// ascending order.
    pub ready: Vec<Duration>,
    /// From the trigger until a client had an answer from the new process, likewise.
    pub first_answer: Vec<Duration>,
    /// In which nobody served the connections that moved, likewise.
    pub downtime: Vec<Duration>,
}

impl<'a> Report<'a> {
    pub fn new(options: &Options, state: &'a State, outcome: &'a Outcome) -> Report<'a> {
        let generations = &state.generations;
        let badly = generations.list.iter().filter(|generation| !generation.ended_well()).count();
        let not_done = options.restarts - generations.restarts();
        let mut failures: Vec<_> = state.score.failures.by_kind().collect();
        failures.extend([
            ("restarts not done", not_done as u64),
            ("processes ended badly", badly as u64),
            ("processes left over", outcome.left_over as u64),
            ("complaints of the server", state.complaints),
        ]);
        let restarts = options.engines.iter().map(|&engine| ByEngine::new(engine, state)).collect();
        Report { state, outcome, restarts, failures }
    }

    /// Whether nothing at all has failed.
    pub fn is_ok(&self) -> bool {
        self.outcome.trouble.is_none() && self.failures.iter().all(|&(_, count)| count == 0)
    }

    /// New connections per second, those that failed not counted.
    pub fn rate(&self) -> f64 {
        self.state.score.new.all.len() as f64 / self.outcome.lasted.as_secs_f64()
    }

    /// What went wrong, in sentences.
    pub fn stories(&self) -> impl Iterator<Item = String> {
        let stories = self.state.score.failures.stories.iter();
        let stories = stories.map(|(at, text)| format!("after {:.3} s: {text}", at.as_secs_f64()));
        self.outcome.trouble.iter().cloned().chain(stories)
    }
}

impl ByEngine {
    fn new(engine: Engine, state: &State) -> ByEngine {
        let generations = &state.generations;
        let meant = |attempt: &&Attempt| attempt.engine == engine && attempt.killed.is_none();
        let attempts = || generations.attempts.iter().filter(meant);
        let times = attempts().filter_map(|attempt| generations.times(attempt));
        let (mut ready, mut first_answer): (Vec<_>, Vec<_>) = times.unzip();
        let mut downtime: Vec<_> = attempts().filter_map(|attempt| attempt.downtime).collect();
        downtime.sort_unstable();
        ready.sort_unstable();
        first_answer.sort_unstable();
        ByEngine { engine, begun: attempts().count(), ready, first_answer, downtime }
    }
}

/// The middle one of times in ascending order, the lower of two; zero if there is none.
pub fn median(times: &[Duration]) -> Duration {
    times.get(times.len().saturating_sub(1) / 2).copied().unwrap_or_default()
}

/// The last one of times in ascending order; zero if there is none.
pub fn longest(times: &[Duration]) -> Duration {
    times.last().copied().unwrap_or_default()
}
