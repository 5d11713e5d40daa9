//! The old side of one restart in progress: makes the new process and ends it. What is to be done
//! when is the state machine's business.

use std::{
    io,
    os::fd::{AsFd, OwnedFd},
    time::{Duration, Instant},
};

use super::{
    child::Child, exec::Launch, fork, offer::Offer, process::Process, stderr::Stderr, task::Task,
    unheard,
};
use crate::{
    plan::Restart,
    restart::{
        link::{Identity, Link, Message, Parcel, WayBack},
        transfer::{record, shipment::Shipment},
    },
    verdict::{RestartError, Steps},
};

/// The new generation is the process that was started. Only a child can be waited for, told from a
/// stranger, and ended with certainty.
pub(crate) const MUST_EXEC: &str =
    "a script must `exec` the program, which must not go into the background";

/// A restart that is not decided.
#[derive(Debug)]
pub(crate) struct Attempt {
    pub task: Task,
    pub steps: Steps,
    /// When the new side's next word is overdue, and the time that it has for it.
    pub overdue: Instant,
    pub limit: Duration,
    /// How much of its time this process had been [deaf](crate::net::Net::deaf) for when that was set.
    pub deaf: Duration,
    pub child: Child,
    /// `None` while the program is only asked whether it would serve. Until a new program has connected,
    /// the one that it was started with.
    pub link: Option<Link>,
    /// It has been offered what it needs before it is up: a forked child has it from birth.
    pub offered: bool,
    /// The new side has let go of the link, and so of the restart; it has not ended yet.
    pub ending: bool,
    /// What a new program says; a forked child shares our stderr.
    pub stderr: Option<Stderr>,
    /// Which of the sockets that it was offered it does not want, by their places: this side goes on with
    /// them until it commits.
    pub unwanted: Vec<usize>,
    /// Why the new side hands back, if it does.
    pub handed_back: Option<String>,
    /// What counts is the time that the copy of the state may take.
    pub copies: bool,
    /// Connections that are on their way to it.
    pub shipment: Shipment,
}

/// Which process we are after a fork.
#[derive(Debug)]
pub(crate) enum Side {
    Old(Box<Attempt>),
    /// And who the old one is.
    New(Link, Process),
}

/// Whether it is the process that was started which speaks on the link, and not one that it has made: the
/// end of the first may be heard later than the words of the other.
///
/// # Errors
/// The reason why the other one is refused.
pub(crate) fn check_speaker(child: &Child, pid: u32) -> Result<(), String> {
    let started = child.id();
    if pid == started {
        return Ok(());
    }
    Err(format!(
        "pid {pid} would take over, which was not started but by pid {started}: {MUST_EXEC}"
    ))
}

impl Attempt {
    fn new(task: Task, child: Child) -> Attempt {
        let limit = task.how.ready_within;
        let shipment = Shipment::new(task.how.max_moved);
        // From now on: a restart that was asked for may have waited, for room or for a check.
        let overdue = Instant::now() + limit;
        Attempt {
            task,
            steps: Steps::default(),
            overdue,
            limit,
            deaf: Duration::ZERO,
            child,
            link: None,
            offered: false,
            ending: false,
            stderr: None,
            unwanted: Vec::new(),
            handed_back: None,
            copies: false,
            shipment,
        }
    }

    /// Forks. Returns in both processes.
    pub fn fork(task: Task) -> Result<Side, RestartError> {
        let failed =
            |source| RestartError::Spawn { program: "a fork of this process".into(), source };
        let (ours, theirs) = Link::pair().map_err(failed)?;
        let old = Process::this().map_err(failed)?;
        let before = Instant::now();
        let Some(pid) = fork::fork().map_err(failed)? else { return Ok(Side::New(theirs, old)) };
        let made = before.elapsed();
        let child = Child::new(pid).map_err(failed)?;
        let attempt = Attempt::new(task, child);
        let mut attempt = Attempt { link: Some(ours), offered: true, ..attempt };
        attempt.steps.made = Some(made);
        Ok(Side::Old(Box::new(attempt)))
    }

    /// Starts the program anew, and lets it know who `old` is. It is offered something when it has shown who
    /// it is: a shell that was started in its place would leave listeners unread, and so open.
    pub fn exec(task: Task, launch: &Launch, old: Identity) -> Result<Attempt, RestartError> {
        let failed = |source| launch.failed(source);
        let before = Instant::now();
        let task = Task { program: Some(launch.identify().map_err(failed)?), ..task };
        let (mut ours, theirs) = Link::pair().map_err(failed)?;
        let (stderr, writer) = Stderr::pipe().map_err(failed)?;
        let (hello, fds) = hello(&task, old, &stderr).map_err(failed)?;
        ours.send(&hello, fds).map_err(|e| failed(io::Error::other(e.to_string())))?;
        let pid = launch.spawn(Some(theirs.as_fd()), writer.as_fd(), None).map_err(failed)?;
        drop((theirs, writer)); // descriptors may be few
        let child = Child::new(pid).map_err(failed)?;
        let attempt = Attempt::new(task, child);
        let mut attempt = Attempt { link: Some(ours), stderr: Some(stderr), ..attempt };
        attempt.steps.made = Some(before.elapsed());
        Ok(attempt)
    }

    /// A program has connected, as process `pid`, and brought its own link. If it is the one that was
    /// started, it gets the offer there.
    pub fn offer(&mut self, pid: u32, fds: Vec<OwnedFd>, offer: Offer<'_>) -> Result<(), String> {
        check_speaker(&self.child, pid)?;
        let link = fds.into_iter().next().ok_or("it has connected without a link")?;
        let mut link = Link::of(link);
        for parcel in offer.parcels() {
            let (message, fds) = parcel.map_err(|e| e.to_string())?;
            link.send(&message, fds).map_err(|e| e.to_string())?;
        }
        (self.link, self.offered) = (Some(link), true);
        Ok(())
    }

