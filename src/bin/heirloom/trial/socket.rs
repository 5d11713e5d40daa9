//! Where the server is, and a socket that is on its way there or connected. Waits for nothing.

use std::{
    ffi::OsString,
    fmt,
    io::{self, Read, Write},
    net::{self, ToSocketAddrs},
    os::{
        linux::net::SocketAddrExt,
        unix::{
            self,
            ffi::{OsStrExt, OsStringExt},
        },
    },
    path::PathBuf,
};

use mio::{
    Interest, Registry, Token,
    net::{TcpStream, UnixStream},
};

/// An address of digits, or a path. `@name` is in no file system.
#[derive(Clone, Debug)]
pub enum Address {
    Tcp(net::SocketAddr),
    Unix(PathBuf),
}

impl Address {
    /// `host:port`, `unix:/path` or `unix:@name`. A name is looked up here, once; its first address counts.
    ///
    /// # Errors
    /// When it is neither, and when the host is not known.
    pub fn parse(text: OsString) -> Result<Address, String> {
        if let Some(path) = text.as_bytes().strip_prefix(b"unix:") {
            let path = PathBuf::from(OsString::from_vec(path.to_vec()));
            return match path.as_os_str().is_empty() {
                true => Err("unix: is followed by no path".to_owned()),
                false => Ok(Address::Unix(path)),
            };
        }
        let text = text.to_str().ok_or("it is no text")?;
        let mut found = text.to_socket_addrs().map_err(|e| format!("{text:?}: {e}"))?;
        found.next().map(Address::Tcp).ok_or_else(|| format!("{text:?} has no address"))
    }

    /// Begins to connect.
    ///
    /// # Errors
    /// What the system says at once. `WouldBlock`: the queue of a Unix socket is full, which is no event for
    /// anybody later (`connect(2)`).
    pub fn connect(&self) -> io::Result<Socket> {
        match self {
            Address::Tcp(address) => {
                let stream = TcpStream::connect(*address)?;
                stream.set_nodelay(true)?;
                Ok(Socket::Tcp(stream))
            }
            Address::Unix(path) => {
                let address = match path.as_os_str().as_bytes().strip_prefix(b"@") {
                    Some(name) => unix::net::SocketAddr::from_abstract_name(name)?,
                    None => unix::net::SocketAddr::from_pathname(path)?,
                };
                Ok(Socket::Unix(UnixStream::connect_addr(&address)?))
            }
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Tcp(address) => address.fmt(f),
            Address::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// A stream of either kind.
pub enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Socket {
    /// From now on its events come with `token`.
    pub fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        let all = Interest::READABLE | Interest::WRITABLE;
        match self {
            Socket::Tcp(stream) => registry.register(stream, token, all),
            Socket::Unix(stream) => registry.register(stream, token, all),
        }
    }

    /// Whether it is connected by now.
    ///
    /// # Errors
    /// What has come of the attempt instead.
    pub fn is_connected(&self) -> io::Result<bool> {
        let (failed, peer) = match self {
            Socket::Tcp(stream) => (stream.take_error()?, stream.peer_addr().map(drop)),
            Socket::Unix(stream) => (stream.take_error()?, stream.peer_addr().map(drop)),
        };
        match (failed, peer) {
            (Some(e), _) => Err(e),
            (None, Ok(())) => Ok(true),
            (None, Err(e)) if e.kind() == io::ErrorKind::NotConnected => Ok(false),
            (None, Err(e)) => Err(e),
        }
    }

    pub fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Socket::Tcp(stream) => stream.read(buffer),
            Socket::Unix(stream) => stream.read(buffer),
        }
    }

    pub fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Socket::Tcp(stream) => stream.write(bytes),
            Socket::Unix(stream) => stream.write(bytes),
        }
    }
}
