//! What stands in the place of TLS without the feature `tls`: nothing, so that none of it is in a program.

use std::{fmt, io, time::Instant};

/// Why a connection with TLS has ended. There is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TlsError {}

#[derive(Clone, Debug)]
pub(crate) enum ServerTerms {}

/// Whose keys generations would share.
#[derive(Clone, Debug)]
pub(crate) enum Ticketer {}

impl Ticketer {
    pub fn have_in_common(&self, _: Instant) {
        match *self {}
    }
}

impl ServerTerms {
    pub fn check(&self) -> Result<(), TlsError> {
        match *self {}
    }
}

impl fmt::Display for TlsError {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {}
    }
}

impl std::error::Error for TlsError {}

impl From<TlsError> for io::Error {
    fn from(why: TlsError) -> io::Error {
        match why {}
    }
}
