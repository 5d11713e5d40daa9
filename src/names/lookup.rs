//! Whom to ask what next, until the addresses of a host are known or it is certain that nobody knows them. Pure.
//!
//! Each full name that the host may have is asked for in turn, both kinds of addresses at once, each kind of one
//! server after the other. The first full name with any address is the one.

use std::{
    net::{IpAddr, SocketAddr},
    time::{Duration, Instant},
};

use hickory_proto::rr::Name;

use super::{
    cache::{Cache, Known},
    error::{NameError, NameFailure},
    host::Family,
    message::Answer,
};
use crate::clock::Stamp;

/// Which of the questions of a look-up an answer belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Whom {
    /// Of which full name.
    round: usize,
    pub family: Family,
    attempt: usize,
    pub server: SocketAddr,
}

/// What is to be done.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Ask(Name, Whom),
    /// All addresses of this kind that the host has.
    Found(Family, Vec<IpAddr>),
    Over(Result<(), NameError>),
}

/// One look-up, for all who want to know.
#[derive(Debug)]
pub(crate) struct Lookup {
    host: String,
    candidates: Vec<Name>,
    round: usize,
    servers: Vec<SocketAddr>,
    timeout: Duration,
    /// How many are asked for each kind: every server, as often as it may be.
    attempts: usize,
    asked: Vec<Asked>,
    /// What was found so far.
    pub found: Vec<(Family, Vec<IpAddr>)>,
    /// What was wrong with names that were asked for before.
    failure: Option<NameError>,
    over: bool,
}

/// One kind of address.
#[derive(Debug)]
struct Asked {
    family: Family,
    state: State,
    /// What was wrong with the servers so far.
    failure: Option<(NameFailure, SocketAddr)>,
}

#[derive(Debug)]
enum State {
    New,
    Due(usize),
    Asking(usize, Stamp),
    Known(Known, SocketAddr),
    Failed,
}

impl Asked {
    fn is_decided(&self) -> bool {
        matches!(self.state, State::Known(..) | State::Failed)
    }

    fn has_addresses(&self) -> bool {
        matches!(self.state, State::Known(Known::Addresses(_), _))
    }
}

impl Lookup {
    /// Of `host` under these full names, for these kinds of addresses. There is a name and a server.
    pub fn new(
        host: &str,
        candidates: Vec<Name>,
        families: &[Family],
        servers: Vec<SocketAddr>,
        timeout: Duration,
        times: usize,
    ) -> Lookup {
        let fresh = |&family| Asked { family, state: State::New, failure: None };
        Lookup {
            host: host.to_owned(),
            candidates,
            round: 0,
            attempts: servers.len() * times,
            servers,
            timeout,
            asked: families.iter().map(fresh).collect(),
            found: Vec::new(),
            failure: None,
            over: false,
        }
    }

    fn server(&self, attempt: usize) -> SocketAddr {
        self.servers[attempt % self.servers.len()]
    }

    /// What is to be done next; `None` when that is to wait.
    pub fn step(&mut self, now: Stamp, time: Instant, cache: &mut Cache) -> Option<Step> {
        while !self.over {
            if let Some(step) = self.ask(now, time, cache).or_else(|| self.tell()) {
                return Some(step);
            }
            if !self.asked.iter().all(Asked::is_decided) {
                return None;
            }
            if let Some(result) = self.conclude() {
                self.over = true;
                return Some(Step::Over(result));
            }
        }
        None
    }

    fn ask(&mut self, now: Stamp, time: Instant, cache: &mut Cache) -> Option<Step> {
        let name = self.candidates.get(self.round)?;
        for place in 0..self.asked.len() {
            let asked = &mut self.asked[place];
            if let State::New = asked.state {
                let key = (name.to_ascii(), asked.family);
                asked.state = match cache.get(&key, time) {
                    Some((known, server)) => State::Known(known.clone(), server),
                    None => State::Due(0),
                };
            }
            if let State::Due(attempt) = asked.state {
                asked.state = State::Asking(attempt, now + self.timeout);
                let (round, family) = (self.round, asked.family);
                let whom = Whom { round, family, attempt, server: self.server(attempt) };
                return Some(Step::Ask(name.clone(), whom));
            }
        }
        None
    }

    /// Once one kind has an address, the name is the right one, and each kind is told as it comes.
    fn tell(&mut self) -> Option<Step> {
        if !self.asked.iter().any(Asked::has_addresses) {
            return None;
        }
        let is_told = |family| self.found.iter().any(|&(told, _)| told == family);
        let asked = self.asked.iter().find(|it| it.is_decided() && !is_told(it.family))?;
        let addresses = match &asked.state {
            State::Known(Known::Addresses(addresses), _) => addresses.clone(),
            _ => Vec::new(),
        };
        self.found.push((asked.family, addresses.clone()));
        Some(Step::Found(asked.family, addresses))
    }

