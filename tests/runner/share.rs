//! When a test may begin beside others. Most wait for other processes and need next to nothing, some keep all cores busy; and there
//! is what else runs on the machine. So it is looked at how busy that is.

use std::{fs, thread};

use super::report::file_of;

/// Whom a test bears beside it, from the most sociable on.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Company {
    Anybody,
    ItsFile,
    Loads,
    Nobody,
}

/// What waits for longest, by the beginnings of names. It begins first, so that nobody waits for it at the end.
const PATIENT: [&str; 6] = [
    "lame_duck::",
    "store::a_supervisor_is_the_watchdog_of_its_workers",
    "tls_bad_input::where_nothing_is_in_common",
    "tls_ends::a_record_that_comes_in_pieces",
    "tls_restart::a_listener_shows_another_certificate",
    "workers::a_worker_that_hangs_holds_up_nobody",
];

/// Files whose tests run among themselves: these make hundreds of processes hang and die, one after the other, and each step has
/// to be over in its time.
const BY_THEMSELVES: [&str; 1] = ["faults::"];

/// Tests that keep a core busy from their beginning to their end, a server and its clients in turns: as many as there are cores.
const LOADS: [&str; 4] =
    ["moving_back_load::", "moving_load::", "state_load::", "tls_moving_load::"];

/// Tests with nobody beside them, by the beginnings of their names. They measure a part of themselves; or their clients wait for a
/// quarter of a second, and no longer.
const ALONE: [&str; 5] = [
    "capacity::",
    "copying::each_limit_holds_to_the_millisecond",
    "deferred::clients_are_served_between_the_pieces",
    "kv_clients::",
    "tls_conformance::",
];

/// On a machine with so many threads for each core that want to run, no test is added to those that each core has.
const THREADS_PER_CORE: usize = 2;

fn company(test: &str) -> Company {
    let is_one_of = |names: &[&str]| names.iter().any(|name| test.starts_with(name));
    match () {
        () if is_one_of(&ALONE) => Company::Nobody,
        () if is_one_of(&LOADS) => Company::Loads,
        () if is_one_of(&BY_THEMSELVES) => Company::ItsFile,
        () => Company::Anybody,
    }
}

/// Who bears few others comes last, since all others have to end before; who waits for long is among the first of its company.
pub fn put_in_order(tests: &mut [String]) {
    let is_patient = |test: &String| PATIENT.iter().any(|name| test.starts_with(name));
    tests.sort_by_key(|test| (company(test), !is_patient(test)));
}

/// Whether `test` may begin beside those that run, of which one at a time has just begun.
pub fn may_begin(test: &str, running: &[&str], has_one_just_begun: bool) -> bool {
    let bears = |other: &&str| match company(test).max(company(other)) {
        Company::Anybody => true,
        Company::ItsFile => file_of(test) == file_of(other),
        Company::Loads => company(test) == company(other),
        Company::Nobody => false,
    };
    let is_light = company(test) < Company::Loads;
    let is_room = || running.len() < cores() || (is_light && !has_one_just_begun && !is_busy());
    running.is_empty() || (running.iter().all(bears) && is_room())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_bears_few_waits_for_the_others_and_comes_last() {
        assert!(may_begin("capacity::a", &[], true));
        assert!(!may_begin("capacity::a", &["eof::a"], false));
        assert!(!may_begin("eof::a", &["capacity::a"], false));
        assert!(!may_begin("capacity::b", &["capacity::a"], false));
        assert!(!may_begin("eof::a", &["faults::a"], false));
        assert!(!may_begin("state_load::a", &["faults::a"], false));
        assert_eq!(may_begin("state_load::a", &["moving_load::a"], false), cores() > 1);
        let mut tests =
            ["capacity::a", "state_load::a", "faults::a", "eof::b", "eof::a", "lame_duck::a"]
                .map(str::to_owned);
        put_in_order(&mut tests);
        let order =
            ["lame_duck::a", "eof::b", "eof::a", "faults::a", "state_load::a", "capacity::a"];
        assert_eq!(tests, order);
    }
}
