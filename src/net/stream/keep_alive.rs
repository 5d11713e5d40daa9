//! Peers that are gone without a word: TCP asks for them, so that nobody waits for them for ever.

use std::{io, os::fd::AsFd};

use nix::sys::socket::{getsockopt, setsockopt, sockopt};

use crate::limits::{KEEP_ALIVE_IDLE, KEEP_ALIVE_INTERVAL, KEEP_ALIVE_PROBES};

/// Has the peer of a TCP connection that says nothing asked now and then whether it is there (`SO_KEEPALIVE`, see
/// `tcp(7)`). Set on a socket that listens, it holds for whoever comes there, without a system call for each. One
/// that is set already, by a service manager or an older generation, is left as it is.
pub(crate) fn keep_alive(socket: &impl AsFd) -> io::Result<()> {
    if getsockopt(socket, sockopt::KeepAlive)? {
        return Ok(());
    }
    setsockopt(socket, sockopt::TcpKeepIdle, &(KEEP_ALIVE_IDLE.as_secs() as u32))?;
    setsockopt(socket, sockopt::TcpKeepInterval, &(KEEP_ALIVE_INTERVAL.as_secs() as u32))?;
    setsockopt(socket, sockopt::TcpKeepCount, &KEEP_ALIVE_PROBES)?;
    Ok(setsockopt(socket, sockopt::KeepAlive, &true)?)
}
