//! Names: of connections and their timers for the author, of event sources for the kernel. Knows no socket.

use std::fmt;

use mio::Token;

/// Names one connection for as long as the server lives, and never another.
///
/// It is a slot of the reactor's slab plus a serial number that only grows, so an id kept in a
/// service's state can outlive its connection safely: [`Net::get`](crate::Net::get) then answers
/// `None`. It is plain data: 64 bits that can be written down ([`to_bits`](Self::to_bits)).
///
/// ```
/// use heirloom::{ConnId, Net};
/// use std::collections::BTreeMap;
///
/// /// Ids instead of references: who is gone is simply not found.
/// fn tell(names: &BTreeMap<String, ConnId>, net: &mut Net, name: &str, text: &[u8]) {
///     if let Some(mut conn) = names.get(name).and_then(|&id| net.get(id)) {
///         conn.send(text);
///     }
/// }
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct ConnId(u64);

/// Bits of a [`ConnId`] that are the slot: 16 million connections at a time. The other 40 count a
/// million connections a second for twelve days, or a thousand a second for thirty-four years.
const SLOT_BITS: u32 = 24;

impl ConnId {
    pub(crate) const MAX_SLOT: usize = (1 << SLOT_BITS) - 1;

    /// `serial` counts from 1: zero marks the tokens that are no connections.
    pub(crate) fn new(slot: usize, serial: u64) -> ConnId {
        debug_assert!(slot <= ConnId::MAX_SLOT && serial > 0);
        ConnId(serial << SLOT_BITS | slot as u64)
    }

    pub(crate) fn slot(self) -> usize {
        self.0 as usize & ConnId::MAX_SLOT
    }

    pub(crate) fn serial(self) -> u64 {
        self.0 >> SLOT_BITS
    }

    /// The id as a number, for a log, a table or a wire.
    ///
    /// ```
    /// # use heirloom::Connection;
    /// fn as_tag(conn: &Connection<'_>) -> u64 {
    ///     conn.id().to_bits()
    /// }
    /// ```
    pub fn to_bits(self) -> u64 {
        self.0
    }

    /// The id that [`to_bits`](Self::to_bits) wrote down.
    ///
    /// Any number makes an id; one that names no connection leads nowhere.
    ///
    /// ```
    /// use heirloom::ConnId;
    ///
    /// let id = ConnId::from_bits(0x0100_0003);
    /// assert_eq!(id.to_string(), "#1@3"); // connection number 1, in slot 3
    /// assert_eq!(ConnId::from_bits(id.to_bits()), id);
    /// ```
    pub fn from_bits(bits: u64) -> ConnId {
        ConnId(bits)
    }
}

impl fmt::Display for ConnId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}@{}", self.0 >> SLOT_BITS, self.slot())
    }
}

impl fmt::Debug for ConnId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ConnId({self})")
    }
}

/// Names a timer of one connection. The number is the author's: a constant, a call number.
/// Set by [`Connection::set_timer`](crate::Connection::set_timer).
///
/// ```
/// # use heirloom::{Connection, Timer};
/// # use std::time::Duration;
/// /// Each call that was sent upstream has three seconds.
/// fn expect_reply(conn: &mut Connection<'_>, call: u32) {
///     conn.set_timer(Timer(call.into()), Duration::from_secs(3));
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Timer(pub u64);

/// What an event of the kernel is about. Everything that is polled has one of these tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    Signals,
    /// The link to the other side of a restart.
    Link,
    /// The old side of a restart has ended.
    OldProcess,
    /// A process that this one started has ended.
    Child,
    /// What a new program says on stderr before it is ready.
    Stderr,
    /// Generations that drain have something to say to this one, the newest.
    Older,
    /// The newest generation has something to say to this one, which drains.
    Newest,
    /// The service manager has read everything that this process has told it.
    Barrier,
    /// The heap was prepared for a fork.
    Preparation,
    /// Signals that are the service's have come.
    OwnSignals,
    /// Descriptors that the service has watched are ready.
    Watches,
    /// A socket on which a name is looked up, or dialed.
    Names,
    /// Another thread has posted something.
    Mail,
    Listener(usize),
    /// A datagram socket.
    Datagrams(usize),
    Conn(ConnId),
}

/// Listener tokens begin here; the numbers below are the single sources.
const FIRST_LISTENER: usize = 16;

/// Those of datagram sockets begin here.
const FIRST_DATAGRAMS: usize = 1 << (SLOT_BITS - 1);

impl Source {
    pub fn token(self) -> Token {
        Token(match self {
            Source::Signals => 0,
            Source::Link => 1,
            Source::Child => 2,
            Source::Stderr => 3,
            Source::Older => 4,
            Source::Newest => 5,
            Source::Barrier => 6,
            Source::OldProcess => 7,
            Source::OwnSignals => 8,
            Source::Watches => 9,
            Source::Preparation => 10,
            Source::Names => 12,
            Source::Mail => 15,
            Source::Listener(index) => FIRST_LISTENER + index,
            Source::Datagrams(index) => FIRST_DATAGRAMS + index,
            Source::Conn(id) => id.0 as usize,
        })
    }

    pub fn of(Token(bits): Token) -> Source {
        match bits {
            0 => Source::Signals,
            1 => Source::Link,
            2 => Source::Child,
            3 => Source::Stderr,
            4 => Source::Older,
            5 => Source::Newest,
            6 => Source::Barrier,
            7 => Source::OldProcess,
            8 => Source::OwnSignals,
            9 => Source::Watches,
            10 => Source::Preparation,
            12 => Source::Names,
            15 => Source::Mail,
            _ if bits < FIRST_DATAGRAMS => Source::Listener(bits - FIRST_LISTENER),
            _ if bits >> SLOT_BITS == 0 => Source::Datagrams(bits - FIRST_DATAGRAMS),
            _ => Source::Conn(ConnId(bits as u64)),
        }
    }
}

const _: () = assert!(usize::BITS == 64, "a ConnId fills a mio Token, which takes 64 bits");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_leads_back_to_its_source() {
        for source in [
            Source::Signals,
            Source::Link,
            Source::OldProcess,
            Source::Child,
            Source::Stderr,
            Source::Older,
            Source::Newest,
            Source::Barrier,
            Source::Preparation,
            Source::OwnSignals,
            Source::Watches,
            Source::Names,
            Source::Mail,
            Source::Listener(0),
            Source::Listener(300),
            Source::Datagrams(0),
            Source::Datagrams(300),
            Source::Conn(ConnId::new(0, 1)),
            Source::Conn(ConnId::new(ConnId::MAX_SLOT, (1 << 40) - 1)),
        ] {
            assert_eq!(Source::of(source.token()), source);
        }
    }

    #[test]
    fn a_slot_used_again_is_another_connection() {
        assert_ne!(ConnId::new(3, 1), ConnId::new(3, 2));
        assert_eq!(ConnId::new(3, 2).slot(), 3);
        assert_eq!(ConnId::from_bits(ConnId::new(3, 2).to_bits()), ConnId::new(3, 2));
    }
}
