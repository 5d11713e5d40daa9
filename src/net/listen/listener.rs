//! Listening sockets: bound here or inherited, known by the text that the author wrote.

use std::{
    fs, io,
    net::UdpSocket,
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd},
        unix::{
            fs::FileTypeExt,
            net::{UnixDatagram, UnixListener as StdListener},
        },
    },
};

use mio::{
    Interest, Registry, Token,
    event::Source,
    net::{TcpListener, UnixListener},
};
use nix::{
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::socket::{
        AddressFamily, Shutdown, SockType, SockaddrLike, SockaddrStorage, getsockname, getsockopt,
        shutdown, sockopt,
    },
};

use super::{
    bind::{begin_listening, bind_datagrams, bind_stream},
    kind::{DATAGRAMS, caller_of, kind_of},
    permissions::SocketPermissions,
    spec::ListenOptions,
};
use crate::{
    error::{Error, Result},
    net::{
        address::Address,
        caller::Caller,
        sockopt::{Kept, refuse_handshakes},
        stream::{Peer, Stream},
    },
    system::regular_file::FileId,
};

/// A listening socket and how it is known.
#[derive(Debug)]
pub(crate) struct Listener {
    /// The address as the author wrote it. Generations know a listener by this name, so that
    /// "127.0.0.1:0" is the same socket in all of them.
    pub name: String,
    /// Where it really listens.
    pub address: Address,
    socket: Socket,
    /// Of a Unix socket whose path is ours: the file that was made when it was bound. It travels with the
    /// descriptor and is never looked up again, for at the path there may be somebody else's by now. As long
    /// as anybody has the socket, no other file can have the same number.
    pub file: Option<FileId>,
    /// Who comes here. All but the service's clients are served by the library itself.
    pub caller: Caller,
    /// Bound here, not taken over.
    pub is_new: bool,
    /// Which call of the author has asked for it. Sockets of one call have one number.
    pub number: usize,
    /// Which of the sockets that the old side has passed on it is, in the order in which they came.
    pub place: usize,
    /// Of its path, as far as they were said.
    pub permissions: SocketPermissions,
    /// What this program says of it and of its connections.
    pub options: Box<ListenOptions>,
    /// What the options of the socket were when this process left it to another one.
    pub(super) kept: Option<Kept>,
    /// Whether this process waits for clients.
    pub accepting: bool,
    /// There may be clients in the queue. Set by an edge, cleared by `WouldBlock`.
    pub ready: bool,
}

#[derive(Debug)]
enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener),
    /// Accepts nobody: [`Datagrams`](super::Datagrams) reads it, or nobody here does.
    Datagrams(OwnedFd),
}

/// What the name of an activated socket begins with; the service manager's name for it follows. All
/// generations know it by that, so that each finds it by name or by address like the first.
const ACTIVATED: &str = "activated ";

/// How an author asks for activated sockets by name.
pub(crate) const BY_NAME: &str = "systemd:";

impl Listener {
    /// Binds a new socket (see [`bind_stream`] for `beside`).
    pub(super) fn bind_at(
        name: &str,
        address: &Address,
        permissions: &SocketPermissions,
        options: &ListenOptions,
        beside: bool,
    ) -> io::Result<Listener> {
        let fd = match kind_of(name) {
            DATAGRAMS => bind_datagrams(address, permissions, beside),
            _ => bind_stream(address, permissions, options, beside),
        };
        let listener = Listener::adopt(name.to_owned(), fd?, None).map_err(io::Error::other)?;
        let file = listener.at_path(); // at once: who has made it knows that it is this one
        let (permissions, options) = (permissions.clone(), Box::new(options.clone()));
        Ok(Listener { file, is_new: true, permissions, options, ..listener })
    }

    /// This program calls it so.
    pub(super) fn rename(&mut self, name: &str) {
        name.clone_into(&mut self.name);
        self.caller = caller_of(name);
    }

    /// Takes over a socket that the service manager has opened and calls `name`.
    pub fn activated(name: &str, fd: OwnedFd) -> Result<Listener> {
        let name = format!("{ACTIVATED}{name}");
        check_kind(&fd).map_err(|why| Error::invalid("take over", &name, why))?;
        Listener::adopt(name, fd, None) // its path is the manager's
    }

    /// Whether the service manager has opened this socket and calls it as `name` says.
    pub fn is_activated_as(&self, name: &str) -> bool {
        let own = self.name.strip_prefix(ACTIVATED);
        own.is_some() && own == name.strip_prefix(BY_NAME)
    }

