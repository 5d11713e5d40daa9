//! One line of succession: the generations of one worker, the one that is being made, and what they listen on. A
//! supervisor has one for each worker. What reaches it is in `events`, how it makes a generation in `making`.

use std::{
    fmt,
    os::fd::{AsFd, OwnedFd},
    time::{Duration, Instant},
};

use nix::{
    poll::{PollFd, PollFlags},
    sched::CpuSet,
};

use super::{
    decision::{Action, Event},
    watch::Watch,
};
use crate::{
    log_target::SUPERVISOR,
    logging::{Escaped, Repeats},
    metrics::Metrics,
    net::Listener,
    plan::Restart,
    restart::{
        engine::{attempt::Attempt, exec::Launch, fork::pidfd_signal, stderr::Stderr},
        link::{Identity, Link, Message},
    },
    system::{signal::Sender, signal_set::Signal},
    tls::Ticketer,
    workers::Worker,
};

/// How a line makes its generations.
#[derive(Debug)]
pub(super) struct Making {
    pub how: Restart,
    pub launch: Launch,
    /// Which worker they are, where there are several.
    pub worker: Option<Worker>,
    /// The cores that they stay on.
    pub cores: Option<CpuSet>,
    /// The keys of tickets, which all workers have.
    pub tickets: Option<Ticketer>,
    /// Where all generations count.
    pub metrics: Option<Metrics>,
    /// How long the end of the service may take.
    pub stop_within: Option<Duration>,
}

/// What others have to know of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum News {
    /// A generation is main; the supervisor has made it, or another generation.
    Main { is_made_here: bool },
    /// This process was killed, or has ended, and may have been writing the pid file.
    Dead { pid: u32 },
    /// A generation says that the service is to end.
    Leaves,
    /// Nobody is left, and this is the exit status.
    Ended { code: u8 },
}

#[derive(Debug)]
pub(super) struct Line {
    pub watch: Watch,
    pub making: Making,
    /// What the generations say.
    pub inbox: Link,
    /// The end that all generations share, kept to be handed on.
    pub outbox: Link,
    pub listeners: Vec<Listener>,
    /// What is to be done first, until it was.
    first: Option<Action>,
    /// The generation that is being made, until it has committed.
    pub start: Option<Attempt>,
    /// It may say more on its stderr.
    pub is_stderr_open: bool,
    /// Generations that have served, and a pidfd of each.
    pub generations: Vec<(Identity, OwnedFd)>,
    /// Generations that drain and whose newest has crashed: the next one is to talk with them.
    pub older: Vec<Older>,
    /// Who has said that it turns, and when this process has heard it last.
    pub turns: Vec<(u32, Instant)>,
    /// What the service has saved in case its process ends without a word.
    pub checkpoint: Option<OwnedFd>,
    /// The manager is still to keep it.
    pub is_checkpoint_new: bool,
    /// Listeners of a new main that has not said yet that these are all.
    pub arriving: Option<Vec<Listener>>,
    /// The number of the main that was lost last.
    pub lost: u64,
    pub news: Vec<News>,
    /// How it has ended, once it has.
    pub ended: Option<u8>,
    pub repeats: Repeats,
}

#[derive(Debug)]
pub(super) struct Older {
    pub who: Identity,
    pub link: Link,
    /// To the generation that is being made.
    pub offered: bool,
}

/// As the log calls a line.
#[derive(Clone, Copy)]
pub(super) struct Name(Option<Worker>);

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(Worker { index, .. }) => write!(f, "supervisor: worker {index}"),
            None => f.write_str("supervisor"),
        }
    }
}

impl Line {
    /// One that has not begun: see [`begin`](Self::begin).
    pub fn new(making: Making, listeners: Vec<Listener>) -> std::io::Result<Line> {
        let (inbox, outbox) = Link::pair()?;
        let (watch, first) = Watch::begin(making.stop_within);
        Ok(Line {
            watch,
            making,
            inbox,
            outbox,
            listeners,
            first: Some(first),
            start: None,
            is_stderr_open: false,
            generations: Vec::new(),
            older: Vec::new(),
            turns: Vec::new(),
            checkpoint: None,
            is_checkpoint_new: false,
            arriving: None,
            lost: 0,
            news: Vec::new(),
            ended: None,
            repeats: Repeats::default(),
        })
    }

    /// Makes the first generation, unless that was done.
    pub fn begin(&mut self, now: Instant) {
        if let Some(first) = self.first.take() {
            self.act(first, now);
        }
    }

    pub fn has_begun(&self) -> bool {
        self.first.is_none()
    }

    pub fn name(&self) -> Name {
        Name(self.making.worker)
    }

