//! The strokes that a picture as SVG is made of. Knows no picture.
//!
//! Included by `benches/common/chart.rs`, too.

use std::fmt::Write;

/// A white sheet with a title, to be closed by `</svg>`.
pub fn begin(title: &str, (width, height): (f64, f64)) -> String {
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"{width}\" height=\"{height}\" fill=\"white\"/>\n"
    );
    text(&mut svg, 16.0, 20.0, "start", title);
    svg
}

pub fn line(svg: &mut String, from: (f64, f64), to: (f64, f64), colour: &str) {
    let ((x1, y1), (x2, y2)) = (from, to);
    let _ = writeln!(
        svg,
        "<line x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\" stroke=\"{colour}\"/>"
    );
}

#[allow(dead_code)] // each picture has its own strokes
pub fn circle(svg: &mut String, x: f64, y: f64, colour: &str) {
    let _ = writeln!(svg, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4\" fill=\"{colour}\"/>");
}

pub fn rect(svg: &mut String, from: (f64, f64), to: (f64, f64), colour: &str) {
    let ((x, y), (width, height)) = (from, (to.0 - from.0, to.1 - from.1));
    let _ = writeln!(
        svg,
        "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" fill=\"{colour}\"/>"
    );
}

/// What XML cannot have is shown as a question mark.
pub fn text(svg: &mut String, x: f64, y: f64, anchor: &str, words: &str) {
    let words =
        words.replace(|c: char| c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}'), "?");
    let words = words.replace('&', "&amp;").replace('<', "&lt;");
    let _ =
        writeln!(svg, "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{words}</text>");
}
