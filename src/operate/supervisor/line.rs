//! One line of succession: the generations of one worker, the one that is being made, and what they listen on. A
//! supervisor has one for each worker. What reaches it is in `events`.

use std::{
    fmt,
    os::fd::{AsFd, OwnedFd},
    process,
    time::{Duration, Instant},
};

use nix::{
    poll::{PollFd, PollFlags},
    sched::{CpuSet, sched_setaffinity},
};

use super::watch::{Action, EXIT_NOT_MADE, Event, Watch};
use crate::{
    cause::Cause,
    clock::Clock,
    log_target::SUPERVISOR,
    logging::{Escaped, Repeats},
    metrics::Metrics,
    net::Listener,
    operate::journal::{Restarted, note_restart, note_start},
    plan::{Engine, Restart},
    restart::{
        engine::{
            attempt::{Attempt, Offer, Task, introduced},
            exec::Launch,
            fork::pidfd_signal,
            program_file,
            stderr::Stderr,
        },
        link::{Identity, Link, Message},
    },
    system::signal_set::Signal,
    tls::Ticketer,
    verdict::RestartError,
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
    outbox: Link,
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
            Action::Prompt(signal) => {
                let child = self.start.iter().map(|start| start.child.as_fd());
                child.for_each(|pidfd| drop(pidfd_signal(pidfd, signal.number())));
            }
            Action::Forward { pid, signal } => self.signal(pid, signal),
            Action::Kill { pid } => {
                log::warn!(target: SUPERVISOR, "{}: pid {pid} is killed", self.name());
                self.signal(pid, Signal::SIGKILL);
            }
            Action::Dismiss => self.dismiss_older(),
            Action::Exit { code } => {
                self.ended = Some(code);
                self.news.push(News::Ended { code });
            }
        }
    }

    /// Makes a generation, from the program that is at its path now.
    fn make(&mut self, generation: u64, now: Instant) {
        // Nobody stands ready to serve again, so there is nothing to be on probation for.
        let how = self.making.how.clone().probation(Duration::ZERO);
        let cause = match generation {
            0 => Cause::Start,
            _ => Cause::Crash { generation: self.lost, status: self.watch.code() },
        };
        let task =
            Task { engine: Engine::ForkExec, ..Task::new(how, None, cause, generation, now) };
        let name = self.name();
        match self.try_make(task) {
            Ok(start) => {
                log::info!(
                    target: SUPERVISOR,
                    "{name}: generation {generation} is pid {}", start.child.pid
                );
                if let Some(program) = &start.task.program {
                    log::info!(target: SUPERVISOR, "{name}: the program is {program}");
                }
                self.pin(&start);
                let pid = start.child.id();
                (self.start, self.is_stderr_open) = (Some(start), true);
                self.happen(Event::Made { pid }, now);
            }
            Err(why) => {
                log::error!(target: SUPERVISOR, "{name}: {}", Escaped(why));
                self.happen(Event::NotMade { code: EXIT_NOT_MADE }, now);
            }
        }
    }

    fn try_make(&mut self, task: Task) -> std::result::Result<Attempt, RestartError> {
        self.making.launch.preflight()?;
        let generation = task.generation;
        let this = Identity { generation, pid: process::id(), engine: None, words: false };
        Attempt::exec(task, &self.making.launch, this)
    }

    /// Before it has a thread or a child, so that all that comes of it stays there as well.
    fn pin(&self, start: &Attempt) {
        if let Some(cores) = &self.making.cores
            && let Err(e) = sched_setaffinity(start.child.pid, cores)
        {
            log::error!(
                target: SUPERVISOR,
                "{}: pin pid {} to its core: {e}", self.name(), start.child.pid
            );
        }
    }

    /// What a new generation gets when it is up.
    pub fn offer(&self) -> Offer<'_> {
        let older = self.older.iter();
        Offer {
            listeners: introduced(self.listeners.iter()),
            older: older.map(|older| (older.who, older.link.as_fd())).collect(),
            supervisor: Some((process::id(), self.outbox.as_fd())),
            numbers: self.making.metrics.as_ref().map(Metrics::as_fd),
            worker: self.making.worker,
        }
    }

    /// What has come of the generation that was being made.
    pub fn note(&self, start: &Attempt, outcome: Result<u32, &RestartError>, now: Instant) {
        let Some(metrics) = &self.making.metrics else { return };
        let (at, own) = (Clock::System.wall(), program_file::own().ok());
        let Task { generation, engine, cause, program, begun, .. } = &start.task;
        if let (0, Ok(pid)) = (*generation, outcome) {
            return note_start(metrics, at, (pid, 0), program.as_ref());
        }
        let it = Restarted {
            generation: *generation,
            engine: *engine,
            outcome,
            cause,
            by: (process::id(), None),
            took: now.saturating_duration_since(*begun),
            steps: start.steps,
            program: program.as_ref(),
            own: own.as_ref(),
        };
        note_restart(metrics, at, &it);
    }

    /// The generation that was being made is not any more, or is made.
    pub fn end_start(&mut self) -> Option<Attempt> {
        self.older.iter_mut().for_each(|generation| generation.offered = false);
        self.start.take()
    }

    pub(super) fn signal(&self, pid: u32, signal: Signal) {
        let found = self.generations.iter().find(|(who, _)| who.pid == pid);
        if let Some((_, pidfd)) = found
            && let Err(e) = pidfd_signal(pidfd.as_fd(), signal.number())
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
