//! Fork copies one entry for each page, so pages of 2 MiB make it short; but the first write after it splits them.

use std::{fs, time::Instant};

use crate::{
    Lesson, Result, Verdict,
    process::{self, Child, Heap},
    tell::{right, say, wrong},
};

pub const LESSON: Lesson = Lesson {
    name: "huge-pages",
    title: "a heap in huge pages forks in no time, once",
    teach,
    places: &[
        (
            "src/turn/restart/prepare.rs",
            "prepare",
            "collapses the heap before each fork, and serves",
        ),
        ("src/system/huge/worker.rs", "work", "takes what is small again, with pauses in between"),
        ("src/system/huge/helper.rs", "start", "runs it in a process that shares the memory"),
    ],
};

const SIZE: usize = 256 << 20;
/// What may be one huge page.
const BLOCK: usize = 2 << 20;
/// How many pages of 4 KiB are most of the heap.
const MOST: u64 = (SIZE / 4096 * 9 / 10) as u64;

fn teach() -> Result<Verdict> {
    say(format!(
        "A server has {} MiB of warm heap. For each of its pages a fork copies an entry of a table: one \
         for a page of 2 MiB, 512 for as much in pages of 4 KiB. madvise(MADV_COLLAPSE) makes one out \
         of the other (Linux 6.1).",
        SIZE >> 20
    ));
    let heap = Heap::new(SIZE, false)?;
    wrong("The server forks as it is.");
    let (plain, _) = fork()?;
    wrong("Or it collapses its heap when that is full, and never again.");
    let is_here = heap.collapse() > 0;
    let (first, _successor) = fork()?;
    let begun = Instant::now();
    heap.touch(BLOCK);
    say(format!(
        "Then it writes one byte to each of {} blocks while its successor lives ({:.1?}). A write has to copy \
         what is shared, and copies 4 KiB, not 2 MiB: each block falls into small pages.",
        SIZE / BLOCK,
        begun.elapsed()
    ));
    let (second, _) = fork()?;
    right("The heap is collapsed before each fork, as far as it is small again.");
    heap.collapse();
    let (third, _) = fork()?;
    say(
        "To collapse is to copy, so that a process beside the server does it while that serves. Where only \
         one process has a page, a write splits nothing.",
    );
    let wrong = format!("copied {plain} entries, and {second} after a first fork");
    let was_slow = plain > MOST && second > MOST;
    Ok(match is_here {
        true => Verdict {
            wrong,
            right: format!("copied {first} and {third}"),
            as_taught: was_slow && first.max(third) < MOST / 10,
        },
        false => Verdict { wrong, right: "is not to be had here".into(), as_taught: was_slow },
    })
}

/// Forks, and tells how many entries that had to copy.
fn fork() -> Result<(u64, Child)> {
    let entries = small_pages()?;
    let begun = Instant::now();
    let child = process::fork_and_stay(|| ())?;
    say(format!("A fork: {entries} entries were copied, in {:.1?}.", begun.elapsed()));
    Ok((entries, child))
}

/// How many pages of this process are its own memory and not huge.
fn small_pages() -> Result<u64> {
    let text = fs::read_to_string("/proc/self/smaps_rollup")?;
    let kib = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|rest| rest.trim().strip_suffix(" kB")?.parse::<u64>().ok()).unwrap_or(0)
    };
    Ok((kib("Anonymous:") - kib("AnonHugePages:")) / 4)
}