    /// Asks the program whether it would serve: it is run with `flag` and no offer.
    pub fn check(task: Task, launch: &Launch, flag: &str) -> Result<Attempt, RestartError> {
        let failed = |source| launch.failed(source);
        let (stderr, writer) = Stderr::pipe().map_err(failed)?;
        let pid = launch.spawn(None, writer.as_fd(), Some(flag)).map_err(failed)?;
        let child = Child::new(pid).map_err(failed)?;
        Ok(Attempt { stderr: Some(stderr), ..Attempt::new(task, child) })
    }

    /// From `since` on connections wait for it, so it has less time.
    pub fn hurry(&mut self, since: Instant) {
        let overdue = since + self.task.how.max_downtime;
        if overdue < self.overdue {
            (self.overdue, self.limit) = (overdue, self.task.how.max_downtime);
        }
    }

    /// From `now` on it has to last.
    pub fn prove(&mut self, now: Instant) {
        self.limit = self.task.how.ready_within;
        self.overdue = now + self.task.how.probation + self.limit;
    }

    /// Who the new side is, but for what its program knows.
    pub fn identity(&self) -> Identity {
        let Task { generation, engine, .. } = self.task;
        Identity { generation, pid: self.child.id(), engine: Some(engine), words: false }
    }

    /// Whether this is the check of a program, and no new side yet.
    pub fn is_check(&self) -> bool {
        self.link.is_none()
    }

    /// Nothing comes of it: whoever is left of the new side serves nobody. Tells how its process has ended.
    fn end(&mut self) -> String {
        if let Some(link) = &mut self.link {
            // For what a kill does not reach: a process that the new one has made, with its descriptors.
            let _ = link.send(&Message::GivenUp, Vec::new());
        }
        self.child.end()
    }

    /// The program's check is over, and not well.
    pub fn unfit(&mut self) -> RestartError {
        RestartError::Unfit { how: self.end(), stderr: self.last_words() }
    }

    /// Ends the new side, which has said why it cannot serve, or has said nonsense.
    pub fn failed(&mut self, reason: String) -> RestartError {
        self.end();
        RestartError::Failed { reason, stderr: self.last_words() }
    }

    /// The new side is gone, or its link is: ends what is left of it.
    pub fn died(&mut self) -> RestartError {
        let mut how = self.end();
        if self.child.has_succeeded() && self.link.as_ref().is_some_and(|link| !link.is_cut()) {
            how = format!("{how}, and has left somebody behind: {MUST_EXEC}");
        }
        RestartError::Died { how, in_probation: self.in_probation(), stderr: self.last_words() }
    }

    /// The new side took too long.
    pub fn timed_out(&mut self, now: Instant) -> RestartError {
        if self.ending {
            return self.died();
        }
        self.end();
        let took = self.time_passed(now);
        let (limit, in_probation, stderr) = (self.limit, self.in_probation(), self.last_words());
        match self.copies {
            true => RestartError::NotCopied { limit, took, stderr },
            false => RestartError::TimedOut { limit, in_probation, stderr },
        }
    }

    /// This side took too long to write down what the new one was to get: `saving` of its time, up to `now`.
    pub fn overrun(&mut self, now: Instant, saving: Duration) -> RestartError {
        self.child.end();
        RestartError::Overrun { saving, took: self.time_passed(now), limit: self.limit }
    }

    /// Of its limit, which is over `now`.
    fn time_passed(&self, now: Instant) -> Duration {
        self.limit + now.saturating_duration_since(self.overdue)
    }

    /// The new side does not want to serve, and lives on until its connections are gone.
    pub fn rolled_back(&mut self) -> RestartError {
        RestartError::RolledBack { reason: self.handed_back.take().unwrap_or_default() }
    }

    /// This side has to go.
    pub fn abandoned(&mut self) -> RestartError {
        self.end();
        RestartError::Stopped
    }

    /// What the new side, which has ended, had said before and nobody has heard.
    pub fn unheard(&mut self) -> Vec<Parcel<Message>> {
        self.link.as_mut().map_or_else(Vec::new, unheard::rest_of)
    }

    fn in_probation(&self) -> bool {
        self.steps.ready.is_some()
    }

    fn last_words(&mut self) -> String {
        self.stderr.as_mut().map_or(String::new(), |stderr| {
            stderr.finish();
            stderr.tail()
        })
    }
}

/// The first word, with what a program needs to be heard and to know whether the old side lives.
fn hello(task: &Task, old: Identity, heard: &Stderr) -> io::Result<Parcel<Message>> {
    let Task { engine, generation, .. } = *task;
    let Restart { probation, ready_within, copy_within, .. } = task.how;
    let stderr = io::stderr().as_fd().try_clone_to_owned()?;
    let heard = heard.as_fd().try_clone_to_owned()?;
    let back = Some(WayBack::of(&task.how, record::VERSION));
    let hello =
        Message::Hello { generation, engine, probation, ready_within, copy_within, back, old };
    Ok((hello, vec![stderr, heard, Process::this()?.into_fd()]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    #[test]
    fn only_the_process_that_was_started_is_listened_to() {
        let mut started = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
        let mut child = Child::new(nix::unistd::Pid::from_raw(started.id() as i32)).unwrap();
        assert_eq!(check_speaker(&child, started.id()), Ok(()));
        let refused = check_speaker(&child, std::process::id()).unwrap_err();
        assert!(refused.contains(MUST_EXEC), "{refused}");
        child.end();
        let _ = started.wait(); // which was done
    }
}
