//! What this process holds that heirloom does not know: looked at, told in the log, weighed before a fork.

use crate::{
    inventory::Inventory,
    limits::INVENTORY_LINES,
    log_target::RESTART,
    plan::{Engine, IfShared, Restart},
    restart::engine::task::choose_engine,
    service::Service,
    system::{
        look::{Known, look},
        noted,
    },
    turn::Turn,
    verdict::RestartError,
};

impl<S: Service> Turn<S> {
    /// What a fork would share beside what is known. To look takes a descriptor: the reserve is open.
    fn look(&self) -> Inventory {
        if self.net.poll.is_none() {
            return Inventory::default(); // in a test, whose process is not ours
        }
        let mut numbers = self.net.descriptors();
        numbers.extend(self.succession.descriptors());
        numbers.extend(noted::numbers()); // which a forked child closes
        let passed = self.succession.launch.passed();
        let watched = self.net.watches.named();
        look(&Known { numbers, passed, meant: &self.net.meant, watched })
    }

    /// The same, at any time.
    pub(in crate::turn) fn inventory(&mut self) -> Inventory {
        self.with_reserve(|turn| turn.look())
    }

    /// Which engine a restart uses, and what the look has found if there was one; that is logged. The reserve
    /// is open.
    ///
    /// # Errors
    /// Where a fork is refused.
    pub(in crate::turn) fn choose(
        &self,
        how: &Restart,
    ) -> Result<(Engine, Option<Inventory>), RestartError> {
        let (engine, inventory) = weigh(how, self.inboxes.count(), || self.look())?;
        inventory.iter().for_each(|inventory| log_inventory(inventory, engine));
        Ok((engine, inventory))
    }
}

/// The engine for `how`, and what `look` has found if it was asked.
pub(super) fn weigh(
    how: &Restart,
    mailboxes: usize,
    look: impl FnOnce() -> Inventory,
) -> Result<(Engine, Option<Inventory>), RestartError> {
    if choose_engine(how, mailboxes)? == Engine::ForkExec {
        return Ok((Engine::ForkExec, None));
    }
    let inventory = look();
    let engine = match how.if_shared {
        _ if inventory.is_clear() => Engine::Fork,
        IfShared::Warn => Engine::Fork,
        IfShared::Refuse if !how.or_fork_exec => return Err(RestartError::Shared { inventory }),
        IfShared::Refuse | IfShared::ForkExec => Engine::ForkExec,
    };
    Ok((engine, Some(inventory)))
}

/// What is about to be shared, or is not because a new program is started: a line each, up to a bound.
fn log_inventory(inventory: &Inventory, engine: Engine) {
    let (what, level) = match engine {
        Engine::Fork => ("shares what heirloom does not know", log::Level::Warn),
        Engine::ForkExec => ("fork-exec instead of fork, which would share", log::Level::Info),
    };
    for finding in inventory.findings.iter().take(INVENTORY_LINES) {
        log::log!(target: RESTART, level, "restart: {what}: {finding}");
    }
    let more = inventory.count().saturating_sub(INVENTORY_LINES);
    if more > 0 {
        log::log!(target: RESTART, level, "restart: {what}: {more} more");
    }
    if let Some(why) = &inventory.unseen {
        log::log!(target: RESTART, level, "restart: not all that a fork shares can be seen: {why}");
    }
}
