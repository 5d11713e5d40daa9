//! One error type: it names the operation, what it was done to, and the cause.

use std::{fmt, io};

use crate::verdict::RestartError;

/// What heirloom's functions return; `Result` alone is `Result<(), Error>`.
pub type Result<T = ()> = std::result::Result<T, Error>;

/// Why something could not be done.
///
/// A callback returns one to end its connection. Text is enough for that:
///
/// ```
/// fn parse(input: &[u8]) -> heirloom::Result<usize> {
///     match input.first() {
///         Some(b'+') => Ok(1),
///         _ => Err("a message starts with '+'".into()),
///     }
/// }
/// assert_eq!(parse(b"-").unwrap_err().to_string(), "a message starts with '+'");
/// ```
#[non_exhaustive]
pub enum Error {
    /// A system call failed.
    Io {
        /// What was tried, such as "listen on".
        operation: &'static str,
        /// What it was tried on: an address, a path, a peer.
        target: String,
        /// What the system said.
        source: io::Error,
    },
    /// Something that was asked for makes no sense.
    Invalid {
        /// What was tried, such as "listen on".
        operation: &'static str,
        /// The words that make no sense.
        target: String,
        /// What is wrong with them.
        why: String,
    },
    /// A restart was refused or has failed.
    Restart(RestartError),
    /// A service says why it cannot go on with a connection.
    Service(Box<dyn std::error::Error + Send + Sync>),
}

impl Error {
    /// What a callback answers when something that it has called has failed: the error of a codec, of a parser.
    ///
    /// ```
    /// use heirloom::{Error, Result};
    ///
    /// fn count(text: &str) -> Result<u64> {
    ///     text.parse().map_err(Error::other)
    /// }
    /// assert_eq!(count("seven").unwrap_err().to_string(), "invalid digit found in string");
    /// ```
    pub fn other(why: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
        Error::Service(why.into())
    }

    /// `operation` on `target` failed in the system.
    pub(crate) fn io(
        operation: &'static str,
        target: impl fmt::Display,
        source: impl Into<io::Error>,
    ) -> Error {
        Error::Io { operation, target: target.to_string(), source: source.into() }
    }

    /// `operation` on `target` was refused before any system call.
    pub(crate) fn invalid(
        operation: &'static str,
        target: impl fmt::Display,
        why: impl fmt::Display,
    ) -> Error {
        Error::Invalid { operation, target: target.to_string(), why: why.to_string() }
    }
}

/// As it is displayed: what a `main` that answers an error shows to its user is this.
impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Io { operation, target, source } => write!(f, "{operation} {target}: {source}"),
            Error::Invalid { operation, target, why } => write!(f, "{operation} {target}: {why}"),
            Error::Restart(why) => why.fmt(f),
            Error::Service(why) => why.fmt(f),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Io { source, .. } => Some(source),
            Error::Restart(why) => Some(why),
            Error::Service(why) => Some(why.as_ref()),
            Error::Invalid { .. } => None,
        }
    }
}

impl From<&str> for Error {
    fn from(text: &str) -> Error {
        Error::Service(text.into())
    }
}

impl From<String> for Error {
    fn from(text: String) -> Error {
        Error::Service(text.into())
    }
}

impl From<io::Error> for Error {
    fn from(source: io::Error) -> Error {
        Error::Service(source.into())
    }
}

impl From<RestartError> for Error {
    fn from(why: RestartError) -> Error {
        Error::Restart(why)
    }
}
