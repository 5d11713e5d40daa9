//! Who is main, what has become of it, and when there is to be another: the supervisor's decisions, of which
//! [`Event`] and [`Action`] are the words. Pure: knows no process and no socket, and time is an argument.
//!
//! The rules:
//! - main is the generation that has said last that it serves;
//! - a generation that has said so, and has not said since that it leaves, can serve again: when main
//!   dies, such a one has [`RESUME_PATIENCE`] to do so, and only if there is none is a new one made;
//! - whoever says `Leaves` speaks for the whole service: from then on nothing is restarted;
//! - a main that dies of a signal which was sent through the supervisor has done as it was told; so has one that knows
//!   that it is to leave, by a signal or as a lame duck, and dies before it has said so, unless another one could serve again;
//! - nobody serves beside main but who was made by it: any other is one too many.

use std::time::{Duration, Instant};

use super::decision::{Action, Event};
use crate::{
    limits::{LEAVE_GRACE, RESPAWN_DELAY, RESPAWN_DELAY_MAX, RESPAWN_PROVEN, RESUME_PATIENCE},
    system::{
        signal::Sender,
        signal_set::{Signal, SignalSet},
    },
};

/// The status of a supervisor that could not start a first generation, where no process was there to
/// give one.
pub(super) const EXIT_NOT_MADE: u8 = 1;

/// The status of a supervisor whose main has ended in a way that nobody can tell.
const EXIT_UNKNOWN: u8 = 1;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// A generation is being made.
    Making { pid: Option<u32> },
    /// Main serves.
    Watching,
    /// There is no main. Then, another is made, or those who could serve again have had their time.
    Bereft { until: Option<Instant> },
    /// The service is to end. Then, whoever is left is killed.
    Ending { until: Option<Instant> },
}

/// Who knows that the service is to end, before anybody has said that it leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Told {
    Nobody,
    /// Somebody who is not main any more.
    Another,
    /// Main, by a signal that was passed on, or as it says by itself.
    Main,
}

/// A generation that lives and has served.
#[derive(Clone, Copy, Debug)]
struct Known {
    pid: u32,
    /// It has not said that it leaves.
    stays: bool,
}

/// Everything that the supervisor remembers to decide by.
#[derive(Debug)]
pub(super) struct Watch {
    phase: Phase,
    known: Vec<Known>,
    /// The main, or who was it last.
    main: Option<u32>,
    /// How it has ended, if it has and that is known.
    code: Option<u8>,
    /// Signals that were passed on to it.
    forwarded: SignalSet,
    /// Since when there is a main, whoever it is.
    served_since: Option<Instant>,
    /// The next generation to be made has this number.
    next_generation: u64,
    /// Deaths in a row, each soon after a start.
    failures: u32,
    told: Told,
    /// How long the end of the service may take.
    stop_within: Option<Duration>,
}

impl Watch {
    /// Of a service that has not begun, and the first thing to do.
    pub fn begin(stop_within: Option<Duration>) -> (Watch, Action) {
        let watch = Watch {
            phase: Phase::Making { pid: None },
            known: Vec::new(),
            main: None,
            code: None,
            forwarded: SignalSet::EMPTY,
            served_since: None,
            next_generation: 1,
            failures: 0,
            told: Told::Nobody,
            stop_within,
        };
        (watch, Action::Make { generation: 0 })
    }

    /// The generation that serves, or the one that did so last.
    pub fn main(&self) -> Option<u32> {
        self.main
    }

    /// How main has ended, if it has and that is known.
    pub fn code(&self) -> Option<u8> {
        self.code
    }

    /// Whether there is a main that lives.
    pub fn is_serving(&self) -> bool {
        self.phase == Phase::Watching
    }

    /// Whether main knows that it is to leave.
    pub fn is_told(&self) -> bool {
        self.told == Told::Main
    }

    pub fn is_ending(&self) -> bool {
        matches!(self.phase, Phase::Ending { .. })
    }

    /// How long until a new generation is made, if one is to be.
    pub fn delay(&self, now: Instant) -> Option<Duration> {
        match self.phase {
            Phase::Bereft { until } if !self.has_standby() => {
                until.map(|until| until.saturating_duration_since(now))
            }
            _ => None,
        }
    }

    /// When [`Event::Due`] is to come.
    pub fn next_due(&self) -> Option<Instant> {
        match self.phase {
            Phase::Bereft { until } | Phase::Ending { until } => until,
            Phase::Making { .. } | Phase::Watching => None,
        }
    }

