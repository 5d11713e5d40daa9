//! What a supervisor does for the service manager: it is the main process, so it shows that the service lives, and has the manager
//! keep what should outlive all processes.
//!
//! The manager's watchdog sees one process. The generations tell this one that their loops turn ([`Notice::Turns`](crate::restart::link::Notice)), as
//! often as they would tell the manager; one that has not for the manager's whole time hangs, and is killed: what comes then is what
//! comes after a crash, which costs one worker and not the service. The manager acts only if this process hangs.

use std::{
    os::fd::AsFd,
    time::{Duration, Instant},
};

use super::{Supervisor, line::Line};
use crate::{
    log_target::SUPERVISOR,
    net::{Listener, kept},
    system::signal_set::Signal,
};

impl Supervisor {
    /// Shows that this process turns, and looks whether those that serve do.
    pub(super) fn watch_turns(&mut self, now: Instant) {
        let Some(half) = self.duty.manager.ping_every() else { return };
        let limit = 2 * half;
        let was_deaf = self.duty.was_deaf(now, half);
        for line in &mut self.lines {
            if was_deaf {
                line.turns.iter_mut().for_each(|(_, heard)| *heard = now);
            }
            line.end_who_hangs(limit, now);
        }
        if self.duty.next.is_some_and(|due| due <= now) {
            self.duty.manager.ping();
            self.duty.next = Some(now + half);
        }
    }

    /// The manager is to keep what clients come to, and what the services have saved since this was called last.
    pub(super) fn tell_kept(&mut self) {
        let manager = &mut self.duty.manager;
        if !manager.keeps() {
            return;
        }
        let is_one = self.lines.len() == 1;
        // Of several workers, each binds where its operators come anew: nobody else does.
        let wanted = |listener: &&Listener| is_one || !listener.caller.is_operator();
        let workers = (0..).zip(&self.lines);
        let all =
            workers.flat_map(|(worker, line)| kept(worker, line.listeners.iter().filter(wanted)));
        manager.keep_listeners(all);
        for (worker, line) in (0..).zip(&mut self.lines) {
            if std::mem::take(&mut line.is_checkpoint_new)
                && let Some(memory) = &line.checkpoint
            {
                manager.keep_state(worker, memory.as_fd());
            }
        }
    }

    /// The service ends: nothing is to be kept of it.
    pub(super) fn keep_nothing(&mut self) {
        let names = self.duty.manager.store.clear();
        self.duty.manager.no_longer_keep(&names);
    }
}

impl Line {
    /// This generation says that its loop turns.
    pub(super) fn note_turn(&mut self, pid: u32, now: Instant) {
        self.turns.retain(|(known, _)| *known != pid);
        self.turns.push((pid, now));
    }

    /// Kills the one that serves, if it has not turned for so long. One that has never said anything is of a program that does not.
    fn end_who_hangs(&mut self, limit: Duration, now: Instant) {
        let main = self.main().filter(|_| self.watch.is_serving());
        let heard =
            |pid| self.turns.iter().find(|(known, _)| *known == pid).map(|(_, heard)| *heard);
        let Some((main, heard)) = main.and_then(|main| Some((main, heard(main.pid)?))) else {
            return;
        };
        if now.saturating_duration_since(heard) > limit {
            log::error!(
                target: SUPERVISOR,
                "{}: generation {} has not turned for {limit:?}: it is killed (pid {})",
                self.name(), main.generation, main.pid
            );
            self.turns.retain(|(known, _)| *known != main.pid);
            self.signal(main.pid, Signal::SIGKILL, None);
        }
    }
}
