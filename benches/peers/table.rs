//! Numbers as Markdown: medians, ratios and their spread. Knows no server.

use serde_json::Value;

use crate::load::Outcome;

pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => f64::NAN,
        count if count % 2 == 1 => values[count / 2],
        count => (values[count / 2 - 1] + values[count / 2]) / 2.0,
    }
}

/// The ratio of each round, ours to theirs: the median, the lowest, the highest.
pub fn ratio(ours: &[f64], theirs: &[f64]) -> String {
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

/// What `heirloom trial` has reported. What an operator wants is in the table; all of it is in the reports.
pub fn print_restarts(rate: u32, rows: &[(&str, Value)]) {
    println!(
        "\n### restarts, {rate} new connections a second beside 50 held and 10 pipelined, times in ms\n"
    );
    println!(
        "| way | restarts | answers | what clients noticed | nobody served for | in calm \
         | new: p50 in calm | p99 | max | new: p50 in a restart | p99 | max |"
    );
    println!("|---|---:|---:|---|---:|---:|---:|---:|---:|---:|---:|---:|");
    for (name, report) in rows {
        let new = &report["clients"][0]["latency"];
        let times = |of: &str| ["p50", "p99", "max"].map(|it| new[of][it].to_string()).join(" | ");
        let gap = |of: &str| report["nobody_served"][of]["ms"].to_string();
        println!(
            "| {name} | {} | {} | {} | {} | {} | {} | {} |",
            report["done"],
            report["answers"],
            noticed(report),
            gap("restarts"),
            gap("calm"),
            times("calm"),
            times("restarts"),
        );
    }
}

/// `refused 12, closed 50`, of all clients together.
fn noticed(report: &Value) -> String {
    let clients = report["clients"].as_array().map_or(&[][..], Vec::as_slice);
    let Some(names) = clients.first().and_then(|first| first["noticed"].as_object()) else {
        return String::new();
    };
    let count = |name: &String| -> u64 {
        clients.iter().filter_map(|client| client["noticed"][name].as_u64()).sum()
    };
    let some = names.keys().map(|name| (name, count(name))).filter(|(_, count)| *count > 0);
    let some: Vec<_> = some.map(|(name, count)| format!("{name} {count}")).collect();
    if some.is_empty() { "nothing".to_owned() } else { some.join(", ") }
}
