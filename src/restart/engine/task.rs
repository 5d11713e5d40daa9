//! What a restart is to be, as data, and by which engine it can be.

use std::time::Instant;

use super::fork;
use crate::{
    cause::Cause,
    inventory::Inventory,
    log_target::RESTART,
    net::ConnId,
    plan::{Engine, Restart},
    prepare::Prepared,
    verdict::{Program, RestartError},
};

/// What a restart is to be.
#[derive(Clone, Debug)]
pub(crate) struct Task {
    pub how: Restart,
    /// The control connection that has asked for it, if one has.
    pub by: Option<ConnId>,
    /// Who else has.
    pub cause: Cause,
    /// The engine that is used in the end.
    pub engine: Engine,
    /// The number of the generation to be.
    pub generation: u64,
    /// The file that it was started from, once it was.
    pub program: Option<Program>,
    /// What was found before it was begun, if anybody has looked.
    pub inventory: Option<Inventory>,
    /// How the heap was prepared for a fork, once it was or was not.
    pub prepared: Option<Prepared>,
    pub begun: Instant,
}

impl Task {
    /// What was asked for at `begun`, before anybody has looked for anything.
    pub fn new(
        how: Restart,
        by: Option<ConnId>,
        cause: Cause,
        generation: u64,
        begun: Instant,
    ) -> Task {
        let (engine, program) = (how.engine, None);
        Task { how, by, cause, engine, generation, program, inventory: None, prepared: None, begun }
    }
}

/// Which engine is to be used: the one asked for, unless threads forbid it, or mailboxes, which are for
/// threads.
pub(crate) fn choose_engine(how: &Restart, mailboxes: usize) -> Result<Engine, RestartError> {
    if how.engine == Engine::ForkExec {
        return Ok(Engine::ForkExec);
    }
    if mailboxes > 0 && how.or_fork_exec {
        log::info!(target: RESTART, "{mailboxes} mailboxes: fork-exec instead of fork");
        return Ok(Engine::ForkExec);
    }
    if mailboxes > 0 {
        return Err(RestartError::Mailbox { count: mailboxes });
    }
    match fork::thread_count() {
        1 => Ok(Engine::Fork),
        count if how.or_fork_exec => {
            log::info!(target: RESTART, "{count} threads: fork-exec instead of fork");
            Ok(Engine::ForkExec)
        }
        count => Err(RestartError::Threads { count }),
    }
}
