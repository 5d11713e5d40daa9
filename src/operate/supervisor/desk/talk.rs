//! Lines of text over a Unix socket, of which nothing is waited for: the conversation of a supervisor with an operator,
//! and with a worker. Knows no command.

use std::{
    io::{self, ErrorKind, Read, Write},
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd},
        unix::net::UnixStream,
    },
};

use nix::{
    poll::{PollFd, PollFlags},
    sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, socket},
};

use crate::net::Address;

#[derive(Debug)]
pub(super) struct Talk {
    stream: UnixStream,
    input: Vec<u8>,
    output: Vec<u8>,
    /// So much of what comes is kept at a time; what is over waits in the socket.
    room: usize,
    /// The other side says no more.
    pub has_ended: bool,
    /// Nothing more is to be said to it, either.
    pub is_broken: bool,
}

impl Talk {
    pub fn of(stream: UnixStream, room: usize) -> io::Result<Talk> {
        stream.set_nonblocking(true)?;
        let (input, output) = (Vec::new(), Vec::new());
        Ok(Talk { stream, input, output, room, has_ended: false, is_broken: false })
    }

    /// Connects, at once or not at all: the queue of a process that hangs may be full.
    pub fn dial(address: &Address, room: usize) -> io::Result<Talk> {
        let address = match address {
            Address::Unix(path) => UnixAddr::new(path)?,
            Address::Abstract(name) => UnixAddr::new_abstract(name)?,
            Address::Tcp(_) => return Err(ErrorKind::Unsupported.into()),
        };
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let fd = socket(AddressFamily::Unix, SockType::Stream, flags, None)?;
        connect(fd.as_raw_fd(), &address)?;
        Talk::of(fd.into(), room)
    }

    /// What it waits for, if there is anything that could come.
    pub fn watched(&self) -> Option<PollFd<'_>> {
        let reads = !self.has_ended && self.input.len() < self.room;
        let mut flags = PollFlags::empty();
        flags.set(PollFlags::POLLIN, reads);
        flags.set(PollFlags::POLLOUT, self.owes());
        (!flags.is_empty() && !self.is_broken).then(|| PollFd::new(self.stream.as_fd(), flags))
    }

    /// Whether something is still to be sent.
    pub fn owes(&self) -> bool {
        !self.output.is_empty()
    }

    pub fn say(&mut self, text: impl AsRef<[u8]>) {
        self.output.extend_from_slice(text.as_ref());
        self.send();
    }

    /// Sends what the socket takes, and reads what is there and has room. Tells whether anything has come.
    pub fn go_on(&mut self) -> bool {
        self.send();
        let before = self.input.len();
        while !self.has_ended && !self.is_broken && self.input.len() < self.room {
            let mut piece = [0; 4096];
            let room = (self.room - self.input.len()).min(piece.len());
            match self.stream.read(&mut piece[..room]) {
                Ok(0) => self.has_ended = true,
                Ok(count) => self.input.extend_from_slice(&piece[..count]),
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) if e.kind() == ErrorKind::WouldBlock => break,
                Err(_) => (self.has_ended, self.is_broken) = (true, true),
            }
        }
        self.input.len() > before
    }

    fn send(&mut self) {
        while !self.output.is_empty() && !self.is_broken {
            match self.stream.write(&self.output) {
                Ok(count) => drop(self.output.drain(..count)),
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) if e.kind() == ErrorKind::WouldBlock => break,
                Err(_) => self.is_broken = true,
            }
        }
    }

    /// The next whole line, without its end.
    pub fn line(&mut self) -> Option<String> {
        let end = self.input.iter().position(|&byte| byte == b'\n')?;
        let line: Vec<u8> = self.input.drain(..=end).collect();
        Some(String::from_utf8_lossy(&line[..end]).into_owned())
    }

    /// A line has begun that is longer than there is room.
    pub fn is_full(&self) -> bool {
        self.input.len() >= self.room
    }
}

impl AsFd for Talk {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_whole_and_no_more_than_there_is_room_for() {
        let (ours, mut theirs) = UnixStream::pair().expect("a pair");
        let mut talk = Talk::of(ours, 8).expect("not blocking");
        theirs.write_all(b"one\ntw").expect("it takes it");
        assert!(talk.go_on() && !talk.go_on());
        assert_eq!((talk.line().as_deref(), talk.line()), (Some("one"), None));
        theirs.write_all(b"o\nand a line without an end").expect("it takes it");
        assert!(talk.go_on() && talk.is_full());
        assert_eq!(talk.line().as_deref(), Some("two"));
        assert!(talk.go_on() && talk.is_full() && talk.line().is_none());
        assert!(talk.watched().is_none(), "what is over waits in the socket");
    }

    #[test]
    fn the_end_is_heard_and_what_cannot_be_said_breaks_it() {
        let (ours, theirs) = UnixStream::pair().expect("a pair");
        let mut talk = Talk::of(ours, 8).expect("not blocking");
        drop(theirs);
        assert!(!talk.go_on() && talk.has_ended && !talk.is_broken);
        assert!(talk.watched().is_none(), "nothing can come any more");
        talk.say("x");
        assert!(talk.is_broken && !talk.go_on());
    }
}
