//! What has happened, as the observer has heard it: it sees every generation come and go, and is none of them.

use std::{
    collections::VecDeque,
    time::{SystemTime, UNIX_EPOCH},
};

use super::{event::json, generations::Generation};

/// More than fits into the eye of who has just come.
const KEPT: usize = 60;

/// Clients that fail are named, but a server that fails them all has one line each for no more than these.
const NAMED: u64 = 20;

/// Milliseconds since 1970, as a browser counts them.
pub fn now() -> u128 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis()
}

#[derive(Debug, Default)]
pub struct Journal {
    lines: VecDeque<String>,
    last: u64,
    named: u64,
}

impl Journal {
    /// One more line. The page has a sign for each kind.
    pub fn note(&mut self, kind: &str, text: &str) {
        self.last += 1;
        let at = now();
        let (number, kind, text) = (self.last, json(kind), json(text));
        if self.lines.len() == KEPT {
            self.lines.pop_front();
        }
        self.lines.push_back(format!(
            "{{\"number\":{number},\"at\":{at},\"kind\":{kind},\"text\":{text}}}"
        ));
    }

    /// What one process of the server says: the kind, a blank, the text.
    pub fn take(&mut self, line: &str) {
        let (kind, text) = line.split_once(' ').unwrap_or(("", line));
        self.note(kind, text);
    }

    pub fn failed(&mut self, client: u64, why: &str) {
        self.named += 1;
        match self.named {
            ..=NAMED => self.note("failed", &format!("Client {client} had no answer: {why}.")),
            _ if self.named == NAMED + 1 => {
                self.note("failed", "More clients had no answer; the counter has them all.");
            }
            _ => {}
        }
    }

    /// Who was there and is not any more.
    pub fn compare(&mut self, before: &[Generation], now: &[Generation]) {
        for gone in before.iter().filter(|one| now.iter().all(|other| other.pid != one.pid)) {
            let (title, pid) = (gone.place.title(), gone.pid);
            self.note("ended", &format!("{title}, pid {pid}, has ended."));
        }
    }

    pub fn lines(&self) -> impl Iterator<Item = &String> {
        self.lines.iter()
    }
}
