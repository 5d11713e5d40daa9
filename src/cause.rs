//! Who has asked for something that happens to a whole service: plain values, for the journal.

use std::fmt;

/// Who has asked for a restart, or to undo one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// The service itself.
    Callback,
    /// Somebody, by a signal; of the terminal nobody knows who.
    Signal { name: String, sender: Option<(u32, u32)> },
    /// An operator at the control socket, as the kernel vouches for (`SO_PEERCRED`).
    Operator { pid: i32, uid: u32, gid: u32 },
    /// Nobody: the generation of this number has ended, with this status if anybody knows, and its supervisor makes another.
    Crash { generation: u64, status: Option<u8> },
    /// Somebody who has started the program.
    Start,
    /// Whoever knew it has ended.
    Unknown,
}

/// As words of the journal.
impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cause::Callback => f.write_str("trigger=callback"),
            Cause::Signal { name, sender: None } => write!(f, "trigger=signal signal={name}"),
            Cause::Signal { name, sender: Some((pid, uid)) } => {
                write!(f, "trigger=signal signal={name} by_pid={pid} by_uid={uid}")
            }
            Cause::Operator { pid, uid, gid } => {
                write!(f, "trigger=command by_pid={pid} by_uid={uid} by_gid={gid}")
            }
            Cause::Crash { generation, status } => {
                write!(f, "trigger=crash crashed={generation}")?;
                status.iter().try_for_each(|status| write!(f, " status={status}"))
            }
            Cause::Start => f.write_str("trigger=start"),
            Cause::Unknown => f.write_str("trigger=unknown"),
        }
    }
}
