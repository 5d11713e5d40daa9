//! What reaches a line: words of its generations, and of the one that is being made. Each becomes an event for the
//! watch.

use std::{os::fd::OwnedFd, process, time::Instant};

use log::Level;

use super::{
    decision::Event,
    line::{Line, News, Older},
    watch::EXIT_NOT_MADE,
};
use crate::{
    limits::LEAVE_GRACE,
    log_target::SUPERVISOR,
    logging::Escaped,
    metrics::Metrics,
    net::Listener,
    restart::{
        engine::{
            attempt::{Attempt, MUST_EXEC, check_speaker},
            stderr::Left,
        },
        link::{Identity, Link, LinkError, Message, Notice},
        transfer::secrets::fill_with_tickets,
    },
    tls::Ticketer,
    verdict::RestartError,
};

impl Line {
    /// What its generations say.
    pub fn handle_generations(&mut self, now: Instant) {
        loop {
            match self.inbox.receive() {
                Ok(None) => return,
                Ok(Some((message, fds))) => self.handle_generation(message, fds, now),
                Err(LinkError::Malformed(why)) => {
                    let line = format_args!("{}: a generation: {}", self.name(), Escaped(why));
                    self.repeats.log(now, SUPERVISOR, Level::Warn, "link malformed", line);
                }
                Err(e) => {
                    log::error!(target: SUPERVISOR, "{}: {e}", self.name());
                    return;
                }
            }
        }
    }

    fn handle_generation(&mut self, message: Message, mut fds: Vec<OwnedFd>, now: Instant) {
        match message {
            Message::Notice(notice) => self.handle_notice(notice, fds, now),
            Message::Listeners { sockets } => {
                let name = self.name();
                let Some(arriving) = &mut self.arriving else { return };
                for (socket, fd) in sockets.into_iter().zip(fds) {
                    match Listener::adopt(socket.name, fd, socket.file) {
                        Ok(listener) => arriving.push(listener),
                        Err(e) => {
                            log::error!(target: SUPERVISOR, "{name}: {}", Escaped(e));
                        }
                    }
                }
            }
            Message::Offered => {
                if let Some(all) = self.arriving.take() {
                    self.listeners = all;
                }
            }
            Message::Numbers => self.take_numbers(fds),
            Message::Checkpoint => {
                self.checkpoint = fds.pop();
                self.is_checkpoint_new = self.checkpoint.is_some();
            }
            Message::Older { who } => {
                let Some(link) = fds.pop() else { return };
                self.older.push(Older { who, link: Link::of(link), offered: false });
                if self.watch.is_ending() {
                    self.dismiss_older();
                }
            }
            other => {
                let said = format!("{other:?}");
                let line = format_args!("{}: {} is ignored", self.name(), Escaped(said));
                self.repeats.log(now, SUPERVISOR, Level::Warn, "link ignored", line);
            }
        }
    }

    fn handle_notice(&mut self, notice: Notice, mut fds: Vec<OwnedFd>, now: Instant) {
        match notice {
            Notice::Main { who, maker } => {
                if let Some(pidfd) = fds.pop() {
                    self.handle_main(who, maker, pidfd, now);
                }
            }
            Notice::Retired { pid } => self.happen(Event::Retires { pid }, now),
            Notice::Turns { pid } => self.note_turn(pid, now),
            Notice::LameDuck { pid } => self.happen(Event::LameDuck { pid }, now),
            Notice::Leaving { pid } => {
                self.news.push(News::Leaves);
                self.happen(Event::Leaves { pid }, now);
            }
            Notice::Ended { pid, code } => self.has_ended(pid, code, now),
        }
    }

    /// The memory in which main counts: most often the one that this process has given to it.
    fn take_numbers(&mut self, fds: Vec<OwnedFd>) {
        match fds.into_iter().next().map(Metrics::of) {
            Some(Ok(metrics)) => self.making.metrics = Some(metrics),
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
            let is_made_here = maker == Some(process::id());
            self.news.push(News::Main { is_made_here });
            log::info!(
                target: SUPERVISOR,
                "{}: generation {generation} is main (pid {pid})", self.name()
            );
        }
    }

    /// It is known how a process has ended, which may be one of these.
    pub fn has_ended(&mut self, pid: u32, code: u8, now: Instant) {
        self.note_death(pid, code);
        self.happen(Event::Ended { pid, code }, now);
    }

    /// A generation lives no more.
    pub fn forget(&mut self, pid: u32, now: Instant) {
        let Some(at) = self.generations.iter().position(|(who, _)| who.pid == pid) else { return };
        let (who, _pidfd) = self.generations.remove(at);
        self.older.retain(|generation| generation.who.pid != pid);
        self.turns.retain(|(known, _)| *known != pid);
        if self.watch.main() == Some(pid) && !self.watch.is_ending() {
            self.lost = who.generation;
            let number = who.generation;
            log::error!(
                target: SUPERVISOR,
                "{}: generation {number} is gone without a word (pid {pid})", self.name()
            );
        }
        self.happen(Event::Gone { pid }, now);
    }

    /// What the generation that is being made says or does.
    pub fn handle_start(&mut self, now: Instant) {
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
                    let saved = self.checkpoint.as_ref();
                    hand_over(link, self.making.tickets.as_ref(), saved, now);
                }
                // What it has to say to an old side that would serve again, or knows others, is nothing to this one. A program of
                // another version may ask this one how it is.
                Ok(Some((Message::TakenOver | Message::Alarms(_) | Message::Ask, _))) => {}
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
        self.checkpoint = None; // it may have been to blame
        let ended = start.child.has_ended();
        let why = end(&mut start);
        self.news.push(News::Dead { pid: start.child.id() });
        let code = start.child.code().filter(|_| ended).unwrap_or(EXIT_NOT_MADE);
        self.note(&start, Err(&why), now);
        log::error!(target: SUPERVISOR, "{}: {}", self.name(), Escaped(why));
        self.happen(Event::NotMade { code }, now);
    }
}

/// Clients resume with this one what they have begun with another worker; without the keys they shake hands in full. Else only what the
/// one before has saved is left of it.
fn hand_over(link: &mut Link, tickets: Option<&Ticketer>, saved: Option<&OwnedFd>, now: Instant) {
    let fill = |tickets: &Ticketer| {
        tickets.have_in_common(now);
        fill_with_tickets(tickets, now)
    };
    match tickets.map(fill) {
        None => {}
        Some(Ok(vessel)) => drop(link.send(&Message::TicketKeys, vec![vessel])),
        Some(Err(e)) => {
            log::warn!(target: SUPERVISOR, "supervisor: the keys of tickets stay here: {e}");
        }
    }
    if let Some(memory) = saved.and_then(|memory| memory.try_clone().ok()) {
        let _ = link.send(&Message::Checkpoint, vec![memory]);
    }
    let _ = link.send(&Message::Handed { last_serial: 0, slots: 0 }, Vec::new());
}
