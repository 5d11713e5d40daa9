//! The report as one JSON object for programs. Pure layout.
//!
//! ```text
//! { "ok": true,                        whether nothing at all has failed: the exit status
//!   "seconds": 17.2,                   how long the clients were at it
//!   "rate": 1999.2,                    new connections per second
//!   "requests": 69000,                 answered, and right to the byte
//!   "failures": { "refused": 0, ... }  counts; spaces in names are underscores
//!   "killed": 0, "cut": 0,             new processes that --faults has killed, connections that ended so
//!   "restarts": [                      one entry per engine
//!     { "engine": "fork", "begun": 10, "done": 10, from the trigger, in milliseconds:
//!       "ready": { "p50": 1.1, "max": 2.0 }, "first_answer": { "p50": 1.5, "max": 2.4 },
//!       "downtime": { "p50": 1.2, "max": 1.9 } } ],  with --move: nobody served who moved
//!   "latency": {                       in milliseconds; "in_restarts" is part of "all"
//!     "new": { "all": { "count": 34000, "p50": 0.2, "p99": 0.9, "max": 5.1 }, "in_restarts": { ... } },
//!     "held": { ... } },
//!   "generations": [                   in the order of their appearance
//!     { "generation": 0, "pid": 4711, "engine": "none", "requests": 1900, "held": 200,
//!       "ended": "drained, exit status 0" } ],
//!   "handshakes": { "whole": 20, "resumed": 34000 },  with --tls; null without
//!   "stories": [] }                    the first things that went wrong, in words
//! ```

use std::{fmt::Display, time::Duration};

use hdrhistogram::Histogram;

use crate::{
    generations::Generation,
    report::{ByEngine, Report, longest, median},
    score::Latency,
};

/// The whole text, one line.
pub fn lay_out(report: &Report<'_>) -> String {
    let score = &report.state.score;
    let failures = report.failures.iter().map(|(name, n)| (name.replace(' ', "_"), n.to_string()));
    object([
        ("ok", report.is_ok().to_string()),
        ("seconds", format!("{:.3}", report.outcome.lasted.as_secs_f64())),
        ("rate", format!("{:.1}", report.rate())),
        ("requests", score.answered().to_string()),
        ("failures", object(failures)),
        ("killed", report.state.generations.killed().to_string()),
        ("cut", score.cut.to_string()),
        ("restarts", array(report.restarts.iter().map(engine))),
        ("latency", object([("new", latency(&score.new)), ("held", latency(&score.held))])),
        ("generations", array(report.state.generations.list.iter().map(generation))),
        ("handshakes", report.outcome.handshakes.map_or("null".to_owned(), handshakes)),
        ("stories", array(report.stories().map(|story| string(&story)))),
    ])
}

fn handshakes([whole, resumed]: [u64; 2]) -> String {
    object([("whole", whole.to_string()), ("resumed", resumed.to_string())])
}

fn engine(by: &ByEngine) -> String {
    let times = |times| object([("p50", ms(median(times))), ("max", ms(longest(times)))]);
    object([
        ("engine", string(&by.engine.to_string())),
        ("begun", by.begun.to_string()),
        ("done", by.ready.len().to_string()),
        ("ready", times(&by.ready)),
        ("first_answer", times(&by.first_answer)),
        ("downtime", times(&by.downtime)),
    ])
}

fn latency(latency: &Latency) -> String {
    object([("all", histogram(&latency.all)), ("in_restarts", histogram(&latency.restarts))])
}

fn histogram(histogram: &Histogram<u64>) -> String {
    let time = |us| ms(Duration::from_micros(us));
    object([
        ("count", histogram.len().to_string()),
        ("p50", time(histogram.value_at_quantile(0.5))),
        ("p99", time(histogram.value_at_quantile(0.99))),
        ("max", time(histogram.max())),
    ])
}

fn generation(generation: &Generation) -> String {
    object([
        ("generation", generation.number.to_string()),
        ("pid", generation.pid.to_string()),
        ("engine", string(&generation.engine)),
        ("requests", generation.requests.to_string()),
        ("held", generation.held.to_string()),
        ("ended", string(&generation.ending())),
    ])
}

fn ms(time: Duration) -> String {
    format!("{:.3}", time.as_secs_f64() * 1e3)
}

fn object(fields: impl IntoIterator<Item = (impl Display, String)>) -> String {
    let fields = fields.into_iter().map(|(name, value)| format!("\"{name}\":{value}"));
    format!("{{{}}}", fields.collect::<Vec<_>>().join(","))
}

fn array(items: impl Iterator<Item = String>) -> String {
    format!("[{}]", items.collect::<Vec<_>>().join(","))
}

/// A string of any text (RFC 8259, section 7).
fn string(text: &str) -> String {
    let mut out = String::from('"');
    for letter in text.chars() {
        match letter {
            '"' | '\\' => out.extend(['\\', letter]),
            '\0'..='\x1f' => out.push_str(&format!("\\u{:04x}", letter as u32)),
            _ => out.push(letter),
        }
    }
    out + "\""
}
