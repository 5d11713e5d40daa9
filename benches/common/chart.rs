//! Charts as SVG, written by hand: lines over two logarithmic axes, and ratios. Knows no benchmark.

use std::{fmt::Write, fs, io, path::PathBuf};

use svg::{begin, circle, line, text};

#[path = "../../src/bin/heirloom/trial/svg.rs"]
mod svg;

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 400.0;
const LEFT: f64 = 80.0;
const RIGHT: f64 = 270.0;
const TOP: f64 = 50.0;
const BOTTOM: f64 = 50.0;

const COLOURS: [&str; 7] =
    ["#0b6e4f", "#c1440e", "#2b59c3", "#8a4fbe", "#b8860b", "#555555", "#d6336c"];

/// A name and its points. On a logarithmic axis all numbers are above zero.
pub struct Series {
    pub name: String,
    pub points: Vec<(f64, f64)>,
}

/// Where a chart belongs: `target/charts/NAME.svg`.
pub fn save(name: &str, svg: &str) -> io::Result<PathBuf> {
    let me = std::env::current_exe()?; // target/release/deps/...
    let target = me.ancestors().nth(3).ok_or_else(|| io::Error::other("no target folder"))?;
    let folder = target.join("charts");
    fs::create_dir_all(&folder)?;
    let path = folder.join(format!("{name}.svg"));
    fs::write(&path, svg)?;
    Ok(path)
}

/// One axis: the powers of ten that enclose all values, and where a value stands between them.
struct Axis {
    low: i32,
    high: i32,
    start: f64,
    end: f64,
}

impl Axis {
    fn around(values: impl Iterator<Item = f64>, start: f64, end: f64) -> Axis {
        let logs: Vec<f64> = values.map(f64::log10).collect();
        let low = logs.iter().copied().fold(f64::INFINITY, f64::min).floor() as i32;
        let high = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max).ceil() as i32;
        Axis { low, high: high.max(low + 1), start, end }
    }

    fn place(&self, value: f64) -> f64 {
        let share = (value.log10() - f64::from(self.low)) / f64::from(self.high - self.low);
        self.start + (self.end - self.start) * share
    }

    fn ticks(&self) -> impl Iterator<Item = f64> {
        (self.low..=self.high).map(|power| 10f64.powi(power))
    }
}

/// Lines over two logarithmic axes.
pub fn lines(title: &str, x_name: &str, y_name: &str, series: &[Series]) -> String {
    let points = || series.iter().flat_map(|one| one.points.iter());
    let x = Axis::around(points().map(|point| point.0), LEFT, WIDTH - RIGHT);
    let y = Axis::around(points().map(|point| point.1), HEIGHT - BOTTOM, TOP);
    let mut svg = begin(title, (WIDTH, HEIGHT));
    for tick in y.ticks() {
        let at = y.place(tick);
        line(&mut svg, (LEFT, at), (WIDTH - RIGHT, at), "#dddddd");
        text(&mut svg, LEFT - 8.0, at + 4.0, "end", &tick.to_string());
    }
    for tick in x.ticks() {
        let at = x.place(tick);
        line(&mut svg, (at, TOP), (at, HEIGHT - BOTTOM), "#dddddd");
        text(&mut svg, at, HEIGHT - BOTTOM + 18.0, "middle", &tick.to_string());
    }
    text(&mut svg, (LEFT + WIDTH - RIGHT) / 2.0, HEIGHT - 10.0, "middle", x_name);
    text(&mut svg, LEFT - 60.0, TOP - 14.0, "start", y_name);
    for (index, one) in series.iter().enumerate() {
        let colour = colour(index);
        let path = one.points.iter().fold(String::new(), |mut path, point| {
            let _ = write!(path, "{:.1},{:.1} ", x.place(point.0), y.place(point.1));
            path
        });
        let _ = writeln!(
            svg,
            "<polyline points=\"{path}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>"
        );
        for point in &one.points {
            let (x, y) = (x.place(point.0), y.place(point.1));
            circle(&mut svg, x, y, colour);
        }
        let at = TOP + 10.0 + 20.0 * index as f64;
        line(&mut svg, (WIDTH - RIGHT + 15.0, at), (WIDTH - RIGHT + 35.0, at), colour);
        text(&mut svg, WIDTH - RIGHT + 42.0, at + 4.0, "start", &one.name);
    }
    svg + "</svg>\n"
}

/// Dots on one logarithmic axis, a row for each group: how many times the first one's value each other
/// value is. Names that occur in several groups have one colour.
pub fn ratios(title: &str, groups: &[(String, Vec<(String, f64)>)]) -> String {
    const ROW: f64 = 22.0;
    const START: f64 = 270.0;
    const LEGEND: f64 = 40.0;
    let mut names: Vec<&str> = Vec::new();
    for (name, _) in groups.iter().flat_map(|(_, values)| &values[1..]) {
        if !names.contains(&name.as_str()) {
            names.push(name);
        }
    }
    let top = TOP + LEGEND;
    let bottom = top + ROW * groups.len() as f64;
    let ratio = |values: &[(String, f64)], one: &(String, f64)| one.1 / values[0].1;
    let all = || groups.iter().flat_map(|(_, v)| v.iter().map(move |one| ratio(v, one).log2()));
    let low = all().fold(0.0, f64::min).floor();
    let high = all().fold(1.0, f64::max).ceil();
    let scale = |ratio: f64| START + (WIDTH - START - 30.0) * (ratio.log2() - low) / (high - low);
    let mut svg = begin(title, (WIDTH, bottom + 30.0));
    for (index, name) in names.iter().enumerate() {
        let at = 24.0 + (WIDTH - 40.0) / names.len() as f64 * index as f64;
        circle(&mut svg, at, TOP - 8.0, colour(index));
        text(&mut svg, at + 10.0, TOP - 4.0, "start", name);
    }
    for tick in (low as i32..=high as i32).map(|power| 2f64.powi(power)) {
        let colour = if tick == 1.0 { "#333333" } else { "#dddddd" };
        line(&mut svg, (scale(tick), top - ROW / 2.0), (scale(tick), bottom), colour);
        text(&mut svg, scale(tick), bottom + 16.0, "middle", &format!("{tick}\u{d7}"));
    }
    let ours = groups.first().and_then(|(_, values)| values.first()).map_or("", |one| &one.0);
    text(&mut svg, scale(1.0), top - ROW / 2.0 - 6.0, "middle", ours);
    for (row, (name, values)) in groups.iter().enumerate() {
        let at = top + ROW * (row as f64 + 0.5);
        text(&mut svg, START - 14.0, at + 4.0, "end", name);
        for (name, value) in &values[1..] {
            let index = names.iter().position(|one| one == name).unwrap_or(0);
            circle(&mut svg, scale(value / values[0].1), at, colour(index));
        }
    }
    svg + "</svg>\n"
}

fn colour(index: usize) -> &'static str {
    COLOURS[index % COLOURS.len()]
}
