//! Of a look-up: who is asked after whom, and what comes of it.

use proptest::prelude::*;

use super::*;

const SECOND: Duration = Duration::from_secs(1);
const BOTH: [Family; 2] = [Family::V6, Family::V4];

/// A look-up, its cache, and the time.
struct World {
    lookup: Lookup,
    cache: Cache,
    now: Stamp,
    time: Instant,
}

fn server(last: u8) -> SocketAddr {
    ([10, 0, 0, last], 53).into()
}

fn ip(last: u8) -> IpAddr {
    [10, 0, 1, last].into()
}

fn addresses(last: u8) -> Answer {
    Answer::Addresses(vec![ip(last)], 60 * SECOND)
}

impl World {
    fn new(names: &[&str], servers: u8, times: usize) -> World {
        let time = Instant::now();
        let names = names.iter().map(|name| Name::from_ascii(name).expect("a name")).collect();
        let servers = (1..=servers).map(server).collect();
        let lookup = Lookup::new("db", names, &BOTH, servers, SECOND, times);
        World { lookup, cache: Cache::default(), now: time.into(), time }
    }

    fn step(&mut self) -> Option<Step> {
        self.lookup.step(self.now, self.time, &mut self.cache)
    }

    /// Those that are to be asked now.
    fn asked(&mut self) -> Vec<(String, Whom)> {
        let mut all = Vec::new();
        while let Some(step) = self.step() {
            let Step::Ask(name, whom) = step else { panic!("{step:?}") };
            all.push((name.to_ascii(), whom));
        }
        all
    }

    fn answer(&mut self, whom: Whom, answer: Answer) {
        self.lookup.answered(whom, answer, self.time, &mut self.cache);
    }

    fn wait(&mut self) -> Vec<SocketAddr> {
        self.now = self.lookup.deadline().expect("somebody is waited for");
        self.lookup.expire(self.now)
    }

