//! What stands in the place of secrets without the feature `tls`: no connection has any.

use std::{io, os::fd::OwnedFd, time::Instant};

use crate::{
    net::{ConnState, Stream},
    tls::Ticketer,
};

#[derive(Debug, Default)]
pub(crate) struct Secrets;

impl Secrets {
    pub fn write(&mut self, _: &ConnState) -> Option<Vec<u8>> {
        None
    }

    /// # Errors
    /// When there should be some.
    pub fn read(&mut self, _: &mut Stream, tls: Option<&[u8]>) -> Result<(), String> {
        tls.map_or(Ok(()), |_| Err("this program has no TLS".to_owned()))
    }

    pub fn fill(self) -> io::Result<Option<OwnedFd>> {
        Ok(None)
    }

    pub fn empty(_: OwnedFd) -> io::Result<Secrets> {
        Ok(Secrets)
    }
}

pub(crate) fn fill_with_tickets(tickets: &Ticketer, _: Instant) -> io::Result<OwnedFd> {
    match *tickets {}
}

pub(crate) fn empty_of_tickets(tickets: &Ticketer, _: Instant, _: OwnedFd) -> io::Result<()> {
    match *tickets {}
}
