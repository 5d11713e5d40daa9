//! Restarts of servers that hold many keys in memory: for how long a client is without an answer, one that asks
//! each millisecond. heirloom's `kv` keeps its connection; others end and begin anew.

use std::{error::Error, io, thread, time::Duration};

use crate::{
    common::state::{
        asker::Asker,
        client::Client,
        keys,
        kv::Kv,
        mebibytes, median, memory, millis, question,
        rivals::{RIVALS, Rival, Sample},
        spread,
    },
    only::Only,
};

/// Before the restart, and after it.
const LOOK: Duration = Duration::from_millis(300);

const ENGINES: [(&str, &str); 2] =
    [("heirloom, fork", "fork"), ("heirloom, fork-exec", "fork-exec")];

/// How many keys, and how often each way is gone.
#[derive(Clone, Debug)]
pub struct Plan {
    pub sizes: Vec<usize>,
    pub rounds: usize,
}

/// Measures all ways that are wanted, and prints a table.
pub fn run(plan: &Plan, kv: &std::path::Path, only: &Only) -> Result<(), Box<dyn Error>> {
    let mut rows = Vec::new();
    let is_wanted = |name: &str| only.wants(&format!("state, {name}"));
    for &count in &plan.sizes {
        for (name, engine) in ENGINES.into_iter().filter(|(name, _)| is_wanted(name)) {
            rows.push((name, count, rounds(name, plan, || ours(kv, engine, count))?));
        }
        for rival in RIVALS.into_iter().filter(|rival| is_wanted(rival.name())) {
            match rival.lacks() {
                Some(program) => println!("Skipped: {}, for want of {program}.", rival.name()),
                None => {
                    rows.push((
                        rival.name(),
                        count,
                        rounds(rival.name(), plan, || theirs(rival, count))?,
                    ));
                }
            }
        }
    }
    if !rows.is_empty() {
        print(plan, &rows);
    }
    Ok(())
}

/// One restart, and whether it came to pass.
type Round = (Sample, Result<(), String>);

fn rounds(
    name: &str,
    plan: &Plan,
    once: impl Fn() -> io::Result<Round>,
) -> Result<Vec<Round>, String> {
    (0..plan.rounds).map(|_| once().map_err(|e| format!("{name}: {e}"))).collect()
}

fn theirs(rival: Rival, count: usize) -> io::Result<Round> {
    Ok((rival.measure(count)?, Ok(())))
}

fn ours(program: &std::path::Path, engine: &str, count: usize) -> io::Result<Round> {
    let (mut ledger, mut asked) = keys(count);
    let kv = Kv::start(program, [&mut ledger, &mut asked])?;
    let first = kv.first();
    let memory = memory::look(|| vec![first]).unwrap_or(0);
    let asker = Asker::start(&kv.address, question(&asked), false)?;
    thread::sleep(LOOK);
    asker.longest();
    let verdict = kv.restart(engine)?;
    thread::sleep(LOOK);
    let gap = asker.stop()?;
    Client::connect(&kv.address)?.check(&ledger)?;
    Ok((Sample { gap, failed: 0, memory }, verdict.outcome))
}

fn print(plan: &Plan, rows: &[(&str, usize, Vec<Round>)]) {
    println!(
        "\n### restarts with keys of 10 bytes that hold 100, {} of each, the longest gap in ms\n",
        plan.rounds
    );
    println!("| keys | way | MiB before | done | gap | refused, lost, or told to wait |");
    println!("|---:|---|---:|---:|---|---:|");
    for (name, keys, rounds) in rows {
        let gaps: Vec<_> = rounds.iter().map(|(sample, _)| millis(sample.gap)).collect();
        let memory = rounds.iter().map(|(sample, _)| mebibytes(sample.memory)).collect();
        println!(
            "| {keys} | {name} | {:.0} | {} of {} | {} | {} |",
            median(memory),
            rounds.iter().filter(|(_, outcome)| outcome.is_ok()).count(),
            rounds.len(),
            spread(&gaps),
            rounds.iter().map(|(sample, _)| sample.failed).sum::<u64>(),
        );
    }
    for (name, keys, rounds) in rows {
        let whys = rounds.iter().filter_map(|(_, outcome)| outcome.as_ref().err());
        whys.take(1).for_each(|why| println!("\nNot done: {name}, {keys} keys: {why}"));
    }
}
