//! What the driver's threads share: one table behind one lock, with a bell for those who wait.

use std::{
    sync::{
        Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use crate::{
    generations::Generations,
    journal::Fact,
    load::{Failure, Kind},
    proof::Answer,
    score::Score,
};

/// Everything that is known so far.
#[derive(Debug, Default)]
pub struct State {
    pub generations: Generations,
    pub score: Score,
    /// Where the server listens.
    pub address: Option<String>,
    /// Lines of the server's log that should not be there.
    pub complaints: u64,
    /// All processes that had the log are gone.
    pub log_closed: bool,
}

/// How long anything may take in a run that has failed: what remains is to clean up.
const LITTLE_PATIENCE: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub struct Shared {
    pub began: Instant,
    /// How long anything may take, until the run is given up.
    patience: Duration,
    state: Mutex<State>,
    bell: Condvar,
    /// Even: no restart is in progress. Each begin and each end adds one.
    window: AtomicU64,
    stop: AtomicBool,
    given_up: AtomicBool,
}

impl Shared {
    pub fn new(patience: Duration) -> Shared {
        Shared {
            began: Instant::now(),
            patience,
            state: Mutex::default(),
            bell: Condvar::new(),
            window: AtomicU64::new(0),
            stop: AtomicBool::new(false),
            given_up: AtomicBool::new(false),
        }
    }

    /// The table. What a thread that panicked has left in it is still good for the report.
    pub fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until `found` finds something, up to `limit`.
    pub fn wait<T>(&self, limit: Duration, found: impl Fn(&State) -> Option<T>) -> Option<T> {
        let is_missing = |state: &mut State| found(state).is_none();
        let waited = self.bell.wait_timeout_while(self.lock(), limit, is_missing);
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        found(&state)
    }

    pub fn patience(&self) -> Duration {
        if self.given_up.load(Ordering::Relaxed) { LITTLE_PATIENCE } else { self.patience }
    }

    /// For what begins now.
    pub fn deadline(&self) -> Instant {
        Instant::now() + self.patience()
    }

    // Of the log's reader.

    pub fn note(&self, fact: Fact) {
        let mut state = self.lock();
        state.generations.note(&fact, Instant::now());
        match fact {
            Fact::Ready { address, .. } => state.address = Some(address),
            Fact::Failed(_) if state.generations.expects_failure() => {}
            Fact::Trouble(text) | Fact::Failed(text) => {
                state.complaints += 1;
                state.score.failures.story(&format!("server: {text}"), self.began.elapsed());
            }
            _ => {}
        }
        self.bell.notify_all();
    }

    pub fn log_closed(&self) {
        self.lock().log_closed = true;
        self.bell.notify_all();
    }

    // Of the clients.

    /// To be given back with the result of what begins now.
    pub fn window(&self) -> u64 {
        self.window.load(Ordering::Relaxed)
    }

    /// Whether a restart was in progress at any time since `window`.
    pub fn was_restarting(&self, window: u64) -> bool {
        !window.is_multiple_of(2) || window != self.window()
    }

    /// The least generation that may accept a connection which begins now.
    pub fn floor(&self) -> u64 {
        self.lock().generations.serving().map_or(0, |serving| serving.number)
    }

    /// An answer has come; `held`: the first one on a long-lived connection.
    pub fn answered(&self, answer: &Answer, held: bool) -> Result<(), Failure> {
        let mut state = self.lock();
        let first = state.generations.answered(answer, held, Instant::now());
        if first.map_err(Failure::wrong)? {
            self.bell.notify_all(); // the main thread waits for the first answer of a new process
        }
        Ok(())
    }

    /// Counts a failure; what was cut off with a process that was killed on purpose is none.
    pub fn fail(&self, failure: Failure) {
        let mut state = self.lock();
        let killed = |(begun, home)| state.generations.was_killed(begun, home);
        if matches!(failure.kind, Kind::Reset | Kind::Short) && failure.on.is_some_and(killed) {
            state.score.cut += 1;
        } else {
            state.score.failures.fail(&failure, self.began.elapsed());
        }
        drop(state);
        self.bell.notify_all();
    }

    pub fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    // Of the main thread.

    pub fn turn_window(&self) {
        self.window.fetch_add(1, Ordering::Relaxed);
    }

    pub fn give_up(&self) {
        self.given_up.store(true, Ordering::Relaxed);
    }

    pub fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}