    /// Takes over a socket that listens already, or has a datagram socket's name and is one; and with it the
    /// path, if whoever has bound it says which file that is.
    pub fn adopt(name: String, fd: OwnedFd, file: Option<FileId>) -> Result<Listener> {
        let failed = |e: io::Error| Error::io("take over listener", &name, e);
        let kind = getsockopt(&fd, sockopt::SockType).map_err(|e| failed(e.into()))?;
        let bound: SockaddrStorage = getsockname(fd.as_raw_fd()).map_err(|e| failed(e.into()))?;
        let is_unix = bound.family() == Some(AddressFamily::Unix);
        let (socket, address) = match (is_unix, kind == SockType::Datagram) {
            (_, is_datagram) if is_datagram != name.starts_with(DATAGRAMS) => {
                return Err(Error::invalid(
                    "take over listener",
                    &name,
                    "a socket of another kind",
                ));
            }
            (_, true) => Listener::adopt_datagrams(fd, is_unix).map_err(failed)?,
            (true, false) => {
                let socket = StdListener::from(fd);
                socket.set_nonblocking(true).map_err(failed)?;
                let address = Address::bound(&socket.local_addr().map_err(failed)?);
                (Socket::Unix(UnixListener::from_std(socket)), address)
            }
            (false, false) => {
                let socket = std::net::TcpListener::from(fd);
                socket.set_nonblocking(true).map_err(failed)?;
                let address = Address::Tcp(socket.local_addr().map_err(failed)?);
                (Socket::Tcp(TcpListener::from_std(socket)), address)
            }
        };
        let caller = caller_of(&name);
        Ok(Listener {
            name,
            address,
            socket,
            file,
            caller,
            is_new: false,
            number: 0,
            place: 0,
            permissions: SocketPermissions::new(),
            options: Box::default(),
            kept: None,
            accepting: false,
            ready: false,
        })
    }

    /// Each call of it says that it must not block, so the socket is left as it is.
    fn adopt_datagrams(fd: OwnedFd, is_unix: bool) -> io::Result<(Socket, Address)> {
        if is_unix {
            let socket = UnixDatagram::from(fd);
            let address = Address::bound(&socket.local_addr()?);
            return Ok((Socket::Datagrams(socket.into()), address));
        }
        let socket = UdpSocket::from(fd);
        let address = Address::Tcp(socket.local_addr()?);
        Ok((Socket::Datagrams(socket.into()), address))
    }

