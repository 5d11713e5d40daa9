//! Descriptors by number, as nobody owns them here: whether one is open, what file is behind it, and what a
//! socket says of itself.
//!
//! A number may be closed by somebody else at any moment, so all that is asked here is asked of the kernel by
//! number: it answers for what is there, or that nothing is. Nothing is closed, and nothing is kept.
#![allow(unsafe_code)] // system calls on numbers

use std::{
    fs, io,
    mem::{self, MaybeUninit},
    os::fd::RawFd,
};

use nix::{
    fcntl::FdFlag,
    sys::socket::{AddressFamily, SockaddrLike, SockaddrStorage, getpeername, getsockname},
};

use super::proc_text;

/// The first number that is no standard stream.
pub(crate) const FIRST: RawFd = libc::STDERR_FILENO + 1;

/// `None`: it is closed.
pub(crate) fn flags(number: RawFd) -> Option<FdFlag> {
    // SAFETY: the call takes two integers, and answers -1 for a number that is no descriptor.
    let flags = unsafe { libc::fcntl(number, libc::F_GETFD) };
    (flags >= 0).then(|| FdFlag::from_bits_retain(flags))
}

/// Numbers that are asked about in one call.
const BATCH: usize = 1024;

/// Those of `numbers` that are open.
///
/// `poll(2)` tells it of many in one call (`POLLNVAL`: it is closed), at some ten nanoseconds each. To list
/// `/proc/self/fd` costs a hundred times as much, since that makes a file for each that is open.
pub(super) fn open_among(numbers: impl Iterator<Item = RawFd>) -> Vec<RawFd> {
    let (mut found, mut numbers) = (Vec::new(), numbers.peekable());
    while numbers.peek().is_some() {
        let batch = numbers.by_ref().take(BATCH);
        let mut batch: Vec<_> =
            batch.map(|fd| libc::pollfd { fd, events: 0, revents: 0 }).collect();
        // SAFETY: the call reads and writes as many entries as there are, and does not wait.
        let told = unsafe { libc::poll(batch.as_mut_ptr(), batch.len() as libc::nfds_t, 0) } >= 0;
        // More than a process may have open are refused (`EINVAL`): each is asked about, then.
        let is_open = |entry: &&libc::pollfd| match told {
            true => entry.revents & libc::POLLNVAL == 0,
            false => flags(entry.fd).is_some(),
        };
        found.extend(batch.iter().filter(is_open).map(|entry| entry.fd));
    }
    found
}