    /// The generation that serves, or did so last and is not known to be gone.
    pub fn main(&self) -> Option<Identity> {
        let main = self.watch.main()?;
        self.generations.iter().map(|(who, _)| *who).find(|who| who.pid == main)
    }

    /// When something is to be done without being asked.
    pub fn next_due(&self) -> Option<Instant> {
        let start = self.start.as_ref();
        let due = self.watch.next_due().into_iter().chain(start.map(|start| start.overdue));
        due.chain(self.open_stderr().and_then(Stderr::rests_until)).min()
    }

    fn open_stderr(&self) -> Option<&Stderr> {
        self.start.as_ref()?.stderr.as_ref().filter(|_| self.is_stderr_open)
    }

    /// What it waits for, the pidfds of its generations first.
    pub fn watched(&self) -> Vec<PollFd<'_>> {
        let readable = |fd| PollFd::new(fd, PollFlags::POLLIN);
        let mut fds: Vec<_> =
            self.generations.iter().map(|(_, pidfd)| readable(pidfd.as_fd())).collect();
        fds.push(readable(self.inbox.as_fd()));
        if let Some(start) = &self.start {
            fds.push(readable(start.child.as_fd()));
            let stderr = self.open_stderr().filter(|stderr| stderr.rests_until().is_none());
            fds.extend(stderr.map(|stderr| readable(stderr.as_fd())));
            fds.extend(start.link.iter().map(|link| {
                let unsent =
                    if link.has_unsent() { PollFlags::POLLOUT } else { PollFlags::empty() };
                PollFd::new(link.as_fd(), PollFlags::POLLIN | unsent)
            }));
        }
        fds
    }

    /// Lets the watch decide, and does what it says.
    pub fn happen(&mut self, event: Event, now: Instant) {
        if self.ended.is_some() {
            return;
        }
        log::debug!(target: SUPERVISOR, "{}: {event:?}", self.name());
        let before = self.watch.next_due();
        for action in self.watch.step(event, now) {
            self.act(action, now);
        }
        if let Some(delay) = self.watch.delay(now)
            && self.watch.next_due() != before
        {
            log::info!(target: SUPERVISOR, "{}: another generation in {delay:?}", self.name());
        }
    }

    fn act(&mut self, action: Action, now: Instant) {
        log::debug!(target: SUPERVISOR, "{}: {action:?}", self.name());
        match action {
            Action::Make { generation } => self.make(generation, now),
            Action::Abandon => {
                if let Some(mut start) = self.end_start() {
                    let why = start.abandoned();
                    self.news.push(News::Dead { pid: start.child.id() });
                    log::warn!(target: SUPERVISOR, "{}: {}", self.name(), Escaped(why));
                }
            }
            Action::Prompt { signal, by } => {
                let child = self.start.iter().map(|start| start.child.as_fd());
                child.for_each(|it| drop(pidfd_signal(it, signal.number(), by.to_word())));
            }
            Action::Forward { pid, signal, by } => self.signal(pid, signal, by),
            Action::Kill { pid } => {
                log::warn!(target: SUPERVISOR, "{}: pid {pid} is killed", self.name());
                self.signal(pid, Signal::SIGKILL, None);
            }
            Action::Dismiss => self.dismiss_older(),
            Action::Exit { code } => {
                self.ended = Some(code);
                self.news.push(News::Ended { code });
            }
        }
    }

    /// A generation that asks for it learns who has sent the signal.
    pub(super) fn signal(&self, pid: u32, signal: Signal, by: Option<Sender>) {
        let found = self.generations.iter().find(|(who, _)| who.pid == pid);
        if let Some((_, pidfd)) = found
            && let Err(e) =
                pidfd_signal(pidfd.as_fd(), signal.number(), by.map_or(0, Sender::to_word))
        {
            // It is gone.
            log::debug!(target: SUPERVISOR, "{}: {signal} to pid {pid}: {e}", self.name());
        }
    }

    /// They have nobody else who would tell them that the service ends.
    pub fn dismiss_older(&mut self) {
        let within = self.making.stop_within;
        for generation in &mut self.older {
            let word = Message::Dismissed { within, serves: None, after: None };
            let _ = generation.link.send(&word, Vec::new());
        }
    }

    /// The service ends. Main lets in who waits and closes its listeners; kept open here, they would have
    /// clients wait for nobody. The path of the control socket is removed at the very end.
    pub fn close_to_clients(&mut self) {
        self.listeners.retain(|listener| {
            let is_client = listener.caller.is_client();
            if is_client {
                listener.unlink();
            }
            !is_client
        });
    }
}
