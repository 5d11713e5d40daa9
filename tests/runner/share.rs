//! When a test may begin beside others. Most wait for other processes and need next to nothing, some keep all cores busy; and there
//! is what else runs on the machine. So it is looked at how busy that is.

use std::{fs, thread};

/// Tests with nobody beside them, by the beginnings of their names. They measure a part of themselves, or keep all cores busy to
/// their end, so that the others would only make them late.
const ALONE: [&str; 6] = [
    "capacity::",
    "deferred::clients_are_served_between_the_pieces",
    "moving_back_load::",
    "moving_load::",
    "state_load::",
    "tls_moving_load::",
];

/// On a machine with so many threads for each core that want to run, no test is added to those that each core has.
const THREADS_PER_CORE: usize = 2;

pub fn is_alone(test: &str) -> bool {
    ALONE.iter().any(|name| test.starts_with(name))
}

/// Whether `test` may begin beside those that run, of which one at a time has just begun.
pub fn may_begin(test: &str, running: &[&str], has_one_just_begun: bool) -> bool {
    let nobody_alone = !is_alone(test) && !running.iter().any(|test| is_alone(test));
    let is_room = || running.len() < cores() || (!has_one_just_begun && !is_busy());
    running.is_empty() || (nobody_alone && is_room())
}

pub fn cores() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

fn is_busy() -> bool {
    // "0.20 0.18 0.12 1/80 11206": a thread of 80 runs, or would like to. It is the one that reads this.
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let threads =
        load.split(' ').nth(3).and_then(|threads| threads.split('/').next()?.parse().ok());
    threads.is_some_and(|threads: usize| threads > THREADS_PER_CORE * cores())
}
