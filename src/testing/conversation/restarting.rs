//! The restart of a run: begun, decided now or some steps later, or cut short by the death of a side.

use super::{
    hearing::Ear,
    line::Line,
    player::{Played, Player},
    run::{End, Restarting, Run, Side, Stage, Way},
    step::{Hearing, Step},
};
use crate::{
    error::Error,
    plan::{Engine, Restart},
    service::Service,
    testing::{Harness, Sides, copied::Copied},
};

impl<'a, S: Service, F: Fn() -> S> Player<'a, S, F> {
    /// Begins it, and ends it if nothing is to be played in between.
    pub fn restart(&mut self, restarting: Restarting) -> Played {
        self.said.push(format!("    - {restarting}"));
        self.rely_on_what_has_come();
        let mut copied = self.copy(restarting)?;
        match restarting.end {
            End::Loses(side, Stage::Copied) => return self.lose_early(copied, side, restarting),
            End::Loses(side, Stage::Released) => {
                copied.release();
                return self.lose_early(copied, side, restarting);
            }
            _ => copied.release(),
        }
        let (old, new) = copied.serve().map_err(fails)?;
        (self.old, self.new) = (Some(old), Some(new));
        (self.host, self.in_probation) = (Side::New, true);
        if restarting.moves {
            self.dials.iter_mut().for_each(|(side, ..)| *side = Side::New);
        }
        self.find_lines();
        self.undecided = Some(restarting.later);
        if restarting.later == 0 { self.decide_at_last() } else { Ok(()) }
    }

    fn copy(&mut self, restarting: Restarting) -> Played<Copied<S, S>> {
        let Restarting { engine, moves, .. } = restarting;
        let how = match engine {
            Engine::Fork => Restart::fork(),
            Engine::ForkExec => Restart::fork_exec(),
        };
        let how = if moves { how.move_connections() } else { how };
        let twin = match engine {
            Engine::Fork => Some(self.twin(restarting)?),
            Engine::ForkExec => None,
        };
        let Some(old) = self.old.take() else { return Err("there is nobody to restart".into()) };
        match twin {
            Some(twin) => old.fork_to(twin, &how).map_err(fails),
            None => old.copy_to((self.make)(), &how).map_err(fails),
        }
    }

    /// The same once more, up to here: by then it has the memory that a forked child has.
    fn twin(&self, restarting: Restarting) -> Played<Harness<S>> {
        let (plain, mut said) = (Run(Way::Plain), Vec::new());
        let mut twin = Player::new(self.script, self.make, &plain, &mut said, self.began);
        twin.until = Some(restarting.at);
        let played = twin.play();
        let normal = |line: &Line| Line {
            heard: self.script.normalise.map_or(line.heard.clone(), |it| it(&line.heard)),
            ..line.clone()
        };
        if played.is_err() || !twin.lines.iter().map(normal).eq(self.lines.iter().map(normal)) {
            return Err(
                "the same has led to something else when it was played once more for the child: \
                 does the service keep anything outside of itself, or leave anything to chance?"
                    .into(),
            );
        }
        twin.old.take().ok_or_else(|| "the child has no memory".into())
    }

    /// A side dies before the new one has served.
    fn lose_early(&mut self, copied: Copied<S, S>, side: Side, how: Restarting) -> Played {
        self.said.push(format!("    - the {} side dies", side.name()));
        match side {
            Side::New => self.old = Some(copied.lose_new()),
            Side::Old => {
                (self.old, self.new) = (None, Some(copied.lose_old()));
                self.host = Side::New;
                self.loose |= !how.moves && !self.dials.is_empty();
                self.dials.retain_mut(|(side, ..)| {
                    *side = Side::New;
                    how.moves
                });
            }
        }
        self.count_losses()
    }

    /// One more step was played.
    pub fn come_to_a_decision(&mut self) -> Played {
        match &mut self.undecided {
            Some(1) => self.decide_at_last(),
            Some(left) => {
                *left -= 1;
                if self.wants_to_roll_back() { self.decide(End::RollsBack) } else { Ok(()) }
            }
            None => Ok(()),
        }
    }

    fn wants_to_roll_back(&self) -> bool {
        self.new.as_ref().is_some_and(|new| new.turn.hands_back().is_some())
    }

    /// Where it ends, if it has not yet.
    pub fn decide_at_last(&mut self) -> Played {
        match (self.way, self.undecided) {
            (Way::Restart(_), Some(_)) if self.wants_to_roll_back() => self.decide(End::RollsBack),
            (Way::Restart(restarting), Some(_)) => self.decide(restarting.end),
            _ => Ok(()),
        }
    }

