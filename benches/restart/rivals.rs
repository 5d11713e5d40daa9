//! What else makes a process: `fork()` alone, and std's `Command` with and without `pre_exec`, each once in a
//! process with so much touched heap, as a server restarts once in its life: a second fork would find the
//! kernel's notes about the pages in the cache. Only the time in the calling thread is told, which is how
//! long a server's loop would stand still.
#![allow(unsafe_code)] // fork and pre_exec

use std::{
    env, io,
    os::unix::process::CommandExt,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use crate::{common::process::rollup, until_heeded};

/// A way to make a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    Fork,
    PreExec,
    Spawn,
}

pub const WAYS: [Way; 3] = [Way::Fork, Way::PreExec, Way::Spawn];

impl Way {
    pub fn name(self) -> &'static str {
        match self {
            Way::Fork => "fork() alone",
            Way::PreExec => "std Command with pre_exec",
            Way::Spawn => "std Command (posix_spawn)",
        }
    }

    /// How long one takes. The new process ends at once.
    fn take(self) -> io::Result<Duration> {
        let begun = Instant::now();
        if self == Way::Fork {
            // SAFETY: this process has one thread, and the child does nothing but end.
            let pid = unsafe { libc::fork() };
            if pid == 0 {
                // SAFETY: ends the process.
                unsafe { libc::_exit(0) };
            }
            let took = begun.elapsed();
            // SAFETY: waits for the child; its status is not asked for.
            unsafe { libc::waitpid(pid, std::ptr::null_mut(), 0) };
            return if pid < 0 { Err(io::Error::last_os_error()) } else { Ok(took) };
        }
        let mut command = Command::new("/bin/true");
        command.stdin(Stdio::null()).stdout(Stdio::null());
        if self == Way::PreExec {
            // SAFETY: the hook does nothing.
            unsafe { command.pre_exec(|| Ok(())) };
        }
        let mut child = command.spawn()?;
        let took = begun.elapsed();
        child.wait()?;
        Ok(took)
    }
}

/// The word before the numbers in the command line of the process with the heap.
pub const SERVE: &str = "rivals";

/// In that process: touches the heap, goes this way once, and prints how much of the heap is in huge pages
/// and how many nanoseconds it took.
pub fn serve(megabytes: usize, way: &str) -> io::Result<()> {
    let heap: Vec<Vec<u8>> = (0..megabytes * 16).map(|_| vec![1; 64 * 1024]).collect(); // as `lab`
    let way = WAYS.into_iter().find(|one| one.name() == way).ok_or(io::ErrorKind::InvalidInput)?;
    println!("{} {}", huge_share(std::process::id()), way.take()?.as_nanos());
    std::hint::black_box(&heap);
    Ok(())
}

/// The percentage of a process's memory that lies in huge pages: the kernel gives them if it has them.
pub fn huge_share(pid: u32) -> u64 {
    rollup(pid, "AnonHugePages:") * 100 / rollup(pid, "Anonymous:").max(1)
}

/// The share in huge pages, and the milliseconds of each time. Of some processes the wish for huge pages is
/// not heeded: these are tried again.
pub fn measure(
    way: Way,
    megabytes: usize,
    times: usize,
    tunables: &str,
) -> io::Result<(u64, Vec<f64>)> {
    let (mut least, mut all) = (100, Vec::new());
    for _ in 0..times {
        let once = || measure_once(way, megabytes, tunables);
        let (huge, took) = until_heeded(tunables, once, |&(huge, _)| huge > 50)?;
        least = least.min(huge);
        all.push(took);
    }
    Ok((least, all))
}

fn measure_once(way: Way, megabytes: usize, tunables: &str) -> io::Result<(u64, f64)> {
    let output = Command::new(env::current_exe()?)
        .args([SERVE, &megabytes.to_string(), way.name()])
        .env("GLIBC_TUNABLES", tunables)
        .output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let mut numbers = text.split_whitespace().flat_map(str::parse::<u64>);
    match (numbers.next(), numbers.next()) {
        (Some(huge), Some(nanos)) => Ok((huge, nanos as f64 / 1e6)),
        _ => Err(io::Error::other("the process with the heap has failed")),
    }
}
