//! How a line makes a generation: the attempt, what the new process gets, and what is written down about it.

use std::{os::fd::AsFd, process, time::Duration, time::Instant};

use nix::sched::sched_setaffinity;

use super::{decision::Event, line::Line, watch::EXIT_NOT_MADE};
use crate::{
    cause::Cause,
    clock::Clock,
    log_target::SUPERVISOR,
    logging::Escaped,
    metrics::Metrics,
    operate::journal::{Moment, Restarted, note_death, note_restart, note_start},
    plan::Engine,
    restart::{
        engine::{
            attempt::Attempt,
            offer::{Offer, introduced},
            program_file,
            task::Task,
        },
        link::Identity,
    },
    verdict::RestartError,
};

impl Line {
    /// Makes a generation, from the program that is at its path now.
    pub fn make(&mut self, generation: u64, now: Instant) {
        // Nobody stands ready to serve again, so there is nothing to be on probation for.
        let how = self.making.how.clone().probation(Duration::ZERO);
        let cause = match generation {
            0 => Cause::Start,
            _ => Cause::Crash { generation: self.lost, status: self.watch.code() },
        };
        let task =
            Task { engine: Engine::ForkExec, ..Task::new(how, None, cause, generation, now) };
        let name = self.name();
        match self.try_make(task) {
            Ok(start) => {
                log::info!(
                    target: SUPERVISOR,
                    "{name}: generation {generation} is pid {}", start.child.pid
                );
                if let Some(program) = &start.task.program {
                    log::info!(target: SUPERVISOR, "{name}: the program is {program}");
                }
                self.pin(&start);
                let pid = start.child.id();
                (self.start, self.is_stderr_open) = (Some(start), true);
                self.happen(Event::Made { pid }, now);
            }
            Err(why) => {
                log::error!(target: SUPERVISOR, "{name}: {}", Escaped(why));
                self.happen(Event::NotMade { code: EXIT_NOT_MADE }, now);
            }
        }
    }

    fn try_make(&mut self, task: Task) -> std::result::Result<Attempt, RestartError> {
        self.making.launch.preflight()?;
        let generation = task.generation;
        let this = Identity { generation, pid: process::id(), engine: None, words: false };
        Attempt::exec(task, &self.making.launch, this)
    }

    /// Before it has a thread or a child, so that all that comes of it stays there as well.
    fn pin(&self, start: &Attempt) {
        if let Some(cores) = &self.making.cores
            && let Err(e) = sched_setaffinity(start.child.pid, cores)
        {
            log::error!(
                target: SUPERVISOR,
                "{}: pin pid {} to its core: {e}", self.name(), start.child.pid
            );
        }
    }

    /// What a new generation gets when it is up.
    pub fn offer(&self) -> Offer<'_> {
        let older = self.older.iter();
        Offer {
            listeners: introduced(self.listeners.iter()),
            older: older.map(|older| (older.who, older.link.as_fd())).collect(),
            supervisor: Some((process::id(), self.outbox.as_fd())),
            numbers: self.making.metrics.as_ref().map(Metrics::as_fd),
            worker: self.making.worker,
        }
    }

    /// What has come of the generation that was being made.
    pub fn note(&self, start: &Attempt, outcome: Result<u32, &RestartError>, now: Instant) {
        let Some(metrics) = &self.making.metrics else { return };
        let (moment, own) = (self.moment(), program_file::own().ok());
        let Task { generation, engine, cause, program, begun, .. } = &start.task;
        if let (0, Ok(pid)) = (*generation, outcome) {
            return note_start(metrics, moment, (pid, 0), program.as_ref());
        }
        let it = Restarted {
            generation: *generation,
            engine: *engine,
            outcome,
            cause,
            by: (process::id(), None),
            took: now.saturating_duration_since(*begun),
            steps: start.steps,
            program: program.as_ref(),
            own: own.as_ref(),
        };
        note_restart(metrics, moment, &it);
    }

    /// A generation has ended as no drain does: by a signal, or with a status that says so.
    pub fn note_death(&self, pid: u32, status: u8) {
        let known = self.generations.iter().find(|(who, _)| who.pid == pid);
        let is_main = self.watch.main() == Some(pid);
        let number = known.map(|(who, _)| who.generation).or(is_main.then_some(self.lost));
        if let (Some(metrics), Some(number)) =
            (&self.making.metrics, number.filter(|_| status != 0))
        {
            note_death(metrics, self.moment(), (pid, number), status);
        }
    }

    fn moment(&self) -> Moment {
        Moment { at: Clock::System.wall(), worker: self.making.worker }
    }

    /// The generation that was being made is not any more, or is made.
    pub fn end_start(&mut self) -> Option<Attempt> {
        self.older.iter_mut().for_each(|generation| generation.offered = false);
        self.start.take()
    }
}
