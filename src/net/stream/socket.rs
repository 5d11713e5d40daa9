//! One byte stream, of whatever kind: TCP, Unix, or in memory; with TLS on it, or without. Knows no connection.
#![allow(unsafe_code)] // connect(2) to nobody

use std::{
    io::{self, IoSlice, Read, Write},
    net::{Shutdown, SocketAddr as InetAddr},
    os::fd::{AsFd, AsRawFd, BorrowedFd, IntoRawFd, OwnedFd, RawFd},
};

use mio::{
    Interest, Registry, Token,
    event::Source,
    net::{TcpStream, UnixStream},
};
use nix::sys::socket::{
    AddressFamily, SockFlag, SockProtocol, SockType, SockaddrLike, SockaddrStorage, UnixAddr,
    connect, getsockname, getsockopt, socket, sockopt::PeerCredentials,
};

use super::{memory::Pipe, peer::Peer, secure::Secure};
use crate::net::{address::Address, sockopt::TCP_FASTOPEN_CONNECT};
#[cfg(feature = "tls")]
use crate::tls::Malformed;

/// A non-blocking byte stream.
#[derive(Debug)]
pub(crate) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
    Memory(Pipe),
    Tls(Box<Secured>),
}

/// One of the others, and TLS on it.
#[derive(Debug)]
pub(crate) struct Secured {
    pub plain: Stream,
    pub tls: Secure,
}

impl Stream {
    /// A socket for [`connect`](Self::connect): what the kernel is to be told of it, it is told before.
    pub fn unconnected(address: &Address) -> io::Result<OwnedFd> {
        let (family, protocol) = match address {
            Address::Tcp(InetAddr::V4(_)) => (AddressFamily::Inet, Some(SockProtocol::Tcp)),
            Address::Tcp(InetAddr::V6(_)) => (AddressFamily::Inet6, Some(SockProtocol::Tcp)),
            Address::Unix(_) | Address::Abstract(_) => (AddressFamily::Unix, None),
        };
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        Ok(socket(family, SockType::Stream, flags, protocol)?)
    }

    /// Begins to connect; the stream is writable when that is decided.
    pub fn connect(socket: OwnedFd, address: &Address) -> io::Result<Stream> {
        let begun = match address {
            Address::Tcp(address) => connect(socket.as_raw_fd(), &SockaddrStorage::from(*address)),
            Address::Unix(path) => connect(socket.as_raw_fd(), &UnixAddr::new(path)?),
            Address::Abstract(name) => connect(socket.as_raw_fd(), &UnixAddr::new_abstract(name)?),
        };
        match (begun, address) {
            (Ok(()) | Err(nix::Error::EINPROGRESS), Address::Tcp(_)) => {
                Ok(Stream::Tcp(TcpStream::from_std(socket.into())))
            }
            (Ok(()), _) => Ok(Stream::Unix(UnixStream::from_std(socket.into()))),
            (Err(e), _) => Err(e.into()),
        }
    }

    /// A socket that another process had, with `peer` at its other end as far as that one knew.
    ///
    /// # Errors
    /// When it is no stream of a kind that is known.
    pub fn adopt(fd: OwnedFd, peer: Peer) -> io::Result<Stream> {
        if let Peer::Tcp(_) = peer {
            return Ok(Stream::Tcp(TcpStream::from_std(fd.into())));
        }
        let address: SockaddrStorage = getsockname(fd.as_raw_fd())?;
        match address.family() {
            Some(AddressFamily::Unix) => {
                Ok(Stream::Unix(UnixStream::from_std(std::os::unix::net::UnixStream::from(fd))))
            }
            Some(AddressFamily::Inet | AddressFamily::Inet6) => {
                Ok(Stream::Tcp(TcpStream::from_std(std::net::TcpStream::from(fd))))
            }
            other => Err(io::Error::other(format!("a socket of family {other:?}"))),
        }
    }

    /// The same stream once more, of one in memory.
    ///
    /// # Panics
    /// When it is none: a socket is sent as it is.
    pub fn again(&self) -> Stream {
        match self {
            Stream::Memory(pipe) => Stream::Memory(pipe.clone()),
            _ => panic!("not in memory: {self:?}"),
        }
    }

    /// Makes a fresh value of the same descriptor. mio remembers where a value was registered, and a
    /// child has another epoll set than its parent.
    pub fn rewrap(&mut self) {
        match std::mem::replace(self, Stream::Memory(Pipe::new(0))) {
            Stream::Tcp(stream) => {
                *self = Stream::Tcp(TcpStream::from_std(OwnedFd::from(stream).into()));
            }
            Stream::Unix(stream) => {
                *self = Stream::Unix(UnixStream::from_std(OwnedFd::from(stream).into()));
            }
            Stream::Tls(mut secured) => {
                secured.plain.rewrap();
                *self = Stream::Tls(secured);
            }
            memory => *self = memory,
        }
    }

