//! What a new program gets from the old one, message by message, before its `main` has said a word.

use std::{
    os::fd::{AsFd, OwnedFd},
    time::{Duration, Instant},
};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::{exec::claim_link, process::Process, stderr::ForwardedStderr, supervised::Supervised};
use crate::{
    error::{Error, Result},
    limits::HANDOVER_PATIENCE,
    plan::Engine,
    restart::link::{Identity, Link, LinkError, Message},
};

/// What a new program was given by the old one.
#[derive(Debug)]
pub(crate) struct Inheritance {
    pub generation: u64,
    pub engine: Engine,
    /// How long it serves before it commits.
    pub probation: Duration,
    /// Who the old one is, and how to know whether it lives.
    pub old: Identity,
    pub old_process: Process,
    /// The stderr to use once this program has committed; until then the old side listens.
    pub stderr: Option<ForwardedStderr>,
    pub listeners: Vec<(String, OwnedFd)>,
    /// Older generations that still drain.
    pub older: Vec<(Identity, Link)>,
    pub supervisor: Option<Supervised>,
}

impl Inheritance {
    /// Finds the link and takes everything that the old side offers. `None`: started by hand.
    ///
    /// # Errors
    /// When the old side says nothing in time or something that cannot be understood; it is told
    /// why, as far as the link goes.
    pub fn claim() -> Result<Option<(Link, Inheritance)>> {
        let Some(door) = claim_link()? else { return Ok(None) };
        let failed = |reason| Error::invalid("take over from", "the old process", reason);
        let mut link = connect(door).map_err(failed)?;
        match Inheritance::collect(&mut link) {
            Ok(inheritance) => Ok(Some((link, inheritance))),
            Err(reason) => {
                let _ = link.send(&Message::Failed { reason: reason.clone() }, Vec::new());
                Err(failed(reason))
            }
        }
    }

    /// Hello, (Listeners | Older | Supervisor)*, Offered.
    fn collect(link: &mut Link) -> std::result::Result<Inheritance, String> {
        let deadline = Instant::now() + HANDOVER_PATIENCE;
        let mut inheritance = match wait_for_message(link, deadline)? {
            (Message::Hello { generation, engine, probation, old }, fds) => {
                let [own, reader, pidfd] = <[OwnedFd; 3]>::try_from(fds)
                    .map_err(|fds| format!("Hello came with {} descriptors", fds.len()))?;
                Inheritance {
                    generation,
                    engine,
                    probation,
                    old,
                    old_process: Process::of(pidfd),
                    stderr: Some(ForwardedStderr::of(own, reader)),
                    listeners: Vec::new(),
                    older: Vec::new(),
                    supervisor: None,
                }
            }
            (other, _) => return Err(format!("{other:?} came before Hello")),
        };
        loop {
            match wait_for_message(link, deadline)? {
                (Message::Listeners { names }, fds) if names.len() == fds.len() => {
                    inheritance.listeners.extend(names.into_iter().zip(fds));
                }
                (Message::Listeners { names }, fds) => {
                    return Err(format!("{} listeners, {} descriptors", names.len(), fds.len()));
                }
                (Message::Older { who }, fds) => {
                    let link =
                        fds.into_iter().next().ok_or("an older generation without a link")?;
                    inheritance.older.push((who, Link::of(link)));
                }
                (Message::Supervisor { pid }, fds) => {
                    let link = fds.into_iter().next().ok_or("a supervisor without a link")?;
                    inheritance.supervisor = Some(Supervised::new(pid, Link::of(link)));
                }
                (Message::Offered, _) => return Ok(inheritance),
                (other, _) => return Err(format!("{other:?} came before everything was offered")),
            }
        }
    }
}

/// Asks for what there is on a link of our own. Others may have the one by which this program was
/// found: a shell that waits for it, or what it has left in the background. What is unread there when
/// this process ends would live on with them.
fn connect(mut door: Link) -> std::result::Result<Link, String> {
    let (ours, theirs) = Link::pair().map_err(|e| format!("make a link: {e}"))?;
    let call = Message::Connect { pid: std::process::id() };
    match door.send(&call, vec![theirs.into_fd()]) {
        Ok(()) => Ok(ours),
        Err(LinkError::Closed) => Err(GONE.into()),
        Err(e) => Err(e.to_string()),
    }
}

/// What a closed link says before anything was handed over.
const GONE: &str = "it is gone, or does without this process, which it may not have started itself";

/// Blocks until a message is there; a new program has nothing else to do yet.
fn wait_for_message(
    link: &mut Link,
    deadline: Instant,
) -> std::result::Result<(Message, Vec<OwnedFd>), String> {
    loop {
        match link.receive() {
            Ok(Some((Message::GivenUp, _))) => return Err(GONE.into()),
            Ok(Some(received)) => return Ok(received),
            Ok(None) => {}
            Err(LinkError::Closed) => return Err(GONE.into()),
            Err(e) => return Err(e.to_string()),
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(format!("the old process said nothing for {HANDOVER_PATIENCE:?}"));
        }
        let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
        let mut fds = [PollFd::new(link.as_fd(), PollFlags::POLLIN)];
        let _ = poll(&mut fds, timeout);
    }
}
