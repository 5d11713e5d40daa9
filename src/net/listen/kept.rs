//! Sockets that a service manager keeps, should all processes of the service end without a word: under which names they go
//! there, and how they come back. What the manager has opened itself it has anyway.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use super::{
    kind::{DATAGRAMS, kind_of},
    listener::{Listener, check_kind, is_activated},
};
use crate::{
    error::{Error, Result},
    log_target::SYSTEM,
    system::{regular_file::FileId, store::Kept},
};

/// What the manager is to keep of these, which are those of the only process, or of this worker.
pub(crate) fn kept<'l>(
    worker: u32,
    all: impl Iterator<Item = &'l Listener>,
) -> impl Iterator<Item = (String, BorrowedFd<'l>)> {
    all.filter(|listener| !is_activated(&listener.name)).filter_map(move |listener| {
        let name = Kept::listener(worker, &listener.name, listener.file);
        if name.is_none() {
            log::debug!(target: SYSTEM, "its name is too long to be kept: {}", listener.name);
        }
        Some((name?, listener.as_fd()))
    })
}

impl Listener {
    /// Takes over one that the manager has kept, as it was when it was stored.
    ///
    /// # Errors
    /// When it is not what its name says, or does not listen any more.
    pub fn kept(name: String, fd: OwnedFd, file: Option<FileId>) -> Result<Listener> {
        if kind_of(&name) != DATAGRAMS {
            check_kind(&fd).map_err(|why| Error::invalid("take over listener", &name, why))?;
        }
        Listener::adopt(name, fd, file)
    }
}
