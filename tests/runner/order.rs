//! In which order tests are started: the file with the longest test first, so that the run does not end with one that all wait
//! for; how long they take is known from the last time. Who runs alone comes last, since all others have to end before.

use std::{cmp::Reverse, collections::BTreeMap, fs, path::PathBuf, time::Duration};

use super::{report::file_of, run::Ran, share::is_alone};

/// A line for each test: milliseconds, and its name.
fn notes() -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("promises-times")
}

fn last_times() -> BTreeMap<String, u64> {
    let text = fs::read_to_string(notes()).unwrap_or_default();
    let entry = |line: &str| {
        let (time, test) = line.split_once(' ')?;
        Some((test.to_owned(), time.parse().ok()?))
    };
    text.lines().filter_map(entry).collect()
}

pub fn by_last_time(mut tests: Vec<String>) -> Vec<String> {
    let times = last_times();
    let time_of = |test: &String| times.get(test).copied().unwrap_or_default();
    let mut longest: BTreeMap<String, u64> = BTreeMap::new();
    for test in &tests {
        let of_file = longest.entry(file_of(test).to_owned()).or_default();
        *of_file = time_of(test).max(*of_file);
    }
    tests.sort_by_cached_key(|test| {
        let file = file_of(test).to_owned();
        (is_alone(test), Reverse(longest[&file]), file, Reverse(time_of(test)), test.clone())
    });
    tests
}

/// What was not run this time is remembered from before. It is no harm if it cannot be written.
pub fn remember(ran: &[Ran]) {
    let mut times = last_times();
    let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    times.extend(ran.iter().map(|ran| (ran.test.clone(), millis(ran.took))));
    let lines = times.iter().map(|(test, time)| format!("{time} {test}\n"));
    let _ = fs::write(notes(), lines.collect::<String>());
}
