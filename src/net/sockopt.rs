//! Socket options as the kernel has them, each a whole number: set, asked for, and put back. Knows no listener.
//!
//! One list, and one call that sets any of them, instead of a call of its own for each. What a new program has changed
//! on a socket is put back by the same list after a roll back, and an option that is refused is named. (The
//! crates that have typed calls do not have all of these: `TCP_DEFER_ACCEPT`, `TCP_FASTOPEN`, `SO_BUF_LOCK`.)
#![allow(unsafe_code)] // getsockopt(2), setsockopt(2), listen(2)

use std::{
    io,
    os::fd::{AsFd, AsRawFd},
};

use libc::{IPPROTO_IP, IPPROTO_IPV6, IPPROTO_TCP, SOL_SOCKET, c_int};

/// An option by its name and its numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SockOpt {
    pub name: &'static str,
    level: c_int,
    number: c_int,
}

/// An option and the value that it is to have.
pub(crate) type Setting = (SockOpt, c_int);

macro_rules! options {
    ($($name:ident: $level:ident, $text:literal;)*) => {
        $(pub(crate) const $name: SockOpt = SockOpt { name: $text, level: $level, number: libc::$name };)*
    };
}

options! {
    SO_KEEPALIVE: SOL_SOCKET, "SO_KEEPALIVE";
    SO_RCVBUF: SOL_SOCKET, "SO_RCVBUF";
    SO_SNDBUF: SOL_SOCKET, "SO_SNDBUF";
    SO_REUSEPORT: SOL_SOCKET, "SO_REUSEPORT";
    IP_TOS: IPPROTO_IP, "IP_TOS";
    IPV6_TCLASS: IPPROTO_IPV6, "IPV6_TCLASS";
    IPV6_V6ONLY: IPPROTO_IPV6, "IPV6_V6ONLY";
    TCP_KEEPIDLE: IPPROTO_TCP, "TCP_KEEPIDLE";
    TCP_KEEPINTVL: IPPROTO_TCP, "TCP_KEEPINTVL";
    TCP_KEEPCNT: IPPROTO_TCP, "TCP_KEEPCNT";
    TCP_USER_TIMEOUT: IPPROTO_TCP, "TCP_USER_TIMEOUT";
    TCP_DEFER_ACCEPT: IPPROTO_TCP, "TCP_DEFER_ACCEPT";
    TCP_FASTOPEN: IPPROTO_TCP, "TCP_FASTOPEN";
    TCP_FASTOPEN_CONNECT: IPPROTO_TCP, "TCP_FASTOPEN_CONNECT";
}

/// Whether the buffers keep their size (bit 0 the sending one, bit 1 the receiving one), or the kernel may tune them.
/// Linux 5.14 has it, not every libc.
const SO_BUF_LOCK: SockOpt = SockOpt { name: "SO_BUF_LOCK", level: SOL_SOCKET, number: 72 };

/// What may be changed of a socket that listens, in the order in which it is put back: to set a size locks it.
const CHANGEABLE: [SockOpt; 12] = [
    TCP_KEEPIDLE,
    TCP_KEEPINTVL,
    TCP_KEEPCNT,
    SO_KEEPALIVE,
    TCP_USER_TIMEOUT,
    SO_RCVBUF,
    SO_SNDBUF,
    IP_TOS,
    IPV6_TCLASS,
    TCP_DEFER_ACCEPT,
    TCP_FASTOPEN,
    SO_BUF_LOCK,
];

impl SockOpt {
    pub fn get(self, socket: &impl AsFd) -> io::Result<c_int> {
        let (mut value, mut length) = (0 as c_int, size_of::<c_int>() as libc::socklen_t);
        let (fd, place) = (socket.as_fd().as_raw_fd(), (&raw mut value).cast());
        // SAFETY: the descriptor is borrowed; the kernel writes at most `length` bytes to `value`, which is as long,
        // and how many it were to `length`. Both live through the call.
        match unsafe { libc::getsockopt(fd, self.level, self.number, place, &raw mut length) } {
            0 => Ok(value),
            _ => Err(io::Error::last_os_error()),
        }
    }

    /// # Errors
    /// When the kernel refuses it; the error names the option and the value.
    pub fn set(self, socket: &impl AsFd, value: c_int) -> io::Result<()> {
        let (fd, place) = (socket.as_fd().as_raw_fd(), (&raw const value).cast());
        let length = size_of::<c_int>() as libc::socklen_t;
        // SAFETY: the descriptor is borrowed; the kernel reads the `length` bytes of `value`, which lives through the
        // call, and keeps no pointer to it.
        match unsafe { libc::setsockopt(fd, self.level, self.number, place, length) } {
            0 => Ok(()),
            _ => {
                let e = io::Error::last_os_error();
                Err(io::Error::new(e.kind(), format!("{} {value}: {e}", self.name)))
            }
        }
    }

