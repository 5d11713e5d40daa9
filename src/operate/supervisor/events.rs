//! What reaches the supervisor: words of the generations, the generation that is being made, children
//! that have ended, signals, time. Each becomes an event for the watch.

use std::{os::fd::OwnedFd, time::Instant};

use log::Level;
use nix::{
    errno::Errno,
    sys::wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid},
};

use super::{EXIT_NOT_MADE, Event, Older, Supervisor};
use crate::{
    limits::LEAVE_GRACE,
    log_target::SUPERVISOR,
    logging::Escaped,
    metrics::Metrics,
    net::Listener,
    restart::{
        engine::{
            attempt::{Attempt, MUST_EXEC, check_speaker},
            child,
            stderr::Left,
        },
        link::{Identity, Link, LinkError, Message},
    },
    system::{signal::Sender, signal_set::Signal},
    verdict::RestartError,
};

impl Supervisor {
    /// Everything that there is to hear. The dead are acted upon when all that they have said was heard,
    /// and when it is known how they have ended.
    pub(super) fn dispatch(&mut self, gone: &[u32], now: Instant) {
        self.handle_generations(now);
        self.reap(now);
        for &pid in gone {
            self.forget(pid, now);
        }
        self.handle_start(now);
        self.handle_signals(now);
        if self.watch.next_due().is_some_and(|due| due <= now) {
            self.happen(Event::Due, now);
        }
        if self.watch.is_ending() {
            self.close_to_clients();
        }
    }

    fn handle_generations(&mut self, now: Instant) {
        loop {
            match self.inbox.receive() {
                Ok(None) => return,
                Ok(Some((message, fds))) => self.handle_generation(message, fds, now),
                Err(LinkError::Malformed(why)) => {
                    let line = format_args!("supervisor: a generation: {}", Escaped(why));
                    self.repeats.log(now, SUPERVISOR, Level::Warn, "link malformed", line);
                }
                Err(e) => {
                    log::error!(target: SUPERVISOR, "supervisor: {e}");
                    return;
                }
            }
        }
    }

    fn handle_generation(&mut self, message: Message, mut fds: Vec<OwnedFd>, now: Instant) {
        match message {
            Message::Main { who, maker } => {
                if let Some(pidfd) = fds.pop() {
                    self.handle_main(who, maker, pidfd, now);
                }
            }
            Message::Listeners { sockets } => {
                let Some(arriving) = &mut self.arriving else { return };
                for (socket, fd) in sockets.into_iter().zip(fds) {
                    match Listener::adopt(socket.name, fd, socket.file) {
                        Ok(listener) => arriving.push(listener),
                        Err(e) => {
                            log::error!(target: SUPERVISOR, "supervisor: {}", Escaped(e));
                        }
                    }
                }
            }
            Message::Offered => {
                if let Some(all) = self.arriving.take() {
                    self.orders.listeners = all;
                }
            }
            Message::Numbers => self.take_numbers(fds),
            Message::Retired { pid } => self.happen(Event::Retires { pid }, now),
            Message::Leaving { pid } => self.happen(Event::Leaves { pid }, now),
            Message::Ended { pid, code } => self.happen(Event::Ended { pid, code }, now),
            Message::Older { who } => {
                let Some(link) = fds.pop() else { return };
                self.older.push(Older { who, link: Link::of(link), offered: false });
                if self.watch.is_ending() {
                    self.dismiss_older();
                }
            }
            other => {
                let said = format!("{other:?}");
                let line = format_args!("supervisor: {} is ignored", Escaped(said));
                self.repeats.log(now, SUPERVISOR, Level::Warn, "link ignored", line);
            }
        }
    }

    /// The memory in which main counts: most often the one that this process has given to it.
    fn take_numbers(&mut self, fds: Vec<OwnedFd>) {
        match fds.into_iter().next().map(Metrics::of) {
            Some(Ok(metrics)) => self.orders.metrics = Some(metrics),
            Some(Err(e)) => log::warn!(target: SUPERVISOR, "supervisor: the numbers: {e}"),
            None => {}
        }
    }

    fn handle_main(&mut self, who: Identity, maker: Option<u32>, pidfd: OwnedFd, now: Instant) {
        let Identity { pid, generation, .. } = who;
        self.generations.retain(|(known, _)| known.pid != pid);
        self.generations.push((who, pidfd));
        self.happen(Event::Serves { pid, generation, maker }, now);
        self.arriving = (self.watch.main() == Some(pid)).then(Vec::new);
        if self.arriving.is_some() {
            self.keep_pid_file();
            log::info!(
                target: SUPERVISOR,
                "supervisor: generation {generation} is main (pid {pid})"
            );
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
            match &mut self.start {
                Some(start) if start.child.pid == pid => {
                    if !start.child.has_ended() {
                        return;
                    }
                }
                _ => drop(waitpid(pid, Some(WaitPidFlag::WNOHANG))),
            }
            if let Some(code) = child::code(status) {
                self.happen(Event::Ended { pid: pid.as_raw() as u32, code }, now);
            }
        }
    }