    /// Asks how [`connect`](Self::connect) went: `None` while that is open.
    pub fn connected(&self) -> Option<io::Result<()>> {
        if let Stream::Tls(secured) = self {
            return secured.plain.connected();
        }
        match (self.take_error(), self) {
            (Some(e), _) => Some(Err(e)),
            // Writable without an error may still be a spurious wake-up.
            (None, Stream::Tcp(stream)) => match stream.peer_addr() {
                // With fast open it is writable before, and the first write connects.
                Err(e)
                    if e.kind() == io::ErrorKind::NotConnected
                        && TCP_FASTOPEN_CONNECT.get(stream).is_ok_and(|on| on == 1) =>
                {
                    Some(Ok(()))
                }
                Err(e) if e.kind() == io::ErrorKind::NotConnected => None,
                result => Some(result.map(drop)),
            },
            (None, _) => Some(Ok(())),
        }
    }

    /// What the system has against the stream, if anything. It says so once.
    pub fn take_error(&self) -> Option<io::Error> {
        match self {
            Stream::Tcp(stream) => stream.take_error().unwrap_or_else(Some),
            Stream::Unix(stream) => stream.take_error().unwrap_or_else(Some),
            Stream::Memory(_) => None,
            Stream::Tls(secured) => secured.plain.take_error(),
        }
    }

    /// Turns Nagle's algorithm off: output leaves in one write per turn already, and waiting for
    /// an ACK would only delay it.
    pub fn set_nodelay(&self) -> io::Result<()> {
        match self {
            Stream::Tcp(stream) => stream.set_nodelay(true),
            Stream::Tls(secured) => secured.plain.set_nodelay(),
            Stream::Unix(_) | Stream::Memory(_) => Ok(()),
        }
    }

    pub fn peer(&self) -> Peer {
        match self {
            Stream::Tcp(stream) => stream.peer_addr().map_or(Peer::Unknown, Peer::Tcp),
            Stream::Unix(stream) => {
                getsockopt(&stream.as_fd(), PeerCredentials).map_or(Peer::Unknown, |peer| {
                    Peer::Unix { pid: peer.pid(), uid: peer.uid(), gid: peer.gid() }
                })
            }
            Stream::Memory(pipe) => Peer::Memory(pipe.number()),
            Stream::Tls(secured) => secured.plain.peer(),
        }
    }

    /// The address at this end, of TCP.
    pub fn local(&self) -> Option<InetAddr> {
        match self {
            Stream::Tcp(stream) => stream.local_addr().ok(),
            Stream::Tls(secured) => secured.plain.local(),
            Stream::Unix(_) | Stream::Memory(_) => None,
        }
    }

