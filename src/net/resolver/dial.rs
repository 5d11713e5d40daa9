//! One dial to a name, and what becomes of it. Pure: its sockets are known by their tokens.

use std::{
    io::{self, ErrorKind},
    net::SocketAddr,
};

use crate::{
    clock::Stamp,
    names::{HostName, Race},
    net::{
        destination::Destination,
        stream::{Secure, Stream},
    },
};

/// A dial to a name.
#[derive(Debug)]
pub(crate) struct Dial {
    pub host: HostName,
    pub port: u16,
    /// The author's.
    pub tag: u64,
    pub begun: Stamp,
    /// When it will have taken too long.
    pub give_up: Stamp,
    /// Goes to the new side of the restart in progress.
    pub moves: bool,
    pub race: Race,
    /// The sockets of its attempts.
    pub tokens: Vec<usize>,
    /// What the last address said.
    pub error: Option<(SocketAddr, io::Error)>,
    /// What is to be put on its stream.
    pub tls: Option<Secure>,
}

/// What has become of a dial.
#[derive(Debug)]
pub(crate) struct Ended {
    pub destination: Destination,
    pub tag: u64,
    /// With TLS on it, if there is to be.
    pub result: io::Result<Stream>,
}

impl Dial {
    pub fn new(host: HostName, port: u16, tag: u64, begun: Stamp, give_up: Stamp) -> Dial {
        let (race, tokens) = (Race::default(), Vec::new());
        let (moves, error, tls) = (false, None, None);
        Dial { host, port, tag, begun, give_up, moves, race, tokens, error, tls }
    }

    /// The same, as if nothing had been done for it.
    pub fn anew(self) -> Dial {
        Dial::new(self.host, self.port, self.tag, self.begun, self.give_up)
    }

    /// Where it leads, by name.
    pub fn destination(&self) -> Destination {
        Destination::Name(self.host.as_str().to_owned(), self.port)
    }

    pub fn due(&self) -> Stamp {
        self.race.deadline().map_or(self.give_up, |at| at.min(self.give_up))
    }

    /// An address did not connect.
    pub fn fail_attempt(&mut self, address: SocketAddr, e: io::Error) {
        self.race.failed();
        if self.error.is_none() || !is_of_this_machine(&e) {
            self.error = Some((address, e));
        }
    }

    /// No address has.
    pub fn why_lost(&mut self) -> io::Error {
        let destination = self.destination();
        match self.error.take() {
            Some((address, e)) => {
                io::Error::new(e.kind(), format!("{destination}: {address}: {e}"))
            }
            None => {
                io::Error::new(ErrorKind::NotFound, format!("{destination}: it has no address"))
            }
        }
    }
}

/// Says that nothing leads there from this machine, which of several failures is the least telling.
fn is_of_this_machine(e: &io::Error) -> bool {
    matches!(e.kind(), ErrorKind::NetworkUnreachable | ErrorKind::AddrNotAvailable)
}
