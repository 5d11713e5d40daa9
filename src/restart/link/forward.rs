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

use super::{channel::Link, letter::Letter, message::Message};
use crate::limits::{FORWARD_BYTES, FORWARD_QUEUE};

/// Letters for one generation that have not left. They are kept here and not by the link, so that what
/// is said about the restart itself never stands behind them. What still waits at the next restart is
/// dropped: the old side cannot send it any more without disturbing the new one's talk.
#[derive(Debug, Default)]
pub(crate) struct Mail {
    letters: VecDeque<Letter>,
    bytes: usize,
}

impl Mail {
    /// `false`: there are too many already, and this one is lost.
    pub fn push(&mut self, letter: Letter) -> bool {
        let size = letter.size();
        let fits = self.bytes + size <= FORWARD_QUEUE;
        if fits {
            self.bytes += size;
            self.letters.push_back(letter);
        }
        fits
    }

    /// Sends as many as the link takes now, and answers how many these are.
    pub fn post(&mut self, link: &mut Link) -> usize {
        let mut sent = 0;
        while !self.letters.is_empty() {
            let mut size = 0;
            let is_in = |letter: &&Letter| {
                let fits = size < FORWARD_BYTES;
                size += letter.size();
                fits
            };
            let count = self.letters.iter().take_while(is_in).count();
            let message = Message::Datagrams { letters: self.letters.drain(..count).collect() };
            let taken = link.send_now(&message);
            let Message::Datagrams { letters } = message else { break };
            if !taken {
                letters.into_iter().rev().for_each(|letter| self.letters.push_front(letter));
                break;
            }
            self.bytes -= letters.iter().map(Letter::size).sum::<usize>();
            sent += count;
        }
        sent
    }

    /// Gives up what has not left; answers how many these were.
    pub fn discard(&mut self) -> usize {
        std::mem::take(self).letters.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letter(number: usize) -> Letter {
        let socket = "datagrams 127.0.0.1:0".to_owned();
        Letter { socket, from: b"u127.0.0.1:80".to_vec(), bytes: number.to_le_bytes().to_vec() }
    }

    #[test]
    fn mail_arrives_in_order_and_waits_for_room() {
        let (mut near, mut far) = Link::pair().unwrap();
        let (mut mail, mut pushed, mut sent, mut next) = (Mail::default(), 0, 0, 0);
        while mail.push(letter(pushed)) {
            pushed += 1;
        }
        assert!(pushed > 1000);
        while sent < pushed {
            sent += mail.post(&mut near);
            assert!(!near.has_unsent(), "it stands before what else is to be said");
            while let Some((message, _)) = far.receive().unwrap() {
                let Message::Datagrams { letters } = message else { panic!("{message:?}") };
                for received in letters {
                    assert_eq!(received, letter(next));
                    next += 1;
                }
            }
        }
        assert_eq!((next, mail.bytes), (pushed, 0));
    }

    #[test]
    fn the_longest_letters_fit_into_a_message() {
        let (mut near, mut far) = Link::pair().unwrap();
        let mut mail = Mail::default();
        let long = Letter { bytes: vec![7; crate::limits::DATAGRAM_MAX], ..letter(0) };
        let almost = Letter { bytes: vec![7; FORWARD_BYTES - 500], ..letter(0) };
        assert!(mail.push(almost.clone()) && mail.push(long.clone()));
        assert_eq!(mail.post(&mut near), 2);
        let (message, _) = far.receive().unwrap().unwrap();
        assert_eq!(message, Message::Datagrams { letters: vec![almost, long] });
    }

    #[test]
    fn mail_that_is_given_up_leaves_room() {
        let mut mail = Mail::default();
        assert!(mail.push(letter(1)) && mail.push(letter(2)));
        assert_eq!(mail.discard(), 2);
        assert_eq!(mail.discard(), 0);
    }
}
