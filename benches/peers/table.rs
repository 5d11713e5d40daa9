//! Numbers as Markdown: medians, ratios and their spread. Knows no server.

use crate::{load::Outcome, restarts::Story};

pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => f64::NAN,
        count if count % 2 == 1 => values[count / 2],
        count => (values[count / 2 - 1] + values[count / 2]) / 2.0,
    }
}

/// The ratio of each round, ours to theirs: the median, the lowest, the highest.
fn ratio(ours: &[f64], theirs: &[f64]) -> String {
    let ratios: Vec<f64> = ours.iter().zip(theirs).map(|(ours, theirs)| ours / theirs).collect();
    let low = ratios.iter().copied().fold(f64::INFINITY, f64::min);
    let high = ratios.iter().copied().fold(0.0, f64::max);
    format!("**{:.2}** ({low:.2}–{high:.2})", median(ratios))
}

/// A work: a line for each server, with its outcome in each round. The first one is ours.
pub fn print_work(title: &str, rows: &[(&str, Vec<Outcome>)]) {
    println!("\n### {title}\n");
    println!("| server | requests/s | CPU µs/request | ours / this | wrong bytes | broken |");
    println!("|---|---:|---:|---|---:|---:|");
    let costs = |row: &[Outcome]| row.iter().map(Outcome::cost).collect::<Vec<_>>();
    for (name, row) in rows {
        let rate = median(row.iter().map(Outcome::per_second).collect());
        println!(
            "| {name} | {rate:.0} | {:.2} | {} | {} | {} |",
            median(costs(row)),
            ratio(&costs(&rows[0].1), &costs(row)),
            row.iter().map(|outcome| outcome.wrong_bytes).sum::<u64>(),
            row.iter().map(|outcome| outcome.broken).sum::<u64>(),
        );
    }
}

/// For a chart: the median cost of each server.
pub fn costs(rows: &[(&str, Vec<Outcome>)]) -> Vec<(String, f64)> {
    let cost = |row: &[Outcome]| median(row.iter().map(Outcome::cost).collect());
    rows.iter().map(|(name, row)| (name.to_string(), cost(row))).collect()
}

/// Bytes for each idle connection, by protocol and server. The first one of a protocol is ours.
pub fn print_memory(connections: usize, rows: &[(&str, &str, f64)]) {
    println!("\n### memory per idle connection, {connections} connections\n");
    println!("| protocol | server | bytes | ours / this |");
    println!("|---|---|---:|---|");
    for (protocol, name, bytes) in rows {
        let ours = rows.iter().find(|row| row.0 == *protocol).map_or(f64::NAN, |row| row.2);
        println!("| {protocol} | {name} | {bytes:.0} | **{:.2}** |", ours / bytes);
    }
}

pub fn print_restarts(rate: u32, rows: &[(&str, Story)]) {
    println!("\n### restarts, {rate} new connections a second, times in µs\n");
    println!(
        "| way | restarts | requests | failed | steady p50 | p99 | max | in the window p50 | p99 | max | p99 / steady |"
    );
    println!("|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|");
    for (name, story) in rows {
        let times = |list: &[u32]| [share(list, 0.5), share(list, 0.99), share(list, 1.0)];
        let [p50, p99, max] = times(&story.outside);
        let [p50_in, p99_in, max_in] = times(&story.inside);
        println!(
            "| {name} | {} | {} | {} | {p50} | {p99} | {max} | {p50_in} | {p99_in} | {max_in} | {:.2} |",
            story.done,
            story.visits,
            story.failed,
            f64::from(p99_in) / f64::from(p99.max(1)),
        );
    }
}

/// What a share of all is not above; the list is sorted.
fn share(sorted: &[u32], share: f64) -> u32 {
    let at = (sorted.len() as f64 * share).ceil() as usize;
    sorted.get(at.saturating_sub(1)).copied().unwrap_or(0)
}
