//! What a new program gets from the old one, message by message, before its `main` has said a word.

use std::{
    os::fd::{AsFd, OwnedFd},
    time::{Duration, Instant},
};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::{process::Process, stderr::ForwardedStderr, supervised::Supervised};
use crate::{
    error::{Error, Result},
    limits::HANDOVER_PATIENCE,
    plan::Engine,
    restart::link::{Identity, Link, LinkError, Message, SocketName, WayBack},
    workers::Worker,
};

/// What a new program was given by the old one.
#[derive(Debug)]
pub(crate) struct Inheritance {
    pub generation: u64,
    pub engine: Engine,
    /// How long it serves before it commits.
    pub probation: Duration,
    /// How long the old one waits for it to be ready.
    pub ready_within: Duration,
    /// And how long the copy of the state may take, beside that.
    pub copy_within: Duration,
    /// How it hands back.
    pub back: Option<WayBack>,
    /// Who the old one is, and how to know whether it lives.
    pub old: Identity,
    pub old_process: Process,
    /// The stderr to use once this program has committed; until then the old side listens.
    pub stderr: Option<ForwardedStderr>,
    pub listeners: Vec<(SocketName, OwnedFd)>,
    /// Older generations that still drain.
    pub older: Vec<(Identity, Link)>,
    pub supervisor: Option<Supervised>,
    /// The memory in which all generations count; an older program has none.
    pub numbers: Option<OwnedFd>,
    /// Which of several workers it is.
    pub worker: Option<Worker>,
}

impl Inheritance {
    /// Takes everything that the old side offers.
    ///
    /// # Errors
    /// When the old side is gone, says nothing in time or something that cannot be understood; it is told
    /// why, as far as the link goes.
    pub fn claim(mut door: Link) -> Result<(Link, Inheritance)> {
        let failed = |reason| Error::invalid("take over from", "the old process", reason);
        let mut inheritance = Inheritance::announced(&mut door).map_err(failed)?;
        let (mut link, theirs) = Link::pair().map_err(|e| failed(format!("make a link: {e}")))?;
        let asked = connect(door, theirs);
        match asked.and_then(|()| inheritance.collect(&mut link)) {
            Ok(()) => Ok((link, inheritance)),
            Err(reason) => {
                let _ = link.send(&Message::Failed { reason: reason.clone() }, Vec::new());
                if let Some(stderr) = inheritance.stderr.take().filter(|_| link.is_cut()) {
                    let _ = stderr.take_over(); // nobody else hears why
                }
                Err(failed(reason))
            }
        }
    }

    /// Hello: what there is to know before there is anything to take.
    fn announced(door: &mut Link) -> std::result::Result<Inheritance, String> {
        let (hello, fds) = wait_for_message(door)?;
        let Message::Hello { generation, engine, probation, ready_within, copy_within, back, old } =
            hello
        else {
            return Err(format!("{hello:?} came before Hello"));
        };
        let [own, reader, pidfd] = <[OwnedFd; 3]>::try_from(fds)
            .map_err(|fds| format!("Hello came with {} descriptors", fds.len()))?;
        Ok(Inheritance {
            generation,
            engine,
            probation,
            ready_within,
            copy_within,
            back,
            old,
            old_process: Process::of(pidfd),
            stderr: Some(ForwardedStderr::of(own, reader)),
            listeners: Vec::new(),
            older: Vec::new(),
            supervisor: None,
            numbers: None,
            worker: None,
        })
    }

    /// (Listeners | Older | Supervisor | Numbers)*, Offered.
    fn collect(&mut self, link: &mut Link) -> std::result::Result<(), String> {
        loop {
            match wait_for_message(link)? {
                (Message::Listeners { sockets }, fds) if sockets.len() == fds.len() => {
                    self.listeners.extend(sockets.into_iter().zip(fds));
                }
                (Message::Listeners { sockets }, fds) => {
                    return Err(format!("{} listeners, {} descriptors", sockets.len(), fds.len()));
                }
                (Message::Older { who }, fds) => {
                    let link =
                        fds.into_iter().next().ok_or("an older generation without a link")?;
                    self.older.push((who, Link::of(link)));
                }
                (Message::Supervisor { pid, worker }, fds) => {
                    let link = fds.into_iter().next().ok_or("a supervisor without a link")?;
                    self.supervisor = Some(Supervised::new(pid, Link::of(link)));
                    self.worker = worker;
                }
                (Message::Numbers, fds) => self.numbers = fds.into_iter().next(),
                (Message::Offered, _) => return Ok(()),
                (other, _) => return Err(format!("{other:?} came before everything was offered")),
            }
        }
    }
}

/// Asks for what there is on a link of our own, of which `theirs` is the other end. Others may have the
/// one by which this program was found: a shell that waits for it, or what that has left in the background.
/// What is unread there when this process ends would live on with them.
fn connect(mut door: Link, theirs: Link) -> std::result::Result<(), String> {
    let call = Message::Connect { pid: std::process::id() };
    match door.send(&call, vec![theirs.into_fd()]) {
        Err(LinkError::Closed) => Err(GONE.into()),
        sent => sent.map_err(|e| e.to_string()),
    }
}

/// What a closed link says before anything was handed over.
const GONE: &str = "it is gone, or does without this process, which it may not have started itself";

/// Blocks until a message is there; a new program has nothing else to do yet.
fn wait_for_message(link: &mut Link) -> std::result::Result<(Message, Vec<OwnedFd>), String> {
    let deadline = Instant::now() + HANDOVER_PATIENCE;
    loop {
        let now = Instant::now(); // before the look at the link: what has come by then is heard
        match link.receive() {
            Ok(Some((Message::GivenUp, _))) => return Err(GONE.into()),
            Ok(Some(received)) => return Ok(received),
            Ok(None) => {}
            Err(LinkError::Closed) => return Err(GONE.into()),
            Err(e) => return Err(e.to_string()),
        }
        let left = deadline.saturating_duration_since(now);
        if left.is_zero() {
            return Err(format!("the old process said nothing for {HANDOVER_PATIENCE:?}"));
        }
        let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
        let mut fds = [PollFd::new(link.as_fd(), PollFlags::POLLIN)];
        let _ = poll(&mut fds, timeout);
    }
}
