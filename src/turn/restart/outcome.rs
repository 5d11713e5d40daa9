//! How a restart went, for everybody who wants to know.

use log::Level;

use crate::{
    log_target::RESTART,
    logging::Escaped,
    restart::{Phase, engine::task::Task},
    service::Service,
    turn::{Turn, guard::guard_process},
    verdict::{RestartError, Steps, Verdict},
};

impl<S: Service> Turn<S> {
    /// Tells everybody who wants to know how a restart went.
    pub(in crate::turn) fn verdict(
        &mut self,
        task: &Task,
        steps: Steps,
        outcome: std::result::Result<u32, RestartError>,
    ) {
        let Task { generation, engine, .. } = *task;
        let steps = Steps { prepared: task.prepared, ..steps };
        let kept_back = steps.kept_back;
        if outcome.is_ok() && kept_back > 0 {
            log::warn!(
                target: RESTART,
                "restart: {kept_back} connections have more queued than goes along ({} bytes), and stay",
                task.how.max_moved
            );
        }
        self.note_restart(task, steps, outcome.as_ref().copied());
        let took = self.net.clock.now().saturating_duration_since(task.begun);
        match &outcome {
            Ok(pid) => {
                log::info!(
                    target: RESTART, event = "restart", outcome = "committed",
                    generation, engine:% = engine, took_ms = took.as_millis() as u64;
                    "restart: done in {took:?}: generation {generation} is pid {pid}"
                )
            }
            Err(why) => {
                let line = format_args!("{}", Escaped(why));
                match why.is_refusal() {
                    true => self.net.log(RESTART, Level::Error, "restart refused", line),
                    false => log::error!(
                        target: RESTART, event = "restart", outcome = why.name(),
                        generation, engine:% = engine, took_ms = took.as_millis() as u64;
                        "{line}"
                    ),
                }
                self.tell_failed(why);
            }
        }
        let (program, inventory) = (task.program.clone(), task.inventory.clone());
        let verdict = Verdict { generation, engine, took, steps, program, inventory, outcome };
        if let Some(id) = task.by {
            self.answer_verdict(id, &verdict);
        }
        if self.succession.phase != Phase::Waiting {
            let service = &mut self.service;
            guard_process(&mut self.net, "on_restart_ended", |net| {
                service.on_restart_ended(net, &verdict);
            });
        }
    }
}
