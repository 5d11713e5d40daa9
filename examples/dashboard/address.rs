//! Where this process listens. The port may be the system's choice, and the framework tells it to the log
//! only, so the sockets are asked.

use std::{fs, net::SocketAddr};

use nix::sys::socket::{SockaddrStorage, getsockname};

/// The address of the first TCP socket: the listener, as long as nobody was accepted.
pub fn find() -> Option<SocketAddr> {
    let entries = fs::read_dir("/proc/self/fd").ok()?;
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut fds: Vec<i32> = names.filter_map(|name| name.parse().ok()).collect();
    fds.sort_unstable();
    fds.into_iter().find_map(|fd| of_socket(&getsockname(fd).ok()?))
}

fn of_socket(name: &SockaddrStorage) -> Option<SocketAddr> {
    let v4 = name.as_sockaddr_in().map(|&it| SocketAddr::V4(it.into()));
    v4.or_else(|| name.as_sockaddr_in6().map(|&it| SocketAddr::V6(it.into())))
}
