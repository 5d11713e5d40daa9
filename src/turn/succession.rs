//! This process's place in the succession of generations, as data. What happens to it is in `old`,
//! `new` and `leave`.

use std::{os::fd::OwnedFd, process, time::Duration, time::Instant};

use nix::sys::signal::Signal;

use crate::{
    limits::{DRAIN_ON_RESTART, DRAIN_ON_STOP, GENERATIONS},
    net::{ConnId, Listener},
    pidfile::PidFile,
    plan::{Drain, Restart},
    restart::{
        Phase,
        attempt::Attempt,
        child::Child,
        drain::Departure,
        exec::Launch,
        link::{Identity, Report},
        pass::Link,
    },
    signal::Signals,
    systemd::Manager,
};

/// Everything about this process that is neither service nor socket.
#[derive(Debug)]
pub(crate) struct Succession {
    pub(super) phase: Phase,
    pub signals: Option<Signals>,
    /// What a signal asks for.
    pub triggers: Vec<(Signal, Trigger)>,
    pub launch: Launch,
    pub pid_file: Option<PidFile>,
    pub manager: Manager,
    pub drain_on_restart: Drain,
    pub drain_on_stop: Drain,
    /// How many generations may live at a time, and what happens when one more is asked for.
    pub max_generations: usize,
    pub at_max: AtMax,

    /// On a new side: the old one, until this one has committed.
    pub old: Option<Generation>,
    /// On a new program: the stderr to use once it is ready.
    pub stderr: Option<OwnedFd>,
    /// Listeners that this program does not want. On a new side they stay until it commits: the old
    /// one may yet serve their clients.
    pub unwanted: Vec<Listener>,
    /// On a new side: how long it has to serve before it commits.
    pub probation: Duration,

    /// On an old side: the restart in progress.
    pub(super) attempt: Option<Attempt>,
    /// A restart that waits until the oldest generation is gone.
    pub(super) deferred: Option<(Asked, Instant)>,
    /// The highest number that a generation which served has had.
    pub(super) last_generation: u64,
    /// Processes that this one has made; they are to be reaped if they end before it.
    pub(super) children: Vec<Child>,

    /// On the newest: the others that still serve what they have, in the order in which they retired.
    pub leavers: Vec<Generation>,
    /// On the others: the link by which the newest reaches this one.
    pub(super) newest: Option<Link>,
    /// While this process drains: who is told and who is ended when.
    pub(super) departure: Departure,
    /// Another generation has told this one to leave, and nobody else has yet.
    pub(super) dismissed: bool,
    /// The service has been told that it serves no new clients (`on_retire`).
    pub(super) retired: bool,
    /// Since when this process exists.
    pub(super) begun: Instant,
    /// On a new side that hands back: why, and the control connection that has asked for it.
    pub(super) hands_back: Option<(String, Option<ConnId>)>,
    /// Control connections that wait for the reports of other generations.
    pub(super) askers: Vec<ConnId>,
}

/// What a signal means.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Trigger {
    Restart(Restart),
    /// Drain; the second time, stop.
    Leave,
}

/// What is done about a restart that would make one generation too many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AtMax {
    Refuse,
    /// The oldest has this long to leave; the restart waits for it.
    DismissOldest(Duration),
}

/// A restart, and the control connection that has asked for it, if one has.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub how: Restart,
    pub by: Option<ConnId>,
}

/// Another generation, as this one knows it.
#[derive(Debug)]
pub(crate) struct Generation {
    pub who: Identity,
    pub link: Link,
    /// What it said when it was asked last.
    pub report: Option<Report>,
    /// It was asked and has not answered yet.
    pub asked: bool,
    /// It was told to leave by then.
    pub overdue: Option<Instant>,
}

impl Generation {
    pub fn new(who: Identity, link: Link) -> Generation {
        Generation { who, link, report: None, asked: false, overdue: None }
    }
}

impl Succession {
    /// Of a process that has not begun.
    pub fn new(launch: Launch, now: Instant) -> Succession {
        Succession {
            phase: Phase::Waiting,
            signals: None,
            triggers: Vec::new(),
            launch,
            pid_file: None,
            manager: Manager::default(),
            drain_on_restart: Drain::deadline(DRAIN_ON_RESTART),
            drain_on_stop: Drain::deadline(DRAIN_ON_STOP),
            max_generations: GENERATIONS,
            at_max: AtMax::Refuse,
            old: None,
            stderr: None,
            unwanted: Vec::new(),
            probation: Duration::ZERO,
            attempt: None,
            deferred: None,
            last_generation: 0,
            children: Vec::new(),
            leavers: Vec::new(),
            newest: None,
            departure: Departure::default(),
            dismissed: false,
            retired: false,
            begun: now,
            hands_back: None,
            askers: Vec::new(),
        }
    }

    /// Of a process in memory, which serves from the start.
    pub fn in_memory(now: Instant) -> Succession {
        Succession { phase: Phase::Serving, ..Succession::new(Launch::remember(), now) }
    }

    /// In a forked child: what it keeps of its parent's place. The parent's children and its
    /// restart in progress are none of its business.
    pub(super) fn begin_anew(&mut self, old: Generation, now: Instant) {
        self.phase = Phase::Waiting;
        self.old = Some(old);
        self.children.clear();
        self.deferred = None;
        self.attempt = None;
        self.askers.clear();
        self.manager.fall_silent();
        self.begun = now;
    }

    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// All that live, as far as this one knows.
    pub(super) fn living(&self) -> usize {
        1 + self.leavers.len() + usize::from(self.old.is_some())
    }

    /// The name of this process.
    pub(super) fn identity(&self, net: &crate::net::Net) -> Identity {
        Identity { generation: net.generation(), pid: process::id(), engine: net.engine() }
    }
}
