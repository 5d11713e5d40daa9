//! One connection of an operator.

use std::time::{Duration, Instant};

use super::talk::Talk;
use crate::operate::{behalf::Behalf, control};

#[derive(Debug)]
pub(super) struct Operator {
    pub number: u64,
    /// Who it is, for the workers.
    pub behalf: Behalf,
    pub talk: Talk,
    /// It has asked for something, and has no answer yet.
    pub waits: bool,
    pub heartbeat: Option<Duration>,
    pub beats_at: Option<Instant>,
    /// It has its last answer.
    pub is_done: bool,
}

impl Operator {
    pub fn new(number: u64, behalf: Behalf, talk: Talk) -> Operator {
        let (heartbeat, beats_at) = (None, None);
        Operator { number, behalf, talk, waits: false, heartbeat, beats_at, is_done: false }
    }

    /// The next line, if it is this operator's turn to be heard.
    pub fn next_request(&mut self) -> Option<String> {
        if self.waits || self.is_done {
            return None;
        }
        let line = self.talk.line();
        if line.is_none() && self.talk.is_full() {
            self.answer("error: the request is too long");
            self.is_done = true;
        }
        line
    }

    pub fn wait(&mut self, now: Instant) {
        (self.waits, self.beats_at) = (true, self.heartbeat.map(|every| now + every));
    }

    pub fn answer(&mut self, text: &str) {
        self.talk.say(control::reply(text));
        (self.waits, self.beats_at) = (false, None);
    }

    /// Whoever waits hears that this process turns, unless there is more to hear already.
    pub fn beat(&mut self, now: Instant) {
        if self.beats_at.is_some_and(|at| at <= now) {
            if !self.talk.owes() {
                self.talk.say(control::HEARTBEAT);
            }
            self.beats_at = self.heartbeat.map(|every| now + every);
        }
    }

    pub fn is_over(&self) -> bool {
        let has_said_all = self.talk.has_ended || self.is_done;
        self.talk.is_broken || (has_said_all && !self.waits && !self.talk.owes())
    }
}