    /// Decides.
    pub fn step(&mut self, event: Event, now: Instant) -> Vec<Action> {
        match event {
            Event::Made { pid } => {
                self.phase = Phase::Making { pid: Some(pid) };
                Vec::new()
            }
            Event::NotMade { code } => self.not_made(code, now),
            Event::Serves { pid, generation, maker } => self.serves(pid, generation, maker, now),
            Event::Retires { pid } if self.leaves(pid) => self.lose_standby(now),
            Event::Retires { .. } => Vec::new(),
            Event::LameDuck { pid } => {
                let is_main = self.main == Some(pid);
                self.told = self.told.max(if is_main { Told::Main } else { Told::Another });
                Vec::new()
            }
            Event::Leaves { pid } if self.leaves(pid) => self.end(now),
            Event::Leaves { .. } => Vec::new(),
            Event::Gone { pid } => self.gone(pid, now),
            Event::Ended { pid, code } => self.ended(pid, code, now),
            Event::Asked { signal, leave, by } => self.asked(signal, leave, by, now),
            Event::End { by } => self.end_with_others(by, now),
            Event::Due => self.due(now),
        }
    }

    fn serves(
        &mut self,
        pid: u32,
        generation: u64,
        maker: Option<u32>,
        now: Instant,
    ) -> Vec<Action> {
        let is_known = self.known.iter().any(|known| known.pid == pid);
        if self.phase != (Phase::Making { pid: Some(pid) }) {
            (self.forwarded, self.told) = (SignalSet::EMPTY, self.told.min(Told::Another)); // they were for another one
        }
        let actions = match self.phase {
            Phase::Watching if !is_known && maker != self.main => {
                return vec![Action::Kill { pid }];
            }
            Phase::Making { pid: made } if made != Some(pid) => vec![Action::Abandon],
            // It has not heard yet that the service is to end.
            Phase::Ending { .. } => {
                vec![Action::Forward { pid, signal: Signal::SIGTERM, by: None }]
            }
            _ => Vec::new(),
        };
        if self.phase != Phase::Watching {
            self.served_since = Some(now);
        }
        if !self.is_ending() {
            self.phase = Phase::Watching;
        }
        if !is_known {
            self.known.push(Known { pid, stays: true });
        }
        self.next_generation = self.next_generation.max(generation + 1);
        (self.main, self.code) = (Some(pid), None);
        actions
    }

    /// A generation has said its last word. Answers whether it could still have served again.
    fn leaves(&mut self, pid: u32) -> bool {
        let known = self.known.iter_mut().find(|known| known.pid == pid);
        known.is_some_and(|known| std::mem::replace(&mut known.stays, false))
    }

    fn gone(&mut self, pid: u32, now: Instant) -> Vec<Action> {
        let Some(at) = self.known.iter().position(|known| known.pid == pid) else {
            return Vec::new();
        };
        let lost = self.known.remove(at);
        match self.phase {
            Phase::Watching if self.main == Some(pid) => self.bereave(now),
            Phase::Ending { .. } => self.exit_if_alone(),
            _ if lost.stays => self.lose_standby(now),
            _ => Vec::new(),
        }
    }

    /// One that could have served again cannot any more.
    fn lose_standby(&mut self, now: Instant) -> Vec<Action> {
        match self.phase {
            Phase::Bereft { .. } if !self.has_standby() => self.bereave(now),
            _ => Vec::new(),
        }
    }

    /// Main is gone, and has not said that it leaves.
    fn bereave(&mut self, now: Instant) -> Vec<Action> {
        if self.has_done_as_told() || (self.told > Told::Nobody && !self.has_standby()) {
            return self.end(now);
        }
        if self.has_standby() {
            self.phase = Phase::Bereft { until: Some(now + RESUME_PATIENCE) };
            return Vec::new();
        }
        let served = self.served_since.take().map(|since| now.saturating_duration_since(since));
        if served.is_some_and(|served| served >= RESPAWN_PROVEN) {
            self.failures = 0;
        }
        let delay = RESPAWN_DELAY.saturating_mul(1 << self.failures.min(16)).min(RESPAWN_DELAY_MAX);
        self.failures += 1;
        self.phase = Phase::Bereft { until: Some(now + delay) };
        Vec::new()
    }

