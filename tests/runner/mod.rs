//! How `cargo test` runs the promises: each test in a process of its own, many of them at a time, and a line for each file
//! when its last test has ended. libtest would run as many as the machine has cores, but most of these tests wait for
//! processes that they have started; and it would say nothing of a promise as a whole.
//!
//! The tests are libtest's all the same. This process asks itself for their names (`--list`), and starts itself once for each
//! (`NAME --exact`). What is no plain run of tests, such as `--list` or `--nocapture`, is left to libtest altogether. The last line
//! is as libtest has it.
//!
//! ```sh
//! cargo test --test promises eof::                      # the tests of one file
//! cargo test --test promises -- --test-threads 1        # one at a time
//! cargo test --test promises eof:: -- --nocapture       # by libtest, with what they print
//! ```

mod ask;
mod report;
mod run;
mod share;

use std::{env, process, time::Instant};

use ask::Asked;
use report::Report;

/// Set for a process that is to be libtest's: it lists tests, or runs one.
const LIBTEST: &str = "HEIRLOOM_TEST_BY_LIBTEST";

// SAFETY: the entries of `.init_array` are called before `main` (ELF gABI, "Initialization and Termination Functions"), one after
// the other, by the only thread; this is a function of the C ABI, to which the arguments that it ignores do no harm. std has taken
// the process's arguments by an entry of its own, which comes first by its priority.
#[used]
#[unsafe(link_section = ".init_array")]
static BEFORE_MAIN: extern "C" fn() = before_main;

/// libtest's `main` is made by the compiler, so this is the place to be asked before it.
extern "C" fn before_main() {
    if env::var_os(LIBTEST).is_some() || env::var_os("RUST_TEST_NOCAPTURE").is_some() {
        return;
    }
    let mut args = env::args();
    if let (Some(_program), Some(asked)) = (args.next(), Asked::from_args(args)) {
        process::exit(run_all(&asked));
    }
}

/// Runs what was asked for, and answers the exit status: libtest's 101, if a test has failed.
fn run_all(asked: &Asked) -> i32 {
    let begun = Instant::now();
    let mut found = asked.find();
    let mut report = Report::new(asked, &found);
    share::put_in_order(&mut found.to_run);
    run::all(&found.to_run, asked.at_a_time, |ran| report.note(ran));
    report.close(begun.elapsed())
}
