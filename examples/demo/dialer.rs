//! How the clients of a run connect: by TCP, or by TLS on it. Knows no protocol.

use std::{net::SocketAddr, time::Instant};

use crate::{
    load::{Client, Failure},
    secure::Secure,
};

/// Shared by all clients.
#[derive(Clone)]
pub struct Dialer {
    pub address: SocketAddr,
    pub secure: Option<Secure>,
}

impl Dialer {
    pub fn connect(&self, until: Instant) -> Result<Client, Failure> {
        match &self.secure {
            Some(secure) => Client::connect_by(self.address, until, |tcp| secure.put_on(tcp)),
            None => Client::connect(self.address, until),
        }
    }
}
