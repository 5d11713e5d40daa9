//! A restart of all workers in every order of events: what must hold in each world that can come about.

use std::collections::{BTreeSet, HashSet};

use super::*;

const WORKERS: usize = 3;

/// A roll and what is around it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct World {
    roll: Roll,
    up: [bool; WORKERS],
    /// The program is bad: no worker that is asked is replaced.
    is_bad: bool,
    ends: bool,
    /// Whose verdict is awaited.
    asked: Option<usize>,
    /// A roll is under way: these were asked, and these are done.
    running: Option<(BTreeSet<usize>, BTreeSet<usize>)>,
    /// These have gone since it was asked for.
    gone: BTreeSet<usize>,
    /// So many workers may yet crash, and so many restarts be asked for.
    crashes: usize,
    wishes: usize,
}

impl World {
    /// The workers before `up` serve, the others are being made.
    fn begin(is_bad: bool, up: usize, now: Instant) -> World {
        let mut roll = Roll::new(WORKERS);
        for worker in 0..up {
            assert_eq!(roll.step(Event::Up { worker, made: true }, now), []);
        }
        let (ends, asked, running) = (false, None, None);
        let up = std::array::from_fn(|worker| worker < up);
        let gone = BTreeSet::new();
        World { roll, up, is_bad, ends, asked, running, gone, crashes: 5, wishes: 4 }
    }

    /// Whatever can happen next.
    fn events(&self) -> Vec<Event> {
        let mut all = Vec::new();
        if self.wishes > 0 {
            all.push(Event::Wanted);
        }
        for worker in 0..WORKERS {
            match self.up[worker] {
                true if self.crashes > 0 => all.push(Event::Down { worker }),
                true => {}
                false => {
                    all.push(Event::Up { worker, made: true });
                    all.push(Event::Up { worker, made: false });
                }
            }
        }
        if self.asked.is_some() {
            all.push(Event::Failed);
            all.extend((!self.is_bad).then_some(Event::Replaced));
        }
        if !self.ends {
            all.push(Event::End);
        }
        all.push(Event::Due);
        all
    }

    /// The world after that; every law is looked after here.
    fn after(&self, event: Event, now: Instant) -> World {
        let mut next = self.clone();
        let late = self.roll.next_due().filter(|_| event == Event::Due);
        match event {
            Event::Wanted => next.wishes -= 1,
            Event::Down { worker } => {
                next.up[worker] = false;
                next.gone.insert(worker);
                next.crashes -= 1;
            }
            Event::Up { worker, .. } => next.up[worker] = true,
            Event::Replaced => {
                let (Some(worker), Some((_, done))) = (next.asked.take(), &mut next.running) else {
                    panic!("nobody was asked in {self:?}");
                };
                done.insert(worker);
            }
            Event::Failed => next.asked = None,
            Event::End => next.ends = true,
            Event::Due => {}
        }
        let actions = next.roll.step(event, late.unwrap_or(now));
        if event == Event::Wanted && !matches!(actions[..], [Action::Refuse { .. }]) {
            assert!(self.running.is_none(), "two at a time: {self:?}");
            next.running = Some(Default::default());
            next.gone.clear();
        }
        for action in actions {
            next.heed(action, self, event);
        }
        assert_eq!(next.roll.asked(), next.asked, "{event:?} in {self:?}");
        next
    }