    /// Everything about one full name is decided. `None`: the next one is to be asked for.
    fn conclude(&mut self) -> Option<Result<(), NameError>> {
        if self.asked.iter().any(Asked::has_addresses) {
            return Some(Ok(()));
        }
        let error = |failure, server| NameError::new(&self.host, server, failure);
        let mut worst = self.failure.take();
        let mut is_silent = false;
        for asked in &mut self.asked {
            let error = match (&asked.state, asked.failure.take()) {
                (State::Failed, Some((failure, server))) => error(failure, server),
                (State::Known(Known::NoAddress, server), _) => {
                    error(NameFailure::NoAddress, *server)
                }
                (State::Known(_, server), _) => error(NameFailure::NoSuchName, *server),
                _ => continue,
            };
            is_silent |= error.failure == NameFailure::NoAnswer;
            if worst.as_ref().is_none_or(|worst| rank(&error.failure) > rank(&worst.failure)) {
                worst = Some(error);
            }
            asked.state = State::New;
        }
        self.failure = worst;
        self.round += 1;
        // Where nobody answers, the other names would only take as long again.
        match self.round < self.candidates.len() && !is_silent {
            true => None,
            false => self.failure.take().map(Err),
        }
    }

    /// Whether an answer to this question still changes anything.
    pub fn awaits(&self, whom: Whom) -> bool {
        let is_open = |it: &Asked| it.family == whom.family && !it.is_decided();
        self.round == whom.round && !self.over && self.asked.iter().any(is_open)
    }

    fn asking(&mut self, whom: Whom) -> Option<&mut Asked> {
        let awaits = self.awaits(whom);
        self.asked.iter_mut().find(|it| awaits && it.family == whom.family)
    }

    /// A server has answered.
    pub fn answered(&mut self, whom: Whom, answer: Answer, time: Instant, cache: &mut Cache) {
        let Some(name) = self.candidates.get(whom.round).map(Name::to_ascii) else { return };
        let Some(asked) = self.asking(whom) else { return };
        let (known, ttl) = match answer {
            Answer::Addresses(addresses, ttl) => (Known::Addresses(addresses), Some(ttl)),
            Answer::NoSuchName(ttl) => (Known::NoSuchName, ttl),
            Answer::NoAddress(ttl) => (Known::NoAddress, ttl),
            Answer::Truncated => return self.failed(whom, "cut short by TCP".to_owned()),
            Answer::Failed(why) => return self.failed(whom, why),
        };
        asked.state = State::Known(known.clone(), whom.server);
        if let Some(ttl) = ttl {
            cache.put((name, whom.family), known, whom.server, ttl, time);
        }
    }

    /// A server cannot be asked, or cannot say. The next one is asked at once, unless that has happened.
    pub fn failed(&mut self, whom: Whom, why: String) {
        let attempts = self.attempts;
        let Some(asked) = self.asking(whom) else { return };
        asked.failure = Some((NameFailure::ServerFailed(why), whom.server));
        if matches!(asked.state, State::Asking(attempt, _) if attempt == whom.attempt) {
            asked.next_server(whom.attempt, attempts);
        }
    }

    /// Servers that have not answered in time. The next ones are to be asked.
    pub fn expire(&mut self, now: Stamp) -> Vec<SocketAddr> {
        let mut silent = Vec::new();
        for place in 0..self.asked.len() {
            let State::Asking(attempt, until) = self.asked[place].state else { continue };
            if until <= now {
                let server = self.server(attempt);
                silent.push(server);
                let asked = &mut self.asked[place];
                if !matches!(asked.failure, Some((NameFailure::ServerFailed(_), _))) {
                    asked.failure = Some((NameFailure::NoAnswer, server));
                }
                asked.next_server(attempt, self.attempts);
            }
        }
        silent
    }

    /// When the first of those who are asked will have taken too long.
    pub fn deadline(&self) -> Option<Stamp> {
        let untils = self.asked.iter().filter_map(|asked| match asked.state {
            State::Asking(_, until) => Some(until),
            _ => None,
        });
        untils.min()
    }

    /// Why nothing is known, for somebody who will not wait any longer.
    pub fn excuse(&self) -> NameError {
        let asked = self.asked.iter().find_map(|asked| match (&asked.failure, &asked.state) {
            (Some((failure, server)), _) => Some((failure.clone(), *server)),
            (None, State::Asking(attempt, _)) => {
                Some((NameFailure::NoAnswer, self.server(*attempt)))
            }
            _ => None,
        });
        let (failure, server) = asked.unwrap_or((NameFailure::NoAnswer, self.server(0)));
        NameError::new(&self.host, server, failure)
    }
}

impl Asked {
    fn next_server(&mut self, attempt: usize, attempts: usize) {
        self.state = if attempt + 1 < attempts { State::Due(attempt + 1) } else { State::Failed };
    }
}

/// Of several failures, what is told: that nobody could say, before that there is nothing.
fn rank(failure: &NameFailure) -> u8 {
    match failure {
        NameFailure::NoSuchName => 0,
        NameFailure::NoAddress => 1,
        NameFailure::NoAnswer => 2,
        NameFailure::ServerFailed(_) => 3,
    }
}

#[cfg(test)]
#[path = "lookup_tests.rs"]
mod tests;
