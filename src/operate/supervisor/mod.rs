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
//! That is one `line`. With several workers there is one for each, which share nothing but the program, and a restart
//! goes through them one after the other (`desk/roll`). Of one process that serves, the way of a signal or of an operator leads to
//! that process; with several, to the supervisor, which asks each as an operator would (`desk`). What one worker's fate is to the others is in `several`.
//!
//! `watch` decides about a line, in the words of `decision`, `events` says what has happened to it, and `making` makes its
//! generations; `manager` is about the service manager, by what `duty` remembers; this file waits, and deals out what comes.

mod decision;
mod desk;
mod duty;
mod events;
mod line;
mod making;
mod manager;
mod several;
mod watch;

use std::{
    convert::Infallible,
    os::fd::AsFd,
    process,
    time::{Duration, Instant},
};

use log::Level;
use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid},
};

use self::{
    decision::Event,
    desk::Desk,
    duty::Duty,
    line::{Line, Making},
};
use crate::{
    error::{Error, Result},
    log_target::SUPERVISOR,
    logging::Repeats,
    metrics::Metrics,
    net::Listener,
    plan::Restart,
    restart::engine::{child, exec::Launch, fork::become_reaper},
    system::{
        cores,
        disposition::passed_on,
        pidfile::PidFile,
        signal::{Sender, Signals, held_back},
        signal_set::{Signal, SignalSet},
        systemd::Manager,
    },
    tls::Ticketer,
    workers::Worker,
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
    /// Those that ask for a restart.
    pub restarts: SignalSet,
    /// Of each worker.
    pub listeners: Vec<Vec<Listener>>,
    /// Where operators of several workers come.
    pub control: Option<Listener>,
    /// Each worker stays on a core of its own.
    pub pinned: bool,
    /// Whose keys several workers have in common.
    pub tickets: Option<Ticketer>,
    /// Where all generations of all workers count.
    pub metrics: Option<Metrics>,
    pub launch: Launch,
    pub manager: Manager,
    pub pid_file: Option<PidFile>,
    /// How long the end of the service may take.
    pub stop_within: Option<Duration>,
}

#[derive(Debug)]
struct Supervisor {
    signals: Signals,
    leave: SignalSet,
    restarts: SignalSet,
    lines: Vec<Line>,
    /// Which of them serve.
    up: Vec<bool>,
    /// Of several workers.
    desk: Option<Desk>,
    control: Option<Listener>,
    duty: Duty,
    pid_file: Option<PidFile>,
    /// It has told the workers by itself to leave, so that a signal which says the same is no second one.
    has_told: bool,
    repeats: Repeats,
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
    let mut supervisor = Supervisor::new(orders, signals)?;
    supervisor.lines[0].begin(Instant::now());
    loop {
        let gone = supervisor.wait();
        supervisor.dispatch(&gone, Instant::now());
    }
}

impl Supervisor {
    fn new(orders: Orders, signals: Signals) -> Result<Supervisor> {
        let failed = |e| Error::io("become", "a supervisor", e);
        let Orders { leave, restarts, listeners, control, pid_file, pinned, .. } = orders;
        let mut duty = Duty::new(orders.manager, Instant::now());
        let count = listeners.len();
        let mut lines = Vec::with_capacity(count);
        for (index, listeners) in listeners.into_iter().enumerate() {
            let worker = Worker { index: index as u32, count: count as u32 };
            let cores = pinned.then(|| cores::of(index)).transpose();
            let making = Making {
                how: orders.how.clone(),
                launch: orders.launch.clone(),
                worker: (count > 1).then_some(worker),
                cores: cores.map_err(|e| failed(e.into()))?,
                tickets: orders.tickets.clone().filter(|_| count > 1),
                metrics: orders.metrics.as_ref().map(Metrics::share).transpose().map_err(failed)?,
                stop_within: orders.stop_within,
            };
            lines.push(Line::new(making, listeners).map_err(failed)?);
        }
        for (worker, memory) in duty.states() {
            if let Some(line) = lines.get_mut(worker as usize) {
                line.checkpoint = Some(memory);
            }
        }
        let desk = (count > 1).then(|| Desk::open(count, control.as_ref())).transpose()?;
        let (up, repeats) = (vec![false; count], Repeats::default());
        let has_told = false;
        Ok(Supervisor {
            signals,
            leave,
            restarts,
            lines,
            up,
            desk,
            control,
            duty,
            pid_file,
            has_told,
            repeats,
        })
    }

