//! The report as SVG: time from left to right, a panel for each sort of client with its slowest answers, restarts
//! as bands behind them, and a red mark where somebody has noticed. Pure layout.

use std::time::Duration;

use super::{
    report::{Report, Row, ms},
    svg::{begin, line, rect, text},
    tally::{PIECE, Piece},
};

const WIDTH: f64 = 760.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 740.0;
const TOP: f64 = 60.0;
const PANEL: f64 = 120.0;
/// Between two panels, for a title and the red marks.
const ROOM: f64 = 40.0;

/// A column has so many of these units.
const COLUMN: f64 = 2.0;

const BAND: &str = "#e4ecf7";
const DOT: &str = "#0b6e4f";
const MARK: &str = "#d00000";

/// Microseconds at the lower edge of a panel; each power of ten above it has a line.
const LOWEST: f64 = 10.0;

pub fn draw(report: &Report) -> String {
    let bottom = TOP + (PANEL + ROOM) * report.rows.len() as f64;
    let title = format!(
        "{}: {} restarts ({}), {} answers, {} noticed",
        report.address,
        report.done(),
        report.how,
        report.answered,
        report.noticed
    );
    let mut svg = begin(&title, (WIDTH, bottom + 30.0));
    let x = |at: Duration| {
        let share = at.as_secs_f64() / report.lasted.as_secs_f64().max(1e-9);
        LEFT + (RIGHT - LEFT) * share.min(1.0)
    };
    for window in &report.windows {
        let (from, to) = (x(window.began), x(window.ended.unwrap_or(report.lasted)));
        rect(&mut svg, (from, TOP - 8.0), (to.max(from + 1.0), bottom), BAND);
    }
    let slowest = report.rows.iter().flat_map(|row| row.sort.pieces.iter().map(|it| it.slowest));
    let decades = (f64::from(slowest.max().unwrap_or(0)) / LOWEST).max(10.0).log10().ceil();
    for (at, row) in report.rows.iter().enumerate() {
        panel(&mut svg, TOP + (PANEL + ROOM) * at as f64, row, decades, x(PIECE) - LEFT);
    }
    let seconds = report.lasted.as_secs_f64();
    for tick in (0..=10).map(|tenth| seconds * f64::from(tenth) / 10.0) {
        let at = x(Duration::from_secs_f64(tick));
        text(&mut svg, at, bottom + 14.0, "middle", &format!("{tick:.1} s"));
    }
    svg + "</svg>\n"
}

/// One sort of client. `step` is how wide 10 ms are.
fn panel(svg: &mut String, top: f64, row: &Row, decades: f64, step: f64) {
    let bottom = top + PANEL;
    let y = |us: f64| bottom - PANEL * (us.max(LOWEST) / LOWEST).log10() / decades;
    for decade in 0..=decades as i32 {
        let us = LOWEST * 10f64.powi(decade);
        line(svg, (LEFT, y(us)), (RIGHT, y(us)), "#dddddd");
        text(svg, LEFT - 8.0, y(us) + 4.0, "end", &format!("{} ms", us / 1e3));
    }
    let gap = row.sort.gaps.restarts;
    let title = format!(
        "{}: slowest answers; {:.1} ms without one in a restart (after {:.3} s), {:.1} in calm",
        row.title(),
        ms(gap.length),
        gap.from.as_secs_f64(),
        ms(row.sort.gaps.calm.length)
    );
    text(svg, LEFT, top - 12.0, "start", &title);
    for (at, column) in columns(&row.sort.pieces, step) {
        let x = LEFT + at;
        if column.slowest > 0 {
            let y = y(f64::from(column.slowest));
            rect(svg, (x, y - 1.0), (x + COLUMN, y + 1.0), DOT);
        }
        if column.noticed > 0 {
            rect(svg, (x, bottom + 3.0), (x + COLUMN, bottom + 11.0), MARK);
        }
    }
}

/// Pieces that fall into one column are one: where it begins, and what is in it.
fn columns(pieces: &[Piece], step: f64) -> Vec<(f64, Piece)> {
    let mut columns: Vec<(f64, Piece)> = Vec::new();
    for (number, piece) in pieces.iter().enumerate() {
        let at = (number as f64 * step / COLUMN).floor() * COLUMN;
        match columns.last_mut().filter(|(last, _)| *last == at) {
            Some((_, column)) => {
                column.slowest = column.slowest.max(piece.slowest);
                column.noticed = column.noticed.saturating_add(piece.noticed);
            }
            None => columns.push((at, *piece)),
        }
    }
    columns
}
