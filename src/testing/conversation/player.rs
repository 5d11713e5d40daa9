//! Plays one run of a conversation, step by step, and listens to what the peers hear.

use std::time::{Duration, Instant};

use super::{
    hearing::Ear,
    line::Line,
    run::{Place, Run, Side, Way},
    script::Conversation,
    step::{Hearing, Quoted, Step},
};
use crate::{
    net::Origin,
    service::Service,
    testing::{Harness, Peer},
};

/// What has gone wrong, in words.
pub(super) type Played<T = ()> = Result<T, String>;

/// A conversation under way.
pub(super) struct Player<'a, S: Service, F: Fn() -> S> {
    pub script: &'a Conversation,
    pub make: &'a F,
    pub way: &'a Way,
    /// When it began, by the clock of its service.
    pub began: Instant,
    /// So many steps were played.
    pub at: usize,
    /// Where it is to stop.
    pub until: Option<Place>,
    pub old: Option<Harness<S>>,
    /// Once there is one, in a restart and after it.
    pub new: Option<Harness<S>>,
    /// Who lets newcomers in.
    pub host: Side,
    /// Both sides serve, and it is not decided yet.
    pub in_probation: bool,
    /// So many steps until it is.
    pub undecided: Option<usize>,
    pub lines: Vec<Line>,
    /// What the service has dialed, where.
    pub dials: Vec<(Side, String, u64)>,
    /// What was promised, and by whom since the copy.
    pub promises: Vec<(String, Option<Side>)>,
    /// A side was lost, and something with it.
    pub loose: bool,
    /// What has happened so far.
    pub said: &'a mut Vec<String>,
}

