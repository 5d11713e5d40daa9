//! A page that both sides have is copied when one of them writes to it, and a free writes.

use std::mem::ManuallyDrop;

use nix::sys::resource::{UsageWho, getrusage};

use crate::{
    Lesson, Result, Verdict, process,
    tell::{right, say, wrong},
};

pub const LESSON: Lesson = Lesson {
    name: "copy-on-write",
    title: "a child throws away what it does not need, and pays for it",
    teach,
    places: &[
        (
            "src/turn/generation/inherited.rs",
            "free_piece",
            "gives inherited sessions back in pieces, one in each turn, once the child serves",
        ),
        (
            "src/turn/mod.rs",
            "wait",
            "does not sleep before that is done, and not before the child serves",
        ),
    ],
};

const SESSIONS: usize = 2_000;
const BUFFER: usize = 32 * 1024;
/// Sessions given back between two looks at the sockets.
const PIECE: usize = 64;

fn teach() -> Result<Verdict> {
    say(format!(
        "After a fork both processes read the same pages. The first write to one of them, by either \
         side, stops that process for some microseconds while the kernel copies it. To free memory is \
         to write: the allocator keeps its notes beside each block. Here a server has {SESSIONS} \
         sessions with buffers of {} KiB.",
        BUFFER / 1024
    ));
    wrong("A forked child drops all of its parent's sessions, and then says that it is ready.");
    let sessions = vec![vec![1_u8; BUFFER]; SESSIONS];
    let at_once = process::ask(|| faults(|| drop(sessions)))?;
    say(format!(
        "Before it serves anybody it has copied {at_once} pages, {} KiB, to get rid of them.",
        at_once * 4
    ));
    right("The child serves first, and gives the sessions back piece by piece, one in each turn.");
    let sessions = vec![vec![1_u8; BUFFER]; SESSIONS];
    let mut left = ManuallyDrop::new(sessions.into_iter());
    let before = process::ask(|| faults(|| drop(left.by_ref().take(0).collect::<Vec<_>>())))?;
    let longest = process::ask(|| {
        let turns = SESSIONS.div_ceil(PIECE);
        let turn = |_| faults(|| left.by_ref().take(PIECE).for_each(drop));
        (0..turns).map(turn).max().unwrap_or(0)
    })?;
    say(format!(
        "It has copied {before} pages when it is ready, and {longest} in the longest turn: the bill is \
         the same in the end, but nobody waits for it. A child that does not live long forgets \
         them altogether (mem::forget), and the parent pays too: for each page that it is first to \
         write to."
    ));
    Ok(Verdict {
        wrong: format!("copied {at_once} pages before it served"),
        right: format!("{before} and {longest} in the longest turn"),
        as_taught: at_once > SESSIONS as u64 / 2 && before < 100 && longest < at_once / 4,
    })
}

/// How many pages were copied (or made) for this process by `work`: each is a minor fault.
fn faults(work: impl FnOnce()) -> u64 {
    let so_far = || getrusage(UsageWho::RUSAGE_SELF).map_or(0, |usage| usage.minor_page_faults());
    let before = so_far();
    work();
    (so_far() - before) as u64
}
