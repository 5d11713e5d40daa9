//! Dials to names: the sockets on which name servers are asked, and those that race for a connection. What is asked
//! and tried when is decided in [`names`](crate::names); here are the system calls.
//!
//! `dial` is one dial as data, `dialing` goes on with all of them, `asking` with the look-ups that they wait for, `endpoint` one socket of
//! either, and `files` what this machine itself knows about names. All sockets are in an epoll set of their own,
//! which is watched as one source: whoever dials no name has none of it, and a forked child just opens its own.

mod asking;
mod dial;
mod dialing;
mod endpoint;
mod files;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    io,
    net::SocketAddr,
    os::fd::{AsRawFd, RawFd},
    path::PathBuf,
    time::{Duration, Instant},
};

use mio::{Events, Poll};

pub(crate) use self::dial::{Dial, Ended};
use self::{endpoint::Endpoint, files::Files};
use crate::{
    clock::Stamp,
    limits::NAME_LOOKUPS,
    names::{Cache, HostName, Lookup},
};

/// Events taken from the epoll set at once; it is asked until there are fewer.
const EVENTS: usize = 64;

/// What time it is: of the connections, which stands still at times, and of the world, in which answers grow old.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    pub stamp: Stamp,
    pub time: Instant,
}

/// A look-up, who waits for it, and its sockets.
#[derive(Debug)]
struct Running {
    lookup: Lookup,
    dials: Vec<u64>,
    tokens: Vec<usize>,
}

/// All dials to names, and what is known about names.
#[derive(Debug, Default)]
pub(crate) struct Resolver {
    /// Whom to ask instead of those that the system names.
    servers: Option<Vec<SocketAddr>>,
    files: Files,
    cache: Cache,
    /// Those that have not answered when they were asked last: they are asked last.
    silent: BTreeSet<SocketAddr>,
    /// Look-ups so far, for `rotate`.
    turns: usize,
    dials: BTreeMap<u64, Dial>,
    /// Of those, the ones that are to be begun.
    fresh: VecDeque<u64>,
    last_dial: u64,
    /// What the dials wait for. Each name is looked up once, for all of them.
    lookups: BTreeMap<HostName, Running>,
    poll: Option<Poll>,
    /// By token; none is given twice.
    sockets: BTreeMap<usize, Endpoint>,
    last_token: usize,
    /// Something has happened to a socket.
    ready: bool,
    /// When something is to be done although nothing has happened.
    due: Option<Stamp>,
    ended: Vec<Ended>,
}

impl Resolver {
    pub fn ask_servers(&mut self, servers: Vec<SocketAddr>) {
        self.servers = Some(servers).filter(|servers| !servers.is_empty());
    }

    pub fn set_hosts_file(&mut self, path: PathBuf) {
        self.files.set_hosts(path);
    }

    pub fn set_conf_file(&mut self, path: PathBuf) {
        self.files.set_conf(path);
    }

    /// How many dials there are that have not come to an end.
    pub fn len(&self) -> usize {
        self.dials.len()
    }

    /// Something has happened to the epoll set.
    pub fn note(&mut self) {
        self.ready = true;
    }

    /// Whether there is something to be done without waiting for anything.
    pub fn is_busy(&self) -> bool {
        self.ready || (!self.fresh.is_empty() && self.lookups.len() < NAME_LOOKUPS)
    }

    pub fn due(&self) -> Option<Stamp> {
        self.due
    }

    /// The epoll set, made now if there is none. The caller watches one that is new.
    ///
    /// # Errors
    /// When the system refuses it.
    pub fn open(&mut self) -> io::Result<Option<RawFd>> {
        if self.poll.is_some() || self.fresh.is_empty() {
            return Ok(None);
        }
        Ok(Some(self.poll.insert(Poll::new()?).as_raw_fd()))
    }

    /// Begins what is new, and does what the sockets ask for. Answers the dials that have come to an end.
    pub fn look(&mut self, now: Moment) -> Vec<Ended> {
        if !self.is_busy() {
            return Vec::new();
        }
        let mut events = Events::with_capacity(EVENTS);
        while std::mem::take(&mut self.ready) {
            let Some(poll) = &mut self.poll else { break };
            if poll.poll(&mut events, Some(Duration::ZERO)).is_err() {
                self.ready = true; // interrupted: in the next turn
                break;
            }
            let tokens: Vec<_> = events.iter().map(|event| event.token().0).collect();
            self.ready = tokens.len() == EVENTS;
            tokens.into_iter().for_each(|token| self.hear(token, now));
        }
        self.begin_fresh(now);
        self.reschedule()
    }

    /// Does what is due.
    pub fn expire(&mut self, now: Moment) -> Vec<Ended> {
        if self.due.is_none_or(|due| now.stamp < due) {
            return Vec::new();
        }
        self.expire_lookups(now);
        self.expire_dials(now);
        self.reschedule()
    }

    /// What was done may have changed when there is something to do.
    fn reschedule(&mut self) -> Vec<Ended> {
        let of_lookups = self.lookups.values().filter_map(|running| running.lookup.deadline());
        let of_dials = self.dials.values().map(Dial::due);
        self.due = of_lookups.chain(of_dials).min();
        std::mem::take(&mut self.ended)
    }

    /// Takes a socket out of the epoll set, before it is closed: a child may have it, too.
    fn take_out(&mut self, token: usize) -> Option<Endpoint> {
        let mut endpoint = self.sockets.remove(&token)?;
        if let Some(poll) = &self.poll {
            let _ = endpoint.deregister(poll.registry());
        }
        Some(endpoint)
    }

    /// In a forked child: what was learned stays, and those dials that move are begun anew, since nothing was
    /// sent for them yet. All sockets are the parent's: here they are only closed.
    pub fn anew(self) -> Resolver {
        let Resolver { servers, files, cache, silent, turns, dials, last_dial, .. } = self;
        let fresh = Resolver { servers, files, cache, silent, turns, last_dial, ..Self::default() };
        let moving = dials.into_iter().filter(|(_, dial)| dial.moves);
        moving.fold(fresh, |mut fresh, (number, dial)| {
            let dial = dial.anew();
            fresh.due = Some(fresh.due.map_or(dial.give_up, |due| due.min(dial.give_up)));
            fresh.dials.insert(number, dial);
            fresh.fresh.push_back(number);
            fresh
        })
    }

    /// Closes all sockets, and forgets the dials.
    pub fn close(&mut self) {
        self.poll = None;
        self.sockets.clear();
        self.lookups.clear();
        self.dials.clear();
        self.fresh.clear();
        (self.ready, self.due) = (false, None);
    }

    /// The numbers of all its descriptors.
    pub fn descriptors(&self) -> impl Iterator<Item = RawFd> {
        let poll = self.poll.iter().map(AsRawFd::as_raw_fd);
        poll.chain(self.sockets.values().map(Endpoint::raw_fd))
    }
}
