//! The live view: one line redrawn in place on a terminal, plain lines elsewhere. Knows the table, not
//! how it comes about. What it cannot write it forgets: the run matters, not its picture.

use std::{
    io::{self, IsTerminal, Write},
    time::{Duration, Instant},
};

use crate::{options::Options, shared::State};

/// How often the line is drawn anew: fast enough to look alive, slow enough to be read.
const REDRAW: Duration = Duration::from_millis(100);

/// Back to the beginning of the line, and nothing on it (ECMA-48).
const CLEAR: &str = "\r\x1b[K";

pub struct View {
    out: Box<dyn Write>,
    terminal: bool,
    drawn: Option<Instant>,
}

impl View {
    /// On standard output; or on standard error where that is to have the report alone.
    pub fn new(on_stderr: bool) -> View {
        if on_stderr {
            let out = io::stderr();
            View { terminal: out.is_terminal(), out: Box::new(out), drawn: None }
        } else {
            let out = io::stdout();
            View { terminal: out.is_terminal(), out: Box::new(out), drawn: None }
        }
    }

    /// What is to come, which stays where it is.
    pub fn announce(&mut self, text: &str) {
        let _ = writeln!(self.out, "{text}").and_then(|()| self.out.flush());
    }

    /// Something has happened. On a terminal the live line says as much.
    pub fn line(&mut self, text: &str) {
        if !self.terminal {
            let _ = writeln!(self.out, "{text}").and_then(|()| self.out.flush());
        }
    }

    /// Draws the live line, if there is one and it is old enough.
    pub fn update(&mut self, state: &State, options: &Options) {
        if self.terminal && self.drawn.is_none_or(|at| at.elapsed() >= REDRAW) {
            self.drawn = Some(Instant::now());
            let line = live_line(state, options);
            let _ = write!(self.out, "{CLEAR}{line}").and_then(|()| self.out.flush());
        }
    }

    /// Takes the live line away.
    pub fn clear(&mut self) {
        if self.terminal {
            let _ = write!(self.out, "{CLEAR}").and_then(|()| self.out.flush());
        }
    }
}

/// Fits into 80 columns: a line that wraps cannot be redrawn in place.
fn live_line(state: &State, options: &Options) -> String {
    let generations = &state.generations;
    let (number, engine) = generations
        .serving()
        .map_or((0, "starting"), |serving| (serving.number, serving.engine.as_str()));
    format!(
        "{}/{} restarts | generation {number} ({engine}) | {} draining | {} requests | {} failed",
        generations.restarts(),
        options.restarts,
        generations.living().count().saturating_sub(1),
        state.score.answered(),
        state.score.failures.total(),
    )
}
