//! Datagrams by the batch: those that were read, and those that are to leave. Knows no epoll set.
//!
//! Without `UDP_SEGMENT` and `UDP_GRO` (`udp(7)`), which send and read a run of datagrams of one size to
//! one peer as one. A server with many peers that answers each with one datagram has no such runs, and
//! `sendmmsg(2)` has taken the system calls away already. Their right use is more than an option: sizes
//! must be cut to the path's MTU, a card without checksum offload refuses with `EIO`, and one error drops
//! the run. A bulk protocol over UDP would want them.

use std::{
    io::{IoSlice, IoSliceMut},
    os::fd::RawFd,
};

use nix::{
    errno::Errno,
    sys::socket::{MsgFlags, MultiHeaders, recvmmsg, sendmmsg},
};

use super::{
    packet_info::{Source, asked, room_to_receive},
    peer::{DatagramPeer, Form},
};
use crate::limits::{DATAGRAM_BATCH, DATAGRAM_MAX, DATAGRAM_OUTPUT};

/// Unsent datagrams, in order, in one piece of memory.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    bytes: Vec<u8>,
    /// To whom, and where in `bytes` each begins; it ends where the next one begins.
    datagrams: Vec<(DatagramPeer, usize)>,
    /// How many of them have left.
    sent: usize,
}

impl Outbox {
    pub fn push(&mut self, to: DatagramPeer, bytes: &[u8]) -> bool {
        let fits = self.bytes.len() + bytes.len() <= DATAGRAM_OUTPUT
            && self.datagrams.len() < DATAGRAM_OUTPUT / size_of::<DatagramPeer>();
        if fits {
            self.datagrams.push((to, self.bytes.len()));
            self.bytes.extend_from_slice(bytes);
        }
        fits
    }

    pub fn is_empty(&self) -> bool {
        self.sent == self.datagrams.len()
    }

    fn get(&self, index: usize) -> (&DatagramPeer, &[u8]) {
        let (to, start) = &self.datagrams[index];
        let end = self.datagrams.get(index + 1).map_or(self.bytes.len(), |&(_, next)| next);
        (to, &self.bytes[*start..end])
    }

    /// The next ones to leave, a batch at most.
    pub fn front(&self) -> impl Iterator<Item = (&DatagramPeer, &[u8])> {
        let end = self.datagrams.len().min(self.sent + DATAGRAM_BATCH);
        (self.sent..end).map(|index| self.get(index))
    }

    /// These have left, or never will.
    pub fn advance(&mut self, count: usize) {
        self.sent += count;
    }

    /// One `sendmmsg`; answers how many have left, or why the first one has not. All of them leave from
    /// one address: a service that answers under several of its own has one call for each run of one.
    pub fn send<F: Form>(&self, fd: RawFd) -> nix::Result<usize> {
        let (local, peer) =
            self.front().next().map_or((None, None), |(to, _)| (to.local(), to.udp()));
        let batch = self.front().take_while(|(to, _)| to.local() == local);
        let mut addresses: Vec<Option<F>> = Vec::with_capacity(DATAGRAM_BATCH);
        addresses.extend(batch.map(|(to, _)| F::write(to)));
        // Up to the first that has no address, which is an error of its own when its turn comes.
        let count = addresses.iter().take_while(|address| address.is_some()).count();
        if count == 0 {
            return Err(Errno::EDESTADDRREQ);
        }
        let slices: Vec<_> = self.front().map(|(_, bytes)| [IoSlice::new(bytes)]).collect();
        let source = local.map(|local| Source::new(local, peer));
        let room = source.as_ref().map(Source::room);
        let source = source.as_ref().map(Source::message);
        let mut headers = MultiHeaders::<F>::preallocate(count, room);
        let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
        let (slices, addresses) = (&slices[..count], &addresses[..count]);
        sendmmsg(fd, &mut headers, slices, addresses, source.as_slice(), flags).map(Iterator::count)
    }

    /// Gives back the memory of those that have left.
    pub fn compact(&mut self) {
        if self.sent == 0 {
            return;
        }
        let start = self.datagrams.get(self.sent).map_or(self.bytes.len(), |&(_, start)| start);
        self.bytes.drain(..start);
        self.datagrams.drain(..self.sent);
        self.datagrams.iter_mut().for_each(|(_, at)| *at -= start);
        self.sent = 0;
    }
}

/// A batch of datagrams that was read, and the room for the next.
#[derive(Debug, Default)]
pub(crate) struct DatagramInbox {
    /// In pieces of [`DATAGRAM_MAX`]. Untouched pages cost nothing.
    bytes: Box<[u8]>,
    /// Who has sent each, in which piece it is, and how long it is.
    datagrams: Vec<(DatagramPeer, usize, usize)>,
}

impl DatagramInbox {
    pub fn datagrams(&self) -> impl Iterator<Item = (&DatagramPeer, &[u8])> {
        self.datagrams
            .iter()
            .map(|(from, piece, length)| (from, &self.bytes[piece * DATAGRAM_MAX..][..*length]))
    }

    /// One `recvmmsg`. Answers how many of the datagrams were longer than a piece; these are left out.
    /// `is_told`: with each comes the address that was asked.
    pub(crate) fn receive<F: Form>(&mut self, fd: RawFd, is_told: bool) -> nix::Result<usize> {
        self.datagrams.clear();
        if self.bytes.is_empty() {
            self.bytes = vec![0; DATAGRAM_BATCH * DATAGRAM_MAX].into_boxed_slice();
        }
        // Made anew each time: the kernel leaves the length of the last address in it.
        let room = is_told.then(room_to_receive);
        let mut headers = MultiHeaders::<F>::preallocate(DATAGRAM_BATCH, room);
        let pieces = self.bytes.chunks_mut(DATAGRAM_MAX);
        let mut pieces: Vec<_> = pieces.map(|piece| [IoSliceMut::new(piece)]).collect();
        let received = recvmmsg(fd, &mut headers, pieces.iter_mut(), MsgFlags::MSG_DONTWAIT, None)?;
        let mut truncated = 0;
        for (piece, message) in received.enumerate() {
            if message.flags.contains(MsgFlags::MSG_TRUNC) {
                truncated += 1;
                continue;
            }
            let from = message.address.map_or(DatagramPeer::Unnamed, |address| address.read());
            // Cut short, which the room for it rules out, it would be an error and not a half.
            let asked = message.cmsgs().ok().and_then(asked);
            self.datagrams.push((from.via(asked), piece, message.bytes));
        }
        Ok(truncated)
    }
}
