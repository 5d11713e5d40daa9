//! What a new program gets from the old one, message by message, before its `main` has said a word.

use std::{
    os::fd::{AsFd, OwnedFd},
    time::{Duration, Instant},
};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::{stderr::ForwardedStderr, supervised::Supervised};
use crate::{
    error::{Error, Result},
    limits::HANDOVER_PATIENCE,
    plan::Engine,
    restart::link::{Identity, Link, LinkError, Message, SocketName},
};

/// What a new program was given by the old one.
#[derive(Debug)]
pub(crate) struct Inheritance {
    pub generation: u64,
    pub engine: Engine,
    /// How long it serves before it commits.
    pub probation: Duration,
    /// Who the old one is.
    pub old: Identity,
    /// The stderr to use once this program has committed; until then the old side listens.
    pub stderr: Option<ForwardedStderr>,
    pub listeners: Vec<(SocketName, OwnedFd)>,
    /// Older generations that still drain.
    pub older: Vec<(Identity, Link)>,
    pub supervisor: Option<Supervised>,
}

impl Inheritance {
    /// Takes everything that the old side offers.
    ///
    /// # Errors
    /// When the old side says nothing in time or something that cannot be understood; it is told
    /// why, as far as the link goes.
    pub fn take(link: &mut Link) -> Result<Inheritance> {
        match Inheritance::collect(link) {
            Ok(inheritance) => Ok(inheritance),
            Err(reason) => {
                let _ = link.send(&Message::Failed { reason: reason.clone() }, Vec::new());
                Err(Error::invalid("take over from", "the old process", reason))
            }
        }
    }

    /// Hello, (Listeners | Older | Supervisor)*, Offered.
    fn collect(link: &mut Link) -> std::result::Result<Inheritance, String> {
        let deadline = Instant::now() + HANDOVER_PATIENCE;
        let mut inheritance = match wait_for_message(link, deadline)? {
            (Message::Hello { generation, engine, probation, old }, fds) => Inheritance {
                generation,
                engine,
                probation,
                old,
                stderr: ForwardedStderr::of(fds),
                listeners: Vec::new(),
                older: Vec::new(),
                supervisor: None,
            },
            (other, _) => return Err(format!("{other:?} came before Hello")),
        };
        loop {
            match wait_for_message(link, deadline)? {
                (Message::Listeners { sockets }, fds) if sockets.len() == fds.len() => {
                    inheritance.listeners.extend(sockets.into_iter().zip(fds));
                }
                (Message::Listeners { sockets }, fds) => {
                    return Err(format!("{} listeners, {} descriptors", sockets.len(), fds.len()));
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

/// Blocks until a message is there; a new program has nothing else to do yet.
fn wait_for_message(
    link: &mut Link,
    deadline: Instant,
) -> std::result::Result<(Message, Vec<OwnedFd>), String> {
    loop {
        match link.receive() {
            Ok(Some(received)) => return Ok(received),
            Ok(None) => {}
            Err(LinkError::Closed) => return Err("the old process is gone".into()),
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
