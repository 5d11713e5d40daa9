//! The tables as Markdown, and the chart.

use std::{collections::BTreeSet, error::Error};

use super::sample::{Measured, Results, Sample};
use crate::common::{
    chart::{self, Series},
    state::{mebibytes, median, millis, spread},
};

/// What has a column of its own, or tells nothing here.
const KNOWN: [&str; 8] =
    ["made", "ready", "committed", "saved", "downtime", "program", "note", "kept_back"];

pub fn print(results: &Results, rounds: usize) {
    println!(
        "\nKeys of 10 bytes that hold 100, connections move. Times in milliseconds: the median of {rounds} \
         restarts, and their range. The gap is the longest time from one answer to the next of a client that \
         asks each millisecond."
    );
    gaps("nobody else asks", &results.ours, &results.theirs, |measured| &measured.quiet);
    gaps("a second client writes 50,000 keys a second", &results.ours, &[], |m| &m.written);
    costs(&results.ours);
    refusals(&results.ours);
    words(&results.ours);
}

fn gaps(
    title: &str,
    all: &[Measured],
    theirs: &[(&str, usize, Vec<f64>)],
    which: fn(&Measured) -> &Vec<Sample>,
) {
    println!("\n### The longest gap, {title}\n");
    println!(
        "| keys | restart by | done | gap | gap before it | standstill, by its own word | writes/s |"
    );
    println!("|---:|---|---:|---|---|---|---:|");
    for measured in all {
        let samples = which(measured);
        let of = |value: fn(&Sample) -> f64| samples.iter().map(value).collect::<Vec<_>>();
        println!(
            "| {} | {} | {} of {} | {} | {} | {} | {:.0} |",
            measured.keys,
            measured.name,
            done(samples).count(),
            samples.len(),
            spread(&of(|sample| sample.gap)),
            spread(&of(|sample| sample.before)),
            spread(&said(samples, "downtime")),
            median(of(|sample| sample.rate)),
        );
    }
    for (name, keys, gaps) in theirs {
        println!("| {keys} | {name} | | {} | | | |", spread(gaps));
    }
    let writes: u64 = all.iter().flat_map(which).map(|sample| sample.writes).sum();
    println!(
        "\nEvery key was compared after each: no byte wrong. Writes confirmed in all: {writes}."
    );
}

fn costs(all: &[Measured]) {
    println!("\n### What it costs\n");
    println!(
        "| keys | restart by | heap MiB | peak / heap | ready | ready for its keys alone | old process on its way \
         out | of that on a core | pages that it has written to, MiB |"
    );
    println!("|---:|---|---:|---:|---|---:|---|---|---|");
    for measured in all {
        let out = |value: fn(&Sample) -> f64| done(&measured.quiet).map(value).collect::<Vec<_>>();
        let peak = measured.peak.map(|peak| peak as f64 / measured.heap as f64);
        println!(
            "| {} | {} | {:.0} | {} | {} | {:.1} | {} | {} | {} |",
            measured.keys,
            measured.name,
            mebibytes(measured.heap),
            peak.map_or("-".to_owned(), |times| format!("**{times:.2}**")),
            spread(&said(&measured.quiet, "ready")),
            for_keys(measured),
            spread(&out(|sample| millis(sample.way_out.time))),
            spread(&out(|sample| millis(sample.way_out.cpu))),
            spread(&out(|sample| mebibytes(sample.way_out.copied))),
        );
    }
    for other in all {
        let same = |one: &&Measured| one.engine == other.engine && one.keys == other.keys;
        if let Some(this) = all.iter().find(same).filter(|this| this.name != other.name) {
            let times = for_keys(other) / for_keys(this);
            println!(
                "\n{} keys by {}: ready {times:.1} times as soon as{}",
                this.keys, this.name, other.build
            );
        }
    }
}

/// How much later it was ready than with no keys.
fn for_keys(measured: &Measured) -> f64 {
    median(said(&measured.quiet, "ready")) - median(measured.ready_without.clone())
}

/// Why restarts came to nothing.
fn refusals(all: &[Measured]) {
    let mut reasons = BTreeSet::new();
    for measured in all {
        for sample in measured.quiet.iter().chain(&measured.written) {
            if let Err(why) = &sample.verdict.outcome {
                reasons.insert(format!("{}, {} keys: {why}", measured.name, measured.keys));
            }
        }
    }
    reasons.iter().for_each(|reason| println!("\nNot done: {reason}"));
}

/// What the verdicts say that has no column: of the last one of each case.
fn words(all: &[Measured]) {
    for measured in all {
        for (title, samples) in [("", &measured.quiet), (", with writes", &measured.written)] {
            let Some(last) = done(samples).last() else { continue };
            let rest = last.verdict.said.iter().filter(|(name, _)| !KNOWN.contains(&name.as_str()));
            let rest: Vec<_> = rest.map(|(name, value)| format!("{name}={value}")).collect();
            if !rest.is_empty() {
                println!("\n{}, {} keys{title}: {}", measured.name, measured.keys, rest.join(", "));
            }
        }
    }
}

fn done(samples: &[Sample]) -> impl DoubleEndedIterator<Item = &Sample> {
    samples.iter().filter(|sample| sample.verdict.outcome.is_ok())
}

/// A time that verdicts tell.
fn said(samples: &[Sample], name: &str) -> Vec<f64> {
    done(samples).filter_map(|sample| sample.verdict.millis(name)).collect()
}

/// The medians over the number of keys.
pub fn draw(results: &Results) -> Result<(), Box<dyn Error>> {
    let mut series: Vec<Series> = Vec::new();
    let mut add = |name: String, keys: usize, gap: f64| {
        let point = (keys as f64, gap);
        match series.iter_mut().find(|one| one.name == name) {
            Some(one) => one.points.push(point),
            None => series.push(Series { name, points: vec![point] }),
        }
    };
    for measured in &results.ours {
        let gaps = measured.quiet.iter().map(|sample| sample.gap).collect();
        add(format!("heirloom, {}", measured.name), measured.keys, median(gaps));
    }
    for (name, keys, gaps) in &results.theirs {
        add((*name).to_owned(), *keys, median(gaps.clone()));
    }
    let title = "How long a client is without an answer while the server is replaced (median)";
    let svg = chart::lines(title, "keys of 10 + 100 bytes", "ms", &series);
    println!("\nChart: {}", chart::save("handover-state", &svg)?.display());
    Ok(())
}
