//! The new side's part of the copy of the state: it reads it as it comes, serves nobody meanwhile, and needs no
//! second copy.

use std::{
    io::{BufRead, Read},
    os::fd::{AsFd, OwnedFd},
};

use crate::{
    error::Result,
    limits::HANDOVER_PATIENCE,
    log_target::RESTART,
    logging::Escaped,
    net::Net,
    restart::{
        engine::pipe::Tap,
        fault::{self, Step},
        link::Message,
        transfer::{memfd, stream::Reader},
    },
    service::Service,
    turn::{Turn, guard::guard_restart},
};

impl<S: Service> Turn<S> {
    /// What the old side's service saves comes out of a pipe. Answers whether it was read: otherwise the old side is
    /// gone, or does without this one.
    ///
    /// # Errors
    /// When it does not come whole and in time, or the service cannot make sense of it. A service that has read
    /// half of it must never serve.
    pub(super) fn load_snapshot(&mut self, fds: Vec<OwnedFd>) -> Result<bool> {
        let Some(old) = &mut self.succession.old else { return Ok(false) };
        fault::point(Step::NewLoading, Some(&mut old.link));
        let pipe = fds.into_iter().next().ok_or("the state came without a pipe")?;
        let patience = self.succession.copy_within + HANDOVER_PATIENCE;
        let tap = Tap::new(pipe, self.net.clock.now() + patience, old.link.as_fd());
        let mut saved = Reader::of(tap.map_err(|e| format!("prepare a pipe: {e}"))?);
        match load(&mut self.service, &mut self.net, &mut saved) {
            Ok(bytes) => {
                // A failure means that the old side is gone; the link will say so.
                let _ = old.link.send(&Message::Loaded { bytes }, Vec::new());
                fault::point(Step::NewLoaded, Some(&mut old.link));
                Ok(true)
            }
            // It is over for this side, one way or the other. Which one, the link says.
            Err(why) if old.link.is_cut_within(100) => {
                log::warn!(target: RESTART, "the state is not read to its end: {}", Escaped(why));
                Ok(false)
            }
            Err(why) => Err(why),
        }
    }

    /// A piece of what has changed since.
    pub(super) fn apply_changes(&mut self, fds: Vec<OwnedFd>) -> Result {
        let memfd = fds.into_iter().next().ok_or("changes came without a memfd")?;
        let mut changes = memfd::read(memfd).map_err(|e| format!("changes: {e}"))?;
        let begun = self.net.clock.now();
        load_changes(&mut self.service, &mut self.net, &mut changes)?;
        let took = self.net.clock.now().saturating_duration_since(begun);
        if let Some(old) = &mut self.succession.old {
            let _ = old.link.send(&Message::Applied { took }, Vec::new());
            fault::point(Step::NewApplied, Some(&mut old.link));
        }
        Ok(())
    }
}

/// Has the service read a stream, unless that is empty. Answers how many bytes it had.
pub(super) fn load<S: Service, R: Read>(
    service: &mut S,
    net: &mut Net,
    saved: &mut Reader<R>,
) -> Result<u64> {
    if !saved.is_empty().map_err(|e| e.to_string())? {
        let loaded = guard_restart(net, "load", |_| service.load(saved))?;
        if let Some(why) = saved.failure() {
            return Err(why.into()); // in its own words
        }
        loaded?;
    }
    Ok(saved.finish().map_err(|e| e.to_string())?)
}

/// Has the service read all that another one has saved, unless that is nothing.
pub(super) fn load_whole<S: Service>(
    service: &mut S,
    net: &mut Net,
    saved: &mut dyn BufRead,
) -> Result {
    if saved.fill_buf().map_err(|e| format!("state: {e}"))?.is_empty() {
        return Ok(());
    }
    guard_restart(net, "load", |_| service.load(saved))??;
    is_read_up(saved, "load", "state")
}

/// Has the service read a piece of changes.
pub(super) fn load_changes<S: Service>(
    service: &mut S,
    net: &mut Net,
    changes: &mut dyn BufRead,
) -> Result {
    guard_restart(net, "load_changes", |_| service.load_changes(changes))??;
    is_read_up(changes, "load_changes", "changes")
}

/// # Errors
/// When `callback` has left some of `what` it was to read.
fn is_read_up(saved: &mut dyn BufRead, callback: &str, what: &str) -> Result {
    match saved.fill_buf().map_err(|e| format!("{what}: {e}"))? {
        [] => Ok(()),
        _ => Err(format!("{callback} has left some of the {what} unread").into()),
    }
}
