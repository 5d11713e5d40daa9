//! Who wants what: subscriptions as a tree of levels, and filters (section 4.7 of the standard). Pure.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashMap},
    str::Split,
};

use serde::{Deserialize, Serialize};

/// Subscriptions from one level on. Each level of a topic is looked up, so what others have subscribed to costs
/// nothing.
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

    pub fn unsubscribe(&mut self, filter: &str, client: &str) {
        self.remove(filter.split('/'), client);
    }

    /// Takes one subscription out, and each level that is empty then.
    fn remove(&mut self, mut levels: Split<'_, char>, client: &str) {
        let Some(level) = levels.next() else {
            self.here.remove(client);
            return;
        };
        if let Some(below) = self.below.get_mut(level) {
            below.remove(levels, client);
            if below.here.is_empty() && below.below.is_empty() {
                self.below.remove(level);
            }
        }
    }

    /// Who gets a message of this topic, each once, with the highest QoS that was asked for.
    pub fn find(&self, topic: &str) -> Vec<(&str, u8)> {
        let mut found = Vec::new();
        // A first level that begins with `$` is found by its name only ([MQTT-4.7.2-1]).
        self.collect(topic.split('/'), !topic.starts_with('$'), &mut found);
        found.sort_unstable_by_key(|&(client, qos)| (client, Reverse(qos)));
        found.dedup_by_key(|(client, _)| *client);
        found
    }

    fn collect<'a>(
        &'a self,
        mut levels: Split<'_, char>,
        wild: bool,
        found: &mut Vec<(&'a str, u8)>,
    ) {
        let mut take = |node: &'a Topics| {
            found.extend(node.here.iter().map(|(client, &qos)| (&**client, qos)))
        };
        let below = |level: &str| self.below.get(level);
        below("#").filter(|_| wild).into_iter().for_each(&mut take);
        let Some(level) = levels.next() else { return take(self) };
        for node in below(level).into_iter().chain(below("+").filter(|_| wild)) {
            node.collect(levels.clone(), true, found);
        }
    }
}

#[cfg(test)]
#[path = "topics_tests.rs"]
mod tests;
