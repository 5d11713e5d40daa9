//! `handover -- --state`: what a restart costs a service that holds a million keys, by engine, beside another build
//! of it and beside other servers.
//!
//! The example `kv` is filled, and asked for one of its keys each millisecond while it is replaced: with nobody
//! else, with a client that writes 50,000 keys a second, and once while its memory is looked at, which takes time
//! from all. It starts anew for each. Every key is compared afterwards.

mod report;
mod sample;

use std::{
    error::Error,
    path::{Path, PathBuf},
};

use lexopt::{Arg, Parser, ValueExt};

use crate::common::{
    process::example,
    state::{
        rivals::{RIVALS, Rival},
        sizes,
    },
};
use sample::{Build, Case, Results};

/// The flag that asks for this part.
pub const FLAG: &str = "--state";

struct Options {
    sizes: Vec<usize>,
    rounds: usize,
    /// Another `kv`, such as the one of the release before.
    against: Option<PathBuf>,
}

/// Measures and prints everything.
pub fn run() -> Result<(), Box<dyn Error>> {
    let options = parse()?;
    let mut builds = vec![Build { name: "", program: PathBuf::from(example("kv").get_program()) }];
    if let Some(program) = options.against {
        builds.push(Build { name: ", the other build", program });
    }
    for build in &builds {
        check(&build.program)?;
    }
    let mut results = Results::default();
    for &keys in &options.sizes {
        for build in &builds {
            for engine in ["fork", "fork-exec"] {
                let case = Case { build, engine, keys };
                results.ours.push(sample::measure(&case, options.rounds)?);
            }
        }
        for rival in RIVALS {
            match rival.lacks() {
                Some(program) => println!("Skipped: {}, for want of {program}.", rival.name()),
                None => {
                    results.theirs.push((rival.name(), keys, theirs(rival, keys, options.rounds)?))
                }
            }
        }
    }
    report::print(&results, options.rounds);
    report::draw(&results)
}

fn theirs(rival: Rival, keys: usize, rounds: usize) -> Result<Vec<f64>, Box<dyn Error>> {
    let samples = (0..rounds).map(|_| {
        let sample = rival.measure(keys).map_err(|e| format!("{}: {e}", rival.name()))?;
        Ok(crate::common::state::millis(sample.gap))
    });
    samples.collect()
}

fn check(program: &Path) -> Result<(), String> {
    let missing = || format!("there is no {} (is it built, in release mode?)", program.display());
    if program.is_file() { Ok(()) } else { Err(missing()) }
}

fn parse() -> Result<Options, lexopt::Error> {
    let mut options =
        Options { sizes: vec![100_000, 1_000_000, 3_000_000], rounds: 5, against: None };
    let mut parser = Parser::from_env();
    while let Some(arg) = parser.next()? {
        match arg {
            Arg::Long("state" | "bench") => {} // cargo says `--bench`
            Arg::Long("keys") => options.sizes = sizes(&parser.value()?.string()?)?,
            Arg::Long("rounds") => options.rounds = parser.value()?.parse()?,
            Arg::Long("against") => options.against = Some(parser.value()?.into()),
            other => return Err(other.unexpected()),
        }
    }
    Ok(options)
}
