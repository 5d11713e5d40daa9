//! Datagrams that one generation reads and another one is to have: how they wait
//! for room on the link. Knows no datagram socket.
//!
//! The kernel could steer them instead: each generation binds a socket of its own in one `SO_REUSEPORT`
//! group, and a BPF program (`SO_ATTACH_REUSEPORT_EBPF`, see `socket(7)`) picks one by a flow table or an
//! id in the packet, as udpgrm does. The old process then reads its own flows, without two more copies
//! and a wake-up. But what lies in a socket's buffer when its process dies is lost; a socket that joins or
//! leaves shifts the others unless the program guards against it; a roll back has to change its map
//! atomically; and it needs `CAP_BPF`, and has nothing for Unix sockets. It would pay where most of the
//! traffic belongs to old flows for hours.

use std::collections::VecDeque;

use super::{channel::Link, forwarded::Forwarded, message::Message};
use crate::limits::{FORWARD_BYTES, FORWARD_QUEUE};

/// Datagrams for one generation that have not left. They are kept here and not by the link, so that what
/// is said about the restart itself never stands behind them. What still waits at the next restart is
/// dropped: the old side cannot send it any more without disturbing the new one's talk.
#[derive(Debug, Default)]
pub(crate) struct ForwardQueue {
    forwarded: VecDeque<Forwarded>,
    bytes: usize,
}

impl ForwardQueue {
    /// `false`: there are too many already, and this one is lost.
    pub fn push(&mut self, datagram: Forwarded) -> bool {
        let size = datagram.size();
        let fits = self.bytes + size <= FORWARD_QUEUE;
        if fits {
            self.bytes += size;
            self.forwarded.push_back(datagram);
        }
        fits
    }

    /// Sends as many as the link takes now, and answers how many these are.
    pub fn send(&mut self, link: &mut Link) -> usize {
        let mut sent = 0;
        while !self.forwarded.is_empty() {
            let mut size = 0;
            let is_in = |datagram: &&Forwarded| {
                let fits = size < FORWARD_BYTES;
                size += datagram.size();
                fits
            };
            let count = self.forwarded.iter().take_while(is_in).count();
            let message = Message::Datagrams { forwarded: self.forwarded.drain(..count).collect() };
            let taken = link.send_now(&message);
            let Message::Datagrams { forwarded } = message else { break };
            if !taken {
                forwarded
                    .into_iter()
                    .rev()
                    .for_each(|datagram| self.forwarded.push_front(datagram));
                break;
            }
            self.bytes -= forwarded.iter().map(Forwarded::size).sum::<usize>();
            sent += count;
        }
        sent
    }

    /// Gives up what has not left; answers how many these were.
    pub fn discard(&mut self) -> usize {
        std::mem::take(self).forwarded.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn datagram(number: usize) -> Forwarded {
        let socket = "datagrams 127.0.0.1:0".to_owned();
        Forwarded { socket, from: b"u127.0.0.1:80".to_vec(), bytes: number.to_le_bytes().to_vec() }
    }

    #[test]
    fn mail_arrives_in_order_and_waits_for_room() {
        let (mut near, mut far) = Link::pair().unwrap();
        let (mut queue, mut pushed, mut sent, mut next) = (ForwardQueue::default(), 0, 0, 0);
        while queue.push(datagram(pushed)) {
            pushed += 1;
        }
        assert!(pushed > 1000);
        while sent < pushed {
            sent += queue.send(&mut near);
            assert!(!near.has_unsent(), "it stands before what else is to be said");
            while let Some((message, _)) = far.receive().unwrap() {
                let Message::Datagrams { forwarded } = message else { panic!("{message:?}") };
                for received in forwarded {
                    assert_eq!(received, datagram(next));
                    next += 1;
                }
            }
        }
        assert_eq!((next, queue.bytes), (pushed, 0));
    }

    #[test]
    fn the_longest_letters_fit_into_a_message() {
        let (mut near, mut far) = Link::pair().unwrap();
        let mut queue = ForwardQueue::default();
        let long = Forwarded { bytes: vec![7; crate::limits::DATAGRAM_MAX], ..datagram(0) };
        let almost = Forwarded { bytes: vec![7; FORWARD_BYTES - 500], ..datagram(0) };
        assert!(queue.push(almost.clone()) && queue.push(long.clone()));
        assert_eq!(queue.send(&mut near), 2);
        let (message, _) = far.receive().unwrap().unwrap();
        assert_eq!(message, Message::Datagrams { forwarded: vec![almost, long] });
    }

    #[test]
    fn mail_that_is_given_up_leaves_room() {
        let mut queue = ForwardQueue::default();
        assert!(queue.push(datagram(1)) && queue.push(datagram(2)));
        assert_eq!(queue.discard(), 2);
        assert_eq!(queue.discard(), 0);
    }
}
