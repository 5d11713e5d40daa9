//! What a restart costs, by engine, heap and connections, beside other ways to make a process.
//!
//! ```sh
//! cargo build --profile bench --example lab && cargo bench --features benches --bench restart
//! cargo bench --features benches --bench restart -- --quick
//! cargo bench --features benches --bench restart -- --picture
//! cargo bench --features benches --bench restart -- --prepared 256 1024     # MiB
//! ```
//!
//! Each restart is split into: how long the old process's loop stands still, from the trigger to ready, from
//! the trigger to the first answer by the new process, the longest that a client waited, and the memory that
//! the new one has to itself afterwards. Prints Markdown, and draws `target/charts/restart-stall.svg`; `--picture` draws only
//! `target/charts/restart.svg`, who answers while a server restarts twice,
//! and `--prepared` measures only what a prepared fork is worth.

#[path = "../common/mod.rs"]
mod common;
mod ours;
mod picture;
mod picture_svg;
mod prepared;
mod rivals;
mod trace;

use std::{error::Error, fs, io};

use common::{
    chart::{self, Series},
    process::{Cores, allow_descriptors, pin},
};
use ours::{Case, Sample};

/// Heaps in MiB, and connections beside the smallest one.
const HEAPS: [usize; 4] = [10, 256, 1024, 4096];
const CONNECTIONS: [usize; 2] = [1000, 10_000];

/// How often a process is started until it has got huge pages.
const TRIES: usize = 10;

const ENGINES: [&str; 2] = ["fork", "fork-exec"];

/// How glibc gets its memory: in pages of 4 KiB, or of 2 MiB where the kernel has them. Some versions (2.36)
/// heed the wish only now and then, since they compare a text that they have not ended.
const PAGES: [(&str, &str); 2] = [("4 KiB", ""), ("2 MiB", "glibc.malloc.hugetlb=1")];

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<_> = std::env::args().collect();
    if let [_, serve, megabytes, way] = &words[..]
        && serve == rivals::SERVE
    {
        return Ok(rivals::serve(megabytes.parse()?, way)?);
    }
    let is_told = |flag: &str| words.iter().any(|word| word == flag);
    let quick = is_told("--quick");
    let (times, heaps) = if quick { (3, &HEAPS[..2]) } else { (11, &HEAPS[..]) };
    allow_descriptors()?;
    let cores = Cores::find();
    if let Some(cores) = cores {
        pin(cores.load)?;
    }
    if is_told("--picture") {
        return Ok(picture::draw(cores)?);
    }
    if is_told("--prepared") {
        return prepared::measure(&chosen(&words, &heaps[1..]), cores);
    }
    print_head(times);
    let mut series: Vec<Series> = Vec::new();
    for (pages, tunables) in PAGES {
        for &megabytes in heaps {
            if megabytes * 2 > available_megabytes() {
                println!("| {pages} | {megabytes} | | skipped, for want of memory | | | | | | |");
                continue;
            }
            for engine in ENGINES {
                let case = Case { engine, megabytes, connections: 0 };
                let stall = run(case, pages, tunables, times, cores)?;
                plot(&mut series, format!("heirloom, {engine}{}", suffix(pages)), megabytes, stall);
            }
            run_rivals((pages, tunables), megabytes, times, &mut series)?;
        }
    }
    for (connections, engine) in crowds(quick) {
        let case = Case { engine, megabytes: HEAPS[0], connections };
        run(case, PAGES[0].0, "", times, cores)?;
    }
    // Of the rivals with huge pages only the one that still depends on the heap is of interest.
    series
        .retain(|one| one.name.starts_with("heirloom") || !one.name.ends_with(suffix(PAGES[1].0)));
    let title = "How long the old process's loop stands still while a new one is made";
    let svg = chart::lines(title, "touched heap, MiB", "ms", &series);
    println!("\nChart: {}", chart::save("restart-stall", &svg)?.display());
    prepared::measure(&heaps[1..], cores)
}

