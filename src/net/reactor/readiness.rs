//! What this process waits for: sources are added to its epoll set and taken out again, and a wait for events begins a turn.

use std::{
    io::Result as IoResult,
    os::fd::AsRawFd,
    time::{Duration, Instant},
};

use mio::{Events, Interest, Poll, Registry, unix::SourceFd};

use super::{Net, hearing::Report};
use crate::{
    error::{Error, Result},
    limits::EVENTS,
    net::id::Source,
};

impl Net {
    /// Adds an event source that is no connection; edge-triggered like all others.
    pub(crate) fn register(&self, fd: &impl AsRawFd, source: Source) -> Result {
        let interest = Interest::READABLE | Interest::WRITABLE;
        Net::with_registry(&self.poll, |registry| {
            registry.register(&mut SourceFd(&fd.as_raw_fd()), source.token(), interest)
        })
        .map_err(|e| Error::io("watch", format_args!("{source:?}"), e))
    }

    /// Takes it out again, before it is closed.
    pub(crate) fn deregister(&self, fd: &impl AsRawFd) {
        let _ = Net::with_registry(&self.poll, |registry| {
            registry.deregister(&mut SourceFd(&fd.as_raw_fd()))
        });
    }

    /// Waits for events, up to `wait`, and begins a turn with them. `asked` is the time by now.
    pub(crate) fn poll(
        &mut self,
        events: &mut Events,
        asked: Instant,
        wait: Option<Duration>,
    ) -> Result {
        if self.poll.is_some() {
            self.count_turn(asked);
        }
        let Some(poll) = &mut self.poll else { return Ok(()) };
        let report = match poll.poll(events, wait) {
            Ok(()) => match events.iter().count() {
                0 => Report::Nothing,
                EVENTS.. => Report::Full { watched: self.conns.len() + EVENTS },
                _ => Report::All,
            },
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {
                events.clear();
                Report::Interrupted
            }
            Err(e) => return Err(Error::io("wait for", "events", e)),
        };
        self.begin_turn(asked, wait, report);
        Ok(())
    }

    /// Does `what` with the epoll set; in a test there is none.
    pub(super) fn with_registry(
        poll: &Option<Poll>,
        what: impl FnOnce(&Registry) -> IoResult<()>,
    ) -> IoResult<()> {
        poll.as_ref().map_or(Ok(()), |poll| what(poll.registry()))
    }
}
