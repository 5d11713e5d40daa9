//! Descriptors of others as they are registered: an epoll set of their own within the one of the loop.
//!
//! The set within asks the kernel in the way that the author has chosen, level- or edge-triggered; the loop's
//! own, which is edge-triggered, hears that there is something, and then the set is asked once in a turn
//! until it is empty. So a descriptor that is always ready costs a call in each turn, and nobody else's place
//! among the events.
//!
//! Each is registered by a copy of its descriptor (`dup(2)`) that is ours. A number that its owner has closed
//! would be registered still, for as long as anybody else has the file, and could not be taken out any more
//! (`epoll(7)`); the copy can, so what is not watched wakes nobody. And each registration has a number of
//! its own, never given twice: what was reported before a change finds nobody after it.

use std::{
    collections::{BTreeMap, VecDeque},
    os::fd::{AsRawFd, OwnedFd, RawFd},
};

use nix::{
    errno::Errno,
    sys::{
        epoll::{Epoll, EpollEvent, EpollFlags, EpollTimeout},
        stat::fstat,
    },
};

use crate::{
    limits::WATCH_BUDGET,
    log_target::NET,
    net::watch::{Interest, Readiness, Watch},
    system::look::Watched as Named,
};

/// All that are watched.
#[derive(Debug, Default)]
pub(crate) struct Watches {
    /// From the first one on.
    pub(super) set: Option<Epoll>,
    pub(super) watched: BTreeMap<Watch, Watched>,
    /// By the number of the registration.
    pub(super) keys: BTreeMap<u64, Watch>,
    /// The number of the last registration.
    pub(super) last: u64,
    /// Some may be ready.
    pub(super) ready: bool,
    /// In a test: what the kernel would report.
    pub(super) staged: VecDeque<(Watch, Readiness)>,
}

#[derive(Debug)]
pub(super) struct Watched {
    pub registration: u64,
    pub interest: Interest,
    /// What its owner calls it.
    pub number: RawFd,
    /// Our copy. `None` in a test.
    pub own: Option<OwnedFd>,
}

/// What is ready in one turn.
pub(crate) struct Reported {
    events: [EpollEvent; WATCH_BUDGET],
    count: usize,
}

impl Reported {
    /// By the number of the registration.
    pub fn iter(&self) -> impl Iterator<Item = (u64, Readiness)> {
        let events = self.events[..self.count].iter();
        events.map(|event| (event.data(), Readiness::of(event.events())))
    }
}

impl Watches {
    /// Which are ready, up to the budget. Those that stay so are reported again, behind the others.
    pub fn report(&mut self) -> Reported {
        let mut events = [EpollEvent::empty(); WATCH_BUDGET];
        let Watches { set, watched, staged, ready, .. } = self;
        let reported = match set {
            Some(set) => set.wait(&mut events, EpollTimeout::ZERO),
            None => {
                let count = staged.len().min(WATCH_BUDGET);
                for (event, (key, readiness)) in events.iter_mut().zip(staged.drain(..count)) {
                    let told = watched.get(&key).and_then(|it| {
                        Some((it.registration, readiness.told(it.interest)?.flags()))
                    });
                    let (registration, flags) = told.unwrap_or((0, EpollFlags::empty()));
                    *event = EpollEvent::new(flags, registration);
                }
                Ok(count)
            }
        };
        // Only an empty report says that there are no more: those that were told may be ready still.
        let count = match reported {
            Ok(count) => {
                *ready = count > 0;
                count
            }
            Err(Errno::EINTR) => 0,
            Err(e) => {
                *ready = false;
                log::error!(target: NET, "wait for watched descriptors: {e}");
                0
            }
        };
        Reported { events, count }
    }

    /// The numbers that are ours because something is watched.
    pub fn descriptors(&self) -> impl Iterator<Item = RawFd> {
        let own = self.watched.values().filter_map(|it| it.own.as_ref());
        let set = self.set.iter().map(|set| set.0.as_raw_fd());
        set.chain(own.map(AsRawFd::as_raw_fd))
    }

    /// What their owners call those that are watched.
    pub fn named(&self) -> Vec<Named> {
        let watched = self.watched.iter().filter_map(|(key, it)| {
            let stat = it.own.as_ref().and_then(|own| fstat(own).ok())?;
            Some(Named { number: it.number, file: (stat.st_dev, stat.st_ino), key: key.0 })
        });
        watched.collect()
    }
}
