//! Binds sockets to addresses. Knows no name and no generation.

use std::{
    fs,
    io::{self, ErrorKind},
    net::SocketAddr,
    os::{
        fd::{AsFd, AsRawFd, OwnedFd},
        unix::{fs::FileTypeExt, net::UnixDatagram},
    },
    path::{Path, absolute},
};

use nix::sys::{
    socket::{
        AddressFamily, SockFlag, SockProtocol, SockType, SockaddrLike, SockaddrStorage, UnixAddr,
        bind, setsockopt, socket, sockopt,
    },
    stat::{Mode, fchmod},
};

use super::{permissions::SocketPermissions, spec::ListenOptions};
use crate::{
    limits::DATAGRAM_BUFFER,
    log_target::NET,
    logging::Escaped,
    net::{
        address::Address,
        sockopt::{Setting, listen, set_all},
    },
};

/// A socket that is to listen. `beside`: others listen at addresses that overlap, and let it
/// ([`share`]); it does not listen before it is used, since the kernel would give it their clients.
pub(super) fn bind_stream(
    address: &Address,
    permissions: &SocketPermissions,
    options: &ListenOptions,
    beside: bool,
) -> io::Result<OwnedFd> {
    let settings = options.settings(address).map_err(io::Error::other)?;
    let fd = match address {
        Address::Tcp(address) => bind_tcp(address, &settings, beside)?,
        // Absolute, so that it is found again at the end, wherever the process has gone.
        Address::Unix(path) => {
            // This does not block: one whose queue is full is in use.
            let connect = |path: &Path| mio::net::UnixStream::connect(path).map(drop);
            bind_path(&absolute(path)?, SockType::Stream, permissions, connect)?
        }
        Address::Abstract(name) => bind_name(name, SockType::Stream)?,
    };
    if !beside {
        begin_listening(&fd, options)?;
    }
    Ok(fd)
}

/// Lets clients into the queue; of a socket that listens already it changes the length of the queue, and
/// the process that a Unix socket's clients are told of (`SO_PEERCRED`).
pub(super) fn begin_listening(fd: &impl AsFd, options: &ListenOptions) -> io::Result<()> {
    listen(fd, options.backlog())
}

/// Looks on a socket that nobody has whether the kernel would take these.
pub(super) fn try_on(address: &Address, settings: &[Setting]) -> io::Result<()> {
    match address {
        // Where there is no socket of this family, or no room for one, that is said elsewhere.
        Address::Tcp(address) if !settings.is_empty() => {
            new_tcp(address).map_or(Ok(()), |fd| set_all(&fd, settings))
        }
        _ => Ok(()),
    }
}

/// Lets other sockets of this user be bound to addresses that overlap, if they ask for it, too. A second
/// server that is started by mistake does not, and is refused as ever.
pub(super) fn share(fd: &impl AsFd) -> io::Result<()> {
    Ok(setsockopt(fd, sockopt::ReusePort, &true)?)
}

/// A datagram socket with a large buffer, as far as the system allows one. `beside`: another one at this address lets it.
pub(super) fn bind_datagrams(
    address: &Address,
    permissions: &SocketPermissions,
    beside: bool,
) -> io::Result<OwnedFd> {
    let fd = match address {
        Address::Tcp(address) => bind_udp(address, beside)?,
        Address::Unix(path) => {
            let connect = |path: &Path| UnixDatagram::unbound()?.connect(path);
            bind_path(&absolute(path)?, SockType::Datagram, permissions, connect)?
        }
        Address::Abstract(name) => bind_name(name, SockType::Datagram)?,
    };
    if let Err(e) = setsockopt(&fd, sockopt::RcvBuf, &DATAGRAM_BUFFER) {
        log::debug!(target: NET, "{address}: the receive buffer stays as it is: {e}");
    }
    Ok(fd)
}

/// What is closed may leave connections behind that go on for minutes: they are in nobody's way.
fn bind_tcp(address: &SocketAddr, settings: &[Setting], beside: bool) -> io::Result<OwnedFd> {
    let fd = new_tcp(address)?;
    setsockopt(&fd, sockopt::ReuseAddr, &true)?;
    set_all(&fd, settings)?;
    if beside {
        share(&fd)?;
    }
    bind(fd.as_raw_fd(), &SockaddrStorage::from(*address))?;
    Ok(fd)
}

fn bind_udp(address: &SocketAddr, beside: bool) -> io::Result<OwnedFd> {
    let fd =
        socket(family(address), SockType::Datagram, SockFlag::SOCK_CLOEXEC, SockProtocol::Udp)?;
    if beside {
        share(&fd)?;
    }
    bind(fd.as_raw_fd(), &SockaddrStorage::from(*address))?;
    Ok(fd)
}

fn family(address: &SocketAddr) -> AddressFamily {
    match address {
        SocketAddr::V4(_) => AddressFamily::Inet,
        SocketAddr::V6(_) => AddressFamily::Inet6,
    }
}

fn new_tcp(address: &SocketAddr) -> io::Result<OwnedFd> {
    Ok(socket(family(address), SockType::Stream, SockFlag::SOCK_CLOEXEC, SockProtocol::Tcp)?)
}

fn bind_unix(kind: SockType, address: &UnixAddr, mode: Option<Mode>) -> io::Result<OwnedFd> {
    let fd = socket(AddressFamily::Unix, kind, SockFlag::SOCK_CLOEXEC, None)?;
    // The path gets the mode that the socket has, less the umask.
    mode.map_or(Ok(()), |mode| fchmod(&fd, mode))?;
    bind(fd.as_raw_fd(), address as &dyn SockaddrLike)?;
    Ok(fd)
}

/// It cannot be stale: the name goes with the socket.
fn bind_name(name: &[u8], kind: SockType) -> io::Result<OwnedFd> {
    bind_unix(kind, &UnixAddr::new_abstract(name)?, None)
}

/// Binds `path`; a socket file that nobody has open any more is replaced.
fn bind_path(
    path: &Path,
    kind: SockType,
    permissions: &SocketPermissions,
    connect: impl Fn(&Path) -> io::Result<()>,
) -> io::Result<OwnedFd> {
    permissions.check()?;
    let address = UnixAddr::new(path)?;
    // Nobody may connect before the permissions are there.
    let mode = (!permissions.is_empty()).then(Mode::empty);
    let fd = match bind_unix(kind, &address, mode) {
        Err(e) if e.kind() == ErrorKind::AddrInUse => {
            let is_socket = fs::symlink_metadata(path).is_ok_and(|at| at.file_type().is_socket());
            let refused = connect(path).is_err_and(|e| e.kind() == ErrorKind::ConnectionRefused);
            if !(is_socket && refused) {
                return Err(e);
            }
            log::info!(target: NET, "{} is a stale socket, replacing it", Escaped(path.display()));
            fs::remove_file(path)?;
            bind_unix(kind, &address, mode)?
        }
        result => result?,
    };
    if !permissions.is_empty()
        && let Err(e) = permissions.of_new_path().apply(path)
    {
        let _ = fs::remove_file(path);
        return Err(e);
    }
    Ok(fd)
}
