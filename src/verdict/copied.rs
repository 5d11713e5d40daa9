//! How the state of a service went to a new program.

use std::{fmt, time::Duration};

/// How the state of a service was copied to a new program.
///
/// ```
/// use heirloom::{Copied, CopiedBy};
///
/// /// What a dashboard says of an upgrade that stood still.
/// fn advice(copied: &Copied) -> Option<&'static str> {
///     match copied.by {
///         CopiedBy::Itself { threads: 2.., .. } => Some("with one thread it would serve meanwhile"),
///         CopiedBy::Itself { .. } => Some("there was no process to be had"),
///         _ => None,
///     }
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Copied {
    /// Who wrote it down.
    pub by: CopiedBy,
    /// Its bytes, those of changes included.
    pub bytes: u64,
    /// From the new program's claim to the last byte.
    pub took: Duration,
    /// How often what had changed meanwhile was copied as well, before the last time.
    pub rounds: u32,
    /// How many [changes](crate::Service::save_changes) those were, the last ones included.
    pub changes: u64,
}

/// Who has written down the state of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CopiedBy {
    /// A process of its own, a fork of the old one, which served meanwhile.
    Scribe,
    /// The old process itself, which could do nothing else: there was no fork to be had.
    Itself {
        /// The threads of the process. With more than one there is no fork.
        threads: usize,
        /// The error of the system, as `errno(3)` has it, where it refused; or 0.
        errno: i32,
    },
}

impl fmt::Display for Copied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Copied { by, bytes, took, rounds, changes } = self;
        match *bytes {
            0..10_240 => write!(f, "{bytes} bytes")?,
            10_240..10_485_760 => write!(f, "{:.1} KiB", *bytes as f64 / 1024.0)?,
            _ => write!(f, "{:.1} MiB", *bytes as f64 / 1_048_576.0)?,
        }
        write!(f, " by {by} in {:.3} s", took.as_secs_f64())?;
        match (rounds, changes) {
            (0, 0) => Ok(()),
            (1, _) => write!(f, ", 1 round, {changes} changes"),
            _ => write!(f, ", {rounds} rounds, {changes} changes"),
        }
    }
}

impl fmt::Display for CopiedBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            CopiedBy::Scribe => f.write_str("a scribe"),
            CopiedBy::Itself { threads, errno: 0 } => {
                write!(f, "the server itself ({threads} threads: no fork)")
            }
            CopiedBy::Itself { errno, .. } => {
                let why = std::io::Error::from_raw_os_error(errno);
                write!(f, "the server itself (fork: {why})")
            }
        }
    }
}
