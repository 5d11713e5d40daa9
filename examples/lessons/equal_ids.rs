//! A generator of random numbers is memory, and a fork copies memory.

use std::{
    collections::BTreeSet,
    io::{self, Read, Write},
};

use crate::{
    Lesson, Result, Verdict, process,
    tell::{right, say, wrong},
};

pub const LESSON: Lesson = Lesson {
    name: "equal-ids",
    title: "two processes give the same ids to different sessions",
    teach,
    places: &[
        ("src/system/seed.rs", "fresh_seed", "a seed that no other process has, for the service"),
        (
            "src/tasks/backoff.rs",
            "next_share",
            "the jitter of each process is its own, without a seed",
        ),
    ],
};

const IDS: usize = 1000;

fn teach() -> Result<Verdict> {
    say(
        "Ids of sessions, names of temporary files, jitter: most come from a generator that was seeded \
         once and goes on from there. After a fork there are two generators in the same state.",
    );
    wrong(format!(
        "Old and new process go on to draw ids of 64 bits from fastrand, {IDS} each. That two of them \
         are equal by chance has odds of one in 10^13."
    ));
    let twice = given_twice(|| ())?;
    say(format!(
        "{twice} of {IDS} are given out by both: each session has a twin that may see its data."
    ));
    right("The child seeds the generator anew, before it gives out the first id.");
    let twice_right = given_twice(|| fastrand::seed(heirloom::fresh_seed()))?;
    say(format!(
        "{twice_right} of {IDS} are given out by both. A service does that in `after_fork_in_child`; \
         which generators need it, and which cannot be helped, says the guide."
    ));
    Ok(Verdict {
        wrong: format!("gave out {twice} of {IDS} ids twice"),
        right: format!("{twice_right} of {IDS}"),
        as_taught: twice == IDS && twice_right == 0,
    })
}

/// How many ids come from both processes, if `prepare` is what the child does first?
fn given_twice(prepare: impl FnOnce()) -> Result<usize> {
    fastrand::u64(..); // the generator has been in use, as that of a server has
    let (mut from_child, told) = io::pipe()?;
    let mut child = process::fork(|| {
        prepare();
        (&told).write_all(draw().join("\n").as_bytes()).is_err().into()
    })?;
    drop(told);
    let ours: BTreeSet<_> = draw().into_iter().collect();
    let mut theirs = String::new();
    from_child.read_to_string(&mut theirs)?;
    child.wait()?;
    Ok(theirs.lines().filter(|&id| ours.contains(id)).count())
}

fn draw() -> Vec<String> {
    (0..IDS).map(|_| format!("{:016x}", fastrand::u64(..))).collect()
}
