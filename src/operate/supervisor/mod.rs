//! A process that never serves: it keeps its pid through all restarts, holds the listeners, and makes
//! a new generation when the one that serves has crashed. Knows no service and no connection.
//!
//! ```text
//! supervisor ──────────────────────────────────────────────────────────────────────────
//!    | posix_spawn    ^ Main     ^ Main        ^ Retired        : crash    | posix_spawn
//!    v                |          |             |                :          v
//!    generation 0 ────┴──────────┼─────────────┴── drains ──────:────────────
//!                     fork or exec └ generation 1 ──────────────x         generation 2
//! ```
//!
//! It makes a generation as a restart by fork-exec does, with the same messages: it is the old side of
//! that restart, releases at once, and has nothing to drain. Later restarts are none of its business:
//! the generations hand the way to it on, and whoever serves says so, with its listeners.
//!
//! `watch` decides; this file waits and does, `events` says what has happened.

mod events;
mod watch;

use std::{
    convert::Infallible,
    os::fd::{AsFd, OwnedFd},
    process,
    time::{Duration, Instant},
};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use self::watch::{Action, Event, Watch};
use crate::{
    cause::Cause,
    clock::Clock,
    error::{Error, Result},
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
            fork::{become_reaper, pidfd_signal},
            program_file,
            stderr::Stderr,
        },
        link::{Identity, Link, Message},
    },
    system::{
        disposition::passed_on,
        pidfile::PidFile,
        signal::{Signals, held_back},
        signal_set::{Signal, SignalSet},
    },
    verdict::RestartError,
};

/// What a supervisor is told.
#[derive(Debug)]
pub(crate) struct Orders {
    /// How a generation is made.
    pub how: Restart,
    /// Signals that mean something to the service.
    pub signals: SignalSet,
    /// Those among them that mean the end of it.
    pub leave: SignalSet,
    pub listeners: Vec<Listener>,
    /// Where all generations count.
    pub metrics: Option<Metrics>,
    pub launch: Launch,
    pub pid_file: Option<PidFile>,
    /// How long the end of the service may take.
    pub stop_within: Option<Duration>,
}

#[derive(Debug)]
struct Supervisor {
    orders: Orders,
    watch: Watch,
    signals: Signals,
    /// What the generations say.
    inbox: Link,
    /// The end that all generations share, kept to be handed on.
    outbox: Link,
    /// The generation that is being made, until it has committed.
    start: Option<Attempt>,
    /// It may say more on its stderr.
    is_stderr_open: bool,
    /// Generations that have served, and a pidfd of each.
    generations: Vec<(Identity, OwnedFd)>,
    /// Generations that drain and whose newest has crashed: the next one is to talk with them.
    older: Vec<Older>,
    /// Listeners of a new main that has not said yet that these are all.
    arriving: Option<Vec<Listener>>,
    /// The number of the main that was lost last.
    lost: u64,
    repeats: Repeats,
}

#[derive(Debug)]
struct Older {
    who: Identity,
    link: Link,
    /// To the generation that is being made.
    offered: bool,
}

/// Supervises until the service ends, and ends this process then.
///
/// # Errors
/// When the system refuses what a supervisor needs to begin.
pub(crate) fn run(orders: Orders) -> Result<Infallible> {
    let failed = |e| Error::io("become", "a supervisor", e);
    become_reaper().map_err(failed)?;
    // Also what means nothing: it does to the one that serves what it would have done to this one.
    let own = [Signal::SIGCHLD].into_iter().collect();
    let wanted = orders.signals.and(passed_on()).and(own);
    let signals = Signals::listen(wanted)?;
    held_back().without(wanted).unblock()?;
    let (inbox, outbox) = Link::pair().map_err(failed)?;
    let (watch, first) = Watch::begin(orders.stop_within);
    let mut supervisor = Supervisor {
        orders,
        watch,
        signals,
        inbox,
        outbox,
        start: None,
        is_stderr_open: false,
        generations: Vec::new(),
        older: Vec::new(),
        arriving: None,
        lost: 0,
        repeats: Repeats::default(),
    };
    supervisor.act(first, Instant::now());
    loop {
        let gone = supervisor.wait();
        supervisor.dispatch(&gone, Instant::now());
    }
}

