//! What waits for room on the link to one generation: words of others to it, which come through this one, and who
//! can be told something. Kept here and not by the link, so that nothing about a restart stands behind it.

use std::collections::VecDeque;

use super::{channel::Link, message::Message, talk::Talk};
use crate::tasks::Batch;

/// In the order in which it has come. What is lost with it (this process dies, or is not the newest any more) those
/// who have told it say again, so its bound is theirs: what may wait of each.
#[derive(Debug, Default)]
pub(crate) struct Relay(VecDeque<Talk>);

impl Relay {
    pub fn push(&mut self, talk: Talk) {
        match &talk {
            // It begins anew, and what is here of it will come again.
            Talk::Words(Batch { from, oldest, number, .. }) if oldest == number => {
                let speaker = *from;
                self.0.retain(|it| !matches!(it, Talk::Words(it) if it.from == speaker));
            }
            Talk::Speakers { .. } => self.0.retain(|it| !matches!(it, Talk::Speakers { .. })),
            _ => {}
        }
        self.0.push_back(talk);
    }

    /// Sends as much as the link takes now. `false`: some is left.
    pub fn send(&mut self, link: &mut Link) -> bool {
        while let Some(talk) = self.0.pop_front() {
            let message = Message::Talk(talk);
            if !link.send_now(&message) {
                let Message::Talk(talk) = message else { return false };
                self.0.push_front(talk);
                return false;
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(from: u64, oldest: u64, number: u64) -> Talk {
        Talk::Words(Batch { from, to: 9, oldest, number, words: vec![vec![7; 20_000]] })
    }

    #[test]
    fn what_begins_anew_is_there_once_and_waits_for_room_in_order() {
        let (mut near, mut far) = Link::pair().unwrap();
        let mut relay = Relay::default();
        for round in 0..100 {
            // Nobody has taken the first one, and each round says all of them again.
            (1..=20).for_each(|number| relay.push(batch(1, 1, number)));
            relay.push(batch(2, 1 + round, 1 + round));
            relay.push(Talk::Speakers { serves: round, others: Vec::new() });
        }
        assert_eq!(relay.0.len(), 22);
        assert!(!relay.send(&mut near), "the socket took everything: the test tests nothing");
        let mut came = Vec::new();
        while came.len() < 22 {
            assert!(!near.has_unsent(), "it stands before what else is to be said");
            while let Some((Message::Talk(talk), _)) = far.receive().unwrap() {
                came.push(talk);
            }
            relay.send(&mut near);
        }
        assert!(relay.0.is_empty());
        let expected = (1..=20).map(|number| batch(1, 1, number));
        assert!(came[..20].iter().cloned().eq(expected));
        assert_eq!(came[20], batch(2, 100, 100));
        assert_eq!(came[21], Talk::Speakers { serves: 99, others: Vec::new() });
    }
}
