//! What an author may say of a socket, the same for those that are accepted and those that are dialed. Sets nothing.

use std::time::Duration;

use super::{
    address::Address,
    keep_alive::KeepAlive,
    sockopt::{
        IP_TOS, IPV6_TCLASS, SO_RCVBUF, SO_SNDBUF, Setting, TCP_FASTOPEN_CONNECT, TCP_USER_TIMEOUT,
    },
};

/// What the kernel is told about a socket: of connections that are accepted ([`Listen`](crate::Listen) has the same
/// methods), or of one that is dialed ([`Net::dial_with`](crate::Net::dial_with)).
///
/// What is not said is as the system has it, but for `TCP_NODELAY`, which is always on. The options are the socket's, so they
/// stay with a connection wherever it moves.
///
/// ```
/// use heirloom::{KeepAlive, Net, Result, SocketOptions};
/// use std::time::Duration;
///
/// /// A line that may be quiet for hours, to a neighbour who must not be missed for long.
/// fn subscribe(net: &mut Net) -> Result {
///     let options = SocketOptions::new()
///         .keep_alive(KeepAlive::new().idle(Duration::from_secs(30)))
///         .user_timeout(Duration::from_secs(20))
///         .dscp(10);
///     net.dial_with("192.0.2.7:1883", 0, &options)
/// }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SocketOptions {
    keep_alive: Option<KeepAlive>,
    user_timeout: Option<Duration>,
    receive_buffer: Option<usize>,
    send_buffer: Option<usize>,
    dscp: Option<u8>,
    fast_open: bool,
}

impl SocketOptions {
    /// Says nothing yet.
    pub fn new() -> SocketOptions {
        SocketOptions::default()
    }

    /// Whether something is said about keep-alive, so that ours is not meant.
    pub(crate) fn says_keep_alive(&self) -> bool {
        self.keep_alive.is_some()
    }

    /// Whether and when the kernel asks silent peers whether they are there (`SO_KEEPALIVE`). Where it is not said it does, after
    /// [two minutes](crate::limits::KEEP_ALIVE_IDLE). TCP only.
    #[must_use]
    pub fn keep_alive(mut self, how: KeepAlive) -> SocketOptions {
        self.keep_alive = Some(how);
        self
    }

    /// Breaks a connection whose peer has not acknowledged for this long what was sent (`TCP_USER_TIMEOUT`, whole
    /// milliseconds); it limits the questions of [`keep_alive`](Self::keep_alive), too. Zero means what the system has:
    /// some 15 minutes. TCP only.
    #[must_use]
    pub fn user_timeout(mut self, limit: Duration) -> SocketOptions {
        self.user_timeout = Some(limit);
        self
    }

    /// Bytes that the kernel keeps of what comes and is not read yet (`SO_RCVBUF`). The kernel takes twice as many, for its
    /// own needs, cuts that to `net.core.rmem_max`, and tunes the buffer by itself no more. TCP only: a Unix socket has none
    /// of its own (`unix(7)`).
    #[must_use]
    pub fn receive_buffer(mut self, bytes: usize) -> SocketOptions {
        self.receive_buffer = Some(bytes);
        self
    }

    /// Bytes that the kernel keeps of what is sent and not acknowledged yet (`SO_SNDBUF`); it does with it as with the other
    /// buffer (`net.core.wmem_max`).
    #[must_use]
    pub fn send_buffer(mut self, bytes: usize) -> SocketOptions {
        self.send_buffer = Some(bytes);
        self
    }

    /// How routers are to treat the packets: the code point of differentiated services, 0 to 63 (RFC 2474; 46 is expedited
    /// forwarding, RFC 3246), in `IP_TOS` and `IPV6_TCLASS`. TCP only.
    #[must_use]
    pub fn dscp(mut self, code_point: u8) -> SocketOptions {
        self.dscp = Some(code_point);
        self
    }

    /// Of a dial: the first bytes go with the `SYN`, once the peer has given out a cookie (RFC 7413,
    /// `TCP_FASTOPEN_CONNECT`). Where there is one, [`on_open`](crate::Service::on_open) comes before the connection
    /// stands, which the first output makes. So it is for protocols in which the side that dials speaks
    /// first. A listener has [`Listen::fast_open`](crate::Listen::fast_open). TCP only.
    #[must_use]
    pub fn fast_open(mut self) -> SocketOptions {
        self.fast_open = true;
        self
    }

