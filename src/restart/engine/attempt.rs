//! The old side of one restart in progress: makes the new process and ends it. What is to be done
//! when is the state machine's business.

use std::{
    collections::VecDeque,
    io,
    os::fd::{AsFd, BorrowedFd},
    time::{Duration, Instant},
};

use super::{child::Child, exec::Launch, fork, stderr::Stderr};
use crate::{
    log_target::RESTART,
    net::{ConnId, Listener},
    plan::{Engine, Restart},
    restart::link::{Identity, Link, Message, Parcel, SocketName, listener_parcels},
    verdict::{Program, RestartError, Steps},
};

/// A restart that is not decided.
#[derive(Debug)]
pub(crate) struct Attempt {
    pub task: Task,
    pub steps: Steps,
    /// When the new side's next word is overdue, and the time that it has for it.
    pub overdue: Instant,
    pub limit: Duration,
    pub child: Child,
    /// `None` while the program is only asked whether it would serve.
    pub link: Option<Link>,
    /// The new side has let go of the link, and so of the restart; it has not ended yet.
    pub ending: bool,
    /// What a new program says; a forked child shares our stderr.
    pub stderr: Option<Stderr>,
    /// Why the new side hands back, if it does.
    pub handed_back: Option<String>,
    /// Connections that are still to be sent to it.
    pub outgoing: VecDeque<ConnId>,
    /// Batches of connections that it has not taken yet.
    pub in_flight: usize,
    /// It has been sent everything.
    pub handed: bool,
}

