//! What a client can notice, and what the system's errors say of it. Pure.

use std::io;

use nix::libc;

/// What was other than it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// Nobody listens: `ECONNREFUSED`; of a Unix socket also that its path is not there.
    Refused,
    /// The connection did not come to be in time, or there was no way to the host.
    Unconnected,
    /// It was torn down: `ECONNRESET`, `EPIPE`.
    Reset,
    /// The server's FIN came before the answer.
    Cut,
    /// The server's FIN came in good order, when nothing was asked for.
    Closed,
    /// The server's FIN crossed with the request, perhaps: not a byte of the answer came, on a connection that had
    /// served before. Where connections may be closed, the client has asked again on another one.
    Retried,
    /// Other bytes than expected.
    Wrong,
    /// The right answer, later than the limit says.
    Late,
    /// No answer in all the time that there is.
    Unanswered,
    /// This side could not even try: no port, no descriptor. Says nothing of the server.
    Untried,
}

impl Notice {
    pub const ALL: [Notice; 10] = [
        Notice::Refused,
        Notice::Unconnected,
        Notice::Reset,
        Notice::Cut,
        Notice::Closed,
        Notice::Retried,
        Notice::Wrong,
        Notice::Late,
        Notice::Unanswered,
        Notice::Untried,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Notice::Refused => "refused",
            Notice::Unconnected => "unconnected",
            Notice::Reset => "reset",
            Notice::Cut => "cut",
            Notice::Closed => "closed",
            Notice::Retried => "retried",
            Notice::Wrong => "wrong",
            Notice::Late => "late",
            Notice::Unanswered => "unanswered",
            Notice::Untried => "untried",
        }
    }

    /// What `e` means to a client that was connecting.
    pub fn of_connect(e: &io::Error) -> Notice {
        match e.raw_os_error() {
            Some(libc::ECONNREFUSED | libc::ENOENT) => Notice::Refused,
            Some(libc::ECONNRESET | libc::ECONNABORTED | libc::EPIPE) => Notice::Reset,
            Some(libc::ETIMEDOUT | libc::EHOSTUNREACH | libc::ENETUNREACH) => Notice::Unconnected,
            _ => Notice::Untried,
        }
    }
}
