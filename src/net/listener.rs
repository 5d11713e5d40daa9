//! Listening sockets: the address as the author wrote it, bound here or inherited.

use std::{
    fmt, fs, io,
    net::{SocketAddr, ToSocketAddrs},
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd},
        unix::fs::{FileTypeExt, MetadataExt},
    },
    path::{Path, PathBuf},
};

use mio::{
    Interest, Registry, Token,
    event::Source,
    net::{TcpListener, UnixListener},
};
use nix::sys::socket::{
    AddressFamily, Backlog, SockaddrLike, SockaddrStorage, getsockname, listen,
};

use super::stream::Stream;
use crate::{
    error::{Error, Result},
    limits::BACKLOG,
};

/// Where to listen or to dial: `host:port`, or `unix:/path`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Address {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

impl Address {
    /// Reads an address; a host name is looked up, which blocks, so this is for start-up.
    pub fn resolve(operation: &'static str, text: &str) -> Result<Address> {
        match Address::unix(operation, text)? {
            Some(address) => Ok(address),
            None if !text.contains(':') => Err(malformed(operation, text)),
            None => match text.to_socket_addrs() {
                Ok(mut found) => found
                    .next()
                    .map(Address::Tcp)
                    .ok_or_else(|| Error::invalid(operation, text, "the name has no address")),
                Err(e) if e.kind() == io::ErrorKind::InvalidInput => {
                    Err(malformed(operation, text))
                }
                Err(e) => Err(Error::io(operation, text, e)),
            },
        }
    }

    /// Reads an address that needs no look-up.
    pub fn literal(operation: &'static str, text: &str) -> Result<Address> {
        match Address::unix(operation, text)? {
            Some(address) => Ok(address),
            None => text.parse().map(Address::Tcp).map_err(|_| malformed(operation, text)),
        }
    }

    fn unix(operation: &'static str, text: &str) -> Result<Option<Address>> {
        match text.strip_prefix("unix:") {
            Some("") => Err(malformed(operation, text)),
            Some(path) => Ok(Some(Address::Unix(PathBuf::from(path)))),
            None => Ok(None),
        }
    }
}

