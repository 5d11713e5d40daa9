//! Without the feature `tls` no client speaks it.

use std::{io, net::TcpStream, path::Path};

use heirloom::Result;

use crate::{load::Wire, options::Certificate};

const MISSING: &str = "it is built without the feature tls";

#[derive(Clone)]
pub enum Secure {}

pub struct OwnCertificate {
    pub files: Certificate,
}

impl OwnCertificate {
    pub fn make() -> Result<OwnCertificate> {
        Err(MISSING.into())
    }
}

impl Secure {
    pub fn trusting(_path: &Path) -> Result<Secure> {
        Err(MISSING.into())
    }

    pub fn put_on(&self, _tcp: TcpStream) -> io::Result<Box<dyn Wire>> {
        match *self {}
    }

    pub fn handshakes(&self) -> [u64; 2] {
        match *self {}
    }
}