    /// The next client in the queue. The kernel sets close-on-exec and non-blocking (`accept4`).
    pub fn accept(&self) -> io::Result<(Stream, Peer)> {
        match &self.socket {
            Socket::Tcp(socket) => {
                let (stream, address) = socket.accept()?;
                Ok((Stream::Tcp(stream), Peer::Tcp(address)))
            }
            Socket::Unix(socket) => {
                let (stream, _) = socket.accept()?;
                if let Some((option, value)) = self.options.of_each() {
                    let _ = option.set(&stream, value); // any size is taken, or cut
                }
                let stream = Stream::Unix(stream);
                let peer = stream.peer();
                Ok((stream, peer))
            }
            Socket::Datagrams(_) => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    /// Begins to wait for clients. Those that are queued already count: [`ready`](Self::ready). From here on
    /// the queue is as long as this process has it, and clients of a Unix socket are told that it is this
    /// one that serves them. What the service manager has opened is left as it is.
    pub fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        self.set_options();
        if !is_activated(&self.name) || self.options.says_backlog() {
            begin_listening(self, &self.options)?;
        }
        (self.ready, self.accepting) = (true, true);
        match &mut self.socket {
            Socket::Tcp(socket) => socket.register(registry, token, Interest::READABLE),
            Socket::Unix(socket) => socket.register(registry, token, Interest::READABLE),
            Socket::Datagrams(_) => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    /// Stops waiting for clients; the queue goes on filling.
    pub fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        self.kept = matches!(self.socket, Socket::Tcp(_)).then(|| Kept::of(self));
        (self.ready, self.accepting) = (false, false);
        match &mut self.socket {
            Socket::Tcp(socket) => socket.deregister(registry),
            Socket::Unix(socket) => socket.deregister(registry),
            Socket::Datagrams(_) => Ok(()),
        }
    }

    /// Whether a client is queued, as the system has it now.
    pub fn has_client(&self) -> bool {
        let mut fds = [PollFd::new(self.as_fd(), PollFlags::POLLIN)];
        poll(&mut fds, PollTimeout::ZERO).is_ok_and(|count| count > 0)
    }

    /// The same socket as a fresh value. mio remembers where a value was registered, and a child
    /// has another epoll set than its parent.
    pub fn rewrap(self) -> Result<Listener> {
        let fd = match self.socket {
            Socket::Tcp(socket) => socket.into(),
            Socket::Unix(socket) => socket.into(),
            Socket::Datagrams(socket) => socket,
        };
        let (number, permissions, options) = (self.number, self.permissions, self.options);
        let fresh = Listener::adopt(self.name, fd, self.file)?;
        Ok(Listener { number, permissions, options, ..fresh })
    }

    /// Takes back what [`bind`](Self::bind) did, where the server will not run after all.
    pub fn withdraw(&self) {
        if self.is_new {
            self.unlink();
        }
    }

    /// Gives its path the permissions that this program has said, where another one has bound it.
    pub fn apply_permissions(&self) -> io::Result<()> {
        match &self.address {
            Address::Unix(path) if !self.permissions.is_empty() && self.has_path() => {
                self.permissions.apply(path)
            }
            _ => Ok(()),
        }
    }

    /// Before that: nobody begins to come here any more, and who has begun still does.
    pub fn refuse_handshakes(&self) {
        if matches!(self.socket, Socket::Tcp(_)) && !is_activated(&self.name) {
            let _ = refuse_handshakes(self); // without it some are reset
        }
    }

    /// Nobody is to listen here any more, whoever has a copy of the socket: what a new side has left behind
    /// would keep clients waiting that nobody serves. An activated one is the manager's, which listens on.
    pub fn shut(&self) {
        if !is_activated(&self.name) {
            let _ = shutdown(self.as_raw_fd(), Shutdown::Both); // a datagram socket has no queue of clients
        }
    }

    /// Removes a Unix socket's path if it is still ours. For the last generation's stop only.
    pub fn unlink(&self) {
        if let Address::Unix(path) = &self.address
            && self.has_path()
        {
            let _ = fs::remove_file(path);
        }
    }

    /// Whether the path is this socket's, and not somebody else's by now.
    fn has_path(&self) -> bool {
        self.file.is_some() && self.at_path() == self.file
    }

    /// Whether somebody has removed or replaced the path, so that it does not lead here any more.
    pub fn has_lost_path(&self) -> bool {
        self.file.is_some() && self.at_path() != self.file
    }

    /// Whether neither clients nor datagrams wait in it: nobody loses anything if it goes.
    pub fn is_idle(&self) -> bool {
        let mut fds = [PollFd::new(self.as_fd(), PollFlags::POLLIN)];
        poll(&mut fds, PollTimeout::ZERO) == Ok(0)
    }

    /// Another socket of the same name at the same path.
    ///
    /// # Errors
    /// When the path is somebody else's who lives, or its directory is gone.
    pub fn bind_anew(&self) -> Result<Listener> {
        let failed = |e| Error::io("listen on", &self.name, e);
        let (permissions, options) = (&self.permissions, &self.options);
        let fresh = Listener::bind_at(&self.name, &self.address, permissions, options, false);
        let Listener { is_new, number, place, .. } = *self;
        Ok(Listener { is_new, number, place, ..fresh.map_err(failed)? })
    }

    /// The socket that is at the path now, whose it may be.
    fn at_path(&self) -> Option<FileId> {
        let Address::Unix(path) = &self.address else { return None };
        let metadata = fs::symlink_metadata(path).ok()?;
        metadata.file_type().is_socket().then(|| FileId::from(&metadata))
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.socket {
            Socket::Tcp(socket) => socket.as_fd(),
            Socket::Unix(socket) => socket.as_fd(),
            Socket::Datagrams(socket) => socket.as_fd(),
        }
    }
}

impl AsRawFd for Listener {
    fn as_raw_fd(&self) -> RawFd {
        self.as_fd().as_raw_fd()
    }
}

/// Whether the service manager has opened it, and calls it so.
pub(super) fn is_activated(name: &str) -> bool {
    name.starts_with(ACTIVATED)
}

/// What a server can accept on: a stream socket that listens.
pub(super) fn check_kind(fd: &OwnedFd) -> std::result::Result<(), &'static str> {
    match getsockopt(fd, sockopt::SockType) {
        Ok(SockType::Stream) => {}
        Ok(SockType::Datagram) => return Err("a datagram socket; only streams are served"),
        Ok(_) => return Err("not a stream socket; only streams are served"),
        Err(_) => return Err("not a socket"),
    }
    match getsockopt(fd, sockopt::AcceptConn) {
        Ok(true) => Ok(()),
        _ => Err("it does not listen (Accept=yes hands over single connections)"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_of_another_kind_than_its_name_says_is_refused() {
        let datagrams = || UdpSocket::bind("127.0.0.1:0").expect("a free port").into();
        let stream = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port").into();
        let name = format!("{DATAGRAMS}127.0.0.1:0");
        assert!(Listener::adopt(name.clone(), datagrams(), None).is_ok());
        for (name, fd) in [(name, stream), ("127.0.0.1:0".to_owned(), datagrams())] {
            let error = Listener::adopt(name, fd, None).unwrap_err().to_string();
            assert!(error.ends_with("a socket of another kind"), "{error}");
        }
    }
}
