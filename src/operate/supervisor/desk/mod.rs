//! Where operators of several workers come: the control socket of a supervisor. It asks the workers, and puts
//! their answers together; what is to be done one after the other is a `roll`. Whoever hangs, operator or worker, holds
//! nobody up.
//!
//! Of one process that serves, that process is asked itself, and there is no desk.

mod inquiry;
mod operator;
pub(super) mod roll;
mod rolling;
mod status;
mod talk;
mod waiting;

use std::{
    io,
    os::{
        fd::AsFd,
        unix::net::{UnixListener, UnixStream},
    },
    time::Instant,
};

use nix::{
    poll::{PollFd, PollFlags},
    sys::socket::{getsockopt, sockopt::PeerCredentials},
    unistd::geteuid,
};

use self::{
    inquiry::{Inquiry, Purpose},
    operator::Operator,
    roll::{Event, Roll},
    talk::Talk,
};
use crate::{
    error::{Error, Result},
    limits::{ACCEPT_PAUSE, CONTROL_CONNECTIONS, CONTROL_LINE},
    log_target::SUPERVISOR,
    net::{Address, Listener},
    operate::{
        behalf::Behalf,
        control::{self, Awaited, Command},
    },
    restart::link::Identity,
};

/// What is known of a worker.
#[derive(Clone, Debug)]
pub(super) struct Post {
    /// Where it answers operators.
    pub control: Option<Address>,
    /// The generation that serves.
    pub main: Option<Identity>,
    /// The one that the supervisor makes.
    pub start: Option<Identity>,
}

/// What an operator wants of the supervisor itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    Drain,
    Stop,
}

#[derive(Debug)]
pub(super) struct Desk {
    door: Option<UnixListener>,
    /// No descriptor was left for who came last.
    door_rests_until: Option<Instant>,
    operators: Vec<Operator>,
    last_operator: u64,
    inquiries: Vec<Inquiry>,
    gatherings: Vec<Gathering>,
    waiters: Vec<Waiter>,
    roll: Roll,
    rolled: Rolled,
}

/// What a worker has said, or why it has not.
type Answer = std::result::Result<String, String>;

/// Answers of all workers to one operator.
#[derive(Debug)]
struct Gathering {
    operator: u64,
    answers: Vec<Option<Answer>>,
}

/// An operator who waits until it is so of all workers.
#[derive(Debug)]
struct Waiter {
    operator: u64,
    awaited: Awaited,
    workers: Vec<Progress>,
}

/// What a waiter knows of one worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    /// It is to be asked when it serves.
    Unasked,
    /// It was, when this generation of it served.
    Asked(Identity),
    /// It is as it should be, as long as this generation of it serves.
    Done(Identity),
}

/// What is known of the restart of all.
#[derive(Debug, Default)]
struct Rolled {
    /// Who has asked, if it was no signal.
    by: Option<u64>,
    request: String,
    /// What each worker has come to.
    told: Vec<String>,
    /// The verdict of the last one that was asked.
    verdict: String,
}

impl Desk {
    /// Of so many workers.
    pub fn open(workers: usize, control: Option<&Listener>) -> Result<Desk> {
        let failed = |e| Error::io("open", "the control socket", e);
        let door = control.map(|listener| -> io::Result<UnixListener> {
            let fd = listener.as_fd().try_clone_to_owned()?;
            let door = UnixListener::from(fd);
            door.set_nonblocking(true)?;
            Ok(door)
        });
        Ok(Desk {
            door: door.transpose().map_err(failed)?,
            door_rests_until: None,
            operators: Vec::new(),
            last_operator: 0,
            inquiries: Vec::new(),
            gatherings: Vec::new(),
            waiters: Vec::new(),
            roll: Roll::new(workers),
            rolled: Rolled::default(),
        })
    }

