//! What this process writes into the journal of its service, and who reads it.

use std::{process, time::Duration};

use crate::{
    cause::Cause,
    net::ConnId,
    operate::journal::{self, Drains, Moment, Restarted, note_restart},
    restart::{
        engine::{program_file, task::Task},
        link::Identity,
    },
    service::{LeaveReason, Service},
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
        note_restart(metrics, self.moment(), &restarted);
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
        note_restart(metrics, self.moment(), &restarted);
    }

    /// Somebody has asked that this side, which is on probation, makes room for the old one.
    pub(in crate::turn) fn note_roll_back(&self, reason: &str, cause: &Cause) {
        if let Some(metrics) = &self.net.metrics {
            journal::note_roll_back(metrics, self.moment(), self.who(), cause, reason);
        }
    }

    /// The service begins.
    pub(in crate::turn) fn note_start(&self) {
        if let Some(metrics) = &self.net.metrics {
            let own = program_file::own().ok();
            journal::note_start(metrics, self.moment(), self.who(), own.as_ref());
        }
    }

    /// The service is to end, but not yet.
    pub(in crate::turn) fn note_lame_duck(&self, within: Duration) {
        if let (Some(metrics), Some(cause)) = (&self.net.metrics, &self.succession.leave.cause) {
            journal::note_lame_duck(metrics, self.moment(), self.who(), cause, within);
        }
    }

    /// This process begins to drain.
    pub(in crate::turn) fn note_drain(&mut self) {
        self.succession.leave.begun = Some(self.net.clock.now());
        let Some(metrics) = &self.net.metrics else { return };
        let (reason, schedule) = match self.net.leaving {
            Some(LeaveReason::Restart) => ("restart", &self.succession.drain_on_restart),
            Some(LeaveReason::RollBack) => ("roll_back", &self.succession.drain_on_restart),
            _ => ("stop", &self.succession.drain_on_stop),
        };
        let drains = Drains {
            reason,
            cause: self.succession.leave.cause.as_ref(),
            connections: self.net.connections(),
            within: schedule.deadline,
        };
        journal::note_drain(metrics, self.moment(), self.who(), &drains);
    }

    /// This process has drained, and ends.
    pub(in crate::turn) fn note_drained(&self) {
        let leave = &self.succession.leave;
        if let (Some(metrics), Some(begun)) = (&self.net.metrics, leave.begun) {
            let took = self.net.clock.now().saturating_duration_since(begun);
            journal::note_drained(metrics, self.moment(), self.who(), took, leave.outcome());
        }
    }

    /// A generation that this one has made has not ended as it should, and nobody else will tell.
    pub(in crate::turn) fn note_death(&self, generation: u64, pid: u32, status: u8) {
        if let Some(metrics) = self.net.metrics.as_ref().filter(|_| status != 0) {
            journal::note_death(metrics, self.moment(), (pid, generation), status);
        }
    }

    fn moment(&self) -> Moment {
        Moment { at: self.net.clock.wall(), worker: self.net.worker }
    }

    fn who(&self) -> (u32, u64) {
        (process::id(), self.net.generation())
    }

    pub(super) fn answer_log(&mut self, id: ConnId) {
        let entries = self.net.metrics.as_ref().map(|metrics| metrics.entries());
        self.answer(id, &journal::reply(&entries.unwrap_or_default()));
    }
}
