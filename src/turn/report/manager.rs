//! When the service manager is told something, and what waits for it. How it is told is in
//! `systemd`.
//!
//! ```text
//!  old, the main process                  new
//!   |  RELOADING                           |
//!   |  ...the restart...                   | says nothing: it would not be believed
//!   |                                   <- | Committed
//!   |  MAINPID=new READY, BARRIER          | the main process: it has the watchdog's pings to send
//!   |  may end when the barrier is down    |
//! ```
//!
//! What the manager [keeps](crate::system::store) is told by the main process as well. A new one waits until the old one's words must
//! have been read: before that it would not be believed.
//!
//! Each word takes a socket of its own for a moment, which the reserve has room for: a server whose clients
//! have all other descriptors must not be taken for one that hangs.

use std::os::fd::AsFd;

use crate::{
    limits::{BARRIER_PATIENCE, LEAVE_GRACE},
    log_target::SYSTEM,
    net::{Deadline, Source},
    restart::{Phase, engine::child::Child},
    service::Service,
    turn::Turn,
    verdict::RestartError,
};

impl<S: Service> Turn<S> {
    /// This is the first generation, and it serves.
    pub(in crate::turn) fn tell_started(&mut self) {
        let status = format!("generation {} serves", self.net.generation());
        self.succession.manager.take_over();
        self.net.reserve.lend(|| self.succession.manager.ready(&status));
        self.set_watchdog();
        self.tell_kept();
    }

    /// What the old side has said of this one must have been read.
    pub(in crate::turn) fn announced(&mut self) {
        self.succession.manager.is_believed();
        self.tell_kept();
    }

    /// The manager keeps what this process listens on.
    pub(in crate::turn) fn tell_kept(&mut self) {
        self.keep_all_but(&[]);
    }

    /// Those at these places are its own, and end with it.
    fn keep_all_but(&mut self, own: &[usize]) {
        if self.succession.manager.keeps() {
            self.net.reserve.open();
            self.succession.manager.keep_listeners(self.net.kept(own));
            self.net.fill_reserve();
        }
    }

    /// A restart was asked for, by whomever. Where one goes on already, it is the manager's last request
    /// that is answered when that one is over.
    pub(in crate::turn) fn tell_restarting(&mut self) {
        if self.net.draining {
            return;
        }
        let status = format!("generation {} serves and is being replaced", self.net.generation());
        self.net.reserve.lend(|| self.succession.manager.reloading(&status));
    }

    /// A restart has come to nothing, so what was begun by [`tell_restarting`](Self::tell_restarting) is
    /// over, unless there is another one that goes on.
    pub(in crate::turn) fn tell_failed(&mut self, why: &RestartError) {
        let is_over = self.succession.phase == Phase::Serving;
        if is_over && !self.succession.waits_to_restart() {
            let status = format!("generation {} serves; {why}", self.net.generation());
            self.net.reserve.lend(|| self.succession.manager.still_ready(&status));
            self.tell_kept(); // a path may have been bound anew
        }
    }

    /// The new side stays, and this one goes when the manager has heard of it. The sockets at these places go with it.
    pub(in crate::turn) fn tell_replaced(&mut self, generation: u64, new: &Child, own: &[usize]) {
        let status = format!("generation {generation} serves");
        self.keep_all_but(own);
        let manager = &mut self.succession.manager;
        self.net.reserve.lend(|| manager.hand_over(new.id(), new.as_fd(), &status));
        let Some(barrier) = manager.barrier() else { return };
        match self.net.register(barrier, Source::Barrier) {
            Ok(()) => {
                self.net.set_deadline_in(BARRIER_PATIENCE, Deadline::Barrier);
            }
            Err(e) => {
                log::warn!(target: SYSTEM, "{e}");
                drop(manager.drop_barrier());
            }
        }
    }

    /// This new side stays. The old one says so, if it lives.
    pub(in crate::turn) fn take_over_from(&mut self, old_lives: bool) {
        if old_lives {
            self.succession.manager.take_over_early();
            if self.succession.manager.may_keep() {
                self.net.set_deadline_in(BARRIER_PATIENCE, Deadline::Announced);
            }
        } else {
            self.succession.manager.take_over();
            let status = format!("generation {} serves", self.net.generation());
            self.net.reserve.lend(|| self.succession.manager.still_ready(&status));
            self.tell_kept();
        }
        self.set_watchdog();
    }

    /// The service ends. A manager ends everything with the main process, so this one waits for the
    /// others, which have as much time as it has itself.
    pub(in crate::turn) fn tell_stopping(&mut self) {
        let status = format!("generation {} stops", self.net.generation());
        let manager = &mut self.succession.manager;
        self.net.reserve.lend(|| {
            manager.stopping(&status);
            let names = manager.store.clear();
            manager.no_longer_keep(&names);
        });
        if !self.succession.manager.follows_us() {
            return;
        }
        if let Some(within) = self.succession.drain_on_stop.deadline {
            let overdue = self.net.set_deadline_in(within + LEAVE_GRACE, Deadline::OlderOverdue);
            for generation in &mut self.succession.older {
                generation.overdue.get_or_insert(overdue);
            }
        }
    }

    fn set_watchdog(&mut self) {
        if let Some(time) = self.succession.manager.ping_every() {
            self.net.set_deadline_in(time, Deadline::Watchdog);
        }
    }

    /// It is time to show that this process turns, as long as that is asked of it.
    pub(in crate::turn) fn watchdog_due(&mut self) {
        if self.succession.supervisor.is_some() {
            return self.tell_turns();
        }
        self.net.reserve.lend(|| self.succession.manager.ping());
        self.set_watchdog();
    }

    /// The manager may have read everything.
    pub(in crate::turn) fn handle_barrier(&mut self) {
        if self.succession.manager.is_past_barrier() {
            self.lower_barrier();
        }
    }

    pub(in crate::turn) fn barrier_overdue(&mut self) {
        if self.lower_barrier() {
            log::warn!(
                target: SYSTEM,
                "the service manager has not answered for {BARRIER_PATIENCE:?}"
            );
        }
    }

    /// Tells whether there was one.
    fn lower_barrier(&mut self) -> bool {
        let Some(barrier) = self.succession.manager.drop_barrier() else { return false };
        self.net.deregister(&barrier);
        true
    }

    /// Whether the manager keeps this process from ending although it has nothing left to do.
    pub(in crate::turn) fn is_kept_by_manager(&self) -> bool {
        let manager = &self.succession.manager;
        let others = !self.succession.older.is_empty() || !self.succession.children.is_empty();
        manager.barrier().is_some() || (manager.follows_us() && others)
    }
}