    /// Sleeps until something happens; answers the generations that live no more, with their lines. What these have
    /// said is there to be read by then.
    fn wait(&mut self) -> Vec<(usize, u32)> {
        let desk = self.desk.iter().filter_map(Desk::next_due);
        let own = desk.chain(self.duty.next);
        let due = self.lines.iter().filter_map(Line::next_due).chain(own).min();
        let timeout = due.map_or(PollTimeout::NONE, |due| {
            // Rounded up, so that it does not wake just before its time.
            let left = due.saturating_duration_since(Instant::now()) + Duration::from_millis(1);
            PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX)
        });
        let mut fds = vec![PollFd::new(self.signals.as_fd(), PollFlags::POLLIN)];
        let mut begins = Vec::new();
        for line in &self.lines {
            begins.push(fds.len());
            fds.extend(line.watched());
        }
        fds.extend(self.desk.iter().flat_map(Desk::watched));
        if poll(&mut fds, timeout).is_err() {
            return Vec::new(); // interrupted
        }
        let mut gone = Vec::new();
        for (index, (line, begin)) in self.lines.iter().zip(begins).enumerate() {
            let generations = line.generations.iter().zip(&fds[begin..]);
            let ended = generations.filter(|(_, fd)| fd.any().unwrap_or(false));
            gone.extend(ended.map(|((who, _), _)| (index, who.pid)));
        }
        gone
    }

    /// Everything that there is to hear. The dead are acted upon when all that they have said was heard,
    /// and when it is known how they have ended.
    fn dispatch(&mut self, gone: &[(usize, u32)], now: Instant) {
        self.lines.iter_mut().for_each(|line| line.handle_generations(now));
        self.reap(now);
        for &(index, pid) in gone {
            self.lines[index].forget(pid, now);
        }
        self.lines.iter_mut().for_each(|line| line.handle_start(now));
        self.handle_signals(now);
        for line in &mut self.lines {
            if line.watch.next_due().is_some_and(|due| due <= now) {
                line.happen(Event::Due, now);
            }
            if line.watch.is_ending() {
                line.close_to_clients();
            }
        }
        self.heed_news(now);
        self.serve_operators(now);
        self.watch_turns(now);
        self.tell_kept();
        if let Some(code) = self.ended() {
            self.exit(code);
        }
    }

    /// Every process that has ended and is this one's child, by birth or because it was left behind.
    fn reap(&mut self, now: Instant) {
        // Looks first: the generation that is being made is reaped by its owner.
        let look = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
        loop {
            let status = match waitid(Id::All, look) {
                Ok(WaitStatus::StillAlive) | Err(Errno::ECHILD) => return,
                Err(Errno::EINTR) => continue,
                Ok(status) => status,
                Err(e) => {
                    log::error!(target: SUPERVISOR, "supervisor: wait for children: {e}");
                    return;
                }
            };
            let Some(pid) = status.pid() else { return };
            self.clear_up_after(pid.as_raw() as u32);
            let mut starts = self.lines.iter_mut().filter_map(|line| line.start.as_mut());
            match starts.find(|start| start.child.pid == pid) {
                Some(start) => {
                    if !start.child.has_ended() {
                        return;
                    }
                }
                None => drop(waitpid(pid, Some(WaitPidFlag::WNOHANG))),
            }
            if let Some(code) = child::code(status) {
                let pid = pid.as_raw() as u32;
                self.lines.iter_mut().for_each(|line| line.has_ended(pid, code, now));
            }
        }
    }

    fn handle_signals(&mut self, now: Instant) {
        while let Some((signal, sender)) = self.signals.next() {
            if signal == Signal::SIGCHLD {
                continue; // it has woken this process, which reaps each time
            }
            let line = format_args!("supervisor: {signal}");
            self.repeats.log(now, SUPERVISOR, Level::Info, "signal", line);
            let has_generations = self.lines.iter().any(|line| !line.generations.is_empty());
            if sender == Sender::Terminal && has_generations {
                continue; // it has told them, too
            }
            let leave = self.leave.contains(signal);
            if leave && std::mem::take(&mut self.has_told) {
                continue;
            }
            if self.restarts.contains(signal) && self.desk.is_some() {
                self.roll(signal, sender, now);
                continue;
            }
            for line in &mut self.lines {
                line.happen(Event::Asked { signal, leave, by: sender }, now);
            }
        }
    }

    /// Main has seen to it that our number is there, where it is the only one. While this process lives, the file is held,
    /// whoever else ends.
    fn keep_pid_file(&mut self) {
        let generations = self.lines.iter().flat_map(|line| &line.generations);
        let relatives: Vec<_> = generations.map(|(who, _)| who.pid).collect();
        if let Some(file) = &mut self.pid_file
            && let Err(e) = file.write(process::id(), &relatives)
        {
            log::error!(target: SUPERVISOR, "supervisor: {e}");
        }
    }

    /// A process that was killed may have been writing the pid file.
    fn clear_up_after(&self, pid: u32) {
        if let Some(file) = &self.pid_file {
            file.clear_up_after(pid);
        }
    }

    /// The exit status of the service, once nobody is left: that of the first worker which has failed.
    fn ended(&self) -> Option<u8> {
        let begun = self.lines.iter().filter(|line| line.has_begun());
        let codes: Option<Vec<u8>> = begun.map(|line| line.ended).collect();
        let codes = codes?;
        Some(codes.iter().copied().find(|code| *code != 0).unwrap_or(0))
    }

    fn exit(&mut self, code: u8) -> ! {
        // Main has done so, unless it was killed.
        let listeners = self.lines.iter().flat_map(|line| &line.listeners);
        listeners.chain(&self.control).for_each(Listener::unlink);
        if let Some(file) = &self.pid_file {
            file.remove();
        }
        self.keep_nothing();
        log::info!(target: SUPERVISOR, "supervisor: the service has ended, exit status {code}");
        log::logger().flush();
        process::exit(code.into())
    }
}