/// All numbers that are in use lie below this one: the kernel's table has as many places as are told here, and
/// grows with the highest number.
///
/// # Errors
/// When there is no `/proc`.
pub(super) fn end() -> io::Result<RawFd> {
    let status = fs::read_to_string("/proc/self/status")?;
    proc_text::table_size(&status).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// What this program was started with: open beside the standard streams, and not to be closed by `execve(2)`.
/// Call it early, before anybody opens something in that way. Without `/proc` nobody knows.
pub(crate) fn passed() -> Vec<RawFd> {
    let all = open_among(FIRST..end().unwrap_or(FIRST));
    all.into_iter().filter(|&number| is_passed(number)).collect()
}

/// Whether a number is open and not to be closed by `execve(2)`.
pub(super) fn is_passed(number: RawFd) -> bool {
    flags(number).is_some_and(|flags| !flags.contains(FdFlag::FD_CLOEXEC))
}

/// What `fstat(2)` says of the file behind a number.
pub(super) fn stat(number: RawFd) -> Option<libc::stat> {
    let mut stat = MaybeUninit::<libc::stat>::uninit();
    // SAFETY: the call fills in the structure where it answers 0, and writes to nothing else.
    unsafe { (libc::fstat(number, stat.as_mut_ptr()) == 0).then(|| stat.assume_init()) }
}

/// The protocol of a socket, as the kernel calls it: `TCP`, `UDPv6`, `UNIX-STREAM`, `NETLINK`.
pub(super) fn protocol(number: RawFd) -> Option<String> {
    let mut name = [0_u8; 32];
    let attribute = c"system.sockprotoname".as_ptr();
    // SAFETY: the call reads a string that ends, and writes no more than it is told to `name`.
    let length =
        unsafe { libc::fgetxattr(number, attribute, name.as_mut_ptr().cast(), name.len()) };
    let name = name.get(..usize::try_from(length).ok()?)?;
    let name = name.split(|&byte| byte == 0).next().unwrap_or_default();
    Some(String::from_utf8_lossy(name).into_owned())
}

/// Where a socket is bound, and who is at its other end.
pub(super) fn ends(number: RawFd) -> (Option<String>, Option<String>) {
    let own = getsockname::<SockaddrStorage>(number).ok().and_then(|it| name(&it));
    let peer = getpeername::<SockaddrStorage>(number).ok();
    let named = peer.as_ref().and_then(name);
    let is_unix = peer.is_some_and(|peer| peer.family() == Some(AddressFamily::Unix));
    (own, named.or_else(|| if is_unix { credentials(number) } else { None }))
}

/// `None`: it has no name.
fn name(address: &SockaddrStorage) -> Option<String> {
    if let Some(unix) = address.as_unix_addr() {
        let path = unix.path().map(|path| path.display().to_string());
        let hidden = || unix.as_abstract().map(|it| format!("@{}", String::from_utf8_lossy(it)));
        return path.or_else(hidden).map(|name| proc_text::clean(&name));
    }
    let is_bound = |port: u16| port != 0;
    match (address.as_sockaddr_in(), address.as_sockaddr_in6()) {
        (Some(address), _) => is_bound(address.port()).then(|| address.to_string()),
        (_, Some(address)) => is_bound(address.port()).then(|| address.to_string()),
        _ => None,
    }
}

/// A Unix socket without a name: who has made it.
fn credentials(number: RawFd) -> Option<String> {
    let none = libc::ucred { pid: 0, uid: 0, gid: 0 };
    let found = option(number, libc::SO_PEERCRED, none)?;
    (found.pid > 0).then(|| format!("pid {}", found.pid))
}

/// Whether a socket accepts connections.
pub(super) fn listens(number: RawFd) -> bool {
    option(number, libc::SO_ACCEPTCONN, 0 as libc::c_int) == Some(1)
}

fn option<T: Copy>(number: RawFd, option: libc::c_int, mut value: T) -> Option<T> {
    let mut length = mem::size_of::<T>() as libc::socklen_t;
    // SAFETY: the call writes at most `length` bytes, the size of `value`, and both callers ask for options
    // whose value has that type, of integers alone: any bytes are one.
    let done = unsafe {
        let into = (&raw mut value).cast();
        libc::getsockopt(number, libc::SOL_SOCKET, option, into, &raw mut length)
    };
    (done == 0).then_some(value)
}

#[cfg(test)]
mod tests {
    use std::{
        net::{TcpListener, TcpStream, UdpSocket},
        os::{
            fd::AsRawFd,
            linux::net::SocketAddrExt,
            unix::net::{SocketAddr, UnixListener, UnixStream},
        },
    };

    use super::*;

    #[test]
    fn sockets_say_what_they_are_and_where_they_lead() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let stream = TcpStream::connect(&address).unwrap();
        let own = stream.local_addr().unwrap().to_string();
        let (there, here) = (stream.as_raw_fd(), listener.as_raw_fd());
        assert_eq!(ends(there), (Some(own), Some(address.clone())));
        assert_eq!(protocol(there).as_deref(), Some("TCP"));
        assert_eq!(ends(here), (Some(address), None));
        assert!(listens(here) && !listens(there));
        let udp = UdpSocket::bind("[::1]:0").unwrap();
        assert_eq!(protocol(udp.as_raw_fd()).as_deref(), Some("UDPv6"));
        let (a, _b) = UnixStream::pair().unwrap();
        let pid = std::process::id();
        assert_eq!(ends(a.as_raw_fd()), (None, Some(format!("pid {pid}"))));
        let hidden = format!("heirloom-ends-{pid}");
        let hidden = SocketAddr::from_abstract_name(&hidden).unwrap();
        let listener = UnixListener::bind_addr(&hidden).unwrap();
        let own = format!("@heirloom-ends-{pid}");
        assert_eq!(ends(listener.as_raw_fd()), (Some(own), None));
        assert!(protocol(listener.as_raw_fd()).unwrap().starts_with("UNIX"));
    }

    #[test]
    fn a_number_is_open_or_not_and_below_the_end() {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let number = socket.as_raw_fd();
        assert!(number < end().unwrap());
        assert!(flags(number).unwrap().contains(FdFlag::FD_CLOEXEC) && !is_passed(number));
        let numbers = [number, RawFd::MAX, 0];
        assert_eq!(open_among(numbers.into_iter()), [number, 0]);
        let far = 1_000_000..1_000_000 + 2 * BATCH as RawFd + 1;
        assert_eq!(open_among(far.clone().chain([number]).chain(far)), [number]);
        assert!(flags(RawFd::MAX).is_none() && stat(RawFd::MAX).is_none());
    }
}