/// The numbers on the command line, or these.
fn chosen(words: &[String], heaps: &[usize]) -> Vec<usize> {
    let chosen: Vec<usize> = words.iter().filter_map(|word| word.parse().ok()).collect();
    if chosen.is_empty() { heaps.to_vec() } else { chosen }
}

/// Runs what else makes a process, and prints a line for each way.
fn run_rivals(
    (pages, tunables): (&str, &str),
    megabytes: usize,
    times: usize,
    series: &mut Vec<Series>,
) -> io::Result<()> {
    for way in rivals::WAYS {
        let (huge, all) = rivals::measure(way, megabytes, times, tunables)?;
        println!(
            "| {pages} ({huge} %) | {megabytes} | 0 | {} | {} | | | | | |",
            way.name(),
            spread(all.iter().copied())
        );
        plot(series, format!("{}{}", way.name(), suffix(pages)), megabytes, median(all));
    }
    Ok(())
}

/// How many connections, by which engine.
fn crowds(quick: bool) -> impl Iterator<Item = (usize, &'static str)> {
    let crowds = CONNECTIONS.into_iter().take(if quick { 1 } else { 2 });
    crowds.flat_map(|connections| ENGINES.map(|engine| (connections, engine)))
}

/// Measures `once`, and again while a wish for huge pages was not heeded; the last of [`TRIES`] counts.
fn until_heeded<T>(
    tunables: &str,
    mut once: impl FnMut() -> io::Result<T>,
    has_huge: impl Fn(&T) -> bool,
) -> io::Result<T> {
    for _ in 1..TRIES {
        let measured = once()?;
        if tunables.is_empty() || has_huge(&measured) {
            return Ok(measured);
        }
    }
    once()
}

fn print_head(times: usize) {
    println!(
        "Milliseconds; the median of {times} restarts, and their range. Behind the size of the pages: \
         how much of the memory is in huge ones.\n"
    );
    println!(
        "| pages | heap MiB | connections | way | loop stands still | ready | first answer | \
         longest wait of a client | new process alone MiB | its share MiB |\n\
         |---|---:|---:|---|---|---|---|---|---:|---:|"
    );
}

/// Runs one of our cases, prints its line, and answers the median stall.
fn run(
    case: Case,
    pages: &str,
    tunables: &str,
    times: usize,
    cores: Option<Cores>,
) -> Result<f64, Box<dyn Error>> {
    let samples = ours::measure(case, times, tunables, cores)
        .map_err(|e| format!("{case:?}, pages of {pages}: {e}"))?;
    let all = |of: fn(&Sample) -> f64| samples.iter().map(of);
    println!(
        "| {pages} ({:.0} %) | {} | {} | heirloom, {} | {} | {} | {} | {} | {:.1} | {:.1} |",
        median(all(|sample| sample.huge).collect()),
        case.megabytes,
        case.connections,
        case.engine,
        spread(all(|sample| sample.stall)),
        spread(all(|sample| sample.ready)),
        spread(all(|sample| sample.answer)),
        spread(all(|sample| sample.wait)),
        median(all(|sample| sample.private).collect()),
        median(all(|sample| sample.pss).collect()),
    );
    Ok(median(all(|sample| sample.stall).collect()))
}

/// What is added to a name in the chart.
fn suffix(pages: &str) -> &'static str {
    if pages == PAGES[0].0 { "" } else { ", huge pages" }
}

fn plot(series: &mut Vec<Series>, name: String, megabytes: usize, stall: f64) {
    let point = (megabytes as f64, stall);
    match series.iter_mut().find(|one| one.name == name) {
        Some(one) => one.points.push(point),
        None => series.push(Series { name, points: vec![point] }),
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

fn spread(values: impl Iterator<Item = f64>) -> String {
    let values: Vec<f64> = values.collect();
    let low = values.iter().copied().fold(f64::INFINITY, f64::min);
    let high = values.iter().copied().fold(0.0, f64::max);
    format!("**{:.2}** ({low:.2}–{high:.2})", median(values))
}

fn available_megabytes() -> usize {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    let kilobytes = line.and_then(|rest| rest.split_whitespace().next()?.parse::<usize>().ok());
    kilobytes.unwrap_or(0) / 1024
}
