//! Before a fork, its heap is brought into huge pages: a stage of its own, in which this process serves as
//! ever and may still be told otherwise. Whatever becomes of it, the fork comes after it: that of a new
//! generation, or that of the scribe which writes the state down for a new program.

use crate::{
    error::Result,
    log_target::RESTART,
    net::{Deadline, Source},
    plan::Engine,
    prepare::{Prepared, Unprepared},
    restart::{
        Phase,
        engine::{fork::thread_count, task::Task},
    },
    service::Service,
    system::huge::Collapse,
    turn::{Turn, generation::Preparation},
    verdict::{RestartError, Steps},
};

impl<S: Service> Turn<S> {
    /// Prepares for a fork; the task comes back where there is nothing to wait for.
    pub(super) fn prepare(&mut self, task: Task) -> Option<Task> {
        // Without a fork there is nothing to prepare for: a process with several threads has no scribe.
        if task.prepared.is_some() || (task.engine == Engine::ForkExec && thread_count() > 1) {
            return Some(task);
        }
        let begun = self.net.clock.now();
        let watched = |collapse: Collapse| match self.net.register(&collapse, Source::Preparation) {
            Ok(()) => Ok(collapse),
            Err(e) => {
                log::warn!(target: RESTART, "restart: the preparation cannot be watched: {e}");
                Err(Unprepared::NoProcess { errno: libc::EIO })
            }
        };
        match Collapse::begin(&task.how.prepare).and_then(watched) {
            Ok(collapse) => {
                log::info!(target: RESTART, "restart: the heap is prepared for a fork");
                let overdue = self.net.set_deadline_in(task.how.prepare.within, Deadline::Prepared);
                self.succession.preparation = Some(Preparation { collapse, task, begun, overdue });
                None
            }
            Err(why) => {
                let stopped = Some(why);
                Some(Task { prepared: Some(Prepared { stopped, ..Prepared::default() }), ..task })
            }
        }
    }

    /// The preparation may be over: then it is time for the fork.
    pub(in crate::turn) fn handle_preparation(&mut self) -> Result {
        let Some(preparation) = &mut self.succession.preparation else { return Ok(()) };
        let Some(outcome) = preparation.collapse.outcome() else { return Ok(()) };
        let Some((task, took)) = self.end_preparation() else { return Ok(()) };
        let prepared = Prepared { took, ..outcome };
        log::info!(target: RESTART, "restart: the heap was prepared: {prepared}");
        self.begin_restart(Task { prepared: Some(prepared), ..task })
    }

    /// It has had its time. What it has done by now is as good, and its end is heard like any other.
    pub(in crate::turn) fn preparation_overdue(&mut self) {
        self.succession.preparation.iter_mut().for_each(|it| it.collapse.stop());
    }

    /// This process is to leave: there will be no fork.
    pub(in crate::turn) fn give_up_preparation(&mut self) {
        if let Some((task, _)) = self.end_preparation() {
            let is_stop = self.succession.phase == Phase::Stopping;
            let why = if is_stop { RestartError::Stopped } else { RestartError::Draining };
            self.verdict(&task, Steps::default(), Err(why));
        }
    }

    /// Takes it out of everything; nothing of it is left, and no process of it lives.
    fn end_preparation(&mut self) -> Option<(Task, std::time::Duration)> {
        let Preparation { collapse, task, begun, overdue } = self.succession.preparation.take()?;
        self.net.deregister(&collapse);
        self.net.cancel_deadline(overdue, Deadline::Prepared);
        Some((task, self.net.clock.now().saturating_duration_since(begun)))
    }
}
