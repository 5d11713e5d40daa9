//! What a restart has come to, in words and in numbers. Pure.

use std::time::Duration;

use heirloom::{Engine, RestartError, Verdict};

use super::{event::json, place::Place};

/// The kind of a line of the journal, and the line. `serving` says it.
pub fn say(verdict: &Verdict, serving: Place) -> (&'static str, String) {
    let Verdict { engine, steps, outcome, .. } = verdict;
    let new = Place { generation: verdict.generation, ..serving }.title();
    match outcome {
        Ok(pid) => {
            let mut text = format!("{new}, pid {pid}, stays.");
            if let Some(moved) = steps.downtime {
                text += &format!(" Connections that moved stood still for {:.1} ms.", ms(moved));
            }
            if let Some(still) = standstill(verdict) {
                text += &format!(" Those that stayed, for {:.1} ms.", ms(still));
            }
            if let Some(copied) = steps.copied {
                text += &format!(" State: {copied}.");
            }
            ("stays", text)
        }
        Err(RestartError::RolledBack { reason }) => {
            let text = format!(
                "{new}, by {engine}, was rolled back: {reason}. {} serves again.",
                serving.title()
            );
            ("back", text)
        }
        Err(why) => {
            let why = why.to_string();
            let why =
                why.trim_start_matches("restart: ").trim_start_matches("the new side failed: ");
            let text = format!("{new}, by {engine}, failed: {why}. {} serves on.", serving.title());
            ("failed", text)
        }
    }
}

/// The members of a JSON object. Times in milliseconds.
pub fn numbers(verdict: &Verdict, worker: Option<u32>) -> String {
    let Verdict { generation, engine, took, steps, outcome, .. } = verdict;
    let or_null = |value: Option<String>| value.unwrap_or("null".to_owned());
    let time = |time: Option<Duration>| or_null(time.map(|time| format!("{:.2}", ms(time))));
    format!(
        "{{\"generation\":{generation},\"engine\":\"{engine}\",\"stays\":{},\"took\":{},\"still\":{},\
         \"moved\":{},\"state\":{},\"worker\":{}}}",
        outcome.is_ok(),
        time(Some(*took)),
        time(standstill(verdict)),
        time(steps.downtime),
        or_null(steps.copied.map(json)),
        or_null(worker.map(|worker| worker.to_string()))
    )
}

/// For how long the old process has served nobody, not even those that stay with it: it can do nothing else while it
/// makes a new one, or writes down the last changes for it.
fn standstill(Verdict { engine, steps, .. }: &Verdict) -> Option<Duration> {
    match engine {
        Engine::Fork => steps.made,
        Engine::ForkExec => steps.saved,
    }
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