impl<'a, S: Service, F: Fn() -> S> Player<'a, S, F> {
    pub fn new(
        script: &'a Conversation,
        make: &'a F,
        run: &'a Run,
        said: &'a mut Vec<String>,
        began: Instant,
    ) -> Player<'a, S, F> {
        let harness = Harness::begin_at(make(), began);
        let harness = match script.timeouts {
            Some(timeouts) => harness.timeouts(timeouts),
            None => harness,
        };
        Player {
            script,
            make,
            way: &run.0,
            began,
            at: 0,
            until: None,
            old: Some(harness),
            new: None,
            host: Side::Old,
            in_probation: false,
            undecided: None,
            lines: script.names.iter().map(|_| Line::default()).collect(),
            dials: Vec::new(),
            promises: Vec::new(),
            loose: false,
            said,
        }
    }

    /// Up to the end, or up to where it is to stop.
    pub fn play(&mut self) -> Played {
        self.collect();
        if self.reached(Place { step: 0, byte: 0 })? {
            return Ok(());
        }
        let script = self.script;
        while let Some(step) = script.steps.get(self.at) {
            if step.observes() {
                let count = script.steps[self.at..].iter().take_while(|it| it.observes()).count();
                self.observe(self.at, count)?;
                self.at += count;
                continue;
            }
            self.at += 1;
            let at = self.at;
            self.said.push(format!("{at:3} {}", step.describe(&self.script.names)));
            if self.act(at, step)? {
                return Ok(());
            }
            self.collect();
            self.come_to_a_decision()?;
            if self.reached(Place { step: at, byte: 0 })? {
                return Ok(());
            }
        }
        self.decide_at_last()?;
        self.silence()
    }

    /// `true`: this is where to stop.
    fn reached(&mut self, place: Place) -> Played<bool> {
        if self.until == Some(place) {
            return Ok(true);
        }
        if let Way::Restart(restarting) = self.way
            && restarting.at == place
            && self.until.is_none()
        {
            self.restart(*restarting)?;
        }
        Ok(false)
    }

    fn act(&mut self, number: usize, step: &Step) -> Played<bool> {
        match step {
            Step::Connects(peer) => {
                self.connect(*peer, Origin::Accepted { listener: 0 }, self.host)
            }
            Step::Says(peer, bytes) => return self.say(number, *peer, bytes),
            Step::Finishes(peer) => self.with_line(*peer, |harness, peer| harness.finish(peer)),
            Step::Leaves(peer) => {
                self.with_line(*peer, |harness, peer| harness.finish(peer));
                self.lines[*peer].left = true;
            }
            Step::Resets(peer) => {
                self.with_line(*peer, |harness, peer| harness.reset(peer));
                self.lines[*peer].left = true;
            }
            Step::Passes(time) => self.pass(*time),
            Step::Dialed(peer, address) => match self.take_dial(address) {
                Some((side, tag)) => self.connect(*peer, Origin::Dialed { tag }, side),
                None if self.loose => self.lines[*peer].lost = true,
                None => return Err(format!("step {number}: the service has not dialed {address}")),
            },
            Step::Refused(address) => match self.take_dial(address) {
                Some((side, tag)) => {
                    let why = std::io::ErrorKind::ConnectionRefused;
                    self.side(side).into_iter().for_each(|harness| harness.refuse(tag, why));
                }
                None if self.loose => {}
                None => return Err(format!("step {number}: the service has not dialed {address}")),
            },
            Step::Hears(..) | Step::Ends(_) => {}
        }
        Ok(false)
    }

    /// In pieces, where this run has it cut.
    fn say(&mut self, step: usize, peer: usize, bytes: &[u8]) -> Played<bool> {
        let mut from = 0;
        for byte in 1..bytes.len() {
            if !self.is_cut(Place { step, byte }) {
                continue;
            }
            self.feed(peer, &bytes[from..byte]);
            from = byte;
            self.collect();
            if self.reached(Place { step, byte })? {
                return Ok(true);
            }
        }
        self.feed(peer, &bytes[from..]);
        Ok(false)
    }

    fn is_cut(&self, place: Place) -> bool {
        self.until == Some(place)
            || match self.way {
                Way::Plain | Way::Twice => false,
                Way::ByteByByte => true,
                Way::Cuts(cuts) => cuts.contains(&place),
                Way::Restart(restarting) => restarting.at == place,
            }
    }

    fn feed(&mut self, peer: usize, bytes: &[u8]) {
        self.with_line(peer, |harness, peer| harness.feed(peer, bytes));
    }

    fn with_line(&mut self, peer: usize, what: impl FnOnce(&mut Harness<S>, Peer)) {
        let line = &self.lines[peer];
        if line.lost || line.left {
            return;
        }
        let (side, id) = (line.side(), line.id);
        if let (Some(id), Some(harness)) = (id, self.side(side))
            && let Some(peer) = harness.peer_of(id)
        {
            what(harness, peer);
        }
    }

    fn connect(&mut self, peer: usize, origin: Origin, side: Side) {
        let Some(harness) = self.side(side) else { return };
        let peer_there = harness.connect_as(origin);
        let id = harness.id(peer_there);
        let line = &mut self.lines[peer];
        (line.id, line.is_new) = (Some(id), side == Side::New);
    }

    fn take_dial(&mut self, address: &str) -> Option<(Side, u64)> {
        let at = self.dials.iter().position(|(_, dialed, _)| dialed == address)?;
        let (side, _, tag) = self.dials.remove(at);
        Some((side, tag))
    }

    fn pass(&mut self, time: Duration) {
        match (&mut self.old, &mut self.new) {
            (Some(old), Some(new)) => old.advance_beside(new, time),
            (old, new) => old.iter_mut().chain(new).for_each(|harness| harness.advance(time)),
        }
    }

    pub fn side(&mut self, side: Side) -> Option<&mut Harness<S>> {
        match side {
            Side::Old => self.old.as_mut(),
            Side::New => self.new.as_mut(),
        }
    }

    /// What has come to the peers by now, and what the service has dialed.
    pub fn collect(&mut self) {
        if let (Some(old), Some(new)) = (&mut self.old, &mut self.new) {
            old.exchange(new); // words are on their way no longer than a turn
        }
        for (side, harness) in [(Side::Old, &mut self.old), (Side::New, &mut self.new)] {
            let Some(harness) = harness else { continue };
            self.dials.extend(harness.dialed().into_iter().map(|(to, tag)| (side, to, tag)));
            let lines = self.lines.iter_mut().zip(&self.script.names);
            for (line, name) in lines.filter(|(line, _)| line.side() == side && !line.lost) {
                let peer = line.id.and_then(|id| harness.peer_of(id));
                let Some(peer) = peer else { continue };
                let heard = harness.take_sent(peer);
                if !heard.is_empty() && !line.left {
                    self.said.push(format!("      {name} hears {}", Quoted(&heard)));
                    line.heard.extend(heard);
                }
                if harness.is_closed(peer) && !std::mem::replace(&mut line.ended, true) {
                    self.said.push(format!("      {name} is closed"));
                }
            }
        }
    }

    /// `count` steps from this one on only look.
    fn observe(&mut self, first: usize, count: usize) -> Played {
        let script = self.script;
        let steps = &script.steps[first..first + count];
        for peer in 0..self.lines.len() {
            let hears = steps.iter().enumerate().filter_map(|(at, step)| match step {
                Step::Hears(who, hearing) if *who == peer => Some((first + at + 1, hearing)),
                _ => None,
            });
            let (numbers, wanted): (Vec<_>, Vec<_>) = hears.unzip();
            if let Some(number) = numbers.first() {
                self.hear(peer, &wanted).map_err(|why| self.blame(*number, peer, &why))?;
            }
        }
        for (number, step) in (first + 1..).zip(steps) {
            if let Step::Ends(peer) = step
                && !self.lines[*peer].ended
                && !self.lines[*peer].lost
                && !self.loose
            {
                return Err(self.blame(number, *peer, "is not closed"));
            }
        }
        Ok(())
    }

    fn blame(&self, step: usize, peer: usize, why: &str) -> String {
        format!("step {step}: {} {why}", self.script.names[peer])
    }

    fn hear(&mut self, peer: usize, wanted: &[&Hearing]) -> Played {
        if self.lines[peer].lost || self.lines[peer].left {
            return Ok(()); // what it has heard by then was looked at
        }
        let heard = std::mem::take(&mut self.lines[peer].heard);
        let whole = self.ear(peer).hear(&heard, wanted)?;
        self.rely_on(peer, wanted, &whole);
        Ok(())
    }

    pub fn ear(&self, peer: usize) -> Ear<'_> {
        let line = &self.lines[peer];
        let extras = self.script.extras.iter().filter(|(who, _)| *who == peer);
        let may = self.loose || line.stayed;
        Ear {
            extras: extras.filter(|_| may).map(|(_, extra)| extra.clone()).collect(),
            loose: self.loose,
            lost: line.lost,
            normalise: self.script.normalise,
            promised: self.promises.iter().map(|(what, _)| what.as_str()).collect(),
        }
    }

    /// Notes what was promised by what a peer has heard in whole.
    pub fn rely_on(&mut self, peer: usize, wanted: &[&Hearing], whole: &[bool]) {
        let by = self.in_probation.then(|| self.lines[peer].side());
        for (hearing, _) in wanted.iter().zip(whole).filter(|(_, whole)| **whole) {
            self.promises.extend(hearing.promises.clone().map(|what| (what, by)));
        }
    }

    /// In the end nobody has heard what nobody was to hear.
    fn silence(&mut self) -> Played {
        self.collect();
        for peer in 0..self.lines.len() {
            self.hear(peer, &[])
                .map_err(|why| format!("in the end {} {why}", self.script.names[peer]))?;
        }
        Ok(())
    }
}
