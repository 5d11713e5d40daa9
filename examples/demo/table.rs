//! The report as a table for people. Pure layout.

use std::{fmt::Write, time::Duration};

use hdrhistogram::Histogram;

use crate::{
    report::{Report, longest, median},
    score::Latency,
};

/// The whole text.
pub fn lay_out(report: &Report<'_>) -> String {
    let mut out = String::new();
    // Writing to a string does not fail.
    let _ = headline(&mut out, report)
        .and_then(|()| restarts(&mut out, report))
        .and_then(|()| requests(&mut out, report))
        .and_then(|()| generations(&mut out, report))
        .and_then(|()| failures(&mut out, report));
    out
}

fn headline(out: &mut String, report: &Report<'_>) -> std::fmt::Result {
    writeln!(
        out,
        "{} restarts, {} requests in {:.1} s, {:.0} new connections per second: {}",
        report.state.generations.restarts(),
        report.state.score.answered(),
        report.outcome.lasted.as_secs_f64(),
        report.rate(),
        if report.is_ok() { "no failure" } else { "FAILED" },
    )?;
    let Some([whole, resumed]) = report.outcome.handshakes else { return Ok(()) };
    writeln!(out, "all by TLS: {whole} handshakes, and {resumed} sessions that were resumed")
}

fn restarts(out: &mut String, report: &Report<'_>) -> std::fmt::Result {
    writeln!(out, "\n{:34}{:>20}{:>22}", "", "until ready", "until first answer")?;
    let head = ["restarts by", "begun", "done", "p50", "max", "p50", "max"].map(str::to_owned);
    restarts_row(out, head)?;
    for by in &report.restarts {
        let times = [&by.ready, &by.first_answer].map(|times| [median(times), longest(times)]);
        let [[ready, ready_max], [answer, answer_max]] = times.map(|pair| pair.map(short));
        let (begun, done) = (by.begun.to_string(), by.ready.len().to_string());
        let name = by.engine.to_string();
        restarts_row(out, [name, begun, done, ready, ready_max, answer, answer_max])?;
    }
    for by in report.restarts.iter().filter(|by| !by.downtime.is_empty()) {
        let (engine, count) = (by.engine.to_string(), by.downtime.len());
        let times = [median(&by.downtime), longest(&by.downtime)].map(short);
        let [p50, max] = times;
        writeln!(
            out,
            "{engine:18}{count} times connections moved: not served for {p50} (p50), {max} (max)"
        )?;
    }
    Ok(())
}

fn restarts_row(out: &mut String, cells: [String; 7]) -> std::fmt::Result {
    let [name, begun, done, ready, ready_max, answer, answer_max] = cells;
    write!(out, "{name:18}{begun:>8}{done:>8}{ready:>10}{ready_max:>10}")?;
    writeln!(out, "{answer:>12}{answer_max:>10}")
}

fn requests(out: &mut String, report: &Report<'_>) -> std::fmt::Result {
    writeln!(out, "\n{:18}{:>38}{:>40}", "", "in all", "during restarts")?;
    requests_row(
        out,
        "requests on",
        [(), ()].map(|()| ["count", "p50", "p99", "max"].map(str::to_owned)),
    )?;
    let score = &report.state.score;
    for (name, latency) in [("new connections", &score.new), ("held connections", &score.held)] {
        let Latency { all, restarts } = latency;
        requests_row(out, name, [all, restarts].map(summary))?;
    }
    Ok(())
}

fn requests_row(out: &mut String, name: &str, halves: [[String; 4]; 2]) -> std::fmt::Result {
    write!(out, "{name:18}")?;
    for [count, p50, p99, max] in halves {
        write!(out, "{count:>8}{p50:>10}{p99:>10}{max:>10}  ")?;
    }
    out.truncate(out.trim_end().len());
    writeln!(out)
}

fn generations(out: &mut String, report: &Report<'_>) -> std::fmt::Result {
    writeln!(
        out,
        "\n{:>10}{:>9}  {:9}{:>10}{:>6}  how it ended",
        "generation", "pid", "engine", "requests", "held"
    )?;
    for generation in &report.state.generations.list {
        writeln!(
            out,
            "{:>10}{:>9}  {:9}{:>10}{:>6}  {}",
            generation.number,
            generation.pid,
            generation.engine,
            generation.requests,
            generation.held,
            generation.ending(),
        )?;
    }
    Ok(())
}

fn failures(out: &mut String, report: &Report<'_>) -> std::fmt::Result {
    let counts: Vec<_> =
        report.failures.iter().map(|(name, count)| format!("{count} {name}")).collect();
    let (clients, rest) = counts.split_at(crate::load::Kind::ALL.len());
    writeln!(out, "\nfailures: {}", clients.join(", "))?;
    writeln!(out, "          {}", rest.join(", "))?;
    let killed = report.state.generations.killed();
    if killed > 0 {
        let cut = report.state.score.cut;
        writeln!(
            out,
            "faults:   {killed} new processes killed in their probation, {cut} connections cut off with them"
        )?;
    }
    for story in report.stories() {
        writeln!(out, "  {story}")?;
    }
    Ok(())
}

/// Count, p50, p99, max.
fn summary(histogram: &Histogram<u64>) -> [String; 4] {
    let time = |us| short(Duration::from_micros(us));
    [
        histogram.len().to_string(),
        time(histogram.value_at_quantile(0.5)),
        time(histogram.value_at_quantile(0.99)),
        time(histogram.max()),
    ]
}

fn short(time: Duration) -> String {
    let ms = time.as_secs_f64() * 1e3;
    if ms < 1000.0 { format!("{ms:.2} ms") } else { format!("{:.2} s", ms / 1e3) }
}
