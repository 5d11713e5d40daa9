//! The succession of processes as the driver sees it: from the log, from the answers, from how they
//! end. Data and its rules; knows no process and no socket.

use std::time::{Duration, Instant};

use heirloom::Engine;

use crate::{journal::Fact, proof::Answer};

/// One process of the server.
#[derive(Debug)]
pub struct Generation {
    pub number: u64,
    pub pid: i32,
    /// How it was made: `none` for the first one.
    pub engine: String,
    /// Requests that it has answered.
    pub requests: u64,
    /// Long-lived connections that it has had.
    pub held: u64,
    /// When its log said that it serves.
    pub ready: Option<Instant>,
    /// When a client first had an answer from it.
    pub first_answer: Option<Instant>,
    /// Its log said that it has served everything it had.
    pub drained: bool,
    /// The driver has killed it in its probation.
    pub killed: bool,
    pub end: Option<End>,
}

/// How a process has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    Status(i32),
    Signal(String),
    /// An older generation was still there and has taken the status, as a parent must.
    Unseen,
    /// The driver had to kill it.
    LeftOver,
}

impl Generation {
    /// In words, for the table.
    pub fn ending(&self) -> String {
        let drained = if self.drained { "drained" } else { "not drained" };
        match &self.end {
            Some(_) if self.killed => "killed by the demo in its probation".to_owned(),
            None => "lives".to_owned(),
            Some(End::Status(code)) => format!("{drained}, exit status {code}"),
            Some(End::Signal(name)) => format!("{drained}, killed by {name}"),
            Some(End::Unseen) => format!("{drained}, reaped by its parent"),
            Some(End::LeftOver) => "left over, killed by the demo".to_owned(),
        }
    }

    /// Served everything it had, and left with status 0; or was killed on purpose.
    pub fn ended_well(&self) -> bool {
        self.killed && self.end.is_some() && self.end != Some(End::LeftOver)
            || self.drained && matches!(self.end, Some(End::Status(0) | End::Unseen))
    }
}

/// One restart.
#[derive(Debug)]
pub struct Attempt {
    pub engine: Engine,
    pub triggered: Instant,
    /// Whose connections go along, if they do.
    pub moves_from: Option<i32>,
    /// The pid of the new generation, or what went wrong. `None`: not decided.
    pub outcome: Option<Result<i32, String>>,
    /// The driver has killed this new process, so that the restart has to fail.
    pub killed: Option<i32>,
    /// When the outcome was known.
    pub decided: Option<Instant>,
    /// How long nobody served the connections that moved.
    pub downtime: Option<Duration>,
}

/// All of them.
#[derive(Debug, Default)]
pub struct Generations {
    /// In the order of their appearance.
    pub list: Vec<Generation>,
    pub attempts: Vec<Attempt>,
    /// The process that new connections go to, as far as the log has told.
    serving: Option<i32>,
}

impl Generations {
    /// A line of the log was read at `now`.
    pub fn note(&mut self, fact: &Fact, now: Instant) {
        match fact {
            Fact::Ready { generation, pid, engine, .. } => {
                self.entry(*generation, *pid, engine).ready.get_or_insert(now);
                self.serving.get_or_insert(*pid);
            }
            Fact::Done { pid } => {
                self.serving = Some(*pid);
                self.decide(Ok(*pid));
            }
            Fact::Drained { pid } => {
                if let Some(generation) = self.find(*pid) {
                    generation.drained = true;
                }
            }
            Fact::Moved { downtime } => {
                if let Some(attempt) = self.attempts.last_mut() {
                    attempt.downtime = Some(*downtime);
                }
            }
            Fact::Failed(why) => self.decide(Err(why.clone())),
            Fact::Trouble(_) | Fact::Other => {}
        }
    }

    pub fn begin(&mut self, engine: Engine, moves: bool, now: Instant) {
        self.attempts.push(Attempt {
            engine,
            triggered: now,
            moves_from: self.serving.filter(|_| moves),
            outcome: None,
            killed: None,
            decided: None,
            downtime: None,
        });
    }

    /// Decides the restart in progress, if there is one.
    pub fn decide(&mut self, outcome: Result<i32, String>) {
        if let Some(attempt) = self.attempts.last_mut() {
            attempt.outcome.get_or_insert(outcome);
            attempt.decided.get_or_insert_with(Instant::now);
        }
    }

