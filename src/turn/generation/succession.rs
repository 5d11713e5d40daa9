//! This process's place in the succession of generations, as data. What happens to it is in `old`,
//! `new` and `leaving`.

use std::{process, time::Duration, time::Instant};

use super::{
    arrivals::Arrivals,
    handback::{Handback, Returned},
    heap::SharedHeap,
    preparation::Preparation,
    question::Question,
};
#[cfg(feature = "metrics")]
use crate::metrics::Usages;
use crate::{
    cause::Cause,
    limits::{DRAIN_ON_RESTART, DRAIN_ON_STOP, GENERATIONS},
    net::{ConnId, Listener},
    plan::{Drain, Restart},
    restart::{
        Phase,
        drain::DrainSchedule,
        engine::{
            attempt::Attempt,
            child::Child,
            exec::Launch,
            fork::Unready,
            process::Process,
            scribe::Copying,
            stderr::{ForwardedStderr, Stderr},
            supervised::Supervised,
        },
        link::{ForwardQueue, Identity, Link, Relay, Report},
        probation::Probation,
        transfer::shipment::Shipment,
    },
    system::{
        pidfile::PidFile,
        signal::Signals,
        signal_set::{Signal, SignalSet},
        systemd::Manager,
    },
};

/// Everything about this process that is neither service nor socket.
#[derive(Debug)]
pub(crate) struct Succession {
    pub(in crate::turn) phase: Phase,
    pub signals: Option<Signals>,
    /// Those of the service. They wait in the kernel until it is told of them.
    pub own_signals: Option<Signals>,
    /// Some may have come.
    pub own_signals_wait: bool,
    /// What a signal asks for.
    pub triggers: Vec<(Signal, Trigger)>,
    pub launch: Launch,
    pub pid_file: Option<PidFile>,
    pub manager: Manager,
    pub drain_on_restart: Drain,
    pub drain_on_stop: Drain,
    /// For how long it accepts when it was told to stop, before it drains.
    pub lame_duck: Duration,
    /// How many generations may live at a time, and what happens when one more is asked for.
    pub max_generations: usize,
    pub at_max: AtMax,

    /// How often a signal has told this process to leave.
    pub(in crate::turn) stop_signals: StopSignals,
    /// Who makes a new generation should the newest crash, if anybody does.
    pub supervisor: Option<Supervised>,
    /// On a new side: the old one, until this one has committed.
    pub old: Option<Generation>,
    /// On a new program: the stderr to use once it has committed.
    pub stderr: Option<ForwardedStderr>,
    /// Listeners that this program does not want. On a new side they stay until it commits: the old
    /// one may yet serve their clients.
    pub unwanted: Vec<Listener>,
    /// On a new side: how long it has to serve before it commits.
    pub probation: Duration,
    /// That time, once it has begun.
    pub(in crate::turn) under_way: Option<Probation>,
    /// On a new side: how long the old side waits for it to be ready.
    pub ready_within: Duration,
    /// And how long, beside that, the copy of the state may take.
    pub copy_within: Duration,

    /// On a new program: what the old side has sent so far.
    pub(in crate::turn) arrivals: Arrivals,
    /// On a new side: it has said `Ready`.
    pub(in crate::turn) ready: bool,
    /// On a new side: when the old one's next word is overdue.
    pub(in crate::turn) old_silent_at: Option<Instant>,
    /// In a forked child that does not serve yet: whatever ends it must not run on into the author's
    /// `main`, which is the parent's.
    pub(in crate::turn) unready: Option<Unready>,

    /// Who else has this process's heap.
    pub(in crate::turn) heap: SharedHeap,

    /// On an old side: the restart in progress.
    pub(in crate::turn) attempt: Option<Attempt>,
    /// How the state goes to a new program that has asked for it.
    pub(in crate::turn) copying: Option<Copying>,
    /// A restart by fork that waits until the heap is prepared for it.
    pub(in crate::turn) preparation: Option<Preparation>,
    /// A restart that waits until the oldest generation is gone.
    pub(in crate::turn) deferred: Option<(Asked, Instant)>,
    /// The highest number that a generation which served has had.
    pub(in crate::turn) last_generation: u64,
    /// Of new sides that nobody waits for any more: passed on to the end, which comes when they have taken
    /// over their own.
    pub(in crate::turn) stderrs: Vec<Stderr>,
    /// Processes that this one has made; they are to be reaped if they end before it.
    pub(in crate::turn) children: Vec<Child>,
    /// The same of those that were no generation, and have done their work or are not wanted any more.
    pub(in crate::turn) helpers: Vec<Child>,

