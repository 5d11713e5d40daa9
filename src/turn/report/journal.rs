//! What this process writes into the journal of its service, and who reads it.

use std::process;

use crate::{
    cause::Cause,
    net::ConnId,
    operate::journal::{self, Restarted, note_restart},
    restart::{
        engine::{attempt::Task, program_file},
        link::Identity,
    },
    service::Service,
    turn::Turn,
    verdict::{RestartError, Steps},
};

impl<S: Service> Turn<S> {
    /// A restart has ended, of which this process was the old side.
    pub(in crate::turn) fn note_restart(
        &self,
        task: &Task,
        steps: Steps,
        outcome: std::result::Result<u32, &RestartError>,
    ) {
        let Some(metrics) = &self.net.metrics else { return };
        let own = program_file::own().ok();
        let took = self.net.clock.now().saturating_duration_since(task.begun);
        let restarted = Restarted {
            generation: task.generation,
            engine: task.engine,
            outcome,
            cause: &task.cause,
            by: (process::id(), Some(self.net.generation())),
            took,
            steps,
            program: task.program.as_ref(),
            own: own.as_ref(),
        };
        note_restart(metrics, self.net.clock.wall(), &restarted);
    }

    /// The old side has ended in the middle of a restart, so this one stays.
    pub(in crate::turn) fn note_end_of_old(&self, old: Identity) {
        let (Some(metrics), Some(engine)) = (&self.net.metrics, self.net.engine()) else { return };
        let own = program_file::own().ok();
        let restarted = Restarted {
            generation: self.net.generation(),
            engine,
            outcome: Ok(process::id()),
            cause: &Cause::Unknown,
            by: (process::id(), Some(old.generation)),
            took: self.net.clock.now().saturating_duration_since(self.succession.begun),
            steps: Steps::default(),
            program: own.as_ref(),
            own: None,
        };
        note_restart(metrics, self.net.clock.wall(), &restarted);
    }

    /// Somebody has asked that this side, which is on probation, makes room for the old one.
    pub(in crate::turn) fn note_roll_back(&self, reason: &str, cause: &Cause) {
        if let Some(metrics) = &self.net.metrics {
            let who = (process::id(), self.net.generation());
            journal::note_roll_back(metrics, self.net.clock.wall(), who, cause, reason);
        }
    }

    /// The service begins.
    pub(in crate::turn) fn note_start(&self) {
        if let Some(metrics) = &self.net.metrics {
            let (who, own) = ((process::id(), self.net.generation()), program_file::own().ok());
            journal::note_start(metrics, self.net.clock.wall(), who, own.as_ref());
        }
    }

    pub(super) fn answer_log(&mut self, id: ConnId) {
        let entries = self.net.metrics.as_ref().map(|metrics| metrics.entries());
        self.answer(id, &journal::reply(&entries.unwrap_or_default()));
    }
}