    fn not_made(&mut self, code: u8, now: Instant) -> Vec<Action> {
        match self.phase {
            Phase::Making { .. } if self.main.is_none() => vec![Action::Exit { code }],
            Phase::Making { .. } if self.told > Told::Nobody => self.end(now),
            Phase::Making { .. } => self.bereave(now),
            _ => Vec::new(),
        }
    }

    fn ended(&mut self, pid: u32, code: u8, now: Instant) -> Vec<Action> {
        if self.main != Some(pid) {
            return Vec::new();
        }
        self.code = Some(code);
        match self.phase {
            Phase::Bereft { .. } if self.has_done_as_told() => self.end(now),
            Phase::Ending { .. } => self.exit_if_alone(),
            _ => Vec::new(),
        }
    }

    fn asked(&mut self, signal: Signal, leave: bool, by: Sender, now: Instant) -> Vec<Action> {
        let forward = |known: &Known| Action::Forward { pid: known.pid, signal, by: Some(by) };
        let main = self.known.iter().find(|known| Some(known.pid) == self.main);
        match self.phase {
            Phase::Watching | Phase::Ending { .. } if main.is_some() => {
                self.told = if leave { Told::Main } else { self.told };
                self.forwarded.insert(signal);
                main.map(forward).into_iter().collect()
            }
            Phase::Watching => Vec::new(),
            Phase::Ending { .. } => self.known.iter().map(forward).collect(),
            Phase::Making { .. } => {
                self.told = self.told.max(if leave { Told::Another } else { Told::Nobody });
                self.forwarded.insert(signal);
                vec![Action::Prompt { signal, by }]
            }
            Phase::Bereft { .. } if leave => {
                let standby = self.known.iter().filter(|known| known.stays);
                let actions: Vec<_> = standby.map(forward).collect();
                [actions, self.end(now)].concat()
            }
            Phase::Bereft { .. } => Vec::new(),
        }
    }

    fn due(&mut self, now: Instant) -> Vec<Action> {
        let (Phase::Bereft { until } | Phase::Ending { until }) = &mut self.phase else {
            return Vec::new();
        };
        if until.is_none_or(|until| until > now) {
            return Vec::new();
        }
        *until = None;
        let everybody = self.is_ending();
        if everybody || self.has_standby() {
            let late = self.known.iter().filter(|known| everybody || known.stays);
            return late.map(|known| Action::Kill { pid: known.pid }).collect();
        }
        self.phase = Phase::Making { pid: None };
        self.forwarded = SignalSet::EMPTY;
        let generation = self.next_generation;
        vec![Action::Make { generation }]
    }

    /// Whoever lives is told to leave, unless it was.
    fn end_with_others(&mut self, by: Option<Sender>, now: Instant) -> Vec<Action> {
        let signal = Signal::SIGTERM;
        let forward = |known: &Known| Action::Forward { pid: known.pid, signal, by };
        let is_told = self.is_ending() || self.is_told();
        let told = self.known.iter().filter(|known| known.stays && !is_told);
        let actions: Vec<_> = told.map(forward).collect();
        [actions, self.end(now)].concat()
    }

    /// From here on nothing is restarted.
    fn end(&mut self, now: Instant) -> Vec<Action> {
        let mut actions = match self.phase {
            Phase::Ending { .. } => return Vec::new(),
            Phase::Making { .. } => vec![Action::Abandon, Action::Dismiss],
            Phase::Watching | Phase::Bereft { .. } => vec![Action::Dismiss],
        };
        let until = self.stop_within.map(|within| now + within + LEAVE_GRACE);
        self.phase = Phase::Ending { until };
        actions.extend(self.exit_if_alone());
        actions
    }

    fn exit_if_alone(&self) -> Vec<Action> {
        let code = self.code.unwrap_or(EXIT_UNKNOWN);
        if self.known.is_empty() { vec![Action::Exit { code }] } else { Vec::new() }
    }

    /// Whether somebody could serve again.
    fn has_standby(&self) -> bool {
        self.known.iter().any(|known| known.stays)
    }

    /// Whether main has died of a signal that was meant for it.
    fn has_done_as_told(&self) -> bool {
        let died_of = |signal: Signal| self.code == Some(128 + signal.number() as u8);
        self.forwarded.iter().any(died_of)
    }
}

#[cfg(test)]
#[path = "watch_tests.rs"]
mod tests;
