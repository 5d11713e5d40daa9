//! The link between two generations: whole messages with descriptors, over a private socket pair.
//! Knows what a message is, not what it means.
#![allow(unsafe_code)] // descriptors that arrive are raw numbers

use std::{
    collections::VecDeque,
    io::{self, IoSlice, IoSliceMut},
    os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd},
};

use nix::{
    cmsg_space,
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::socket::{
        AddressFamily, ControlMessage, ControlMessageOwned, MsgFlags, SockFlag, SockType, recvmsg,
        sendmsg, socketpair,
    },
};

use super::{
    message::{MESSAGE_MAX, Message},
    socket_name::SocketName,
    wire::Malformed,
};
use crate::{limits::LISTENERS_PER_MESSAGE, log_target::RESTART};

/// Linux takes this many descriptors in one message and no more (`SCM_MAX_FD`, see `unix(7)`).
pub(crate) const FDS_PER_MESSAGE: usize = 253;

/// Messages of unknown kinds that are skipped in a row: a newer program has a few of them, not a flood.
const UNKNOWN_MAX: usize = 64;

/// One end of the link: an `AF_UNIX` `SOCK_SEQPACKET` socket, non-blocking, close-on-exec.
#[derive(Debug)]
pub(crate) struct Link {
    socket: OwnedFd,
    /// What the socket would not take yet.
    outbox: VecDeque<(Vec<u8>, Vec<Fd>)>,
}

/// A descriptor on its way out.
#[derive(Debug)]
pub(crate) enum Fd {
    /// Closed here when it was sent.
    Owned(OwnedFd),
    /// Somebody else's. It stays open until it was sent, or this end of the link goes.
    Lent(RawFd),
}

impl From<OwnedFd> for Fd {
    fn from(fd: OwnedFd) -> Fd {
        Fd::Owned(fd)
    }
}

impl AsRawFd for Fd {
    fn as_raw_fd(&self) -> RawFd {
        match self {
            Fd::Owned(fd) => fd.as_raw_fd(),
            Fd::Lent(raw) => *raw,
        }
    }
}

/// What arrives together.
pub(crate) type Parcel<T> = (T, Vec<OwnedFd>);

/// What is wrong with the link.
#[derive(Debug)]
pub(crate) enum LinkError {
    /// The other side is gone.
    Closed,
    Malformed(Malformed),
    /// Descriptors were lost on the way: this process has no room for them.
    NoRoom,
    Io(io::Error),
}

impl std::fmt::Display for LinkError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            LinkError::Closed => f.write_str("the other side closed the link"),
            LinkError::Malformed(why) => why.fmt(f),
            LinkError::NoRoom => f.write_str("no room for the descriptors of the other side"),
            LinkError::Io(e) => write!(f, "link: {e}"),
        }
    }
}

