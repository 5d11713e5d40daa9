//! Who wants what: subscriptions as a tree of levels, and filters (section 4.7 of the standard). Pure.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashMap},
    str::Split,
};

use serde::{Deserialize, Serialize};

/// Subscriptions from one level on: each level of a topic is looked up, so what others want costs nothing.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Topics {
    below: HashMap<Box<str>, Topics>,
    /// Who has subscribed to exactly this filter and with which QoS.
    here: BTreeMap<String, u8>,
}

impl Topics {
    pub fn subscribe(&mut self, filter: &str, client: &str, qos: u8) {
        let mut node = self;
        for level in filter.split('/') {
            node = node.below.entry(level.into()).or_default();
        }
        node.here.insert(client.to_owned(), qos);
    }

    /// Takes a filter's subscription out, and each level that is empty then.
    pub fn unsubscribe(&mut self, mut levels: Split<'_, char>, client: &str) {
        let Some(level) = levels.next() else {
            self.here.remove(client);
            return;
        };
        if let Some(below) = self.below.get_mut(level) {
            below.unsubscribe(levels, client);
            if below.here.is_empty() && below.below.is_empty() {
                self.below.remove(level);
            }
        }
    }

    /// Who gets a message of this topic, each once, with the highest QoS that was asked for.
    pub fn find(&self, topic: &str) -> Vec<(&str, u8)> {
        let mut found = Vec::new();
        // A first level that begins with `$` is found by its name only ([MQTT-4.7.2-1]).
        self.visit(topic.split('/'), !topic.starts_with('$'), &mut |node| {
            found.extend(node.here.iter().map(|(client, &qos)| (&**client, qos)));
        });
        found.sort_unstable_by_key(|&(client, qos)| (client, Reverse(qos)));
        found.dedup_by_key(|(client, _)| *client);
        found
    }

    fn visit<'a>(&'a self, mut levels: Split<char>, wild: bool, see: &mut impl FnMut(&'a Topics)) {
        let below = |level: &str| self.below.get(level);
        below("#").filter(|_| wild).into_iter().for_each(&mut *see);
        let Some(level) = levels.next() else { return see(self) };
        for node in below(level).into_iter().chain(below("+").filter(|_| wild)) {
            node.visit(levels.clone(), true, see);
        }
    }
}

#[cfg(test)]
#[path = "topics_tests.rs"]
mod tests;
