//! What the service manager has passed to the first process: sockets that it has opened, and what it has kept of one that has
//! ended without a word. What cannot be used of the latter is no reason not to start.

use std::os::fd::OwnedFd;

use super::Server;
use crate::{
    error::Result, log_target::RESTART, logging::Escaped, net::Listener, service::Service,
    system::store::Kept,
};

impl<S: Service> Server<S> {
    /// # Errors
    /// When a socket that the manager has opened is none to serve clients on.
    pub(super) fn take_passed(&mut self, passed: Vec<(String, OwnedFd)>) -> Result {
        let mut kept = Vec::new();
        for (name, fd) in passed {
            let Some(meaning) = Kept::read(&name) else {
                self.take_activated(&name, fd)?;
                continue;
            };
            self.succession.manager.store.has(&name, &fd);
            let refused = match meaning {
                Ok(Kept::Listener { worker, name, file }) => Listener::kept(name, fd, file)
                    .map(|it| kept.push((worker, it)))
                    .map_err(|e| e.to_string()),
                Ok(Kept::State { worker }) => {
                    self.succession.manager.store.states.push((worker, fd));
                    Ok(())
                }
                Err(why) => Err(why.to_owned()),
            };
            if let Err(why) = refused {
                let (name, why) = (Escaped(name), Escaped(why));
                log::warn!(target: RESTART, "what the service manager has kept as {name} is dropped: {why}");
            }
        }
        // With its directory a path may be gone (`RuntimeDirectory=`): nobody finds the socket, and another one is bound.
        kept.retain(|(_, listener)| !listener.has_lost_path());
        // Of several workers, each finds its own.
        kept.sort_by_key(|(worker, _)| *worker);
        self.unclaimed.extend(kept.into_iter().map(|(_, listener)| listener));
        Ok(())
    }

    /// Where the manager has a store, somebody else may have put there whatever he likes.
    fn take_activated(&mut self, name: &str, fd: OwnedFd) -> Result {
        match Listener::activated(name, fd) {
            Ok(listener) => self.unclaimed.push(listener),
            Err(why) if self.succession.manager.store.is_there() => {
                log::warn!(target: RESTART, "what the service manager has passed on as {} is closed: {}", Escaped(name), Escaped(why));
            }
            Err(why) => return Err(why),
        }
        Ok(())
    }
}