    /// On the newest: the others that still serve what they have, in the order in which they retired.
    pub older: Vec<Generation>,
    /// On the others: the link by which the newest reaches this one.
    pub(in crate::turn) newest: Option<Link>,
    /// While this process drains: who is told and who is ended when.
    pub(in crate::turn) drain_schedule: DrainSchedule,
    /// Everything was aborted: until then this process stays for words that no link has taken yet.
    pub(in crate::turn) last_words: Option<Instant>,
    /// Another generation has told this one to leave, and nobody else has yet.
    pub(in crate::turn) dismissed: bool,
    /// What that one needs is room for one more generation, and the service goes on.
    pub(in crate::turn) makes_room: bool,
    /// This process has nothing left to do, and has looked for operators a last time.
    pub(in crate::turn) closing: bool,
    /// The service has been told that it serves no new clients (`on_retire`).
    pub(in crate::turn) retired: bool,
    /// The service has been told that it serves, and not yet that the process ends (`on_end`).
    pub(in crate::turn) serves: bool,
    /// On a new side: what `on_start` has panicked with. It has served nobody since.
    pub(in crate::turn) unfit: Option<String>,
    /// On a new side that has not committed: how it hands back, if the old one takes anything back.
    pub handback: Option<Handback>,
    /// On a forked child: the connections that have stayed with its parent, until the service is told.
    pub(in crate::turn) stayed: Vec<ConnId>,
    /// On an old side that has released: those that have gone to the new one.
    pub(in crate::turn) moved: Vec<ConnId>,
    /// On an old side that has released: what was handed back.
    pub(in crate::turn) returned: Returned,
    /// Since when this process exists.
    pub(in crate::turn) begun: Instant,
    /// On a new side that hands back: why, and the control connection that has asked for it.
    pub(in crate::turn) hands_back: Option<(String, Option<ConnId>)>,
    /// Control connections that wait for the reports of other generations, and what for.
    pub(in crate::turn) askers: Vec<(ConnId, Question)>,
    /// What the processes of the service used when somebody looked last.
    #[cfg(feature = "metrics")]
    pub(in crate::turn) usages: Usages,
}

/// What a signal means.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Trigger {
    Restart(Restart),
    /// Drain; the second time, stop.
    Leave,
    /// What the service makes of it.
    Service,
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
    pub cause: Cause,
}

/// How often a signal has told this process to leave: by itself, and through its supervisor.
///
/// Who signals a whole group, such as systemd a control group, tells both this process and the supervisor,
/// which forwards it. That was one, and only a second one means now. (A signal that comes while
/// the same is still unread is lost, so a third may be needed.)
#[derive(Debug, Default)]
pub(in crate::turn) struct StopSignals {
    direct: u32,
    forwarded: u32,
}

impl StopSignals {
    /// Counts one, and tells whether it is news.
    pub fn count(&mut self, forwarded: bool) -> bool {
        let heard = self.direct.max(self.forwarded);
        let count = if forwarded { &mut self.forwarded } else { &mut self.direct };
        *count += 1;
        *count > heard
    }
}

/// Another generation, as this one knows it.
#[derive(Debug)]
pub(crate) struct Generation {
    pub who: Identity,
    pub link: Link,
    /// On a new side, of the old one: whether it lives.
    pub process: Option<Process>,
    /// Its link leads nowhere any more. Whether it has ended is another question.
    pub is_cut: bool,
    /// What it said when it was asked last.
    pub report: Option<Report>,
    /// It was asked and has not answered yet.
    pub asked: bool,
    /// It was told to leave by then.
    pub overdue: Option<Instant>,
    /// Datagrams of its flows that this one has read.
    pub forward: ForwardQueue,
    /// What services of others have told its own, by way of this one.
    pub relay: Relay,
}

impl Generation {
    pub fn new(who: Identity, link: Link) -> Generation {
        Generation {
            who,
            link,
            process: None,
            is_cut: false,
            report: None,
            asked: false,
            overdue: None,
            forward: ForwardQueue::default(),
            relay: Relay::default(),
        }
    }

    /// The old side of a restart, by which a new one knows whether it lives.
    pub fn with_process(who: Identity, link: Link, process: Process) -> Generation {
        Generation { process: Some(process), ..Generation::new(who, link) }
    }

    /// Whether it is known that its process lives no more.
    pub(in crate::turn) fn has_ended(&self) -> bool {
        self.process.as_ref().is_some_and(Process::has_ended)
    }
}