    /// What is to be set on a socket of this address.
    ///
    /// # Errors
    /// What makes no sense, in words.
    pub(crate) fn settings(&self, address: &Address) -> Result<Vec<Setting>, String> {
        if !matches!(address, Address::Tcp(_)) {
            let of_tcp = [
                ("keep-alive", self.keep_alive.is_some()),
                ("a user timeout", self.user_timeout.is_some()),
                ("a receive buffer", self.receive_buffer.is_some()),
                ("a DSCP", self.dscp.is_some()),
                ("fast open", self.fast_open),
            ];
            no_meaning(&of_tcp)?;
        }
        let mut settings = self.keep_alive.map_or(Ok(Vec::new()), |how| how.settings())?;
        if let Some(limit) = self.user_timeout {
            let millis = i32::try_from(limit.as_nanos().div_ceil(1_000_000));
            let why = |_| format!("a user timeout is at most 24 days, not {limit:?}");
            settings.push((TCP_USER_TIMEOUT, millis.map_err(why)?));
        }
        for (option, bytes) in [(SO_RCVBUF, self.receive_buffer), (SO_SNDBUF, self.send_buffer)] {
            let Some(bytes) = bytes else { continue };
            let why = |_| format!("a buffer has up to 2 GiB, not {bytes} bytes");
            settings.push((option, i32::try_from(bytes).map_err(why)?));
        }
        if let Some(code_point) = self.dscp {
            if code_point > 63 {
                return Err(format!("a DSCP is 0 to 63, not {code_point}"));
            }
            let octet = i32::from(code_point) << 2; // the other two bits are the kernel's, for congestion
            // A socket of IPv6 may have peers of IPv4, too.
            settings.push((IP_TOS, octet));
            if matches!(address, Address::Tcp(address) if address.is_ipv6()) {
                settings.push((IPV6_TCLASS, octet));
            }
        }
        if self.fast_open {
            settings.push((TCP_FASTOPEN_CONNECT, 1));
        }
        Ok(settings)
    }

    /// The part of it that a Unix socket has.
    pub(crate) fn own_send_buffer(&self) -> Option<Setting> {
        let bytes = self.send_buffer.and_then(|bytes| i32::try_from(bytes).ok());
        bytes.map(|bytes| (SO_SNDBUF, bytes))
    }

    /// Whether it is for a dial alone.
    pub(crate) fn is_of_dial(&self) -> bool {
        self.fast_open
    }
}

/// Refuses what was said and is not for a Unix socket.
pub(crate) fn no_meaning(said: &[(&str, bool)]) -> Result<(), String> {
    match said.iter().find(|(_, is_said)| *is_said) {
        Some((what, _)) => Err(format!("{what} has no meaning for a Unix socket")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(options: &SocketOptions, address: &str) -> Result<Vec<(&'static str, i32)>, String> {
        let settings = options.settings(&Address::literal("dial", address).expect("an address"))?;
        Ok(settings.into_iter().map(|(option, value)| (option.name, value)).collect())
    }

    #[test]
    fn nothing_is_set_that_was_not_said() {
        for address in ["127.0.0.1:1", "[::1]:1", "unix:/x"] {
            assert_eq!(said(&SocketOptions::new(), address), Ok(Vec::new()));
        }
    }

    #[test]
    fn times_are_rounded_up_and_a_dscp_is_the_upper_six_bits() {
        let millis = Duration::from_millis;
        let keep_alive = KeepAlive::new().idle(millis(1500)).interval(millis(1)).count(127);
        let options = SocketOptions::new()
            .keep_alive(keep_alive)
            .user_timeout(Duration::from_nanos(1_000_001))
            .dscp(63);
        let all = [
            ("SO_KEEPALIVE", 1),
            ("TCP_KEEPIDLE", 2),
            ("TCP_KEEPINTVL", 1),
            ("TCP_KEEPCNT", 127),
            ("TCP_USER_TIMEOUT", 2),
            ("IP_TOS", 252),
            ("IPV6_TCLASS", 252),
        ];
        assert_eq!(said(&options, "127.0.0.1:1"), Ok(all[..6].to_vec()));
        assert_eq!(said(&options, "[::1]:1"), Ok(all.to_vec()));
    }

    #[test]
    fn what_makes_no_sense_is_refused_in_words() {
        let new = SocketOptions::new;
        let keep = |how| new().keep_alive(how);
        for (options, why) in [
            (new().dscp(64), "a DSCP is 0 to 63, not 64"),
            (keep(KeepAlive::new().count(0)), "keep-alive asks 1 to 127 times, not 0"),
            (
                keep(KeepAlive::new().idle(Duration::ZERO)),
                "the idle time of keep-alive is 1 s to 32767 s, not 0ns",
            ),
            (
                keep(KeepAlive::new().interval(Duration::MAX)),
                "the interval of keep-alive is 1 s to 32767 s, not 18446744073709551615.999999999s",
            ),
            (
                new().user_timeout(Duration::from_secs(3_000_000)),
                "a user timeout is at most 24 days, not 3000000s",
            ),
            (new().send_buffer(1 << 31), "a buffer has up to 2 GiB, not 2147483648 bytes"),
        ] {
            assert_eq!(said(&options, "127.0.0.1:1"), Err(why.to_owned()));
        }
        for (options, what) in [
            (keep(KeepAlive::new()), "keep-alive"),
            (new().user_timeout(Duration::ZERO), "a user timeout"),
            (new().receive_buffer(1), "a receive buffer"),
            (new().dscp(0), "a DSCP"),
            (new().fast_open(), "fast open"),
        ] {
            let why = format!("{what} has no meaning for a Unix socket");
            assert_eq!(said(&options, "unix:/x"), Err(why));
        }
        assert_eq!(said(&new().send_buffer(7), "unix:@x"), Ok(vec![("SO_SNDBUF", 7)]));
    }
}