    fn decide(&mut self, end: End) -> Played {
        self.undecided = None;
        self.collect();
        let (Some(old), Some(new)) = (self.old.take(), self.new.take()) else { return Ok(()) };
        let sides = Sides { old, new };
        match end {
            End::Commits => {
                let (old, new) = sides.commit();
                (self.old, self.new) = (Some(old), Some(new));
            }
            End::RollsBack => {
                let (old, new) = sides.roll_back("the run has it so").map_err(fails)?;
                (self.old, self.new) = (Some(old), Some(new));
                self.host = Side::Old;
                if let Way::Restart(Restarting { moves: true, .. }) = self.way {
                    self.dials.iter_mut().for_each(|(side, ..)| *side = Side::Old);
                }
            }
            End::Loses(side, stage) => self.lose(sides, side, stage)?,
        }
        self.in_probation = false;
        self.find_lines();
        let host = self.host;
        let stay = self.lines.iter_mut().filter(|line| line.id.is_some() && line.side() != host);
        stay.for_each(|line| line.stayed = true);
        self.collect();
        Ok(())
    }

    /// A side dies that has served, or is handing back.
    fn lose(&mut self, mut sides: Sides<S, S>, side: Side, stage: Stage) -> Played {
        let is_undone = matches!(stage, Stage::HandedBack | Stage::Returned);
        if is_undone {
            sides.hand_back("the run has it so").map_err(fails)?;
        }
        if stage == Stage::Returned {
            sides.let_go_back();
        }
        self.said.push(format!("    - the {} side dies", side.name()));
        match side {
            Side::New => {
                (self.old, self.host) = (Some(sides.lose_new()), Side::Old);
            }
            Side::Old => (self.new, self.host) = (Some(sides.lose_old()), Side::New),
        }
        let survivor = self.host;
        if !is_undone {
            // What it has taken on since the copy is known to nobody else.
            let before = (self.promises.len(), self.dials.len());
            self.promises.retain(|(_, by)| *by != Some(side));
            let later = matches!(self.way, Way::Restart(Restarting { later: 1.., .. }));
            self.loose |= later || (self.promises.len(), self.dials.len()) != before;
        }
        self.dials.iter_mut().for_each(|(of, ..)| *of = survivor);
        self.count_losses()
    }

    /// Who had a connection and has none any more.
    fn count_losses(&mut self) -> Played {
        self.find_lines();
        for peer in 0..self.lines.len() {
            let line = &self.lines[peer];
            let Some(id) = line.id.filter(|_| !line.ended && !line.left && !line.lost) else {
                continue;
            };
            let side = line.side();
            if self.side(side).is_some_and(|harness| harness.serves(id)) {
                continue;
            }
            self.said.push(format!("      {} has lost its connection", self.script.names[peer]));
            (self.lines[peer].lost, self.loose) = (true, true);
            let heard = std::mem::take(&mut self.lines[peer].heard);
            let heard = self.ear(peer).hear(&heard, &self.yet_to_hear(peer));
            heard.map_err(|why| {
                format!("{}, which has lost its connection, {why}", self.script.names[peer])
            })?;
        }
        Ok(())
    }

    /// What has come by now was said by a side whose state the other one gets, whether it was looked at or not.
    fn rely_on_what_has_come(&mut self) {
        for peer in 0..self.lines.len() {
            let Line { lost: false, left: false, heard, .. } = &self.lines[peer] else { continue };
            let wanted = self.yet_to_hear(peer);
            let ear = Ear { lost: true, ..self.ear(peer) };
            if let Ok(whole) = ear.hear(heard, &wanted) {
                self.rely_on(peer, &wanted, &whole);
            }
        }
    }

    /// What a peer is to hear that was not looked at yet.
    fn yet_to_hear(&self, peer: usize) -> Vec<&'a Hearing> {
        let left = self.script.steps[self.at..].iter();
        let hearings = left.filter_map(|step| match step {
            Step::Hears(who, hearing) if *who == peer => Some(hearing),
            _ => None,
        });
        hearings.collect()
    }

    /// On which side each is by now.
    fn find_lines(&mut self) {
        for line in &mut self.lines {
            let Some(id) = line.id else { continue };
            let is_at =
                |harness: &Option<_>| harness.as_ref().is_some_and(|it: &Harness<S>| it.serves(id));
            if is_at(&self.new) {
                line.is_new = true;
            } else if is_at(&self.old) {
                line.is_new = false;
            }
        }
    }
}

fn fails(why: Error) -> String {
    format!("the restart fails: {why}")
}