    fn failure(&mut self) -> NameError {
        match self.step() {
            Some(Step::Over(Err(failure))) => failure,
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn both_kinds_are_asked_for_at_once_and_told_as_they_come() {
    let mut world = World::new(&["db.example."], 2, 2);
    let asked = world.asked();
    assert_eq!(asked.len(), 2);
    let [six, four] = [asked[0].1, asked[1].1];
    assert_eq!((six.family, four.family), (Family::V6, Family::V4));
    assert!(asked.iter().all(|(name, whom)| name == "db.example." && whom.server == server(1)));
    world.answer(four, addresses(4));
    assert_eq!(world.step(), Some(Step::Found(Family::V4, vec![ip(4)])));
    assert_eq!(world.step(), None);
    assert!(world.lookup.awaits(six) && !world.lookup.awaits(four));
    world.answer(six, Answer::NoAddress(None));
    assert_eq!(world.step(), Some(Step::Found(Family::V6, Vec::new())));
    assert_eq!(world.step(), Some(Step::Over(Ok(()))));
    assert_eq!(world.step(), None);
}

#[test]
fn the_next_name_is_asked_for_when_the_first_one_has_neither_kind() {
    let mut world = World::new(&["db.a.example.", "db.b.example."], 1, 1);
    let first = world.asked();
    world.answer(first[0].1, Answer::NoSuchName(None));
    assert_eq!(world.step(), None);
    world.answer(first[1].1, Answer::NoAddress(None));
    let second = world.asked();
    assert!(second.len() == 2 && second.iter().all(|(name, _)| name == "db.b.example."));
    world.answer(first[0].1, addresses(9)); // too late
    assert_eq!(world.step(), None);
    for (_, whom) in second {
        world.answer(whom, Answer::NoSuchName(None));
    }
    // It exists under one of its names.
    assert_eq!(world.failure(), NameError::new("db", server(1), NameFailure::NoAddress));
}

#[test]
fn a_server_that_is_silent_is_followed_by_the_next_and_may_still_answer() {
    let mut world = World::new(&["db."], 2, 2);
    let first = world.asked();
    assert_eq!(world.wait(), [server(1); 2]);
    let second = world.asked();
    assert!(second.iter().all(|(_, whom)| whom.server == server(2)));
    world.answer(first[1].1, addresses(4));
    assert_eq!(world.step(), Some(Step::Found(Family::V4, vec![ip(4)])));
    assert_eq!(world.wait(), [server(2)]);
    assert_eq!(world.asked().len(), 1);
}

#[test]
fn where_nobody_answers_no_other_name_is_tried() {
    let mut world = World::new(&["db.a.", "db."], 2, 2);
    let begun = world.now;
    for expected in [server(1), server(2), server(1), server(2)] {
        assert!(world.asked().iter().all(|(_, whom)| whom.server == expected));
        assert_eq!(world.wait(), [expected; 2]);
    }
    assert_eq!(world.failure(), NameError::new("db", server(2), NameFailure::NoAnswer));
    assert_eq!(world.now.since(begun), 4 * SECOND);
}

#[test]
fn a_server_that_fails_is_followed_at_once_and_told_of_in_the_end() {
    let mut world = World::new(&["db.a.", "db."], 2, 1);
    let why = || "Server Failure".to_owned();
    for _ in 0..2 {
        for (_, whom) in world.asked() {
            world.answer(whom, Answer::Failed(why()));
        }
    }
    // The other name may exist.
    for (name, whom) in world.asked() {
        assert_eq!(name, "db.");
        world.answer(whom, Answer::NoSuchName(None));
    }
    let failed = NameFailure::ServerFailed(why());
    assert_eq!(world.failure(), NameError::new("db", server(2), failed));
}

#[test]
fn what_is_known_is_not_asked_for() {
    let mut world = World::new(&["db."], 1, 1);
    for (_, whom) in world.asked() {
        let answer = match whom.family {
            Family::V4 => addresses(4),
            Family::V6 => Answer::NoAddress(Some(60 * SECOND)),
        };
        world.answer(whom, answer);
    }
    let cache = std::mem::take(&mut world.cache);
    let mut again = World { cache, ..World::new(&["db."], 1, 1) };
    again.time = world.time;
    assert_eq!(again.step(), Some(Step::Found(Family::V6, Vec::new())));
    assert_eq!(again.step(), Some(Step::Found(Family::V4, vec![ip(4)])));
    assert_eq!(again.step(), Some(Step::Over(Ok(()))));
}

#[test]
fn who_waits_no_longer_is_told_who_was_asked_last() {
    let mut world = World::new(&["db."], 2, 1);
    world.asked();
    assert_eq!(world.lookup.excuse(), NameError::new("db", server(1), NameFailure::NoAnswer));
    world.wait();
    world.asked();
    assert_eq!(world.lookup.excuse().failure, NameFailure::NoAnswer);
}

proptest! {
    /// Whatever servers do, a look-up comes to an end, asks nobody more often than it may, and is over once.
    #[test]
    fn it_comes_to_an_end(
        servers in 1..4u8, times in 1..4usize, names in 1..4usize,
        what in proptest::collection::vec(0..6u8, 200),
    ) {
        let all = ["a.", "b.", "c."];
        let mut world = World::new(&all[..names], servers, times);
        let (mut open, mut asked, mut over): (Vec<Whom>, usize, usize) = (Vec::new(), 0, 0);
        for what in what {
            while let Some(step) = world.step() {
                match step {
                    Step::Ask(_, whom) => {
                        asked += 1;
                        open.push(whom);
                    }
                    Step::Found(..) => {}
                    Step::Over(_) => over += 1,
                }
            }
            if over > 0 {
                break;
            }
            match (what, open.pop()) {
                (0, Some(whom)) => world.answer(whom, addresses(1)),
                (1, Some(whom)) => world.answer(whom, Answer::NoSuchName(None)),
                (2, Some(whom)) => world.answer(whom, Answer::Failed("x".to_owned())),
                (3, Some(whom)) => world.answer(whom, Answer::NoAddress(None)),
                _ => drop(world.wait()),
            }
        }
        prop_assert_eq!(over, 1);
        prop_assert!(asked <= 2 * names * servers as usize * times);
        prop_assert_eq!(world.step(), None);
    }
}
