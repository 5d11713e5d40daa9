//! Descriptors that are none of ours, as values: what is watched, for what, and what has come of it. Knows no
//! descriptor.

use std::ops::BitOr;

use nix::sys::epoll::EpollFlags;

/// Names a descriptor that a service has watched. The number is the author's.
/// Set by [`Net::watch`](crate::Net::watch).
///
/// ```
/// use heirloom::{Net, Readiness, Watch};
///
/// const MODEM: Watch = Watch(0);
///
/// fn on_ready(net: &mut Net, key: Watch, ready: Readiness) {
///     if key == MODEM && ready.is_hangup() {
///         net.unwatch(key); // or it is told again and again
///     }
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Watch(pub u64);

/// What is to be told of a watched descriptor, and how often.
///
/// **Level-triggered**, as by `poll(2)`, is the default: [`on_ready`](crate::Service::on_ready) comes in each turn
/// in which the descriptor is ready, as long as it is. A callback may read a part and leave the rest, and a
/// library that asks to be called while its socket is readable is served as it expects. So a service that
/// neither reads what has come nor [unwatches](crate::Net::unwatch) keeps the loop turning.
///
/// [Edge-triggered](Self::edge_triggered), it comes when something new happens: who is called reads until
/// `WouldBlock`, from a descriptor with `O_NONBLOCK`, or hears of the rest only with what comes next.
///
/// That the other end has hung up, and errors, are told in either case, whatever was asked for.
///
/// ```
/// use heirloom::Interest;
///
/// let both = Interest::READABLE | Interest::WRITABLE;
/// assert_ne!(both, both.edge_triggered());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Interest(EpollFlags);

impl Interest {
    /// There is something to read, or it is the end.
    pub const READABLE: Interest = Interest(EpollFlags::EPOLLIN.union(EpollFlags::EPOLLRDHUP));
    /// There is room to write.
    pub const WRITABLE: Interest = Interest(EpollFlags::EPOLLOUT);
    /// Something out of the ordinary (`EPOLLPRI`): a changed `/proc/self/mounts` or attribute in `/sys`, the
    /// state of a terminal's other end (`ioctl_tty(2)`, `TIOCPKT`).
    pub const PRIORITY: Interest = Interest(EpollFlags::EPOLLPRI);

    /// The same, told when it begins, and not as long as it lasts.
    pub const fn edge_triggered(self) -> Interest {
        Interest(self.0.union(EpollFlags::EPOLLET))
    }

    pub(crate) fn flags(self) -> EpollFlags {
        self.0
    }
}

impl BitOr for Interest {
    type Output = Interest;

    fn bitor(self, other: Interest) -> Interest {
        Interest(self.0 | other.0)
    }
}

/// How a watched descriptor is ready.
///
/// ```
/// use heirloom::Readiness;
///
/// let ready = Readiness::READABLE | Readiness::HANGUP; // the last bytes of a program that has ended
/// assert!(ready.is_readable() && ready.is_hangup() && !ready.is_error());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Readiness(EpollFlags);

impl Readiness {
    /// There is something to read.
    pub const READABLE: Readiness = Readiness(EpollFlags::EPOLLIN);
    /// There is room to write.
    pub const WRITABLE: Readiness = Readiness(EpollFlags::EPOLLOUT);
    /// Something out of the ordinary.
    pub const PRIORITY: Readiness = Readiness(EpollFlags::EPOLLPRI);
    /// The other end is closed.
    pub const HANGUP: Readiness = Readiness(EpollFlags::EPOLLHUP);
    /// There is an error to be fetched.
    pub const ERROR: Readiness = Readiness(EpollFlags::EPOLLERR);

    /// A read would not block: there is something, or the end or an error to be told of.
    pub fn is_readable(self) -> bool {
        let all = EpollFlags::EPOLLIN | EpollFlags::EPOLLRDHUP;
        self.has(all | EpollFlags::EPOLLHUP | EpollFlags::EPOLLERR)
    }

    /// A write would not block: there is room, or nobody to write to.
    pub fn is_writable(self) -> bool {
        self.has(EpollFlags::EPOLLOUT | EpollFlags::EPOLLHUP | EpollFlags::EPOLLERR)
    }

    /// Something out of the ordinary: see [`Interest::PRIORITY`].
    pub fn is_priority(self) -> bool {
        self.has(EpollFlags::EPOLLPRI)
    }

    /// The other end writes no more. What it has written is there to be read.
    pub fn is_hangup(self) -> bool {
        self.has(EpollFlags::EPOLLHUP | EpollFlags::EPOLLRDHUP)
    }

    /// Something is wrong: what, says `SO_ERROR` of a socket, or the next read or write. Of a pipe that one
    /// writes to it means that nobody reads.
    pub fn is_error(self) -> bool {
        self.has(EpollFlags::EPOLLERR)
    }

    fn has(self, any: EpollFlags) -> bool {
        self.0.intersects(any)
    }

    pub(crate) fn of(flags: EpollFlags) -> Readiness {
        Readiness(flags)
    }

    pub(crate) fn flags(self) -> EpollFlags {
        self.0
    }

    /// As much of it as is told to who has `interest`.
    pub(crate) fn told(self, interest: Interest) -> Option<Readiness> {
        let always = EpollFlags::EPOLLHUP | EpollFlags::EPOLLERR;
        let told = self.0 & (interest.0 | always);
        (!told.is_empty()).then_some(Readiness(told))
    }
}

impl BitOr for Readiness {
    type Output = Readiness;

    fn bitor(self, other: Readiness) -> Readiness {
        Readiness(self.0 | other.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_can_be_read_whatever_the_system_calls_it() {
        for flags in [EpollFlags::EPOLLRDHUP, EpollFlags::EPOLLHUP, EpollFlags::EPOLLERR] {
            assert!(Readiness::of(flags).is_readable());
        }
        assert!(!Readiness::WRITABLE.is_readable() && !Readiness::READABLE.is_writable());
    }

    #[test]
    fn what_nobody_asked_for_is_told_of_an_end_alone() {
        let both = Readiness::READABLE | Readiness::WRITABLE;
        assert_eq!(both.told(Interest::WRITABLE), Some(Readiness::WRITABLE));
        assert_eq!(both.told(Interest::PRIORITY), None);
        assert_eq!(Readiness::HANGUP.told(Interest::WRITABLE), Some(Readiness::HANGUP));
    }
}
