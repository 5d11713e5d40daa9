//! Look-ups under way: who waits for each, and the sockets on which it asks.

use std::{io, net::SocketAddr};

use mio::{Registry, Token};

use super::{
    Moment, Resolver, Running,
    endpoint::{Endpoint, Heard, Way},
};
use crate::{
    log_target::NET,
    names::{Answer, Family, HostName, Lookup, NameError, Question, Step, Whom},
    system::seed::fresh_seed,
};

impl Resolver {
    /// The dial waits for the look-up of its host, which begins now if nobody else waits for it.
    pub(super) fn join(&mut self, number: u64, host: &HostName, now: Moment) {
        if !self.lookups.contains_key(host) {
            let lookup = self.new_lookup(host);
            let (dials, tokens) = (Vec::new(), Vec::new());
            self.lookups.insert(host.clone(), Running { lookup, dials, tokens });
        }
        let no_aaaa = self.files.conf.no_aaaa;
        let Some(running) = self.lookups.get_mut(host) else { return };
        running.dials.push(number);
        let mut found = running.lookup.found.clone();
        if no_aaaa {
            found.push((Family::V6, Vec::new()));
        }
        for (family, addresses) in found {
            self.found(number, family, &addresses, now);
        }
        self.go_on(host, now);
    }

    fn new_lookup(&mut self, host: &HostName) -> Lookup {
        let conf = &self.files.conf;
        let families: &[_] = if conf.no_aaaa { &[Family::V4] } else { &[Family::V6, Family::V4] };
        let named = conf.servers_in_turn(self.turns);
        let mut servers = self.servers.clone().unwrap_or(named);
        servers.sort_by_key(|server| self.silent.contains(server));
        self.turns = self.turns.wrapping_add(1);
        let candidates = host.candidates(conf.ndots, &conf.search);
        Lookup::new(host.as_str(), candidates, families, servers, conf.timeout, conf.attempts)
    }

    /// Does what the look-up says, until it waits for somebody.
    fn go_on(&mut self, host: &HostName, now: Moment) {
        while let Some(running) = self.lookups.get_mut(host) {
            match running.lookup.step(now.stamp, now.time, &mut self.cache) {
                Some(Step::Ask(name, whom)) => {
                    let question = Question { id: fresh_seed() as u16, name, family: whom.family };
                    self.ask(host, question, whom, Way::udp);
                }
                Some(Step::Found(family, addresses)) => {
                    for number in running.dials.clone() {
                        self.found(number, family, &addresses, now);
                    }
                }
                Some(Step::Over(result)) => return self.conclude(host, result),
                None => break,
            }
        }
        self.close_idle(host);
    }

    /// Puts a question on its way, on a socket of its own.
    fn ask(
        &mut self,
        host: &HostName,
        question: Question,
        whom: Whom,
        way: impl Fn(&Question, SocketAddr, &Registry, Token) -> io::Result<Way>,
    ) {
        let (Some(running), Some(poll)) = (self.lookups.get_mut(host), &self.poll) else { return };
        self.last_token += 1;
        match way(&question, whom.server, poll.registry(), Token(self.last_token)) {
            Ok(way) => {
                running.tokens.push(self.last_token);
                let host = host.clone();
                let asked = Endpoint::Question { host, whom, question, way };
                self.sockets.insert(self.last_token, asked);
            }
            Err(e) => running.lookup.failed(whom, e.to_string()),
        }
    }

    /// Something has happened to a socket. One that is gone has nothing to say.
    pub(super) fn hear(&mut self, token: usize, now: Moment) {
        match self.sockets.get_mut(&token) {
            Some(Endpoint::Question { host, whom, question, way }) => {
                let (host, whom) = (host.clone(), *whom);
                match way.hear(question) {
                    Heard::Nothing => return,
                    Heard::Said(Answer::Truncated) if matches!(way, Way::Udp(_)) => {
                        let question = question.clone();
                        self.close_socket(token);
                        self.ask(&host, question, whom, Way::tcp);
                    }
                    Heard::Said(answer) => {
                        log::debug!(
                            target: NET,
                            "{}: {} says of {} records: {answer:?}",
                            host.as_str(), whom.server, whom.family.record()
                        );
                        self.silent.remove(&whom.server);
                        self.close_socket(token);
                        if let Some(running) = self.lookups.get_mut(&host) {
                            running.lookup.answered(whom, answer, now.time, &mut self.cache);
                        }
                    }
                    Heard::Failed(e) => {
                        self.close_socket(token);
                        if let Some(running) = self.lookups.get_mut(&host) {
                            running.lookup.failed(whom, e.to_string());
                        }
                    }
                }
                self.go_on(&host, now);
            }
            Some(Endpoint::Attempt { dial, .. }) => {
                let dial = *dial;
                self.attempt_decided(dial, token, now);
            }
            None => {}
        }
    }

    pub(super) fn expire_lookups(&mut self, now: Moment) {
        let is_due =
            |running: &Running| running.lookup.deadline().is_some_and(|at| at <= now.stamp);
        let due = self.lookups.iter().filter(|(_, running)| is_due(running));
        let due: Vec<_> = due.map(|(host, _)| host.clone()).collect();
        for host in due {
            if let Some(running) = self.lookups.get_mut(&host) {
                self.silent.extend(running.lookup.expire(now.stamp));
            }
            self.go_on(&host, now);
        }
    }

    fn conclude(&mut self, host: &HostName, result: Result<(), NameError>) {
        let Some(running) = self.lookups.remove(host) else { return };
        running.tokens.iter().for_each(|&token| drop(self.take_out(token)));
        for number in running.dials {
            match &result {
                Ok(()) => self.fail_if_lost(number),
                Err(why) => self.fail(number, why.clone().into()),
            }
        }
    }

    /// A dial waits for it no more. When nobody does, it ends.
    pub(super) fn leave(&mut self, number: u64, host: &HostName) {
        let Some(running) = self.lookups.get_mut(host) else { return };
        running.dials.retain(|&waiting| waiting != number);
        if running.dials.is_empty()
            && let Some(running) = self.lookups.remove(host)
        {
            running.tokens.iter().for_each(|&token| drop(self.take_out(token)));
        }
    }

    fn close_socket(&mut self, token: usize) {
        if let Some(Endpoint::Question { host, .. }) = self.take_out(token)
            && let Some(running) = self.lookups.get_mut(&host)
        {
            running.tokens.retain(|&open| open != token);
        }
    }

    /// Closes the sockets of questions that are answered.
    fn close_idle(&mut self, host: &HostName) {
        let Some(running) = self.lookups.get_mut(host) else { return };
        let is_idle = |token: &&usize| match self.sockets.get(token) {
            Some(Endpoint::Question { whom, .. }) => !running.lookup.awaits(*whom),
            _ => true,
        };
        let idle: Vec<_> = running.tokens.iter().filter(is_idle).copied().collect();
        idle.into_iter().for_each(|token| self.close_socket(token));
    }
}
