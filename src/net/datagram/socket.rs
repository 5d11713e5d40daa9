//! Datagram sockets: read in batches, written in batches, and by one process at a time. Knows no
//! service and no other generation.

use std::os::fd::AsRawFd;

use mio::Interest;
use nix::{
    errno::Errno,
    sys::socket::{SockaddrStorage, UnixAddr},
};

use super::{batch::Outbox, packet_info, peer::DatagramPeer};
use crate::{
    log_target::NET,
    net::{
        address::Address,
        listen::{DATAGRAMS, Listener},
    },
};

/// A datagram socket, and what is to leave by it.
#[derive(Debug)]
pub(crate) struct Datagrams {
    pub carrier: Carrier,
    /// This process reads it, and no other does.
    pub reading: bool,
    /// There may be datagrams in its buffer. Set by an edge, cleared by `WouldBlock`.
    pub readable: bool,
    /// It took no more: what is left waits for an edge.
    pub blocked: bool,
    pub outbox: Outbox,
    /// It is bound to all addresses, and the kernel says which one was asked.
    pub is_told: bool,
    /// What the epoll set watches it for. Unlike a stream's, this changes: a datagram socket is "writable
    /// again" after each datagram that has left, so nobody asks for that without need.
    pub watched: Option<Interest>,
}

#[derive(Debug)]
pub(crate) enum Carrier {
    Socket(Listener),
    /// In a test: what was sent, as far as there is room.
    Memory {
        sent: Vec<(DatagramPeer, Vec<u8>)>,
        room: usize,
    },
}

impl Datagrams {
    /// Nobody reads it yet.
    pub fn of(socket: Listener) -> Datagrams {
        let asked_for = match &socket.address {
            Address::Tcp(bound) => packet_info::ask_for(&socket, *bound),
            _ => Ok(false),
        };
        let is_told = asked_for.unwrap_or_else(|e| {
            let name = &socket.name;
            log::warn!(target: NET, "{name}: answers may leave from another address than was asked: {e}");
            false
        });
        Datagrams { is_told, ..Datagrams::by(Carrier::Socket(socket)) }
    }

    pub fn in_memory() -> Datagrams {
        Datagrams::by(Carrier::Memory { sent: Vec::new(), room: usize::MAX })
    }

    pub fn by(carrier: Carrier) -> Datagrams {
        Datagrams {
            carrier,
            reading: false,
            readable: false,
            blocked: false,
            outbox: Outbox::default(),
            is_told: false,
            watched: None,
        }
    }

    /// In a forked child: the same socket, which nobody here reads yet. What waits in the outbox is the
    /// parent's to send.
    pub fn anew(mut self) -> Datagrams {
        if let Carrier::Socket(socket) = &mut self.carrier {
            socket.is_new = false; // it is the parent's as well
        }
        Datagrams { is_told: self.is_told, ..Datagrams::by(self.carrier) }
    }

    /// As somebody keeps it who neither reads nor writes.
    pub fn into_socket(self) -> Option<Listener> {
        match self.carrier {
            Carrier::Socket(socket) => Some(socket),
            Carrier::Memory { .. } => None,
        }
    }

    pub fn socket(&self) -> Option<&Listener> {
        match &self.carrier {
            Carrier::Socket(socket) => Some(socket),
            Carrier::Memory { .. } => None,
        }
    }

    /// As [`Net::addresses`] says it.
    pub fn address(&self) -> String {
        match self.socket().map(|socket| &socket.address) {
            Some(Address::Tcp(address)) => format!("udp:{address}"),
            Some(Address::Unix(path)) => format!("unixgram:{}", path.display()),
            Some(Address::Abstract(name)) => {
                format!("unixgram:@{}", String::from_utf8_lossy(name))
            }
            None => "memory".to_owned(),
        }
    }

    pub fn take_sent(&mut self) -> Vec<(DatagramPeer, Vec<u8>)> {
        match &mut self.carrier {
            Carrier::Socket(_) => Vec::new(),
            Carrier::Memory { sent, .. } => std::mem::take(sent),
        }
    }

    /// An edge.
    pub fn note(&mut self, readable: bool, writable: bool) {
        self.readable |= readable;
        self.blocked &= !writable;
    }

    /// Whether there is something to do for it in this turn.
    pub fn is_busy(&self) -> bool {
        self.is_due() || (!self.blocked && !self.outbox.is_empty())
    }

    /// Whether it is to be read now.
    pub fn is_due(&self) -> bool {
        self.reading && self.readable
    }

    pub fn has_unsent(&self) -> bool {
        !self.outbox.is_empty()
    }

    /// One `sendmmsg`; answers how many have left, or why the first one has not.
    pub fn send(&mut self) -> nix::Result<usize> {
        let outbox = &self.outbox;
        match &mut self.carrier {
            Carrier::Socket(socket) => match socket.address {
                Address::Tcp(_) => outbox.send::<SockaddrStorage>(socket.as_raw_fd()),
                _ => outbox.send::<UnixAddr>(socket.as_raw_fd()),
            },
            Carrier::Memory { room: 0, .. } => Err(Errno::EAGAIN),
            Carrier::Memory { sent, room } => {
                let batch = outbox.front().take(*room);
                let before = sent.len();
                sent.extend(batch.map(|(to, bytes)| (to.clone(), bytes.to_vec())));
                *room -= sent.len() - before;
                Ok(sent.len() - before)
            }
        }
    }

    /// Whether what a socket does not take may wait until it does. For a Unix socket that is up to its
    /// peer, which no event tells of, and the next datagram is for another one.
    pub fn may_wait(&self) -> bool {
        let address = self.socket().map(|socket| &socket.address);
        !matches!(address, Some(Address::Unix(_) | Address::Abstract(_)))
    }
}

/// What the name of such a socket begins with; its address follows.
pub(crate) fn name_of(address: &str) -> String {
    format!("{DATAGRAMS}{address}")
}
