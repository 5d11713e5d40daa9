//! The report for people. Pure layout.

use std::fmt::{self, Write};

use super::{
    notice::Notice,
    report::{Latency, Report, Row, ms},
    tally::Gap,
};

pub struct Table<'a>(pub &'a Report);

impl fmt::Display for Table<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let report = self.0;
        let verdict = match (report.noticed, report.answered) {
            (0, 0) => "nobody was served".to_owned(),
            (0, all) => format!("nobody noticed, {all} answers"),
            (some, all) => format!("{some} noticed, {all} answers"),
        };
        let (done, meant) = (report.done(), report.meant);
        let seconds = report.lasted.as_secs_f64();
        let Report { address, how, .. } = report;
        writeln!(
            f,
            "{address}: {done} of {meant} restarts ({how}) in {seconds:.1} s: {verdict}\n"
        )?;
        grid(f, &counts(report))?;
        writeln!(f)?;
        grid(f, &times(report))?;
        writeln!(f)?;
        let in_restarts = gap(&report.gaps.restarts);
        writeln!(
            f,
            "nobody was served for {in_restarts} in a restart, {} in calm",
            gap(&report.gaps.calm)
        )?;
        let took = report.took();
        if let (Some(max), Some(middle)) = (took.last(), took.get(took.len().saturating_sub(1) / 2))
        {
            writeln!(f, "a restart took {:.1} ms, {:.1} ms at most", middle * 1e3, max * 1e3)?;
        }
        writeln!(f, "this program was late by {:.2} ms at most", ms(report.own))?;
        for (at, story) in &report.stories {
            writeln!(f, "  after {:.3} s: {story}", at.as_secs_f64())?;
        }
        Ok(())
    }
}

/// What each sort of client has noticed.
fn counts(report: &Report) -> Vec<Vec<String>> {
    let mut head = vec!["clients".to_owned(), "answers".to_owned()];
    head.extend(Notice::ALL.map(|notice| notice.name().to_owned()));
    let row = |row: &Row| {
        let counts = Notice::ALL.map(|notice| row.sort.count(notice).to_string());
        [row.title(), row.sort.answered().to_string()].into_iter().chain(counts).collect()
    };
    [head].into_iter().chain(report.rows.iter().map(row)).collect()
}

/// How long answers took, and how long there was none.
fn times(report: &Report) -> Vec<Vec<String>> {
    let head =
        ["ms", "p50", "p99", "max", "gap", "in calm: p50", "p99", "max", "gap", "asked each"];
    let row = |row: &Row| {
        let of = |sorted: &[u32], gap: &Gap| {
            let Latency { p50, p99, max, .. } = Latency::of(sorted);
            [p50, p99, max, ms(gap.length)].map(|ms| format!("{ms:.2}"))
        };
        let in_restarts = of(&row.sort.in_restarts, &row.sort.gaps.restarts);
        let calm = of(&row.sort.calm, &row.sort.gaps.calm);
        let asked = [format!("{:.2}", ms(row.step))];
        [row.title()].into_iter().chain(in_restarts).chain(calm).chain(asked).collect()
    };
    [head.map(str::to_owned).to_vec()].into_iter().chain(report.rows.iter().map(row)).collect()
}

fn gap(gap: &Gap) -> String {
    let mut text = format!("{:.2} ms", ms(gap.length));
    if !gap.length.is_zero() {
        let _ = write!(text, " (after {:.3} s)", gap.from.as_secs_f64());
    }
    text
}

/// Columns as wide as what is in them, the first to the left.
fn grid(f: &mut fmt::Formatter<'_>, rows: &[Vec<String>]) -> fmt::Result {
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
    for row in rows {
        let cell = |(column, text): (usize, &String)| match column {
            0 => format!("{text:<0$}", width(0)),
            _ => format!("  {text:>0$}", width(column)),
        };
        writeln!(f, "{}", row.iter().enumerate().map(cell).collect::<String>())?;
    }
    Ok(())
}
