//! What waits for room on the link to one generation: words of others to it, which come through this one, and who
//! can be told something. Kept here and not by the link, so that nothing about a restart stands behind it.

use std::collections::VecDeque;

use super::{channel::Link, message::Message, talk::Talk};
use crate::tasks::Batch;

/// In the order in which it has come. What is lost with it (this process dies, or is not the newest any more) those
/// who have told it say again. There is a batch of each of them at most, since no other follows before that was taken.
#[derive(Debug, Default)]
pub(crate) struct Relay(VecDeque<Talk>);

impl Relay {
    pub fn push(&mut self, talk: Talk) {
        match &talk {
            // It is said again, with what has come to it.
            Talk::Words(Batch { from, .. }) => {
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

    fn batch(from: u64, number: u64) -> Talk {
        Talk::Words(Batch { from, to: 9, number, words: vec![vec![7; 30_000]] })
    }

    #[test]
    fn what_is_said_again_is_there_once_and_all_wait_for_room_in_order() {
        let (mut near, mut far) = Link::pair().unwrap();
        let mut relay = Relay::default();
        for round in 0..3 {
            (1..=20).for_each(|from| relay.push(batch(from, round)));
            relay.push(Talk::Speakers { serves: round, others: Vec::new() });
        }
        assert_eq!(relay.0.len(), 21);
        assert!(!relay.send(&mut near), "the socket took everything: the test tests nothing");
        let mut came = Vec::new();
        while came.len() < 21 {
            assert!(!near.has_unsent(), "it stands before what else is to be said");
            while let Some((Message::Talk(talk), _)) = far.receive().unwrap() {
                came.push(talk);
            }
            relay.send(&mut near);
        }
        assert!(relay.0.is_empty());
        let last = Talk::Speakers { serves: 2, others: Vec::new() };
        assert!(came.into_iter().eq((1..=20).map(|from| batch(from, 2)).chain([last])));
    }
}
