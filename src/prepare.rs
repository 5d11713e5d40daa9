//! Plain values that say how a fork is prepared, and what came of it; knows nobody.
//!
//! A fork copies page tables, 8 bytes for each 4 KiB that was touched, and blocks its process meanwhile. Where
//! the heap lies in pages of 2 MiB there is one entry for 512 of them, so before the fork it is brought into
//! such pages, while everybody is served.

use std::{fmt, io, time::Duration};

use crate::limits::FAR_FUTURE;

/// What is done for a short [fork](crate::Restart::fork), before it: memory that was touched is brought into
/// pages of 2 MiB (`MADV_COLLAPSE`, see `madvise(2)`; Linux 6.1). A process that shares this one's memory does
/// it and makes nothing but system calls, while the server serves; the restart begins when it is through.
///
/// It costs a copy of what is collapsed, and the time that it takes is added before the restart. After the fork
/// the first write to a page of 2 MiB splits it, in either process, so the next restart prepares anew, and
/// only what is small by then.
///
/// Where a filter of system calls ends a process that makes one it does not know, instead of refusing the call
/// (`seccomp(2)`), turn it [off](Self::off): it makes `clone(2)` with `CLONE_VM`, `madvise(2)` and
/// an `ioctl(2)` of `/proc/self/pagemap`.
///
/// ```
/// use heirloom::{Prepare, Restart};
/// use std::time::Duration;
///
/// // A reload that has to begin at once, however long it stands still then.
/// let at_once = Restart::fork().prepare(Prepare::off());
/// // And one that has all the time in the world.
/// let gentle = Restart::fork()
///     .prepare(Prepare::from_heap(16 * 1024 * 1024).within(Duration::from_secs(120)));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a Prepare says how; `Restart::prepare` takes it"]
pub struct Prepare {
    /// From how many bytes of heap on; `None`: never.
    pub(crate) from: Option<usize>,
    pub(crate) within: Duration,
    pub(crate) pause: Duration,
}

impl Prepare {
    /// From here on a fork blocks for longer than a busy turn: some ms.
    const FROM: usize = 64 * 1024 * 1024;

    /// Enough for some 16 GiB on a quiet machine, and for 4 GiB where ten processes want two cores. A manager
    /// that waits for a reload has not given up by then (systemd: 90 s).
    const WITHIN: Duration = Duration::from_secs(60);

    /// With this the longest turn of a loop that writes all over the same memory was under 1 ms.
    const PAUSE: Duration = Duration::from_millis(2);

    /// Fork as it is.
    pub fn off() -> Prepare {
        Prepare { from: None, within: Prepare::WITHIN, pause: Prepare::PAUSE }
    }

    /// Where at least so many bytes were touched (64 MiB unless told): `RssAnon` of `proc_pid_status(5)`.
    pub fn from_heap(bytes: usize) -> Prepare {
        Prepare { from: Some(bytes), ..Prepare::off() }
    }

    /// When this time is up, the fork is made with what has been collapsed by then (60 s unless told).
    pub fn within(self, limit: Duration) -> Prepare {
        Prepare { within: limit.min(FAR_FUTURE), ..self }
    }

    /// After each block of 2 MiB it sleeps for so long (2 ms unless told), or as long as a processor was
    /// busy with the block if that is more. The loop waits for a block when it touches that, maps memory or gives some back.
    pub fn pause(self, time: Duration) -> Prepare {
        Prepare { pause: time.min(Duration::from_secs(1)), ..self }
    }
}

impl Default for Prepare {
    fn default() -> Prepare {
        Prepare::from_heap(Prepare::FROM)
    }
}

/// How a fork was prepared: see [`Prepare`].
///
/// ```
/// use heirloom::{Steps, Unprepared};
///
/// fn advise(steps: &Steps) -> Option<&'static str> {
///     match steps.prepared?.stopped? {
///         Unprepared::NoHugePages => Some("the system has no huge pages"),
///         Unprepared::NearLimit { .. } => Some("this service needs a higher limit of memory"),
///         _ => None,
///     }
/// }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Prepared {
    /// How long it took; everybody was served meanwhile.
    pub took: Duration,
    /// Bytes that were brought into pages of 2 MiB.
    pub collapsed: u64,
    /// Bytes in such blocks that were left as they were: a part of them was touched, not worth 2 MiB, or the
    /// kernel could not do it.
    pub left: u64,
    /// Why it was not done, or not to the end.
    pub stopped: Option<Unprepared>,
}

impl fmt::Display for Prepared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Prepared { took, collapsed, left, stopped } = self;
        let (collapsed, left) = (collapsed >> 20, left >> 20);
        write!(f, "{collapsed} MiB collapsed in {took:?}, {left} MiB left as they were")?;
        stopped.iter().try_for_each(|why| write!(f, "; {why}"))
    }
}

/// Why memory was not collapsed before a fork, which was made all the same.
///
/// ```
/// use heirloom::Unprepared;
///
/// let why = Unprepared::Small { heap: 1024 * 1024 };
/// assert_eq!(why.to_string(), "a heap of 1 MiB is small");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unprepared {
    /// It is [off](Prepare::off).
    Off,
    /// The heap is smaller than [told](Prepare::from_heap).
    Small {
        /// Its size in bytes.
        heap: u64,
    },
    /// The system has no pages of 2 MiB, or `/sys/kernel/mm/transparent_hugepage/enabled` says `never`, or
    /// they are disabled for this process (`PR_SET_THP_DISABLE`).
    NoHugePages,
    /// A kernel before 6.1 has no `MADV_COLLAPSE`; and it was not built for this machine's instructions if they
    /// are neither x86-64 nor AArch64.
    NotSupported,
    /// The system forbids the call: a filter of system calls (`seccomp(2)`).
    Forbidden,
    /// The process that does it could not be made, with this error number: `EAGAIN` where there are as many as
    /// the user may have (`RLIMIT_NPROC`).
    NoProcess {
        /// As in `errno(3)`.
        errno: i32,
    },
    /// There was no free block of 2 MiB any more.
    NoMemory,
    /// It could take more memory than there is to spare: half of what the machine has left, or the control
    /// group (`memory.max`).
    NearLimit {
        /// Bytes that were to spare.
        room: u64,
    },
    /// The [limit](Prepare::within) of time was up.
    TimeUp,
    /// The process that did it has died: something has killed it.
    Died,
}

impl fmt::Display for Unprepared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use Unprepared::*;
        match self {
            Off => f.write_str("it is off"),
            Small { heap } => write!(f, "a heap of {} MiB is small", heap >> 20),
            NoHugePages => f.write_str("the system has no huge pages, or is not to use them"),
            NotSupported => f.write_str("this kernel cannot collapse memory (Linux 6.1 can)"),
            Forbidden => f.write_str("the system forbids it (seccomp)"),
            NoProcess { errno } => {
                write!(f, "no process for it: {}", io::Error::from_raw_os_error(*errno))
            }
            NoMemory => f.write_str("there is no free block of 2 MiB"),
            NearLimit { room } => {
                write!(f, "memory is near its limit: {} MiB to spare", room >> 20)
            }
            TimeUp => f.write_str("its time was up"),
            Died => f.write_str("the process that did it has died"),
        }
    }
}
