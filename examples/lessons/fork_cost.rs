//! Fork copies page tables, and they grow with the heap.

use std::{
    env, fs,
    os::unix::process::CommandExt,
    process::Command,
    time::{Duration, Instant},
};

use nix::unistd::getuid;

use crate::{
    Lesson, Result, Verdict,
    process::{self, Heap},
    tell::{line, right, say, wrong},
};

pub const LESSON: Lesson = Lesson {
    name: "fork-cost",
    title: "a fork is cheap, until the heap is large",
    teach,
    places: &[
        (
            "src/restart/engine/exec.rs",
            "spawn",
            "starts a program by posix_spawn(3), which shares the memory instead of copying its tables",
        ),
        ("src/restart/engine/task.rs", "choose_engine", "the author chooses the engine"),
    ],
};

/// Heaps in MiB, unless the command line has others: `lessons fork-cost 10 256 1024 4096`.
const SIZES: [usize; 3] = [8, 32, 128];

fn teach() -> Result<Verdict> {
    say(
        "A fork copies no page, but it copies the tables that say where the pages are: 8 bytes for each \
         4 KiB that was touched, and some work for every one. Meanwhile the parent stands still. The \
         times are of this machine at this moment; how they grow is the point.",
    );
    let sizes: Vec<usize> = env::args().skip(2).filter_map(|size| size.parse().ok()).collect();
    let sizes = if sizes.is_empty() { SIZES.to_vec() } else { sizes };
    line("\n     heap     fork   fork, huge pages   posix_spawn   fork, then exec");
    let mut copied = 0;
    for &size in &sizes {
        let heap = Heap::new(size << 20, false)?;
        let forked = best(|| process::fork(|| 0), drop)?;
        let mut program = Command::new("true");
        let spawned = best(|| Ok(program.spawn()?), |mut child| drop(child.wait()))?;
        // Asking for a user (or a `pre_exec`) makes Rust fork and exec instead of posix_spawn.
        program.uid(getuid().into());
        let exec = best(|| Ok(program.spawn()?), |mut child| drop(child.wait()))?;
        copied = process::ask(|| {
            table_size(&fs::read_to_string("/proc/self/status").unwrap_or_default())
        })?;
        drop(heap);
        let _heap = Heap::new(size << 20, true)?;
        let huge = best(|| process::fork(|| 0), drop)?;
        line(format!("{size:5} MiB {forked:>8.1?} {huge:>18.1?} {spawned:>13.1?} {exec:>17.1?}"));
    }
    let size = sizes[sizes.len() - 1];
    wrong(format!(
        "A server with {size} MiB of warm cache forks often, and answers nobody meanwhile."
    ));
    say(format!("The child has {copied} KiB of page tables, which were copied one by one."));
    right("Where the pause matters, start a new program: it gets fresh tables, whatever the heap.");
    let status = Command::new("cat").arg("/proc/self/status").output()?.stdout;
    let fresh = table_size(&String::from_utf8_lossy(&status));
    say(format!(
        "It has {fresh} KiB. Where the warm heap is the point of it, ask for huge pages, which need one \
         entry for 2 MiB: GLIBC_TUNABLES=glibc.malloc.hugetlb=1. (If the second column is like the \
         first, this kernel has none.) And never use a `pre_exec`: the last column pays for both."
    ));
    Ok(Verdict {
        wrong: format!("copied {copied} KiB of page tables for {size} MiB"),
        right: format!("made {fresh} KiB"),
        as_taught: copied as usize >= size && copied > fresh,
    })
}

/// The shortest of some times, which is the one that was disturbed least.
fn best<T>(mut make: impl FnMut() -> Result<T>, end: impl Fn(T)) -> Result<Duration> {
    let mut best = Duration::MAX;
    for _ in 0..3 {
        let begun = Instant::now();
        let made = make()?;
        best = best.min(begun.elapsed());
        end(made);
    }
    Ok(best)
}

/// Of a process, by its `/proc/<pid>/status`, in KiB.
fn table_size(status: &str) -> u64 {
    let size = status.lines().find_map(|line| line.strip_prefix("VmPTE:"));
    size.and_then(|size| size.trim().strip_suffix(" kB")?.parse().ok()).unwrap_or(0)
}