    /// A generation lives no more.
    fn forget(&mut self, pid: u32, now: Instant) {
        let Some(at) = self.generations.iter().position(|(who, _)| who.pid == pid) else { return };
        let (who, _pidfd) = self.generations.remove(at);
        self.older.retain(|generation| generation.who.pid != pid);
        if self.watch.main() == Some(pid) && !self.watch.is_ending() {
            self.lost = who.generation;
            let number = who.generation;
            log::error!(
                target: SUPERVISOR,
                "supervisor: generation {number} is gone without a word (pid {pid})"
            );
        }
        self.happen(Event::Gone { pid }, now);
    }

    /// What the generation that is being made says or does.
    fn handle_start(&mut self, now: Instant) {
        loop {
            let Some(start) = &mut self.start else { return };
            let left = start.stderr.as_mut().map_or(Left::End, |stderr| stderr.forward(now));
            self.is_stderr_open &= left != Left::End;
            let Some(link) = &mut start.link else { break };
            match link.flush().and_then(|()| link.receive()) {
                Ok(None) => break,
                Ok(Some((Message::Connect { pid }, fds))) if !start.offered => {
                    self.offer_to_start(pid, fds, now);
                }
                Ok(Some((Message::Claim { pid, .. } | Message::Ready { pid }, _)))
                    if check_speaker(&start.child, pid).is_err() =>
                {
                    let why = format!("it has become pid {pid}: {MUST_EXEC}");
                    self.give_up(now, |start| start.failed(why));
                }
                Ok(Some((Message::Claim { .. }, _))) => {
                    // It could not go on before this, which may have come while this process was stopped.
                    start.overdue = now + start.task.how.ready_within;
                    // Nothing is left of the one before.
                    let _ = link.send(&Message::Handed { last_serial: 0, slots: 0 }, Vec::new());
                }
                // A program of another version may ask this one how it is.
                Ok(Some((Message::TakenOver | Message::Ask, _))) => {}
                Ok(Some((Message::Serving { .. }, _))) => {
                    start.overdue = now + start.task.how.ready_within;
                }
                Ok(Some((Message::Ready { .. }, _))) => {
                    start.steps.ready = Some(now.saturating_duration_since(start.task.begun));
                    // This process has never accepted.
                    let _ = link.send(&Message::Released, Vec::new());
                    start.overdue = now + start.task.how.ready_within;
                }
                // Told to stop, it says so instead.
                Ok(Some((Message::Committed | Message::Dismissed { .. }, _))) => {
                    self.start_is_over(now);
                }
                Ok(Some((Message::Failed { reason }, _))) => {
                    self.give_up(now, |start| start.failed(reason));
                }
                // It is ending, and its exit status is what counts.
                Err(LinkError::Closed) => {
                    start.link = None;
                    start.overdue = start.overdue.min(now + LEAVE_GRACE);
                }
                Ok(Some((other, _))) => {
                    self.give_up(now, |start| start.failed(format!("it said {other:?}")));
                }
                Err(e) => self.give_up(now, |start| start.failed(e.to_string())),
            }
        }
        let Some(start) = &mut self.start else { return };
        if start.child.has_ended() {
            self.give_up(now, Attempt::died);
        } else if start.overdue <= now {
            self.give_up(now, |attempt| attempt.timed_out(now));
        }
    }

    /// The generation that was being made is one like any other.
    fn start_is_over(&mut self, now: Instant) {
        self.handle_generations(now); // it has said before that it is main
        self.older.retain(|generation| !generation.offered); // it talks with them now
        if let Some(mut start) = self.end_start() {
            start.steps.committed = Some(now.saturating_duration_since(start.task.begun));
            self.note(&start, Ok(start.child.id()), now);
        }
    }

    /// The program is up: it gets what it needs before its `main` goes on.
    fn offer_to_start(&mut self, pid: u32, fds: Vec<OwnedFd>, now: Instant) {
        let Some(mut start) = self.start.take() else { return };
        self.older.iter_mut().for_each(|generation| generation.offered = true);
        // It could not go on before this, and may have asked while this process was stopped.
        start.overdue = now + start.task.how.ready_within;
        let made = start.offer(pid, fds, self.offer());
        self.start = Some(start);
        if let Err(why) = made {
            self.give_up(now, |start| start.failed(why));
        }
    }

    fn give_up(&mut self, now: Instant, end: impl FnOnce(&mut Attempt) -> RestartError) {
        let Some(mut start) = self.end_start() else { return };
        let ended = start.child.has_ended();
        let why = end(&mut start);
        self.clear_up_after(start.child.id());
        let code = start.child.code().filter(|_| ended).unwrap_or(EXIT_NOT_MADE);
        self.note(&start, Err(&why), now);
        log::error!(target: SUPERVISOR, "supervisor: {}", Escaped(why));
        self.happen(Event::NotMade { code }, now);
    }

    fn handle_signals(&mut self, now: Instant) {
        while let Some((signal, sender)) = self.signals.next() {
            if signal == Signal::SIGCHLD {
                continue; // it has woken this process, which reaps each time
            }
            let line = format_args!("supervisor: {signal}");
            self.repeats.log(now, SUPERVISOR, Level::Info, "signal", line);
            if sender == Sender::Terminal && !self.generations.is_empty() {
                continue; // it has told them, too
            }
            let leave = self.orders.leave.contains(signal);
            self.happen(Event::Asked { signal, leave }, now);
        }
    }
}
