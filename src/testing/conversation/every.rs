//! All the ways in which a conversation may go that are worth a run, up to a number.

use std::collections::BTreeSet;

use super::{
    run::{End, Place, Restarting, Run, Side, Stage, Way},
    script::Conversation,
};
use crate::plan::Engine;

/// Steps of the golden section spread evenly, however many there are (Knuth, The Art of Computer Programming, 6.4).
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

impl Conversation {
    /// Every run of it, in the order in which [`check`](Self::check) plays them, plain ones first. How many there are is its length.
    ///
    /// ```
    /// use heirloom::testing::Conversation;
    ///
    /// let echo = Conversation::new().says("ann", "hello\n").hears("ann", "hello\n");
    /// assert_eq!(echo.runs()[0].to_string(), "plain");
    /// assert!(echo.runs().iter().any(|run| run.to_string() == "fork moving after 2:3, commits"));
    /// println!("{} runs", echo.runs().len());
    /// ```
    pub fn runs(&self) -> Vec<Run> {
        let mut ways = vec![Way::Plain, Way::Twice, Way::ByteByByte];
        ways.extend(self.cuts().map(|cut| Way::Cuts(vec![cut])));
        ways.extend(self.cut_pairs());
        for engine in &self.engines {
            ways.extend(self.restarts(*engine, true).map(Way::Restart));
            if self.stays {
                ways.extend(self.restarts(*engine, false).map(Way::Restart));
            }
        }
        let (count, most) = (ways.len(), self.most.max(1));
        let every = |at: &usize| count <= most || (at * most) % count < most;
        let chosen = ways.into_iter().enumerate().filter(|(at, _)| every(at));
        chosen.map(|(_, way)| Run(way)).collect()
    }

    /// Between any two bytes that a peer says in one piece.
    fn cuts(&self) -> impl Iterator<Item = Place> {
        let steps = (1..).zip(&self.steps);
        steps.flat_map(|(step, it)| (1..it.bytes()).map(move |byte| Place { step, byte }))
    }

    /// Some pairs of cuts, or all if there are few.
    fn cut_pairs(&self) -> Vec<Way> {
        let cuts: Vec<_> = self.cuts().collect();
        let all = cuts.len() * cuts.len().saturating_sub(1) / 2;
        let pair = |mut number: usize| {
            let mut first = 0;
            while number >= cuts.len() - 1 - first {
                number -= cuts.len() - 1 - first;
                first += 1;
            }
            Way::Cuts(vec![cuts[first], cuts[first + 1 + number]])
        };
        let mut chosen = BTreeSet::new();
        let mut at = self.seed;
        while chosen.len() < self.pairs.min(all) {
            at = at.wrapping_add(GOLDEN);
            chosen.insert(((u128::from(at) * all as u128) >> 64) as usize);
        }
        chosen.into_iter().map(pair).collect()
    }

    /// At every place: to its end, undone, and lost on the way. Between bytes only what is decided at once.
    fn restarts(&self, engine: Engine, moves: bool) -> impl Iterator<Item = Restarting> {
        let acts = (1..).zip(&self.steps).filter(|(_, step)| !step.observes());
        let after = acts.clone().map(|(step, _)| Place { step, byte: 0 });
        let between = [Place { step: 0, byte: 0 }].into_iter().chain(after);
        let whole =
            between.flat_map(move |at| ends(moves).map(move |(end, later)| (at, end, later)));
        let given_up = End::Loses(Side::New, Stage::Copied);
        let at_once = [End::Commits, End::RollsBack, given_up];
        let within = self.cuts().flat_map(move |at| at_once.map(|end| (at, end, 0)));
        let all = within.chain(whole);
        all.map(move |(at, end, later)| Restarting { engine, moves, at, end, later })
    }
}

/// What may become of a restart between two steps, and how many steps later.
fn ends(moves: bool) -> impl Iterator<Item = (End, usize)> {
    let lost = [Side::Old, Side::New].into_iter().flat_map(|side| {
        let stages = Stage::ALL.map(|(stage, _)| (End::Loses(side, stage), 0));
        stages.into_iter().chain([(End::Loses(side, Stage::Serving), 1)])
    });
    // Where connections stay, what the new side has accepted of newcomers stays with it as well.
    let undone =
        [(End::RollsBack, 0), (End::RollsBack, 1)].into_iter().take(1 + usize::from(moves));
    [(End::Commits, 0), (End::Commits, 2)].into_iter().chain(undone).chain(lost)
}