/// What a new program is given.
pub(crate) struct Offer<'a> {
    pub old: Identity,
    pub listeners: Vec<&'a Listener>,
    pub older: Vec<(Identity, BorrowedFd<'a>)>,
    /// Who supervises all generations, and the way to it.
    pub supervisor: Option<(u32, BorrowedFd<'a>)>,
}

/// Which process we are after a fork.
#[derive(Debug)]
pub(crate) enum Side {
    Old(Box<Attempt>),
    New(Link),
}

/// Which engine is to be used: the one asked for, unless threads forbid it, or mailboxes, which are for
/// threads.
pub(crate) fn choose_engine(how: &Restart, mailboxes: usize) -> Result<Engine, RestartError> {
    if how.engine == Engine::ForkExec {
        return Ok(Engine::ForkExec);
    }
    if mailboxes > 0 && how.or_fork_exec {
        log::info!(target: RESTART, "{mailboxes} mailboxes: fork-exec instead of fork");
        return Ok(Engine::ForkExec);
    }
    if mailboxes > 0 {
        return Err(RestartError::Mailbox { count: mailboxes });
    }
    match fork::thread_count() {
        1 => Ok(Engine::Fork),
        count if how.or_fork_exec => {
            log::info!(target: RESTART, "{count} threads: fork-exec instead of fork");
            Ok(Engine::ForkExec)
        }
        count => Err(RestartError::Threads { count }),
    }
}

impl Attempt {
    fn new(task: Task, child: Child) -> Attempt {
        let limit = task.how.ready_within;
        let overdue = task.begun + limit;
        Attempt {
            task,
            steps: Steps::default(),
            overdue,
            limit,
            child,
            link: None,
            ending: false,
            stderr: None,
            handed_back: None,
            outgoing: VecDeque::new(),
            in_flight: 0,
            handed: false,
        }
    }

    /// Forks. Returns in both processes.
    pub fn fork(task: Task) -> Result<Side, RestartError> {
        let failed =
            |source| RestartError::Spawn { program: "a fork of this process".into(), source };
        let (ours, theirs) = Link::pair().map_err(failed)?;
        let before = Instant::now();
        let Some(pid) = fork::fork().map_err(failed)? else { return Ok(Side::New(theirs)) };
        let made = before.elapsed();
        let child = Child::new(pid).map_err(failed)?;
        let mut attempt = Attempt { link: Some(ours), ..Attempt::new(task, child) };
        attempt.steps.made = Some(made);
        Ok(Side::Old(Box::new(attempt)))
    }

    /// Starts the program anew and makes it an offer.
    pub fn exec(task: Task, launch: &Launch, offer: Offer<'_>) -> Result<Attempt, RestartError> {
        let failed = |source| launch.failed(source);
        let before = Instant::now();
        let task = Task { program: Some(launch.identify().map_err(failed)?), ..task };
        let (ours, theirs) = Link::pair().map_err(failed)?;
        let (stderr, writer) = Stderr::pipe().map_err(failed)?;
        let parcels = offer.parcels(&task, &stderr).map_err(failed)?;
        let pid = launch.spawn(Some(theirs.as_fd()), writer.as_fd(), None).map_err(failed)?;
        let child = Child::new(pid).map_err(failed)?;
        let attempt = Attempt::new(task, child);
        let mut attempt = Attempt { link: Some(ours), stderr: Some(stderr), ..attempt };
        for (message, fds) in parcels {
            let Some(link) = &mut attempt.link else { break };
            link.send(&message, fds).map_err(|e| attempt.failed(e.to_string()))?;
        }
        attempt.steps.made = Some(before.elapsed());
        Ok(attempt)
    }

    /// Asks the program whether it would serve: it is run with `flag` and no offer.
    pub fn check(task: Task, launch: &Launch, flag: &str) -> Result<Attempt, RestartError> {
        let failed = |source| launch.failed(source);
        let (stderr, writer) = Stderr::pipe().map_err(failed)?;
        let pid = launch.spawn(None, writer.as_fd(), Some(flag)).map_err(failed)?;
        let child = Child::new(pid).map_err(failed)?;
        Ok(Attempt { stderr: Some(stderr), ..Attempt::new(task, child) })
    }

    /// From `now` on connections wait for it, so it has less time.
    pub fn hurry(&mut self, now: Instant) {
        let overdue = now + self.task.how.max_downtime;
        if overdue < self.overdue {
            (self.overdue, self.limit) = (overdue, self.task.how.max_downtime);
        }
    }

    /// From `now` on it has to last.
    pub fn prove(&mut self, now: Instant) {
        self.limit = self.task.how.ready_within;
        self.overdue = now + self.task.how.probation + self.limit;
    }

    /// Who the new side is.
    pub fn identity(&self) -> Identity {
        let Task { generation, engine, .. } = self.task;
        Identity { generation, pid: self.child.id(), engine: Some(engine) }
    }

    /// Whether this is the check of a program, and no new side yet.
    pub fn is_check(&self) -> bool {
        self.link.is_none()
    }

    /// The program's check is over, and not well.
    pub fn unfit(&mut self) -> RestartError {
        RestartError::Unfit { how: self.child.end(), stderr: self.last_words() }
    }

    /// Ends the new side, which has said why it cannot serve, or has said nonsense.
    pub fn failed(&mut self, reason: String) -> RestartError {
        self.child.end();
        RestartError::Failed { reason, stderr: self.last_words() }
    }

    /// The new side is gone, or its link is: ends what is left of it.
    pub fn died(&mut self) -> RestartError {
        let how = self.child.end();
        RestartError::Died { how, in_probation: self.in_probation(), stderr: self.last_words() }
    }

    /// The new side took too long.
    pub fn timed_out(&mut self) -> RestartError {
        if self.ending {
            return self.died();
        }
        self.child.end();
        RestartError::TimedOut {
            limit: self.limit,
            in_probation: self.in_probation(),
            stderr: self.last_words(),
        }
    }

    /// The new side does not want to serve, and lives on until its connections are gone.
    pub fn rolled_back(&mut self) -> RestartError {
        RestartError::RolledBack { reason: self.handed_back.take().unwrap_or_default() }
    }

    /// This side has to go.
    pub fn abandoned(&mut self) -> RestartError {
        self.child.end();
        RestartError::Stopped
    }

    /// What the new side, which has ended, had said before and nobody has heard.
    pub fn unheard(&mut self) -> Vec<Message> {
        let Some(link) = &mut self.link else { return Vec::new() };
        let messages = std::iter::from_fn(|| link.receive().ok().flatten());
        messages.map(|(message, _)| message).collect()
    }

    fn in_probation(&self) -> bool {
        self.steps.ready.is_some()
    }

    fn last_words(&mut self) -> String {
        self.stderr.as_mut().map_or(String::new(), |stderr| {
            stderr.forward();
            stderr.tail()
        })
    }
}

/// Listeners as they are passed on to another process.
pub(super) fn introduced<'a>(
    listeners: impl Iterator<Item = &'a Listener>,
) -> io::Result<Vec<Parcel<Message>>> {
    let introduce = |listener: &'a Listener| {
        let name = SocketName { name: listener.name.clone(), file: listener.file };
        (name, listener.as_fd())
    };
    listener_parcels(&listeners.map(introduce).collect::<Vec<_>>())
}

/// What a restart is to be.
#[derive(Clone, Debug)]
pub(crate) struct Task {
    pub how: Restart,
    /// The control connection that has asked for it, if one has.
    pub by: Option<ConnId>,
    /// The engine that is used in the end.
    pub engine: Engine,
    /// The number of the generation to be.
    pub generation: u64,
    /// The file that it was started from, once it was.
    pub program: Option<Program>,
    pub begun: Instant,
}

impl Offer<'_> {
    /// The messages, each with descriptors of its own.
    fn parcels(&self, task: &Task, heard: &Stderr) -> io::Result<Vec<Parcel<Message>>> {
        let Task { engine, generation, .. } = *task;
        let old = self.old;
        let stderr = io::stderr().as_fd().try_clone_to_owned()?;
        let heard = heard.as_fd().try_clone_to_owned()?;
        let probation = task.how.probation;
        let hello = Message::Hello { generation, engine, probation, old };
        let mut parcels = vec![(hello, vec![stderr, heard])];
        parcels.extend(introduced(self.listeners.iter().copied())?);
        for &(who, link) in &self.older {
            parcels.push((Message::Older { who }, vec![link.try_clone_to_owned()?]));
        }
        if let Some((pid, link)) = self.supervisor {
            parcels.push((Message::Supervisor { pid }, vec![link.try_clone_to_owned()?]));
        }
        parcels.push((Message::Offered, Vec::new()));
        Ok(parcels)
    }
}
