//! Values by their keys, all of them or those that have changed, written down in the form of `session`. Pure.

use std::collections::{BTreeMap, BTreeSet};

use heirloom::Result;

use crate::session::{fields, put, version};

/// What clients have put here, and what of it has changed since somebody wanted to know.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Keys {
    all: BTreeMap<String, String>,
    changed: Option<BTreeSet<String>>,
}

// A tag is never given a second meaning.
pub const PAIR: u8 = 10;

impl Keys {
    pub fn set(&mut self, key: &str, value: &str) {
        self.all.insert(key.to_owned(), value.to_owned());
        self.changed.iter_mut().for_each(|changed| changed.extend([key.to_owned()]));
    }

    pub fn get(&self, key: &str) -> &str {
        self.all.get(key).map_or("", String::as_str)
    }

    pub fn track(&mut self, on: bool) {
        self.changed = on.then(BTreeSet::new);
    }

    /// A field for each.
    pub fn write(&self, out: &mut Vec<u8>) {
        self.all.keys().for_each(|key| self.write_one(key, out));
    }

    fn write_one(&self, key: &str, out: &mut Vec<u8>) {
        put(out, PAIR, format!("{key} {}", self.get(key)).as_bytes());
    }

    /// What one of these fields says.
    pub fn read(&mut self, value: &[u8]) -> Result {
        let text = std::str::from_utf8(value).map_err(|_| "not a key and a value")?;
        let (key, value) = text.split_once(' ').ok_or("not a key and a value")?;
        self.set(key, value);
        Ok(())
    }

    pub fn count_changed(&self) -> usize {
        self.changed.as_ref().map_or(0, BTreeSet::len)
    }

    /// At most so many of those that have changed; and how many are left.
    pub fn write_changes(&mut self, most: usize) -> (Vec<u8>, usize) {
        let mut out = Vec::new();
        let Some(mut changed) = self.changed.take() else { return (out, 0) };
        for key in (0..most).map_while(|_| changed.pop_first()) {
            if out.is_empty() {
                out.push(version());
            }
            self.write_one(&key, &mut out);
        }
        let left = changed.len();
        self.changed = Some(changed);
        (out, left)
    }

    pub fn read_changes(&mut self, saved: &[u8]) -> Result {
        fields(saved)?.into_iter().try_for_each(|(_, value)| self.read(value))
    }
}
