//! Binds sockets to addresses. Knows no name and no generation.

use std::{
    fs, io,
    net::{TcpListener, UdpSocket},
    os::{
        fd::OwnedFd,
        unix::{
            fs::FileTypeExt,
            net::{UnixDatagram, UnixListener},
        },
    },
    path::{Path, absolute},
};

use nix::sys::socket::{Backlog, listen, setsockopt, sockopt};

use crate::{
    limits::{BACKLOG, DATAGRAM_BUFFER},
    log_target::NET,
    logging::Escaped,
    net::address::Address,
};

/// A socket that listens.
pub(super) fn bind_stream(address: &Address) -> io::Result<OwnedFd> {
    let fd: OwnedFd = match address {
        Address::Tcp(address) => TcpListener::bind(address)?.into(),
        // Absolute, so that it is found again at the end, wherever the process has gone.
        Address::Unix(path) => {
            // This does not block: one whose queue is full is in use.
            let connect = |path: &Path| mio::net::UnixStream::connect(path).map(drop);
            bind_unix(&absolute(path)?, |path| UnixListener::bind(path), connect)?.into()
        }
    };
    listen(&fd, Backlog::new(BACKLOG).unwrap_or(Backlog::MAXCONN))?;
    Ok(fd)
}

/// A datagram socket with a large buffer, as far as the system allows one.
pub(super) fn bind_datagrams(address: &Address) -> io::Result<OwnedFd> {
    let fd: OwnedFd = match address {
        Address::Tcp(address) => UdpSocket::bind(address)?.into(),
        Address::Unix(path) => {
            let connect = |path: &Path| UnixDatagram::unbound()?.connect(path);
            bind_unix(&absolute(path)?, |path| UnixDatagram::bind(path), connect)?.into()
        }
    };
    if let Err(e) = setsockopt(&fd, sockopt::RcvBuf, &DATAGRAM_BUFFER) {
        log::debug!(target: NET, "{address}: the receive buffer stays as it is: {e}");
    }
    Ok(fd)
}

/// Binds `path`; a socket file that nobody has open any more is replaced.
fn bind_unix<T>(
    path: &Path,
    bind: impl Fn(&Path) -> io::Result<T>,
    connect: impl Fn(&Path) -> io::Result<()>,
) -> io::Result<T> {
    match bind(path) {
        Err(e) if e.kind() == io::ErrorKind::AddrInUse => {
            let is_socket = fs::symlink_metadata(path).is_ok_and(|at| at.file_type().is_socket());
            let refused =
                connect(path).is_err_and(|e| e.kind() == io::ErrorKind::ConnectionRefused);
            if !(is_socket && refused) {
                return Err(e);
            }
            log::info!(target: NET, "{} is a stale socket, replacing it", Escaped(path.display()));
            fs::remove_file(path)?;
            bind(path)
        }
        result => result,
    }
}
