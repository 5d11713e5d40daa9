//! The part of a command line that is about TLS. Knows no TLS.

use std::path::PathBuf;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsOptions {
    pub certificate: Option<PathBuf>,
    pub key: Option<PathBuf>,
    /// Instead of both.
    pub self_signed: bool,
    /// Where clients shake hands; everywhere, if this is empty and there is a certificate.
    pub listen: Vec<String>,
}

impl TlsOptions {
    /// Whether anybody is to shake hands.
    #[allow(dead_code)] // each example uses its part of this
    pub fn is_asked_for(&self) -> bool {
        self.self_signed || self.certificate.is_some()
    }
}