fn malformed(operation: &'static str, text: &str) -> Error {
    Error::invalid(operation, text, "an address is host:port or unix:/path")
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Tcp(address) => address.fmt(f),
            Address::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// A listening socket and how it is known.
#[derive(Debug)]
pub(crate) struct Listener {
    /// The address as the author wrote it. Generations know a listener by this name, so that
    /// "127.0.0.1:0" is the same socket in all of them.
    pub name: String,
    /// Where it really listens.
    pub address: Address,
    socket: Socket,
    /// Device and inode of a Unix socket's path: it is unlinked only while it is still this file.
    inode: Option<(u64, u64)>,
    /// Bound here, not taken over.
    is_new: bool,
    /// There may be clients in the queue. Set by an edge, cleared by `WouldBlock`.
    pub ready: bool,
}

#[derive(Debug)]
enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Listener {
    /// Binds a new socket.
    pub fn bind(name: &str) -> Result<Listener> {
        let failed = |e| Error::io("listen on", name, e);
        let address = Address::resolve("listen on", name)?;
        let fd: OwnedFd = match &address {
            Address::Tcp(address) => std::net::TcpListener::bind(address).map_err(failed)?.into(),
            Address::Unix(path) => bind_unix(path).map_err(failed)?.into(),
        };
        let backlog = Backlog::new(BACKLOG).unwrap_or(Backlog::MAXCONN);
        listen(&fd, backlog).map_err(|e| failed(e.into()))?;
        Ok(Listener { is_new: true, ..Listener::adopt(name.to_owned(), fd)? })
    }

    /// Takes over a socket that listens already.
    pub fn adopt(name: String, fd: OwnedFd) -> Result<Listener> {
        let failed = |e: io::Error| Error::io("take over listener", &name, e);
        let bound: SockaddrStorage = getsockname(fd.as_raw_fd()).map_err(|e| failed(e.into()))?;
        let (socket, address) = match bound.family() {
            Some(AddressFamily::Unix) => {
                let socket = std::os::unix::net::UnixListener::from(fd);
                socket.set_nonblocking(true).map_err(failed)?;
                let path = socket.local_addr().map_err(failed)?;
                let path = path.as_pathname().unwrap_or(Path::new("")).to_owned();
                (Socket::Unix(UnixListener::from_std(socket)), Address::Unix(path))
            }
            _ => {
                let socket = std::net::TcpListener::from(fd);
                socket.set_nonblocking(true).map_err(failed)?;
                let address = Address::Tcp(socket.local_addr().map_err(failed)?);
                (Socket::Tcp(TcpListener::from_std(socket)), address)
            }
        };
        let inode = match &address {
            Address::Unix(path) => inode(path),
            Address::Tcp(_) => None,
        };
        Ok(Listener { name, address, socket, inode, is_new: false, ready: false })
    }

    /// The next client in the queue. The kernel sets close-on-exec and non-blocking (`accept4`).
    pub fn accept(&self) -> io::Result<Stream> {
        match &self.socket {
            Socket::Tcp(socket) => socket.accept().map(|(stream, _)| Stream::Tcp(stream)),
            Socket::Unix(socket) => socket.accept().map(|(stream, _)| Stream::Unix(stream)),
        }
    }

    /// Begins to wait for clients. Those that are queued already count: [`ready`](Self::ready).
    pub fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        self.ready = true;
        match &mut self.socket {
            Socket::Tcp(socket) => socket.register(registry, token, Interest::READABLE),
            Socket::Unix(socket) => socket.register(registry, token, Interest::READABLE),
        }
    }

    /// Stops waiting for clients; the queue goes on filling.
    pub fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        self.ready = false;
        match &mut self.socket {
            Socket::Tcp(socket) => socket.deregister(registry),
            Socket::Unix(socket) => socket.deregister(registry),
        }
    }

    /// The same socket as a fresh value. mio remembers where a value was registered, and a child
    /// has another epoll set than its parent.
    pub fn rewrap(self) -> Result<Listener> {
        let fd = match self.socket {
            Socket::Tcp(socket) => socket.into(),
            Socket::Unix(socket) => socket.into(),
        };
        let inode = self.inode;
        Ok(Listener { inode, ..Listener::adopt(self.name, fd)? })
    }

    /// Takes back what [`bind`](Self::bind) did, where the server will not run after all.
    pub fn withdraw(&self) {
        if self.is_new {
            self.unlink();
        }
    }

    /// Removes a Unix socket's path if it is still ours. For the last generation's stop only.
    pub fn unlink(&self) {
        if let Address::Unix(path) = &self.address
            && self.inode.is_some()
            && inode(path) == self.inode
        {
            let _ = fs::remove_file(path);
        }
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.socket {
            Socket::Tcp(socket) => socket.as_fd(),
            Socket::Unix(socket) => socket.as_fd(),
        }
    }
}

impl AsRawFd for Listener {
    fn as_raw_fd(&self) -> RawFd {
        self.as_fd().as_raw_fd()
    }
}

/// Binds `path`; a socket file that nobody listens on any more is replaced.
fn bind_unix(path: &Path) -> io::Result<std::os::unix::net::UnixListener> {
    use std::os::unix::net::{UnixListener, UnixStream};
    match UnixListener::bind(path) {
        Err(e) if e.kind() == io::ErrorKind::AddrInUse => {
            let is_socket = fs::symlink_metadata(path).is_ok_and(|at| at.file_type().is_socket());
            let refused = UnixStream::connect(path)
                .is_err_and(|e| e.kind() == io::ErrorKind::ConnectionRefused);
            if !(is_socket && refused) {
                return Err(e);
            }
            log::info!("{} is a stale socket, replacing it", path.display());
            fs::remove_file(path)?;
            UnixListener::bind(path)
        }
        result => result,
    }
}

fn inode(path: &Path) -> Option<(u64, u64)> {
    let meta = fs::symlink_metadata(path).ok()?;
    meta.file_type().is_socket().then(|| (meta.dev(), meta.ino()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_host_and_port_or_a_path() {
        assert!(matches!(Address::literal("dial", "127.0.0.1:80"), Ok(Address::Tcp(_))));
        assert!(matches!(Address::literal("dial", "unix:/run/x"), Ok(Address::Unix(_))));
        for wrong in ["", "80", "127.0.0.1", "unix:", "127.0.0.1:99999", "nonsense"] {
            let error = Address::resolve("listen on", wrong).unwrap_err().to_string();
            assert!(error.starts_with(&format!("listen on {wrong}:")), "{error}");
        }
    }
}