    pub fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(stream) => stream.read(buffer),
            Stream::Unix(stream) => stream.read(buffer),
            Stream::Memory(pipe) => pipe.read(buffer),
            Stream::Tls(secured) => secured.tls.read(&mut secured.plain, buffer),
        }
    }

    pub fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(stream) => stream.write(bytes),
            Stream::Unix(stream) => stream.write(bytes),
            Stream::Memory(pipe) => pipe.write(&[IoSlice::new(bytes)]),
            Stream::Tls(secured) => secured.write_vectored(&[IoSlice::new(bytes)]),
        }
    }

    pub fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Stream::Tcp(stream) => stream.write_vectored(slices),
            Stream::Unix(stream) => stream.write_vectored(slices),
            Stream::Memory(pipe) => pipe.write(slices),
            Stream::Tls(secured) => secured.write_vectored(slices),
        }
    }

    /// Sends a FIN (`Write`) or ends the connection (`Both`), also where another process still has
    /// the descriptor: `shutdown` acts on the connection, `close` on this process's share of it.
    /// An error means that it is over already.
    pub fn shutdown(&self, how: Shutdown) {
        let _ = match self {
            Stream::Tcp(stream) => stream.shutdown(how),
            Stream::Unix(stream) => stream.shutdown(how),
            Stream::Memory(pipe) => pipe.shutdown(how),
            Stream::Tls(secured) => {
                secured.plain.shutdown(how);
                Ok(())
            }
        };
    }

    /// Ends the connection by a reset: what was sent and has not left yet is lost, and the peer is told.
    ///
    /// `SO_LINGER` with a time of zero would do it at the last close, and while a child of ours has the
    /// descriptor too this one is not the last. Dissolving the association (`connect(2)`, `AF_UNSPEC`)
    /// does it now, for all. A Unix socket has no reset: its peer finds the end of the stream, or
    /// `ECONNRESET` where it had sent something that was not read.
    pub fn reset(&self) {
        match self {
            Stream::Tcp(stream) => dissolve(stream.as_fd()),
            Stream::Unix(_) => {}
            Stream::Memory(pipe) => pipe.reset(),
            Stream::Tls(secured) => secured.plain.reset(),
        }
    }

    /// What an epoll set may have of it; a stream in memory is in none.
    fn source(&mut self) -> Option<&mut dyn Source> {
        match self {
            Stream::Tcp(stream) => Some(stream),
            Stream::Unix(stream) => Some(stream),
            Stream::Memory(_) => None,
            Stream::Tls(secured) => secured.plain.source(),
        }
    }

    /// Asks for edges of `interest`.
    pub fn register(
        &mut self,
        registry: &Registry,
        token: Token,
        interest: Interest,
    ) -> io::Result<()> {
        self.source().map_or(Ok(()), |source| registry.register(source, token, interest))
    }

    /// The same, of a stream that is registered. What is the case now comes as an edge too.
    pub fn reregister(
        &mut self,
        registry: &Registry,
        token: Token,
        interest: Interest,
    ) -> io::Result<()> {
        self.source().map_or(Ok(()), |source| registry.reregister(source, token, interest))
    }

    /// Takes the stream out of the epoll set; its close alone would not, as long as another
    /// process has the socket too.
    pub fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        self.source().map_or(Ok(()), |source| registry.deregister(source))
    }

    pub fn raw_fd(&self) -> Option<RawFd> {
        match self {
            Stream::Tcp(stream) => Some(stream.as_raw_fd()),
            Stream::Unix(stream) => Some(stream.as_raw_fd()),
            Stream::Memory(_) => None,
            Stream::Tls(secured) => secured.plain.raw_fd(),
        }
    }

    /// Drops the stream without closing its descriptor, which somebody else has closed by number.
    pub fn forget(self) {
        match self {
            Stream::Tcp(stream) => drop(stream.into_raw_fd()),
            Stream::Unix(stream) => drop(stream.into_raw_fd()),
            Stream::Memory(_) => {}
            Stream::Tls(secured) => secured.plain.forget(),
        }
    }

    // TLS. Whatever has none answers as if all were sent and read by now.

    /// Puts TLS on it.
    pub fn secure_by(&mut self, tls: Secure) {
        let plain = std::mem::replace(self, Stream::Memory(Pipe::new(0)));
        *self = Stream::Tls(Box::new(Secured { plain, tls }));
    }

    pub fn secure(&self) -> Option<&Secure> {
        if let Stream::Tls(secured) = self { Some(&secured.tls) } else { None }
    }

    /// The same, with TLS that has come from another process: what is secret about it, and what is `open`.
    #[cfg(feature = "tls")]
    pub fn secure_again(&mut self, open: &[u8], secrets: &[u8]) -> Result<(), Malformed> {
        self.secure_by(Secure::read_back(open, secrets)?);
        Ok(())
    }

    /// From here on another process may write, and this one seals nothing.
    pub fn give_away(&mut self) {
        if let Stream::Tls(secured) = self {
            secured.tls.give_away();
        }
    }

    /// This process is the one that writes.
    pub fn take_back(&mut self) {
        if let Stream::Tls(secured) = self {
            secured.tls.take_back();
        }
    }

    #[cfg(feature = "tls")]
    pub fn secure_mut(&mut self) -> Option<&mut Secure> {
        if let Stream::Tls(secured) = self { Some(&mut secured.tls) } else { None }
    }

    /// Whether there may be more to read after a read, which has `filled` the buffer or not.
    pub fn has_more(&self, filled: bool) -> bool {
        self.secure().map_or(filled, Secure::has_more)
    }

    /// Whether something waits to be sent that is nobody's output.
    pub fn owes(&self) -> bool {
        self.secure().is_some_and(Secure::owes)
    }

    /// Nobody is interested any more in what comes.
    pub fn stop_listening(&mut self) {
        if let Stream::Tls(secured) = self {
            secured.tls.stop_listening();
        }
    }
}

impl Secured {
    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.tls.write_vectored(&mut self.plain, slices)
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        Stream::read(self, buffer)
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Stream::write(self, bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Takes a TCP socket's peer from it. One that has none any more is left as it is.
fn dissolve(socket: BorrowedFd<'_>) {
    let family = libc::AF_UNSPEC as libc::sa_family_t;
    let nobody = libc::sockaddr { sa_family: family, sa_data: [0; 14] };
    let length = size_of_val(&nobody) as libc::socklen_t;
    // SAFETY: the address lives through the call and has the length that is given; the kernel reads it and
    // keeps nothing of it. Of the descriptor, which is borrowed, it changes the state and not the number.
    unsafe {
        libc::connect(socket.as_raw_fd(), &nobody, length);
    }
}