/// Listeners by their names, a few in a message, each with a descriptor of its own, which is made when its
/// message is asked for.
pub(crate) fn listener_parcels(
    listeners: &[(SocketName, BorrowedFd<'_>)],
) -> impl Iterator<Item = io::Result<Parcel<Message>>> {
    listeners.chunks(LISTENERS_PER_MESSAGE).map(|batch| {
        let sockets = batch.iter().map(|(socket, _)| socket.clone()).collect();
        let fds = batch.iter().map(|(_, fd)| fd.try_clone_to_owned()).collect::<io::Result<_>>()?;
        Ok((Message::Listeners { sockets }, fds))
    })
}

impl Link {
    /// Both ends.
    pub fn pair() -> io::Result<(Link, Link)> {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let (a, b) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, flags)?;
        Ok((Link::of(a), Link::of(b)))
    }

    /// An end that was inherited.
    pub fn of(socket: OwnedFd) -> Link {
        Link { socket, outbox: VecDeque::new() }
    }

    /// Its number, and those of what waits to be sent.
    pub fn descriptors(&self) -> impl Iterator<Item = RawFd> {
        let waiting = self.outbox.iter().flat_map(|(_, fds)| fds).map(AsRawFd::as_raw_fd);
        waiting.chain([self.socket.as_raw_fd()])
    }

    /// The end itself, to be handed on.
    pub fn into_fd(self) -> OwnedFd {
        self.socket
    }

    /// Sends a message, now or when the socket takes it (see [`flush`](Self::flush)).
    pub fn send(&mut self, message: &Message, fds: Vec<OwnedFd>) -> Result<(), LinkError> {
        self.send_fds(message, fds.into_iter().map(Fd::Owned).collect())
    }

    /// The same, with descriptors that may be lent.
    pub fn send_fds(&mut self, message: &Message, fds: Vec<Fd>) -> Result<(), LinkError> {
        self.outbox.push_back((message.encode(), fds));
        self.flush()
    }

    /// Sends a message that can wait: only behind nothing else, and only if most of the socket's buffer is free, so that
    /// what must be heard in time finds room behind it, also where the other side has stopped reading. Tells whether.
    pub fn send_now(&mut self, message: &Message) -> bool {
        if self.has_unsent() || !self.is_mostly_free() {
            return false;
        }
        // A side that is gone takes nothing; reading will tell.
        let taken = self.send(message, Vec::new()).is_ok() && !self.has_unsent();
        self.outbox.clear();
        taken
    }

    /// Says something that is no message.
    #[cfg(debug_assertions)]
    pub fn send_garbage(&mut self) {
        self.outbox.push_back((b"\xffnonsense".to_vec(), Vec::new()));
        let _ = self.flush();
    }

    /// Sends what waits; call it again when the socket is writable.
    pub fn flush(&mut self) -> Result<(), LinkError> {
        while let Some((bytes, fds)) = self.outbox.front() {
            let raw: Vec<RawFd> = fds.iter().map(AsRawFd::as_raw_fd).collect();
            let rights = [ControlMessage::ScmRights(&raw)];
            let control = if raw.is_empty() { &rights[..0] } else { &rights[..] };
            let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
            let iov = [IoSlice::new(bytes)];
            match sendmsg::<()>(self.socket.as_raw_fd(), &iov, control, flags, None) {
                Ok(_) => drop(self.outbox.pop_front()),
                Err(Errno::EAGAIN) => return Ok(()),
                Err(Errno::EINTR) => {}
                Err(Errno::EPIPE | Errno::ECONNRESET) => return Err(LinkError::Closed),
                Err(e) => return Err(LinkError::Io(e.into())),
            }
        }
        Ok(())
    }

    /// Gives up messages that wait with descriptors which were lent: whose they are may close them from now on.
    pub fn forget_lent(&mut self) {
        let is_lent = |fd: &Fd| matches!(fd, Fd::Lent(_));
        self.outbox.retain(|(_, fds)| !fds.iter().any(is_lent));
    }

    /// Whether something waits for the socket to be writable.
    pub fn has_unsent(&self) -> bool {
        !self.outbox.is_empty()
    }

    /// A Unix socket says that it is writable while a quarter of its buffer is used at most (`unix_writable` in
    /// Linux), though it takes more than that. The next edge comes when that is so again.
    fn is_mostly_free(&self) -> bool {
        let mut fds = [PollFd::new(self.as_fd(), PollFlags::POLLOUT)];
        poll(&mut fds, PollTimeout::ZERO) == Ok(1)
    }

    /// Waits until nothing does, or the other side is gone. `false`: for so many milliseconds it has taken nothing.
    pub fn has_sent_within(&mut self, millis: u16) -> bool {
        while self.flush().is_ok() && self.has_unsent() {
            let mut fds = [PollFd::new(self.as_fd(), PollFlags::POLLOUT)];
            if poll(&mut fds, PollTimeout::from(millis)) == Ok(0) {
                return false;
            }
        }
        true
    }

    /// The next message of a kind that is known, or `None` when there is none for now.
    pub fn receive(&mut self) -> Result<Option<Parcel<Message>>, LinkError> {
        for _ in 0..UNKNOWN_MAX {
            let Some((bytes, fds)) = self.receive_bytes()? else { return Ok(None) };
            match Message::decode(&bytes).map_err(LinkError::Malformed)? {
                Some(message) => return Ok(Some((message, fds))),
                None => log::debug!(
                    target: RESTART,
                    "link: a message of an unknown kind is skipped"
                ),
            }
        }
        Err(LinkError::Malformed(Malformed::Field("nothing but unknown kinds")))
    }

    /// Whether the other side has closed its end, whatever it has said before that is still unread.
    pub fn is_cut(&self) -> bool {
        self.is_cut_within(0)
    }

    /// Waits for that, for so many milliseconds: a process that ends closes one descriptor after the other.
    pub fn is_cut_within(&self, millis: u8) -> bool {
        let mut fds = [PollFd::new(self.as_fd(), PollFlags::empty())];
        poll(&mut fds, PollTimeout::from(millis)).is_ok()
            && fds[0].revents().is_some_and(|events| events.contains(PollFlags::POLLHUP))
    }

    fn receive_bytes(&mut self) -> Result<Option<Parcel<Vec<u8>>>, LinkError> {
        let mut bytes = vec![0; MESSAGE_MAX];
        let mut control = cmsg_space!([RawFd; FDS_PER_MESSAGE]);
        let mut iov = [IoSliceMut::new(&mut bytes)];
        let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_CMSG_CLOEXEC;
        let result = recvmsg::<()>(self.socket.as_raw_fd(), &mut iov, Some(&mut control), flags);
        let received = match result {
            Err(Errno::EAGAIN | Errno::EINTR) => return Ok(None),
            // The other side is gone and has left something unread. That is told once, before what it
            // had said itself.
            Err(Errno::ECONNRESET) => return self.receive_bytes(),
            Err(e) => return Err(LinkError::Io(e.into())),
            Ok(received) => received,
        };
        let mut fds = Vec::new();
        for message in received.cmsgs().into_iter().flatten() {
            if let ControlMessageOwned::ScmRights(raw) = message {
                // SAFETY: the kernel has just made these descriptors for us, and nobody else
                // knows their numbers.
                fds.extend(raw.into_iter().map(|fd| unsafe { OwnedFd::from_raw_fd(fd) }));
            }
        }
        let (length, flags) = (received.bytes, received.flags);
        if flags.contains(MsgFlags::MSG_CTRUNC) {
            return Err(LinkError::NoRoom);
        }
        if flags.contains(MsgFlags::MSG_TRUNC) {
            return Err(LinkError::Malformed(Malformed::Field("too long")));
        }
        if length == 0 {
            return Err(LinkError::Closed);
        }
        bytes.truncate(length);
        Ok(Some((bytes, fds)))
    }
}

impl AsRawFd for Link {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

impl AsFd for Link {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        limits::{DATAGRAM_MAX, FORWARD_BYTES},
        restart::link::Forwarded,
    };
    use std::io::{Read, Write};

    #[test]
    fn messages_arrive_whole_in_order_with_their_descriptors() {
        let (mut old, mut new) = Link::pair().unwrap();
        let (mut near, far) = std::os::unix::net::UnixStream::pair().unwrap();
        let sockets = vec![SocketName { name: "one".to_owned(), file: None }];
        old.send(&Message::Listeners { sockets: sockets.clone() }, vec![far.into()]).unwrap();
        old.send(&Message::Offered, Vec::new()).unwrap();
        let (message, mut fds) = new.receive().unwrap().unwrap();
        assert_eq!(message, Message::Listeners { sockets });
        std::os::unix::net::UnixStream::from(fds.remove(0)).write_all(b"hello").unwrap();
        let mut text = String::new();
        near.read_to_string(&mut text).unwrap();
        assert_eq!(text, "hello");
        assert_eq!(new.receive().unwrap().unwrap().0, Message::Offered);
        assert!(new.receive().unwrap().is_none());
        old.send(&Message::Resumed, Vec::new()).unwrap();
        assert!(!new.is_cut());
        drop(old);
        assert!(new.is_cut(), "the close is known before all was read");
        assert_eq!(new.receive().unwrap().unwrap().0, Message::Resumed);
        assert!(matches!(new.receive(), Err(LinkError::Closed)));
    }

    #[test]
    fn last_words_are_heard_although_the_one_who_said_them_has_heard_nothing() {
        let (mut old, mut new) = Link::pair().unwrap();
        new.send(&Message::Ask, Vec::new()).unwrap();
        old.send(&Message::GivenUp, Vec::new()).unwrap();
        drop(old);
        assert_eq!(new.receive().unwrap().unwrap().0, Message::GivenUp);
        assert!(matches!(new.receive(), Err(LinkError::Closed)));
    }

    /// Or a process that is stopped, and has much to read, would not hear afterwards that it is to end.
    #[test]
    fn what_can_wait_leaves_room_for_what_cannot() {
        let (mut old, mut new) = Link::pair().unwrap();
        let forwarded = |length: usize| {
            let datagram = Forwarded { socket: "s".into(), from: vec![7], bytes: vec![7; length] };
            Message::Datagrams { forwarded: vec![datagram] }
        };
        for length in [20, 1000, FORWARD_BYTES, FORWARD_BYTES + DATAGRAM_MAX] {
            let (mut sent, message) = (0, forwarded(length));
            while old.send_now(&message) {
                sent += 1;
            }
            assert!(sent > 0, "of {length} bytes");
            for _ in 0..8 {
                old.send(&Message::Resumed, Vec::new()).unwrap();
            }
            assert!(!old.has_unsent(), "behind {sent} of {length} bytes");
            let received = std::iter::from_fn(|| new.receive().unwrap());
            assert_eq!(received.count(), sent + 8);
        }
    }

    #[test]
    fn what_the_socket_does_not_take_waits_for_room() {
        let (mut old, mut new) = Link::pair().unwrap();
        let count = 2000;
        for pid in 0..count {
            old.send(&Message::Ready { pid }, Vec::new()).unwrap();
        }
        assert!(!old.outbox.is_empty(), "the socket took everything: the test tests nothing");
        assert!(!old.has_sent_within(1), "nobody reads");
        for pid in 0..count {
            let message = loop {
                match new.receive().unwrap() {
                    Some((message, _)) => break message,
                    None => old.flush().unwrap(),
                }
            };
            assert_eq!(message, Message::Ready { pid });
        }
        assert!(old.has_sent_within(1));
    }
}
