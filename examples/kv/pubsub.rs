//! Who listens to which channels and patterns. Pure: it names connections and reaches none.

use std::collections::{BTreeMap, BTreeSet};

use heirloom::ConnId;
use serde::{Deserialize, Serialize};

use super::glob;

/// What can be subscribed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Topic {
    Channel,
    Pattern,
}

/// The subscriptions of all connections, by topic.
#[derive(Debug, Default)]
pub struct Hub {
    channels: Listeners,
    patterns: Listeners,
}

type Listeners = BTreeMap<Vec<u8>, BTreeSet<ConnId>>;

/// The subscriptions of one connection, by itself: the same facts from the other side. Plain data.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subscriptions {
    pub channels: BTreeSet<Vec<u8>>,
    pub patterns: BTreeSet<Vec<u8>>,
}

impl Subscriptions {
    pub fn of(&mut self, topic: Topic) -> &mut BTreeSet<Vec<u8>> {
        match topic {
            Topic::Channel => &mut self.channels,
            Topic::Pattern => &mut self.patterns,
        }
    }

    pub fn len(&self) -> usize {
        self.channels.len() + self.patterns.len()
    }
}

impl Hub {
    fn of(&mut self, topic: Topic) -> &mut Listeners {
        match topic {
            Topic::Channel => &mut self.channels,
            Topic::Pattern => &mut self.patterns,
        }
    }

    pub fn join(&mut self, topic: Topic, name: &[u8], id: ConnId) {
        self.of(topic).entry(name.to_vec()).or_default().insert(id);
    }

    pub fn leave(&mut self, topic: Topic, name: &[u8], id: ConnId) {
        let listeners = self.of(topic);
        if let Some(ids) = listeners.get_mut(name)
            && ids.remove(&id)
            && ids.is_empty()
        {
            listeners.remove(name);
        }
    }

    /// A connection has come, with what it listens to.
    pub fn join_all(&mut self, subscriptions: &Subscriptions, id: ConnId) {
        for name in &subscriptions.channels {
            self.join(Topic::Channel, name, id);
        }
        for name in &subscriptions.patterns {
            self.join(Topic::Pattern, name, id);
        }
    }

    /// A connection is gone.
    pub fn leave_all(&mut self, subscriptions: &Subscriptions, id: ConnId) {
        for name in &subscriptions.channels {
            self.leave(Topic::Channel, name, id);
        }
        for name in &subscriptions.patterns {
            self.leave(Topic::Pattern, name, id);
        }
    }

    /// Forgets everybody who is not `here`.
    pub fn retain(&mut self, mut here: impl FnMut(ConnId) -> bool) {
        for listeners in [&mut self.channels, &mut self.patterns] {
            listeners.retain(|_, ids| {
                ids.retain(|&id| here(id));
                !ids.is_empty()
            });
        }
    }

    /// Who listens to that very channel.
    pub fn subscribers(&self, channel: &[u8]) -> impl Iterator<Item = ConnId> {
        self.channels.get(channel).into_iter().flatten().copied()
    }

    /// All channels that somebody listens to.
    pub fn channels(&self) -> impl Iterator<Item = &[u8]> {
        self.channels.keys().map(Vec::as_slice)
    }

    /// The patterns that match the channel, and who listens to each.
    pub fn matching(&self, channel: &[u8]) -> impl Iterator<Item = (&[u8], &BTreeSet<ConnId>)> {
        let matching = self.patterns.iter().filter(|(pattern, _)| glob::matches(pattern, channel));
        matching.map(|(pattern, ids)| (pattern.as_slice(), ids))
    }

    /// How many connections listen to anything.
    pub fn listeners(&self) -> usize {
        let listeners = self.channels.values().chain(self.patterns.values());
        listeners.flatten().collect::<BTreeSet<_>>().len()
    }

    /// How many channels and patterns somebody listens to.
    pub fn counts(&self) -> (usize, usize) {
        (self.channels.len(), self.patterns.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_is_there_as_long_as_somebody_listens() {
        let mut hub = Hub::default();
        let ids = [1, 2].map(|number| ConnId::from_bits(number << 24));
        let mut subscriptions = Subscriptions::default();
        for topic in [Topic::Channel, Topic::Pattern] {
            for id in ids {
                hub.join(topic, b"n*", id);
            }
            subscriptions.of(topic).insert(b"n*".to_vec());
        }
        assert_eq!(hub.counts(), (1, 1));
        assert_eq!(hub.subscribers(b"n*").collect::<Vec<_>>(), ids);
        assert_eq!(hub.subscribers(b"news").count(), 0);
        assert_eq!(hub.matching(b"news").map(|(_, ids)| ids.len()).sum::<usize>(), 2);

        hub.leave_all(&subscriptions, ids[0]);
        assert_eq!(hub.subscribers(b"n*").collect::<Vec<_>>(), [ids[1]]);
        hub.leave(Topic::Channel, b"n*", ids[0]); // again, and for nothing
        assert_eq!(hub.counts(), (1, 1));
        hub.retain(|id| id != ids[1]);
        assert_eq!(hub.counts(), (0, 0));
    }
}
