//! A generation's way to its supervisor. All generations share one end of it, so each message says who
//! speaks, and nothing ever comes back on it.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd},
    process,
};

use nix::unistd::Pid;

use super::{fork::pidfd_open, offer::introduced};
use crate::{
    log_target::SUPERVISOR,
    net::Listener,
    restart::link::{Identity, Link, Message, Notice, listener_parcels},
};

/// This process has a supervisor.
#[derive(Debug)]
pub(crate) struct Supervised {
    pub pid: u32,
    link: Link,
}

impl Supervised {
    pub fn new(pid: u32, link: Link) -> Supervised {
        Supervised { pid, link }
    }

    /// The numbers of its descriptors.
    pub fn descriptors(&self) -> impl Iterator<Item = RawFd> {
        self.link.descriptors()
    }

    /// Whether the supervisor lives: it alone has the other end.
    pub fn is_alive(&self) -> bool {
        !self.link.is_cut()
    }

    /// This process is main, and these are its listeners and where it counts, which the supervisor holds from now on.
    pub fn say_main<'a>(
        &mut self,
        who: Identity,
        maker: Option<u32>,
        numbers: Option<BorrowedFd<'_>>,
        listeners: impl Iterator<Item = &'a Listener>,
    ) {
        let said = (|| -> io::Result<()> {
            let own = pidfd_open(Pid::this())?;
            self.say(&Message::Notice(Notice::Main { who, maker }), vec![own]);
            if let Some(numbers) = numbers {
                self.say(&Message::Numbers, vec![numbers.try_clone_to_owned()?]);
            }
            for parcel in listener_parcels(&introduced(listeners)) {
                let (message, fds) = parcel?;
                self.say(&message, fds);
            }
            self.say(&Message::Offered, Vec::new());
            Ok(())
        })();
        if let Err(e) = said {
            log::error!(
                target: SUPERVISOR,
                "cannot tell the supervisor that this process serves: {e}"
            );
        }
    }

    /// Another generation serves.
    pub fn say_retired(&mut self) {
        self.notify(Notice::Retired { pid: process::id() });
    }

    /// The service is to end, and this process accepts for some time yet.
    pub fn say_lame_duck(&mut self) {
        self.notify(Notice::LameDuck { pid: process::id() });
    }

    /// This generation's loop turns.
    pub fn say_turns(&mut self) {
        self.notify(Notice::Turns { pid: process::id() });
    }

    /// What the service has saved.
    pub fn say_checkpoint(&mut self, memory: OwnedFd) {
        self.say(&Message::Checkpoint, vec![memory]);
    }

    /// The service is to end.
    pub fn say_leaving(&mut self) {
        self.notify(Notice::Leaving { pid: process::id() });
    }

    /// A process that this one has made has ended. The supervisor cannot reap it, and may want to know.
    pub fn say_ended(&mut self, pid: u32, code: u8) {
        self.notify(Notice::Ended { pid, code });
    }

    /// The newest generation has crashed: a new link to this one, for the next.
    pub fn offer_link(&mut self, who: Identity) -> Option<Link> {
        let (ours, theirs) = Link::pair().ok()?;
        self.say(&Message::Older { who }, vec![theirs.into_fd()]).then_some(ours)
    }

    fn notify(&mut self, notice: Notice) {
        self.say(&Message::Notice(notice), Vec::new());
    }

    /// What the socket does not take waits for the next message. That takes hundreds that a
    /// supervisor which hangs has not read.
    fn say(&mut self, message: &Message, fds: Vec<OwnedFd>) -> bool {
        let said = self.is_alive() && self.link.send(message, fds).is_ok();
        if !said {
            log::warn!(target: SUPERVISOR, "the supervisor is gone (pid {})", self.pid);
        }
        said
    }
}

impl AsFd for Supervised {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.link.as_fd()
    }
}