impl Succession {
    /// Of a process that has not begun.
    pub fn new(launch: Launch, now: Instant) -> Succession {
        Succession {
            phase: Phase::Waiting,
            signals: None,
            own_signals: None,
            own_signals_wait: false,
            triggers: Vec::new(),
            launch,
            pid_file: None,
            manager: Manager::default(),
            drain_on_restart: Drain::deadline(DRAIN_ON_RESTART),
            drain_on_stop: Drain::deadline(DRAIN_ON_STOP),
            lame_duck: Duration::ZERO,
            max_generations: GENERATIONS,
            at_max: AtMax::Refuse,
            stop_signals: StopSignals::default(),
            supervisor: None,
            old: None,
            stderr: None,
            unwanted: Vec::new(),
            probation: Duration::ZERO,
            under_way: None,
            ready_within: Duration::ZERO,
            copy_within: Duration::ZERO,
            arrivals: Arrivals::default(),
            ready: false,
            old_silent_at: None,
            unready: None,
            heap: SharedHeap::default(),
            attempt: None,
            copying: None,
            preparation: None,
            deferred: None,
            last_generation: 0,
            stderrs: Vec::new(),
            children: Vec::new(),
            helpers: Vec::new(),
            older: Vec::new(),
            newest: None,
            drain_schedule: DrainSchedule::default(),
            last_words: None,
            dismissed: false,
            makes_room: false,
            closing: false,
            retired: false,
            serves: false,
            unfit: None,
            handback: None,
            stayed: Vec::new(),
            moved: Vec::new(),
            returned: Returned::default(),
            begun: now,
            hands_back: None,
            askers: Vec::new(),
            #[cfg(feature = "metrics")]
            usages: Usages::default(),
        }
    }

    /// Of a process in memory, which serves from the start.
    pub fn in_memory(now: Instant) -> Succession {
        let new = Succession::new(Launch::remember(), now);
        Succession { phase: Phase::Serving, serves: true, ..new }
    }

    /// Of a forked child in memory, which waits for its turn.
    pub fn forked_in_memory(now: Instant) -> Succession {
        let heap = SharedHeap::inherited();
        Succession { phase: Phase::Waiting, heap, ..Succession::new(Launch::remember(), now) }
    }

    /// In a forked child: what it keeps of its parent's place. The parent's children and its
    /// restart in progress are none of its business.
    pub(in crate::turn) fn begin_anew(&mut self, old: Generation, now: Instant) {
        (self.phase, self.serves) = (Phase::Waiting, false);
        self.own_signals_wait = false; // they are the parent's
        self.heap = SharedHeap::inherited();
        self.old = Some(old);
        self.children.clear();
        self.helpers.clear();
        self.stderrs.clear();
        self.deferred = None;
        self.attempt = None;
        (self.handback, self.returned) = (None, Returned::default());
        (self.ready, self.old_silent_at) = (false, None);
        self.askers.clear();
        // What is to be forwarded is the parent's to send, and what it has asked is answered to it.
        for generation in &mut self.older {
            (generation.forward, generation.asked) = (ForwardQueue::default(), false);
            generation.relay = Relay::default();
        }
        self.manager.fall_silent();
        self.begun = now;
    }

    /// Whether a restart was asked for that has not begun.
    pub(in crate::turn) fn waits_to_restart(&self) -> bool {
        self.deferred.is_some() || self.preparation.is_some()
    }

    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// The signals that mean something here, and fit.
    pub fn claimed(&self, fits: impl Fn(&Trigger) -> bool) -> SignalSet {
        let claims = self.triggers.iter().filter(|(_, meaning)| fits(meaning));
        claims.map(|(signal, _)| *signal).collect()
    }

    /// All that live, as far as this one knows.
    pub(in crate::turn) fn living(&self) -> usize {
        1 + self.older.len() + usize::from(self.old.is_some())
    }

    /// All generations that this one talks with: the old side of its own restart, and those that leave.
    pub(in crate::turn) fn others_mut(&mut self) -> impl Iterator<Item = &mut Generation> {
        self.old.iter_mut().chain(&mut self.older)
    }

    /// The process ids of all others that belong to the same service.
    pub fn relatives(&self) -> Vec<u32> {
        let generations = self.old.iter().chain(&self.older).map(|generation| generation.who.pid);
        let supervisor = self.supervisor.iter().map(|supervisor| supervisor.pid);
        let newcomer = self.attempt.iter().map(|attempt| attempt.child.id());
        generations.chain(supervisor).chain(newcomer).collect()
    }

    /// The way to the new side, while a restart is in progress.
    pub(in crate::turn) fn link_to_new(&mut self) -> Option<&mut Link> {
        self.attempt.as_mut()?.link.as_mut()
    }

    /// What is on its way to the other side of a restart, whichever this one is.
    pub(in crate::turn) fn shipment(&mut self) -> Option<&mut Shipment> {
        match &mut self.attempt {
            Some(attempt) => Some(&mut attempt.shipment),
            None => self.handback.as_mut()?.shipment.as_mut(),
        }
    }

    /// The name of this process.
    pub(in crate::turn) fn identity(&self, net: &crate::net::Net) -> Identity {
        let (generation, engine) = (net.generation(), net.engine());
        Identity { generation, pid: process::id(), engine, words: true }
    }
}
