//! The rooms of other generations: who is there, and what is told from room to room. Knows no guest here.

use std::collections::{BTreeMap, BTreeSet};

use heirloom::Net;

/// What one room tells another: a sign, and a name or a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word<'a> {
    /// Who is there?
    Who,
    /// This one is here.
    Here(&'a str),
    /// This one has just come.
    Came(&'a str),
    Left(&'a str),
    Line(&'a str),
}

impl<'a> Word<'a> {
    pub fn of(bytes: &'a [u8]) -> Option<Word<'a>> {
        let (sign, text) = std::str::from_utf8(bytes).ok()?.split_at_checked(1)?;
        Some(match sign {
            "?" => Word::Who,
            "=" => Word::Here(text),
            "+" => Word::Came(text),
            "-" => Word::Left(text),
            ":" => Word::Line(text),
            _ => return None, // of a version to come
        })
    }

    fn write(self) -> String {
        match self {
            Word::Who => "?".to_owned(),
            Word::Here(name) => format!("={name}"),
            Word::Came(name) => format!("+{name}"),
            Word::Left(name) => format!("-{name}"),
            Word::Line(line) => format!(":{line}"),
        }
    }

    /// Tells it to one generation. A room that hangs hears no more than its queue holds, which is no reason for
    /// this one to end.
    pub fn tell(self, net: &mut Net, to: u64) {
        if let Err(why) = net.tell(to, self.write()) {
            log::warn!("{why}");
        }
    }

    pub fn tell_all(self, net: &mut Net) {
        for other in net.generations() {
            self.tell(net, other.number);
        }
    }
}

/// Names of guests in other rooms, by generation.
#[derive(Debug, Default)]
pub struct Elsewhere(BTreeMap<u64, BTreeSet<String>>);

impl Elsewhere {
    /// Whether somebody in a room that is still there has this name.
    pub fn has(&self, net: &Net, name: &str) -> bool {
        let lives = |number| net.generations().iter().any(|other| other.number == number);
        self.0.iter().any(|(&number, names)| names.contains(name) && lives(number))
    }

    pub fn add(&mut self, generation: u64, name: &str) {
        self.0.entry(generation).or_default().insert(name.to_owned());
    }

    pub fn remove(&mut self, generation: u64, name: &str) {
        self.0.entry(generation).or_default().remove(name);
    }

    /// That room is closed.
    pub fn forget(&mut self, generation: u64) {
        self.0.remove(&generation);
    }
}
