//! The picture as SVG: who answered when, and how fast. It moves where SVG may (SMIL), and is whole where it
//! may not. Knows no server.

use std::{fmt::Write, time::Duration};

use crate::trace::{CROWD, LIFE, RATE, ROUND, TRIGGERS, Trace};

/// What is drawn as one.
const PIECE: Duration = Duration::from_millis(50);

const WIDTH: f64 = 760.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 740.0;

/// One colour for each generation.
const COLOURS: [&str; 3] = ["#0b6e4f", "#c1440e", "#2b59c3"];

/// A part of the picture: where it is, and what its upper edge stands for.
struct Panel {
    top: f64,
    bottom: f64,
    most: f64,
}

impl Panel {
    fn y(&self, value: f64) -> f64 {
        self.bottom - (self.bottom - self.top) * (value / self.most).min(1.0)
    }
}

fn x(at: Duration) -> f64 {
    LEFT + (RIGHT - LEFT) * at.as_secs_f64() / LIFE.as_secs_f64()
}

fn pieces() -> impl Iterator<Item = Duration> {
    (0..(LIFE.as_millis() / PIECE.as_millis()) as u32).map(|number| PIECE * number)
}

/// The whole picture.
pub fn draw(trace: &Trace) -> String {
    let count = trace.answers.len();
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} 440\" \
         font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"{WIDTH}\" height=\"440\" fill=\"white\"/>\n\
         <text x=\"16\" y=\"22\" font-size=\"15\">Two restarts under load: {count} requests, {} failed</text>\n",
        trace.failed
    );
    for (number, name) in ["old process", "its fork", "the new program"].iter().enumerate() {
        let at = 400.0 + 110.0 * number as f64;
        let colour = COLOURS[number];
        let _ = writeln!(
            svg,
            "<rect x=\"{at}\" y=\"12\" width=\"11\" height=\"11\" fill=\"{colour}\"/>\
             <text x=\"{}\" y=\"22\">{name}</text>",
            at + 16.0
        );
    }
    // What time has not reached yet is covered; where nothing moves, all is seen.
    let _ = writeln!(
        svg,
        "<clipPath id=\"past\"><rect x=\"0\" y=\"0\" width=\"{WIDTH}\" height=\"440\">\
         <animate attributeName=\"width\" values=\"{LEFT};{RIGHT};{WIDTH};{WIDTH}\" \
         keyTimes=\"0;0.6;0.61;1\" dur=\"10s\" repeatCount=\"indefinite\"/></rect></clipPath>"
    );
    let per_second = f64::from(RATE) * 1.2;
    let new = Panel { top: 60.0, bottom: 150.0, most: per_second * PIECE.as_secs_f64() };
    let held = Panel { top: 190.0, bottom: 270.0, most: 1.2 * asked_in_a_piece() };
    let slow = Panel { top: 310.0, bottom: 400.0, most: 2.0 };
    label(&mut svg, &new, "new clients: who answers", &format!("{per_second:.0}/s"));
    label(&mut svg, &held, "clients that stay until they leave", "");
    label(&mut svg, &slow, "the slowest answer, in ms", "2+");
    svg += "<g clip-path=\"url(#past)\">\n";
    svg += "<g shape-rendering=\"crispEdges\">\n";
    areas(&mut svg, &new, trace, true);
    areas(&mut svg, &held, trace, false);
    svg += "</g>\n";
    dots(&mut svg, &slow, trace);
    svg += "</g>\n";
    for (at, engine) in TRIGGERS {
        let x = x(at);
        let _ = writeln!(
            svg,
            "<line x1=\"{x:.1}\" y1=\"52\" x2=\"{x:.1}\" y2=\"400\" stroke=\"#333333\" \
             stroke-dasharray=\"4 3\"/><text x=\"{:.1}\" y=\"418\">restart by {engine}</text>",
            x + 4.0
        );
    }
    svg + "</svg>\n"
}

fn asked_in_a_piece() -> f64 {
    CROWD as f64 * PIECE.as_secs_f64() / ROUND.as_secs_f64()
}

fn label(svg: &mut String, panel: &Panel, title: &str, most: &str) {
    let Panel { top, bottom, .. } = panel;
    let _ = writeln!(
        svg,
        "<text x=\"{LEFT}\" y=\"{:.1}\" fill=\"#555555\">{title}</text>\n\
         <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\" fill=\"#555555\">{most}</text>\n\
         <line x1=\"{LEFT}\" y1=\"{bottom}\" x2=\"{RIGHT}\" y2=\"{bottom}\" stroke=\"#bbbbbb\"/>",
        top - 8.0,
        LEFT - 8.0,
        top + 4.0,
    );
}

/// Answers in each piece of time, one generation on top of the other.
fn areas(svg: &mut String, panel: &Panel, trace: &Trace, is_new: bool) {
    let step = x(PIECE) - LEFT;
    for (generation, colour) in COLOURS.iter().enumerate() {
        for begin in pieces() {
            let answers = trace.answers.iter().filter(|answer| {
                answer.is_new == is_new && answer.at >= begin && answer.at < begin + PIECE
            });
            let of = |up_to: usize| {
                answers.clone().filter(|answer| (answer.generation as usize) < up_to).count() as f64
            };
            let (low, high) = (panel.y(of(generation)), panel.y(of(generation + 1)));
            if low > high {
                let _ = writeln!(
                    svg,
                    "<rect x=\"{:.1}\" y=\"{high:.1}\" width=\"{step:.1}\" height=\"{:.1}\" \
                     fill=\"{colour}\"/>",
                    x(begin),
                    low - high
                );
            }
        }
    }
}

/// The slowest answer to a new client in each piece of time.
fn dots(svg: &mut String, panel: &Panel, trace: &Trace) {
    for begin in pieces() {
        let answers = trace.answers.iter();
        let slowest = answers
            .filter(|answer| answer.is_new && answer.at >= begin && answer.at < begin + PIECE)
            .max_by_key(|answer| answer.took);
        let Some(answer) = slowest else { continue };
        let colour = COLOURS[(answer.generation as usize).min(COLOURS.len() - 1)];
        let _ = writeln!(
            svg,
            "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"2.5\" fill=\"{colour}\"/>",
            x(answer.at),
            panel.y(answer.took.as_secs_f64() * 1000.0)
        );
    }
}
