//! Who wants what: subscriptions as a tree of levels, and filters (section 4.7 of the standard). Pure.

use std::{cmp::Reverse, collections::HashMap};

use serde::{Deserialize, Serialize};

/// The number of a client among all.
pub type Key = u32;

/// All subscriptions. Each level of a topic is looked up, so what others have subscribed to costs nothing.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Topics(Node);

#[derive(Debug, Default, Serialize, Deserialize)]
struct Node {
    below: HashMap<Box<str>, Node>,
    /// Who has subscribed to exactly this filter and with which QoS, in the order of their numbers.
    here: Vec<(Key, u8)>,
}

impl Topics {
    pub fn subscribe(&mut self, filter: &str, key: Key, qos: u8) {
        let mut node = &mut self.0;
        for level in filter.split('/') {
            node = node.below.entry(level.into()).or_default();
        }
        match node.here.binary_search_by_key(&key, |&(key, _)| key) {
            Ok(at) => node.here[at].1 = qos,
            Err(at) => node.here.insert(at, (key, qos)),
        }
    }

    pub fn unsubscribe(&mut self, filter: &str, key: Key) {
        remove(&mut self.0, Some(filter), key);
    }

    /// Who gets a message of this topic, each once, with the highest QoS that was asked for.
    pub fn find(&self, topic: &str, found: &mut Vec<(Key, u8)>) {
        let mut nodes = 0;
        collect(&self.0, Some(topic), !topic.starts_with('$'), &mut |here| {
            nodes += usize::from(!here.is_empty());
            found.extend_from_slice(here);
        });
        if nodes > 1 {
            found.sort_unstable_by_key(|&(key, qos)| (key, Reverse(qos)));
            found.dedup_by_key(|(key, _)| *key);
        }
    }
}

/// Takes one subscription out, and each node that is empty then.
fn remove(node: &mut Node, filter: Option<&str>, key: Key) {
    let Some(filter) = filter else { return node.here.retain(|&(other, _)| other != key) };
    let (level, rest) = split(filter);
    if let Some(below) = node.below.get_mut(level) {
        remove(below, rest, key);
        if below.here.is_empty() && below.below.is_empty() {
            node.below.remove(level);
        }
    }
}

/// A first level that begins with `$` is found by its name only ([MQTT-4.7.2-1]).
fn collect(node: &Node, topic: Option<&str>, wild: bool, found: &mut impl FnMut(&[(Key, u8)])) {
    if let Some(all) = node.below.get("#").filter(|_| wild) {
        found(&all.here);
    }
    let Some(topic) = topic else { return found(&node.here) };
    let (level, rest) = split(topic);
    if let Some(below) = node.below.get(level) {
        collect(below, rest, true, found);
    }
    if let Some(below) = node.below.get("+").filter(|_| wild) {
        collect(below, rest, true, found);
    }
}

fn split(topic: &str) -> (&str, Option<&str>) {
    topic.split_once('/').map_or((topic, None), |(level, rest)| (level, Some(rest)))
}

/// What each topic that a filter matches begins with.
pub fn start(filter: &str) -> &str {
    let start = filter.find(['+', '#']).map_or(filter, |wild| &filter[..wild]);
    start.strip_suffix('/').unwrap_or(start) // `a/#` matches `a`, too
}

pub fn matches(filter: &str, topic: &str) -> bool {
    if topic.starts_with('$') && filter.starts_with(['+', '#']) {
        return false;
    }
    let (mut filters, mut levels) = (filter.split('/'), topic.split('/'));
    loop {
        match (filters.next(), levels.next()) {
            (Some("#"), _) | (None, None) => return true,
            (Some(one), Some(level)) if one == "+" || one == level => {}
            _ => return false,
        }
    }
}

#[cfg(test)]
#[path = "topics_tests.rs"]
mod tests;