impl Supervisor {
    /// Sleeps until something happens; answers the generations that live no more. What these have
    /// said is there to be read by then.
    fn wait(&mut self) -> Vec<u32> {
        let start = self.start.as_ref();
        let stderr = start.and_then(|start| start.stderr.as_ref()).filter(|_| self.is_stderr_open);
        let rests_until = stderr.and_then(Stderr::rests_until);
        let due = self.watch.next_due().into_iter().chain(start.map(|start| start.overdue));
        let due = due.chain(rests_until).min();
        let timeout = due.map_or(PollTimeout::NONE, |due| {
            // Rounded up, so that it does not wake just before its time.
            let left = due.saturating_duration_since(Instant::now()) + Duration::from_millis(1);
            PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX)
        });
        let readable = PollFlags::POLLIN;
        let mut fds: Vec<_> = self.generations.iter().map(|(_, pidfd)| pidfd.as_fd()).collect();
        fds.extend([self.signals.as_fd(), self.inbox.as_fd()]);
        let mut fds: Vec<_> = fds.into_iter().map(|fd| PollFd::new(fd, readable)).collect();
        if let Some(start) = start {
            fds.push(PollFd::new(start.child.as_fd(), readable));
            let stderr = stderr.filter(|_| rests_until.is_none());
            fds.extend(stderr.map(|stderr| PollFd::new(stderr.as_fd(), readable)));
            fds.extend(start.link.iter().map(|link| {
                let unsent =
                    if link.has_unsent() { PollFlags::POLLOUT } else { PollFlags::empty() };
                PollFd::new(link.as_fd(), readable | unsent)
            }));
        }
        if poll(&mut fds, timeout).is_err() {
            return Vec::new(); // interrupted
        }
        let generations = self.generations.iter().zip(&fds);
        let gone = generations.filter(|(_, fd)| fd.any().unwrap_or(false));
        gone.map(|((who, _), _)| who.pid).collect()
    }

    /// Lets the watch decide, and does what it says.
    fn happen(&mut self, event: Event, now: Instant) {
        log::debug!(target: SUPERVISOR, "supervisor: {event:?}");
        let before = self.watch.next_due();
        for action in self.watch.step(event, now) {
            self.act(action, now);
        }
        if let Some(delay) = self.watch.delay(now)
            && self.watch.next_due() != before
        {
            log::info!(target: SUPERVISOR, "supervisor: another generation in {delay:?}");
        }
    }

    fn act(&mut self, action: Action, now: Instant) {
        log::debug!(target: SUPERVISOR, "supervisor: {action:?}");
        match action {
            Action::Make { generation } => self.make(generation, now),
            Action::Abandon => {
                if let Some(mut start) = self.end_start() {
                    let why = start.abandoned();
                    self.clear_up_after(start.child.id());
                    log::warn!(target: SUPERVISOR, "supervisor: {}", Escaped(why));
                }
            }
            Action::Prompt(signal) => {
                let child = self.start.iter().map(|start| start.child.as_fd());
                child.for_each(|pidfd| drop(pidfd_signal(pidfd, signal.number())));
            }
            Action::Forward { pid, signal } => self.signal(pid, signal),
            Action::Kill { pid } => {
                log::warn!(target: SUPERVISOR, "supervisor: pid {pid} is killed");
                self.signal(pid, Signal::SIGKILL);
            }
            Action::Dismiss => self.dismiss_older(),
            Action::Exit { code } => self.exit(code),
        }
    }

    /// Makes a generation, from the program that is at its path now.
    fn make(&mut self, generation: u64, now: Instant) {
        // Nobody stands ready to serve again, so there is nothing to be on probation for.
        let how = self.orders.how.clone().probation(Duration::ZERO);
        let (crashed, status) = (self.lost, self.watch.code());
        let cause = match generation {
            0 => Cause::Start,
            _ => Cause::Crash { generation: crashed, status },
        };
        let task =
            Task { engine: Engine::ForkExec, ..Task::new(how, None, cause, generation, now) };
        match self.try_make(task) {
            Ok(start) => {
                log::info!(
                    target: SUPERVISOR,
                    "supervisor: generation {generation} is pid {}", start.child.pid
                );
                if let Some(program) = &start.task.program {
                    log::info!(target: SUPERVISOR, "supervisor: the program is {program}");
                }
                let pid = start.child.id();
                (self.start, self.is_stderr_open) = (Some(start), true);
                self.happen(Event::Made { pid }, now);
            }
            Err(why) => {
                log::error!(target: SUPERVISOR, "supervisor: {}", Escaped(why));
                self.happen(Event::NotMade { code: EXIT_NOT_MADE }, now);
            }
        }
    }

    fn try_make(&mut self, task: Task) -> std::result::Result<Attempt, RestartError> {
        self.orders.launch.preflight()?;
        let generation = task.generation;
        let this = Identity { generation, pid: process::id(), engine: None, words: false };
        Attempt::exec(task, &self.orders.launch, this)
    }

    /// What has come of the generation that was being made.
    fn note(
        &self,
        start: &Attempt,
        outcome: std::result::Result<u32, &RestartError>,
        now: Instant,
    ) {
        let Some(metrics) = &self.orders.metrics else { return };
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

    /// What a new generation gets when it is up.
    fn offer(&self) -> Offer<'_> {
        let older = self.older.iter();
        Offer {
            listeners: introduced(self.orders.listeners.iter()),
            older: older.map(|older| (older.who, older.link.as_fd())).collect(),
            supervisor: Some((process::id(), self.outbox.as_fd())),
            numbers: self.orders.metrics.as_ref().map(Metrics::as_fd),
        }
    }

    /// The generation that was being made is not any more, or is made.
    fn end_start(&mut self) -> Option<Attempt> {
        self.older.iter_mut().for_each(|generation| generation.offered = false);
        self.start.take()
    }

    /// Main has seen to it that our number is there. While this process lives, the file is held, whoever else
    /// ends.
    fn keep_pid_file(&mut self) {
        let relatives: Vec<_> = self.generations.iter().map(|(who, _)| who.pid).collect();
        if let Some(file) = &mut self.orders.pid_file
            && let Err(e) = file.write(process::id(), &relatives)
        {
            log::error!(target: SUPERVISOR, "supervisor: {e}");
        }
    }

    /// A process that was killed may have been writing the pid file.
    fn clear_up_after(&self, pid: u32) {
        if let Some(file) = &self.orders.pid_file {
            file.clear_up_after(pid);
        }
    }

    fn signal(&self, pid: u32, signal: Signal) {
        let found = self.generations.iter().find(|(who, _)| who.pid == pid);
        if let Some((_, pidfd)) = found
            && let Err(e) = pidfd_signal(pidfd.as_fd(), signal.number())
        {
            log::debug!(target: SUPERVISOR, "supervisor: {signal} to pid {pid}: {e}"); // it is gone
        }
    }

    /// They have nobody else who would tell them that the service ends.
    fn dismiss_older(&mut self) {
        let within = self.orders.stop_within;
        for generation in &mut self.older {
            let word = Message::Dismissed { within, serves: None, after: None };
            let _ = generation.link.send(&word, Vec::new());
        }
    }

    /// The service ends. Main lets in who waits and closes its listeners; kept open here, they would have
    /// clients wait for nobody. The path of the control socket is removed at the very end.
    fn close_to_clients(&mut self) {
        self.orders.listeners.retain(|listener| {
            let is_client = listener.caller.is_client();
            if is_client {
                listener.unlink();
            }
            !is_client
        });
    }

    fn exit(&self, code: u8) -> ! {
        // Main has done so, unless it was killed.
        self.orders.listeners.iter().for_each(Listener::unlink);
        if let Some(file) = &self.orders.pid_file {
            file.remove();
        }
        log::info!(target: SUPERVISOR, "supervisor: the service has ended, exit status {code}");
        log::logger().flush();
        process::exit(code.into())
    }
}

/// The status of a supervisor that could not start a first generation, where no process was there to
/// give one.
const EXIT_NOT_MADE: u8 = 1;
