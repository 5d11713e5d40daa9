//! The requests about other generations, and other workers. Knows no restart.
//!
//! - `worker`: which of how many it is, `0 of 2`.
//! - `generations`: their numbers; a `*` is behind the one that serves.
//! - `word N TEXT`: tells generation `N` something.
//! - `word-many N COUNT LENGTH`: tells it `0`, `1` and so on, each with dots behind it up to so many bytes; how many it
//!   has taken, and why no more.
//!
//! What is told is written down in `LAB_JOURNAL` (`word 0 TEXT`), and so is what comes back (`back 1 TEXT`). To
//! `ask TEXT` it tells back `TEXT`, and at `die` the process ends. With `LAB_TELLS=1` it tells all others `start` as it begins.

use std::process;

use heirloom::{Net, Result};

use crate::{
    beyond::journal,
    own,
    requests::number,
    settings::{linger, panic_if_told, setting},
};

pub fn handle(net: &mut Net, verb: &str, rest: &str) -> Result<Option<String>> {
    let (first, second) = rest.split_once(' ').unwrap_or((rest, ""));
    Ok(Some(match verb {
        "generations" => {
            let others = net.generations();
            let star = |serves| if serves { "*" } else { "" };
            let others = others.iter().map(|it| format!("{}{}", it.number, star(it.serves)));
            others.collect::<Vec<_>>().join(" ")
        }
        "worker" => match net.worker() {
            Some(worker) => format!("{} of {}", worker.index, worker.count),
            None => "none".to_owned(),
        },
        "word" => match net.tell(number(first)?, second) {
            Ok(()) => "ok".to_owned(),
            Err(why) => format!("error {why}"),
        },
        "word-many" => {
            let (count, length) = second.split_once(' ').ok_or("a count and a length")?;
            let (to, count, length) = (number(first)?, number::<u64>(count)?, number(length)?);
            let mut told = 0..count;
            match told.try_for_each(|at| net.tell(to, format!("{at:.<length$}"))) {
                Ok(()) => format!("ok {count}"),
                Err(why) => format!("{} {why}", told.start - 1),
            }
        }
        _ => return Ok(None),
    }))
}

/// As a process begins to serve.
pub fn start(net: &mut Net) {
    if setting::<u8>("TELLS").is_some() {
        for other in net.generations() {
            net.tell(other.number, "start").expect("one that is there");
        }
    }
}

/// Another generation has told this one something.
pub fn word(net: &mut Net, from: u64, word: &[u8]) {
    own::note("on_word");
    linger("word");
    panic_if_told("on_word");
    let text = String::from_utf8_lossy(word);
    journal(net, &format!("word {from} {text}"));
    if let Some(answer) = text.strip_prefix("ask ") {
        net.tell(from, answer).expect("who asks is there");
    }
    if text == "die" {
        eprintln!("lab: dies as told");
        process::abort();
    }
}

/// What it was told comes back.
pub fn undelivered(net: &mut Net, to: u64, word: &[u8]) {
    own::note("on_undelivered");
    panic_if_told("on_undelivered");
    journal(net, &format!("back {to} {}", String::from_utf8_lossy(word)));
}
