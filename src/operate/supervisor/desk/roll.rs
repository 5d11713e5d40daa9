//! A restart of all workers, one after the other. Pure: knows no process and no socket, and time is an argument.
//!
//! The rules:
//! - one worker is asked, and its verdict awaited, before the next one is;
//! - the first that is not replaced ends it: those behind it stay as they are;
//! - one that has crashed meanwhile and was made anew runs what is at the program's path by now, and is not asked; one that
//!   was being made when the restart was asked for may run what was there before, and is;
//! - one that is gone has [`WORKER_ABSENCE`] to come back, and is not asked before;
//! - there is one of these at a time, and none once the service ends.

use std::time::Instant;

use crate::workers::WORKER_ABSENCE;

/// What happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::operate::supervisor) enum Event {
    /// Somebody asks for a restart.
    Wanted,
    /// A worker serves that did not. It was `made` anew, or an older generation of it serves again.
    Up { worker: usize, made: bool },
    /// A worker serves no more.
    Down { worker: usize },
    /// The worker that was asked has been replaced.
    Replaced,
    /// Or has not, and why is known.
    Failed,
    /// The service ends.
    End,
    /// Time has passed; see [`Roll::next_due`].
    Due,
}

/// What is to be done about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Ask this one for a restart.
    Ask { worker: usize },
    /// Nothing is to be done about this one, which was made anew.
    Skip { worker: usize },
    /// There is one already, or the service ends: tell whoever has wanted this one.
    Refuse { ends: bool },
    /// All are replaced.
    Finish,
    /// This one is not, and those behind it are as they were.
    Stop { worker: usize, why: Why },
}

/// Why a roll has stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// Its verdict says it.
    Failed,
    /// It did not come back.
    Absent,
    /// The service ends.
    Ends,
}

/// How far a restart of all has come.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Roll {
    up: Vec<bool>,
    ends: bool,
    turn: Option<Turn>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Turn {
    /// Whose turn it is.
    worker: usize,
    /// It is gone, and has this long to come back; otherwise it was asked.
    absent_until: Option<Instant>,
    /// What has become of each meanwhile.
    fates: Vec<Fate>,
}

/// What has become of a worker since the restart was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Fate {
    /// It is as it was, or was replaced.
    Same,
    /// It serves no more.
    Gone,
    /// It was made anew.
    Made,
}

impl Roll {
    /// Of so many workers, of which none serves yet.
    pub fn new(count: usize) -> Roll {
        Roll { up: vec![false; count], ends: false, turn: None }
    }

    /// The worker that was asked and has not answered.
    pub fn asked(&self) -> Option<usize> {
        self.turn.as_ref().filter(|turn| turn.absent_until.is_none()).map(|turn| turn.worker)
    }

    /// Whether a restart of all has begun and is not over.
    pub fn is_under_way(&self) -> bool {
        self.turn.is_some()
    }

    /// Whether the service ends.
    pub fn has_ended(&self) -> bool {
        self.ends
    }

    /// When [`Event::Due`] is to come.
    pub fn next_due(&self) -> Option<Instant> {
        self.turn.as_ref()?.absent_until
    }

    /// Decides.
    pub fn step(&mut self, event: Event, now: Instant) -> Vec<Action> {
        match event {
            Event::Wanted if self.ends || self.turn.is_some() => {
                vec![Action::Refuse { ends: self.ends }]
            }
            Event::Wanted => self.go_on(0, vec![Fate::Same; self.up.len()], now),
            Event::Up { worker, made } => self.up(worker, made, now),
            Event::Down { worker } => {
                self.up[worker] = false;
                self.turn.iter_mut().for_each(|turn| turn.fates[worker] = Fate::Gone);
                Vec::new()
            }
            Event::Replaced if self.asked().is_some() => self.next(now),
            Event::Failed if self.asked().is_some() => self.stop(Why::Failed),
            Event::Replaced | Event::Failed => Vec::new(),
            Event::End => {
                self.ends = true;
                self.stop(Why::Ends)
            }
            Event::Due if self.next_due().is_some_and(|due| due <= now) => self.stop(Why::Absent),
            Event::Due => Vec::new(),
        }
    }

    fn up(&mut self, worker: usize, made: bool, now: Instant) -> Vec<Action> {
        let was_up = std::mem::replace(&mut self.up[worker], true);
        let Some(turn) = &mut self.turn else { return Vec::new() };
        let fate = &mut turn.fates[worker];
        *fate = if made && (was_up || *fate == Fate::Gone) { Fate::Made } else { Fate::Same };
        match turn.absent_until.is_some() && turn.worker == worker {
            true => {
                let fates = std::mem::take(&mut turn.fates);
                self.go_on(worker, fates, now)
            }
            false => Vec::new(),
        }
    }

    fn next(&mut self, now: Instant) -> Vec<Action> {
        match self.turn.take() {
            Some(Turn { worker, fates, .. }) => self.go_on(worker + 1, fates, now),
            None => Vec::new(),
        }
    }

    /// It is `worker`'s turn, or that of the first behind it which is to be asked.
    fn go_on(&mut self, worker: usize, fates: Vec<Fate>, now: Instant) -> Vec<Action> {
        let mut actions = Vec::new();
        self.turn = None;
        for worker in worker..self.up.len() {
            if fates[worker] == Fate::Made {
                actions.push(Action::Skip { worker });
                continue;
            }
            let absent_until = (!self.up[worker]).then(|| now + WORKER_ABSENCE);
            if absent_until.is_none() {
                actions.push(Action::Ask { worker });
            }
            self.turn = Some(Turn { worker, absent_until, fates });
            return actions;
        }
        actions.push(Action::Finish);
        actions
    }

    fn stop(&mut self, why: Why) -> Vec<Action> {
        let stopped = self.turn.take().map(|turn| Action::Stop { worker: turn.worker, why });
        stopped.into_iter().collect()
    }
}

#[cfg(test)]
#[path = "roll_tests.rs"]
mod tests;