    fn heed(&mut self, action: Action, before: &World, event: Event) {
        let told = || format!("{action:?} on {event:?} in {before:?}");
        match action {
            Action::Refuse { ends } => {
                assert_eq!(event, Event::Wanted, "{}", told());
                assert!(before.running.is_some() || before.ends, "{}", told());
                assert_eq!(ends, before.ends, "{}", told());
                return;
            }
            _ => assert!(self.running.is_some(), "of no roll: {}", told()),
        }
        let (asked, done) = self.running.as_mut().expect("it is under way");
        match action {
            Action::Ask { worker } => {
                assert!(self.asked.is_none(), "two are replaced at a time: {}", told());
                assert!(self.up[worker], "nobody is there: {}", told());
                assert!(!self.ends, "after a stop: {}", told());
                asked.insert(worker);
                let first = before.is_bad.then_some(1);
                assert!(asked.len() <= first.unwrap_or(WORKERS), "one too many: {}", told());
                self.asked = Some(worker);
            }
            Action::Skip { worker } => {
                assert!(
                    self.gone.contains(&worker),
                    "it may run what was there before: {}",
                    told()
                );
                done.insert(worker);
            }
            Action::Finish => {
                assert_eq!(done.len(), WORKERS, "not all: {}", told());
                self.running = None;
            }
            Action::Stop { worker, why } => {
                assert_eq!(why == Why::Ends, self.ends, "{}", told());
                let last = asked.last().copied();
                assert!(last.is_none_or(|last| last <= worker), "{}", told());
                (self.running, self.asked) = (None, None);
            }
            Action::Refuse { .. } => {}
        }
    }
}

fn all_worlds() -> HashSet<World> {
    let now = Instant::now();
    let mut known = HashSet::new();
    let begins = [(false, WORKERS), (true, WORKERS), (false, 1), (true, 1)];
    let mut open: Vec<_> = begins.map(|(is_bad, up)| World::begin(is_bad, up, now)).into();
    while let Some(world) = open.pop() {
        for event in world.events() {
            let next = world.after(event, now);
            if known.insert(next.clone()) {
                open.push(next);
            }
        }
    }
    known
}

/// The laws are in [`World::after`]: one worker at a time, a bad version costs one, nothing is asked of who is gone, nor
/// after a stop; who has finished has replaced all.
#[test]
fn in_every_order_of_events_one_worker_at_a_time_is_replaced_and_a_bad_version_stops_at_the_first()
{
    let worlds = all_worlds();
    println!("{} worlds", worlds.len());
    assert!(worlds.len() > 1000, "{} worlds", worlds.len());
    assert!(worlds.iter().any(|world| world.ends) && worlds.iter().any(|world| !world.up[1]));
}

#[test]
fn verdicts_and_time_alone_bring_every_roll_to_its_end() {
    let now = Instant::now();
    for world in all_worlds() {
        let mut at = world.clone();
        for _ in 0..=WORKERS {
            at = match (at.asked, at.roll.next_due()) {
                (Some(_), _) if at.is_bad => at.after(Event::Failed, now),
                (Some(_), _) => at.after(Event::Replaced, now),
                (None, Some(_)) => at.after(Event::Due, now),
                (None, None) => break,
            };
        }
        assert!(at.running.is_none(), "it goes on and on: {world:?}");
    }
}

#[test]
fn a_worker_that_was_made_anew_is_left_alone() {
    let (mut roll, now) = (World::begin(false, WORKERS, Instant::now()).roll, Instant::now());
    assert_eq!(roll.step(Event::Wanted, now), [Action::Ask { worker: 0 }]);
    assert_eq!(roll.step(Event::Down { worker: 1 }, now), []);
    assert_eq!(roll.step(Event::Replaced, now), [], "it waits for the one that is gone");
    let due = roll.next_due().expect("for so long");
    assert_eq!(due, now + WORKER_ABSENCE);
    let back = roll.step(Event::Up { worker: 1, made: true }, now);
    assert_eq!(back, [Action::Skip { worker: 1 }, Action::Ask { worker: 2 }]);
    assert_eq!(roll.step(Event::Replaced, now), [Action::Finish]);
}

#[test]
fn a_worker_that_was_being_made_is_asked_when_it_serves() {
    let (mut roll, now) = (World::begin(false, 2, Instant::now()).roll, Instant::now());
    assert_eq!(roll.step(Event::Wanted, now), [Action::Ask { worker: 0 }]);
    assert_eq!(roll.step(Event::Up { worker: 2, made: true }, now), []);
    assert_eq!(roll.step(Event::Replaced, now), [Action::Ask { worker: 1 }]);
    assert_eq!(roll.step(Event::Replaced, now), [Action::Ask { worker: 2 }]);
    assert_eq!(roll.step(Event::Replaced, now), [Action::Finish]);
}