    pub fn watched(&self) -> Vec<PollFd<'_>> {
        let door = self.door.iter().filter(|_| self.door_rests_until.is_none());
        let door = door.map(|door| PollFd::new(door.as_fd(), PollFlags::POLLIN));
        let operators = self.operators.iter().filter_map(|operator| operator.talk.watched());
        let inquiries = self.inquiries.iter().filter_map(Inquiry::watched);
        door.chain(operators).chain(inquiries).collect()
    }

    pub fn next_due(&self) -> Option<Instant> {
        let beats = self.operators.iter().filter_map(|operator| operator.beats_at);
        let overdue = self.inquiries.iter().map(Inquiry::overdue);
        let others = self.roll.next_due().into_iter().chain(self.door_rests_until);
        beats.chain(overdue).chain(others).min()
    }

    /// Serves whoever has said something. What is to be done about the service is answered, and for whom.
    pub fn turn(&mut self, posts: &[Post], now: Instant) -> Vec<(Wish, Behalf)> {
        self.admit(now);
        let mut wishes = Vec::new();
        for at in 0..self.operators.len() {
            self.operators[at].talk.go_on();
            while let Some(line) = self.operators[at].next_request() {
                let Operator { number, behalf, .. } = self.operators[at];
                let wish = self.obey(number, line.trim_end(), behalf, posts, now);
                wishes.extend(wish.map(|wish| (wish, behalf)));
            }
        }
        self.hear(posts, now);
        if self.roll.next_due().is_some_and(|due| due <= now) {
            self.happen(Event::Due, posts, now);
        }
        self.look_after_waiters(posts, now);
        self.operators.iter_mut().for_each(|operator| operator.beat(now));
        self.operators.retain(|operator| !operator.is_over());
        wishes
    }

    fn admit(&mut self, now: Instant) {
        if self.door_rests_until.is_some_and(|until| until > now) {
            return;
        }
        self.door_rests_until = None;
        while let Some(door) = &self.door {
            match door.accept() {
                Ok((stream, _)) => self.let_in(stream),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => {
                    log::warn!(target: SUPERVISOR, "supervisor: accept an operator: {e}");
                    self.door_rests_until = Some(now + ACCEPT_PAUSE);
                    return;
                }
            }
        }
    }

    fn let_in(&mut self, stream: UnixStream) {
        let peer = getsockopt(&stream, PeerCredentials);
        let (pid, uid) = peer.map_or((0, u32::MAX), |peer| (peer.pid() as u32, peer.uid()));
        let Ok(talk) = Talk::of(stream, CONTROL_LINE + 1) else { return };
        if self.operators.len() >= CONTROL_CONNECTIONS {
            let idle = self.operators.iter().position(|operator| !operator.waits).unwrap_or(0);
            self.operators.remove(idle);
        }
        self.last_operator += 1;
        let behalf = Behalf { pid, uid, signal: None };
        let mut operator = Operator::new(self.last_operator, behalf, talk);
        // The path's mode keeps others out; this is for one that was changed.
        if uid != geteuid().as_raw() && uid != 0 {
            operator.answer("error: this socket is for the server's own user");
            operator.is_done = true;
        }
        self.operators.push(operator);
    }

    fn obey(
        &mut self,
        number: u64,
        line: &str,
        behalf: Behalf,
        posts: &[Post],
        now: Instant,
    ) -> Option<Wish> {
        match Command::parse(line) {
            Err(why) => self.answer(number, &why),
            Ok(Command::Help) => self.answer(number, control::HELP),
            Ok(Command::Heartbeat(every)) => {
                let operator = self.operators.iter_mut().find(|it| it.number == number);
                operator.into_iter().for_each(|operator| operator.heartbeat = Some(every));
                self.answer(number, &format!("ok: every {every:?} while a request waits"));
            }
            Ok(Command::Status) => self.gather(number, posts, now),
            // Any worker has the numbers and the journal of all.
            Ok(Command::Check | Command::Metrics | Command::Log) => {
                let first = posts.iter().position(|post| post.main.is_some()).unwrap_or(0);
                self.relay(number, first, line, posts, now);
            }
            Ok(Command::Restart { .. } | Command::RestartLike(_)) => {
                self.roll(Some(number), behalf.pass_on(line), posts, now);
            }
            Ok(Command::RollBack) => match self.roll.asked() {
                Some(worker) => self.relay(number, worker, &behalf.pass_on(line), posts, now),
                None => {
                    let why = "there is nothing to roll back: no restart is in its probation";
                    self.answer(number, &format!("error: {why}"));
                }
            },
            Ok(Command::Wait(awaited)) => self.wait_until(number, awaited, posts, now),
            Ok(Command::Drain) => {
                self.answer(number, "ok: draining");
                return Some(Wish::Drain);
            }
            Ok(Command::Stop) => {
                self.answer(number, "ok: stopping");
                return Some(Wish::Stop);
            }
        }
        None
    }

    /// Asks one worker on behalf of an operator.
    fn relay(&mut self, number: u64, worker: usize, line: &str, posts: &[Post], now: Instant) {
        self.wait(number, now);
        let control = posts[worker].control.as_ref();
        match Inquiry::ask(worker, control, line, Purpose::Answer(number), now) {
            Ok(inquiry) => self.inquiries.push(inquiry),
            Err(why) => self.answer(number, &format!("error: worker {worker}: {why}")),
        }
    }

    /// An order to all workers, which nobody waits for.
    pub fn order(&mut self, request: &str, posts: &[Post], now: Instant) {
        for (worker, post) in posts.iter().enumerate().filter(|(_, post)| post.main.is_some()) {
            let asked = Inquiry::ask(worker, post.control.as_ref(), request, Purpose::Order, now);
            self.inquiries.extend(asked.ok());
        }
    }

    /// What workers have answered.
    fn hear(&mut self, posts: &[Post], now: Instant) {
        let mut at = 0;
        while at < self.inquiries.len() {
            let Some(answer) = self.inquiries[at].go_on(now) else {
                at += 1;
                continue;
            };
            let inquiry = self.inquiries.swap_remove(at);
            let Inquiry { worker, purpose, .. } = inquiry;
            match purpose {
                Purpose::Roll => {
                    let answer = answer.unwrap_or_else(|why| format!("error: {why}"));
                    self.judge(answer, posts, now);
                }
                Purpose::Answer(number) => {
                    let failed = |why| format!("error: worker {worker}: {why}");
                    self.answer(number, &answer.unwrap_or_else(failed));
                }
                Purpose::Status(number) => {
                    let found = self.gatherings.iter_mut().find(|it| it.operator == number);
                    found.into_iter().for_each(|it| it.answers[worker] = Some(answer.clone()));
                }
                Purpose::Wait(number) => self.heed_worker(number, &inquiry, answer),
                Purpose::Order => {}
            }
        }
        self.answer_statuses(posts);
    }

    pub(super) fn wait(&mut self, number: u64, now: Instant) {
        let operator = self.operators.iter_mut().find(|operator| operator.number == number);
        operator.into_iter().for_each(|operator| operator.wait(now));
    }

    pub(super) fn answer(&mut self, number: u64, text: &str) {
        let operator = self.operators.iter_mut().find(|operator| operator.number == number);
        operator.into_iter().for_each(|operator| operator.answer(text));
    }
}
