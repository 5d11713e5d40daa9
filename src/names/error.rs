//! Why a name led nowhere, as an author reads it.

use std::{error, fmt, io, net::SocketAddr};

/// Why a [name](crate::Net::dial_host) has led to no address: inside the `io::Error` that
/// [`on_dial_failed`](crate::Service::on_dial_failed) is told.
///
/// Where the name was found and nobody could be reached there, the error is that of the last address, and this is
/// not in it.
///
/// ```
/// use heirloom::{NameError, NameFailure};
///
/// /// A name that does not exist is a mistake in a configuration; all else may pass.
/// fn is_hopeless(why: &std::io::Error) -> bool {
///     let name = why.get_ref().and_then(|inner| inner.downcast_ref::<NameError>());
///     name.is_some_and(|name| name.failure == NameFailure::NoSuchName)
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NameError {
    /// The name, as it was dialed.
    pub name: String,
    /// The name server that said so, or was asked last.
    pub server: SocketAddr,
    /// What is wrong.
    pub failure: NameFailure,
}

/// What is wrong with a name, or with who was asked for it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NameFailure {
    /// It does not exist (`NXDOMAIN`, RFC 1035).
    NoSuchName,
    /// It exists, and has neither an IPv4 nor an IPv6 address (RFC 2308, section 2.2).
    NoAddress,
    /// All servers that have answered could not say: `SERVFAIL`, `REFUSED`, or an answer that makes no sense.
    ServerFailed(String),
    /// No server has answered in time.
    NoAnswer,
}

impl NameError {
    pub(crate) fn new(name: &str, server: SocketAddr, failure: NameFailure) -> NameError {
        NameError { name: name.to_owned(), server, failure }
    }
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let NameError { name, server, failure } = self;
        match failure {
            NameFailure::NoSuchName => write!(f, "{name}: no such name, says {server}"),
            NameFailure::NoAddress => write!(f, "{name}: it has no address, says {server}"),
            NameFailure::ServerFailed(why) => write!(f, "{name}: {server} has failed: {why}"),
            NameFailure::NoAnswer => write!(f, "{name}: no answer from {server}"),
        }
    }
}

impl error::Error for NameError {}

impl From<NameError> for io::Error {
    fn from(error: NameError) -> io::Error {
        let kind = match error.failure {
            NameFailure::NoSuchName | NameFailure::NoAddress => io::ErrorKind::NotFound,
            NameFailure::ServerFailed(_) => io::ErrorKind::Other,
            NameFailure::NoAnswer => io::ErrorKind::TimedOut,
        };
        io::Error::new(kind, error)
    }
}