    /// What is to be set for it to be `value` as [`get`](Self::get) tells it: of a buffer the kernel uses twice of what
    /// it is told.
    fn to_set(self, value: c_int) -> c_int {
        if self == SO_RCVBUF || self == SO_SNDBUF { value / 2 } else { value }
    }
}

/// Sets all of them, in this order.
///
/// # Errors
/// At the first that the kernel refuses.
pub(crate) fn set_all(socket: &impl AsFd, settings: &[Setting]) -> io::Result<()> {
    settings.iter().try_for_each(|&(option, value)| option.set(socket, value))
}

/// As [`nix`]'s, which takes no longer queue than 4096.
pub(crate) fn listen(socket: &impl AsFd, backlog: c_int) -> io::Result<()> {
    // SAFETY: it reads no memory; the descriptor is borrowed.
    match unsafe { libc::listen(socket.as_fd().as_raw_fd(), backlog) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Begins no more handshakes of TCP, and completes those that have begun: who asks from here on finds the port closed when
/// it asks again, a second later (RFC 6298), unless somebody else has it then. Clients in the queue are not touched.
///
/// A filter of the classic kind (`SO_ATTACH_FILTER`, socket(7)) sees a segment from its header on (tcp(7)), the
/// flags at byte 13. Anybody may attach one. It holds for the socket, whoever has a copy of it.
pub(crate) fn refuse_handshakes(socket: &impl AsFd) -> io::Result<()> {
    const SYN: u32 = 0x02;
    const ACK: u32 = 0x10;
    let code = |parts: u32| parts as u16; // each fits: they are codes of 16 bits
    let step = |code: u16, jt: u8, jf: u8, k: u32| libc::sock_filter { code, jt, jf, k };
    let mut steps = [
        step(code(libc::BPF_LD | libc::BPF_B | libc::BPF_ABS), 0, 0, 13),
        step(code(libc::BPF_ALU | libc::BPF_AND | libc::BPF_K), 0, 0, SYN | ACK),
        step(code(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K), 0, 1, SYN),
        step(code(libc::BPF_RET | libc::BPF_K), 0, 0, 0),
        step(code(libc::BPF_RET | libc::BPF_K), 0, 0, u32::MAX),
    ];
    let program = libc::sock_fprog { len: steps.len() as u16, filter: steps.as_mut_ptr() };
    let (fd, place) = (socket.as_fd().as_raw_fd(), (&raw const program).cast());
    let length = size_of::<libc::sock_fprog>() as libc::socklen_t;
    // SAFETY: the descriptor is borrowed; the kernel reads the program and its steps, which live through the call, and
    // keeps a copy of its own.
    match unsafe { libc::setsockopt(fd, SOL_SOCKET, libc::SO_ATTACH_FILTER, place, length) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// What the options of a socket were at some time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Kept(Vec<Setting>);

impl Kept {
    /// What a socket does not have is left out, as a socket of IPv4 has no class of IPv6.
    pub fn of(socket: &impl AsFd) -> Kept {
        let value = |option: SockOpt| option.get(socket).ok().map(|value| (option, value));
        Kept(CHANGEABLE.into_iter().filter_map(value).collect())
    }

    /// Sets what is not as it was by now. What the kernel refuses is answered.
    pub fn put_back(&self, socket: &impl AsFd) -> Vec<io::Error> {
        let mut refused = Vec::new();
        for &(option, value) in &self.0 {
            if option.get(socket).is_ok_and(|now| now != value) {
                refused.extend(option.set(socket, option.to_set(value)).err());
            }
        }
        refused
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn what_was_changed_is_put_back_and_nothing_else() {
        let socket = TcpListener::bind("127.0.0.1:0").expect("a free port");
        SO_KEEPALIVE.set(&socket, 1).unwrap();
        let before = Kept::of(&socket);
        for (option, value) in [
            (TCP_KEEPIDLE, 11),
            (SO_KEEPALIVE, 0),
            (TCP_USER_TIMEOUT, 4321),
            (SO_RCVBUF, 20_000),
            (SO_SNDBUF, 20_000),
            (IP_TOS, 46 << 2),
            (TCP_DEFER_ACCEPT, 5),
            (TCP_FASTOPEN, 16),
        ] {
            option.set(&socket, value).unwrap();
            assert_ne!(Kept::of(&socket), before, "{}", option.name);
            assert!(before.put_back(&socket).is_empty());
            assert_eq!(Kept::of(&socket), before, "{}", option.name);
        }
    }

    #[test]
    fn an_option_that_is_refused_is_named() {
        let socket = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let error = set_all(&socket, &[(SO_KEEPALIVE, 1), (TCP_KEEPCNT, 4711)]).unwrap_err();
        assert_eq!(error.to_string(), "TCP_KEEPCNT 4711: Invalid argument (os error 22)");
        assert_eq!(SO_KEEPALIVE.get(&socket).unwrap(), 1, "those before it are set");
    }
}