    /// The new process is about to be killed.
    pub fn kill(&mut self, pid: i32) {
        if let Some(attempt) = self.attempts.last_mut() {
            attempt.killed = Some(pid);
        }
        self.find(pid).into_iter().for_each(|generation| generation.killed = true);
    }

    /// Whether the restart in progress has to fail.
    pub fn expects_failure(&self) -> bool {
        self.attempts.last().is_some_and(|attempt| attempt.killed.is_some())
    }

    /// Whether a connection that was begun then has ended with a process that was killed: it had had
    /// answers from it, or from the process whose connections it has taken over, or none at all and was begun while that
    /// process accepted. The old process cuts nobody off.
    pub fn was_killed(&self, begun: Instant, home: Option<i32>) -> bool {
        self.attempts.iter().any(|attempt| {
            let Some(killed) = attempt.killed else { return false };
            let in_time = attempt.decided.is_none_or(|decided| begun <= decided);
            let was_there = |home| home == killed || (attempt.moves_from == Some(home) && in_time);
            home.map_or(begun >= attempt.triggered && in_time, was_there)
        })
    }

    /// How many processes the driver has killed.
    pub fn killed(&self) -> usize {
        self.attempts.iter().filter(|attempt| attempt.killed.is_some()).count()
    }

    /// A client has had an answer; `held`: the first one on a long-lived connection. Tells whether
    /// it was the first one of that process.
    ///
    /// # Errors
    /// When the log, or an earlier answer, tells another story about that process.
    pub fn answered(&mut self, answer: &Answer, held: bool, now: Instant) -> Result<bool, String> {
        let Answer { generation, pid, engine } = answer;
        let entry = self.entry(*generation, *pid, engine);
        entry.requests += 1;
        entry.held += u64::from(held);
        entry.first_answer.get_or_insert(now);
        // Whoever answers is ready, also if its line in the log has not been read yet.
        entry.ready.get_or_insert(now);
        if entry.number == *generation && entry.engine == *engine {
            return Ok(entry.requests == 1);
        }
        Err(format!(
            "pid {pid} says that it is generation {generation} by {engine}, and was generation {} by {}",
            entry.number, entry.engine
        ))
    }

    pub fn ended(&mut self, pid: i32, end: End) {
        if let Some(generation) = self.find(pid) {
            generation.end.get_or_insert(end);
        }
    }

    /// The generation that new connections go to. A connection that is begun now must not be
    /// answered by an older one: that one has stopped accepting before its log said "done".
    pub fn serving(&self) -> Option<&Generation> {
        let pid = self.serving?;
        self.list.iter().rev().find(|generation| generation.pid == pid)
    }

    /// The one that serves, if it has ended, as far as the log has told.
    pub fn gone(&self) -> Option<&Generation> {
        self.serving().filter(|generation| generation.end.is_some())
    }

    /// Those that have not ended.
    pub fn living(&self) -> impl Iterator<Item = &Generation> {
        self.list.iter().filter(|generation| generation.end.is_none())
    }

    /// How many restarts have succeeded.
    pub fn restarts(&self) -> usize {
        self.attempts.iter().filter(|attempt| matches!(attempt.outcome, Some(Ok(_)))).count()
    }

    /// From the trigger of a restart until the new process was ready, and until it first answered.
    pub fn times(&self, attempt: &Attempt) -> Option<(Duration, Duration)> {
        let Some(Ok(pid)) = attempt.outcome else { return None };
        let new = self.list.iter().rev().find(|generation| generation.pid == pid)?;
        let since = |at: Option<Instant>| Some(at?.saturating_duration_since(attempt.triggered));
        Some((since(new.ready)?, since(new.first_answer)?))
    }

    /// An answer may come to us before the line of the log does.
    fn entry(&mut self, number: u64, pid: i32, engine: &str) -> &mut Generation {
        if let Some(index) = self.list.iter().rposition(|known| known.pid == pid) {
            return &mut self.list[index];
        }
        self.list.push(Generation {
            number,
            pid,
            engine: engine.to_owned(),
            requests: 0,
            held: 0,
            ready: None,
            first_answer: None,
            drained: false,
            killed: false,
            end: None,
        });
        let last = self.list.len() - 1;
        &mut self.list[last]
    }

    fn find(&mut self, pid: i32) -> Option<&mut Generation> {
        self.list.iter_mut().rev().find(|generation| generation.pid == pid)
    }
}
