//! What is said of a run: a line for each promise, the failures, and libtest's last line.

use std::{collections::BTreeMap, time::Duration};

use nix::sys::{
    resource::{UsageWho, getrusage},
    time::{TimeVal, TimeValLike},
};

use super::{
    ask::{Asked, Found},
    run::Ran,
};

/// The file of a test: the first part of its name.
pub fn file_of(test: &str) -> &str {
    test.split("::").next().unwrap_or(test)
}

/// Of one file of `tests/`.
#[derive(Default)]
struct Promise {
    to_run: usize,
    ignored: usize,
    ran: usize,
    failed: usize,
    took: Duration,
    longest: (Duration, String),
}

pub struct Report {
    promises: BTreeMap<String, Promise>,
    ran: Vec<Ran>,
    to_run: usize,
    is_quiet: bool,
    ignored: usize,
    filtered_out: usize,
}

impl Report {
    pub fn new(asked: &Asked, found: &Found) -> Report {
        let mut promises: BTreeMap<String, Promise> = BTreeMap::new();
        for test in &found.to_run {
            promises.entry(file_of(test).to_owned()).or_default().to_run += 1;
        }
        for test in &found.ignored {
            promises.entry(file_of(test).to_owned()).or_default().ignored += 1;
        }
        let (to_run, most) = (found.to_run.len(), asked.at_a_time);
        println!("\nrunning {to_run} tests, {most} at a time at most");
        let (is_quiet, ran) = (asked.is_quiet, Vec::new());
        let (ignored, filtered_out) = (found.ignored.len(), found.filtered_out);
        Report { promises, ran, to_run, is_quiet, ignored, filtered_out }
    }

    pub fn note(&mut self, ran: Ran) {
        if !ran.is_ok {
            println!("test {} ... FAILED", ran.test);
        }
        let file = file_of(&ran.test).to_owned();
        let promise = self.promises.get_mut(&file).expect("the file of a test that was found");
        promise.note(&ran);
        self.ran.push(ran);
        if promise.is_over() && !self.is_quiet {
            println!("[{:4} of {}] {}", self.ran.len(), self.to_run, promise.line(&file));
        }
    }

    /// Says how it went, and answers the exit status.
    pub fn close(mut self, took: Duration) -> i32 {
        self.ran.sort_by(|one, other| one.test.cmp(&other.test));
        let (passed, failed): (Vec<_>, Vec<_>) = self.ran.iter().partition(|ran| ran.is_ok);
        if !failed.is_empty() {
            println!("\nfailures:\n");
            for Ran { test, output, .. } in &failed {
                println!("---- {test} ----\n{output}");
            }
            println!("failures:");
            failed.iter().for_each(|ran| println!("    {}", ran.test));
        }
        let one_by_one: Duration = self.ran.iter().map(|ran| ran.took).sum();
        println!(
            "\none after the other they would have taken {:.0} s; processor time: {:.0} s",
            one_by_one.as_secs_f64(),
            processor_time().as_secs_f64()
        );
        println!(
            "\ntest result: {}. {} passed; {} failed; {} ignored; 0 measured; {} filtered out; finished in {:.2}s\n",
            if failed.is_empty() { "ok" } else { "FAILED" },
            passed.len(),
            failed.len(),
            self.ignored,
            self.filtered_out,
            took.as_secs_f64()
        );
        if failed.is_empty() { 0 } else { 101 }
    }
}

impl Promise {
    fn note(&mut self, ran: &Ran) {
        self.ran += 1;
        self.failed += usize::from(!ran.is_ok);
        self.took += ran.took;
        if ran.took >= self.longest.0 {
            let (_, test) = ran.test.split_once("::").unwrap_or_default();
            self.longest = (ran.took, test.to_owned());
        }
    }

    fn is_over(&self) -> bool {
        self.ran == self.to_run
    }

    fn line(&self, file: &str) -> String {
        let Promise { to_run, ignored, failed, took, longest: (longest, test), .. } = self;
        let mut line = format!("{file}: {to_run} tests in {:.1} s", took.as_secs_f64());
        if *failed > 0 {
            line += &format!(", {failed} FAILED");
        }
        if *ignored > 0 {
            line += &format!(", {ignored} ignored");
        }
        line + &format!("; {:.1} s: {test}", longest.as_secs_f64())
    }
}

/// Of all tests that have ended and of what they have started and waited for.
fn processor_time() -> Duration {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).expect("the kernel counts");
    let [user, system] = [usage.user_time(), usage.system_time()];
    let micros = |time: TimeVal| u64::try_from(time.num_microseconds()).unwrap_or_default();
    Duration::from_micros(micros(user) + micros(system))
}
