//! Who has asked for something that happens to a whole service: plain values, for the journal.

use std::fmt;

use crate::inventory::word;

/// A process that has asked, and its user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Asker {
    /// 0 for one that is not seen from here, outside of this process's pid namespace.
    pub pid: u32,
    pub uid: u32,
    /// What it is called, if it was still there when it was looked at.
    pub program: Option<String>,
}

/// Who has asked for a restart, to undo one, or for the end of the service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// The service itself.
    Callback,
    /// Somebody, by a signal; of the terminal nobody knows who.
    Signal { name: String, by: Option<Asker> },
    /// An operator at the control socket, as the kernel vouches for (`SO_PEERCRED`).
    Operator(Asker),
    /// Nobody: the generation of this number has ended, with this status if anybody knows, and its supervisor makes another.
    Crash { generation: u64, status: Option<u8> },
    /// Somebody who has started the program.
    Start,
    /// Whoever knew it has ended.
    Unknown,
}

/// As words of the journal.
impl fmt::Display for Asker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Asker { pid, uid, program } = self;
        write!(f, "by_pid={pid} by_uid={uid}")?;
        program.iter().try_for_each(|name| write!(f, " by_program={}", word(name)))
    }
}

/// The same.
impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cause::Callback => f.write_str("trigger=callback"),
            Cause::Signal { name, by } => {
                write!(f, "trigger=signal signal={name}")?;
                by.iter().try_for_each(|by| write!(f, " {by}"))
            }
            Cause::Operator(by) => write!(f, "trigger=command {by}"),
            Cause::Crash { generation, status } => {
                write!(f, "trigger=crash crashed={generation}")?;
                status.iter().try_for_each(|status| write!(f, " status={status}"))
            }
            Cause::Start => f.write_str("trigger=start"),
            Cause::Unknown => f.write_str("trigger=unknown"),
        }
    }
}
