//! What each command asks of a server, and what is printed of the answer.

use std::{
    io::{self, IsTerminal},
    thread,
    time::Duration,
};

use crate::{
    ask::{self, Patience},
    check::{self, Check},
    command_line::Reach,
    failure::{Failure, Kind},
    log::{self, Entry},
    output::say,
    show::{Generation, Json, Table},
};

/// How often a question that does no harm is asked when it was not answered: restarts may come one after the other.
const TIMES: usize = 20;

/// Has it done, and prints what the server says.
pub fn tell(server: &Reach, request: &str) -> Result<(), Failure> {
    show(&ask(server, request)?)
}

/// An answer as it is.
pub fn show(lines: &[String]) -> Result<(), Failure> {
    Ok(say(&format!("{}\n", lines.join("\n")))?)
}

pub fn status(server: &Reach, json: bool) -> Result<(), Failure> {
    let generations = generations(server)?;
    match json {
        true => say(&format!("{}\n", Json(&generations)))?,
        false => say(&Table(&generations).to_string())?,
    }
    Ok(())
}

/// The status, again and again.
pub fn top(server: &Reach, every: Duration, count: Option<u64>) -> Result<(), Failure> {
    let clear = if io::stdout().is_terminal() { "\x1b[H\x1b[2J" } else { "" };
    for turn in 0..count.unwrap_or(u64::MAX) {
        if turn > 0 {
            thread::sleep(every);
        }
        say(&format!("{clear}{}", Table(&generations(server)?)))?;
    }
    Ok(())
}

fn generations(server: &Reach) -> Result<Vec<Generation>, Failure> {
    let lines = ask_again(server, "status")?;
    Ok(lines.iter().skip(1).map(|line| Generation::read(line)).collect())
}

/// What a restart would come to. One that would be refused fails the check, after it was told.
pub fn check(server: &Reach, json: bool) -> Result<(), Failure> {
    let check = Check::read(&ask_again(server, "check")?);
    match json {
        true => say(&format!("{}\n", check::Json(&check)))?,
        false => say(&check.to_string())?,
    }
    let refused = || Failure::new(Kind::Refused, "a restart would be refused");
    if check.is_refused() { Err(refused()) } else { Ok(()) }
}

pub fn metrics(server: &Reach) -> Result<(), Failure> {
    show(&ask_again(server, "metrics")?[1..])
}

/// The journal: what there is, or that and what comes, looked for that often. Then each object stands on a line of its
/// own, and a server that does not answer is asked again, since it may just be starting.
pub fn log(server: &Reach, json: bool, follow: Option<Duration>) -> Result<(), Failure> {
    let mut next = 0;
    let mut lines = ask_again(server, "log")?;
    loop {
        let entries = lines.iter().skip(1).map(|line| Entry::read(line));
        let news: Vec<_> = entries.filter(|entry| entry.number() >= next).collect();
        next = news.last().map_or(next, |last| last.number() + 1);
        let objects = news.iter().map(|entry| log::Json(entry).to_string());
        match (json, follow.is_some()) {
            (true, false) => say(&format!("[{}]\n", objects.collect::<Vec<_>>().join(",")))?,
            (true, true) => objects.into_iter().try_for_each(|it| say(&format!("{it}\n")))?,
            (false, _) => news.iter().try_for_each(|it| say(&format!("{it}\n")))?,
        }
        let Some(every) = follow else { return Ok(()) };
        thread::sleep(every);
        lines = ask(server, "log").unwrap_or_default();
    }
}

fn ask(server: &Reach, request: &str) -> Result<Vec<String>, Failure> {
    ask::ask(&server.control, Patience { silence: server.silence, until: None }, request)
}

fn ask_again(server: &Reach, request: &str) -> Result<Vec<String>, Failure> {
    let patience = Patience { silence: server.silence, until: None };
    ask::ask_again(&server.control, patience, request, TIMES)
}
