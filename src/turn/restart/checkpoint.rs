//! What a service wants to have back should all its processes end without a word: it is saved when the service says so, and kept
//! by whoever outlives them, a supervisor or the service manager. The next first generation loads it.

use std::{
    io::{self, Write},
    os::fd::{AsFd, OwnedFd},
};

use crate::{
    error::{Error, Result},
    log_target::RESTART,
    logging::Escaped,
    net::Request,
    restart::{
        engine::supervised::Supervised,
        transfer::{
            checkpoint::{self, Checkpoint},
            memfd,
        },
    },
    service::Service,
    turn::{Turn, generation::Succession, guard::guard_restart, restart::loading::load},
};

impl<S: Service> Turn<S> {
    /// The service has asked for one. A process that may still be rolled back waits until it stays.
    pub(in crate::turn) fn make_checkpoint(&mut self) {
        if !self.is_kept() {
            let may = self.succession.manager.may_keep() || self.succession.supervisor.is_some();
            let asked = |request: &Request| matches!(request, Request::Checkpoint);
            if may && !self.net.draining && !self.net.requests.iter().any(asked) {
                self.net.requests.push(Request::Checkpoint);
            }
            return;
        }
        let at = self.net.clock.wall();
        let (service, net) = (&self.service, &mut self.net);
        let save = |out: &mut dyn Write| {
            guard_restart(net, "save", |_| service.save(out))?.map_err(|e| e.to_string())
        };
        match checkpoint::write(at, save) {
            Ok(memory) => self.keep_checkpoint(memory),
            Err(why) => log::error!(target: RESTART, "no checkpoint is made: {}", Escaped(why)),
        }
    }

    /// A generation of a supervisor leaves it to that, which gives it to the next one should this one crash.
    fn is_kept(&self) -> bool {
        let Succession { manager, supervisor, .. } = &self.succession;
        manager.keeps()
            || (manager.is_main() && supervisor.as_ref().is_some_and(Supervised::is_alive))
    }

    fn keep_checkpoint(&mut self, memory: OwnedFd) {
        log::debug!(target: RESTART, "a checkpoint is kept");
        if let Some(supervisor) = &mut self.succession.supervisor {
            return supervisor.say_checkpoint(memory);
        }
        let manager = &mut self.succession.manager;
        if manager.store.knows_states() {
            return self.net.reserve.lend(|| manager.keep_state(0, memory.as_fd()));
        }
        let told = self.net.reserve.lend(|| -> io::Result<()> {
            let copy = memfd::seal(&memfd::open(memory.try_clone()?, usize::MAX)?)?;
            manager.keep_first_state(0, memory.as_fd(), copy.as_fd());
            Ok(())
        });
        if let Err(e) = told {
            log::error!(target: RESTART, "no checkpoint is kept: {e}");
        }
    }

    /// In a first generation: has the service load the newest checkpoint that is whole, if one was kept.
    ///
    /// # Errors
    /// When the service cannot make sense of it. It may have read half of it by then, so it must not serve; the next start
    /// will be a fresh one.
    pub(super) fn load_checkpoint(&mut self) -> Result {
        let kept = std::mem::take(&mut self.succession.manager.store.states);
        let opened = kept.into_iter().filter_map(|(_, memory)| open(memory));
        let Some(newest) = opened.max_by_key(|it| it.at) else { return Ok(()) };
        let age = self.net.clock.wall().saturating_sub(newest.at);
        let mut saved = newest.saved;
        match load(&mut self.service, &mut self.net, &mut saved) {
            Ok(bytes) => {
                log::info!(
                    target: RESTART,
                    "a checkpoint is loaded: {bytes} bytes, made {} s ago", age.as_secs()
                );
                Ok(())
            }
            Err(why) => {
                let manager = &mut self.succession.manager;
                if manager.may_keep() {
                    manager.take_over(); // it has started this process
                    let names = manager.store.clear_state(0);
                    manager.no_longer_keep(&names);
                }
                let why = format!("{why}; it is dropped, and the next start will be a fresh one");
                Err(Error::invalid("load", "a checkpoint", why))
            }
        }
    }
}

/// One that is not whole is of no use.
fn open(memory: OwnedFd) -> Option<Checkpoint> {
    let opened = checkpoint::open(memory);
    opened.map_err(|e| log::warn!(target: RESTART, "a checkpoint is dropped: {}", Escaped(e))).ok()
}
