//! The control socket's language: lines of text, one request, one reply. Pure: knows no socket.
//!
//! ```text
//! request   command [word]... newline
//! reply     ["#" newline]... "ok: ..." or "error: ..." newline, any number of further lines, an empty line
//! ```
//!
//! A line of `#` is a heartbeat, and comes only to who has asked for it: the request waits for something,
//! and the server turns.
//!
//! | command | what the reply waits for |
//! |---|---|
//! | `status` | the other generations' answers, half a second at most; a line of `key=value` for each. The first line names the supervisor, if there is one |
//! | `metrics` | the same; numbers of all generations, as a monitor reads them (OpenMetrics) |
//! | `log` | nothing: the last restarts of the service, in lines of `key=value` |
//! | `check` | nothing: what a restart would come to now, in lines of `key=value` |
//! | `restart [fork\|fork-exec] [move]` | the verdict: the new generation has committed, or there is none and why |
//! | `restart like NUMBER` | the same, as the signal of that number would restart it |
//! | `rollback` | that the old generation serves again, if a new one is in its probation |
//! | `wait` | that one generation serves, all others have ended, and no restart is under way. Whoever is replaced meanwhile closes the connection: the next one is asked anew |
//! | `wait NUMBER` | that this generation or a later one serves, and its probation is over |
//! | `drain` | nothing: all generations stop accepting, serve what they have, and exit |
//! | `stop` | nothing: all generations abort what they have and exit |
//! | `for PID UID [signal NUMBER] REQUEST` | what the request waits for; a supervisor alone may say for whom it asks (see `behalf`) |
//! | `heartbeat SECONDS` | nothing; while a later request on this connection waits, a heartbeat comes that often |
//! | `help` | nothing |

use std::{
    fmt::{self, Write},
    time::Duration,
};

use crate::{
    inventory::Inventory,
    limits::{CONTROL_WAITERS, FAR_FUTURE},
    plan::Engine,
    prepare::Prepared,
    restart::link::{Identity, Report},
    verdict::Verdict,
};

/// What somebody asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    Status,
    /// All numbers.
    Metrics,
    /// The journal.
    Log,
    /// What would a restart come to?
    Check,
    /// Like the first restart that a signal asks for, with this engine if one is named.
    Restart {
        engine: Option<Engine>,
        moves: bool,
    },
    /// As this signal would.
    RestartLike(i32),
    RollBack,
    Wait(Awaited),
    Drain,
    Stop,
    Heartbeat(Duration),
    Help,
}

/// What an operator waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Awaited {
    /// One generation serves, no other is left, and no restart is under way.
    Quiet,
    /// This generation or a later one serves, and stays.
    Generation(u64),
}

/// As it is asked for.
impl fmt::Display for Awaited {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Awaited::Quiet => f.write_str("wait"),
            Awaited::Generation(number) => write!(f, "wait {number}"),
        }
    }
}

/// The reply to who has waited longest, when too many wait.
pub(crate) fn crowded_out() -> String {
    format!("error: {CONTROL_WAITERS} others wait by now, and no more may")
}

pub(crate) const HELP: &str = "ok: status | check | restart [fork|fork-exec] [move] | restart like NUMBER | rollback | wait [NUMBER] | drain | stop | metrics | log | heartbeat SECONDS | help";

/// Beats come no faster, whatever is asked for: each is a line that the client has to read.
const HEARTBEAT_MIN: Duration = Duration::from_millis(10);

impl Command {
    /// Reads a request, without its newline.
    ///
    /// # Errors
    /// What is wrong with it, as a reply.
    pub fn parse(line: &str) -> Result<Command, String> {
        let words: Vec<_> = line.split_whitespace().collect();
        let unknown = || format!("error: {line:?} is no request; try help");
        Ok(match words[..] {
            ["status"] => Command::Status,
            ["metrics"] => Command::Metrics,
            ["log"] => Command::Log,
            ["check"] => Command::Check,
            ["restart", "like", number] => {
                Command::RestartLike(number.parse().map_err(|_| unknown())?)
            }
            ["restart", ref how @ ..] => {
                let (moves, engine) = match how {
                    [engine @ .., "move"] => (true, engine),
                    engine => (false, engine),
                };
                let engine = match engine {
                    [] => None,
                    ["fork"] => Some(Engine::Fork),
                    ["fork-exec"] => Some(Engine::ForkExec),
                    _ => return Err(unknown()),
                };
                Command::Restart { engine, moves }
            }
            ["rollback"] => Command::RollBack,
            ["wait"] => Command::Wait(Awaited::Quiet),
            ["wait", number] => {
                Command::Wait(Awaited::Generation(number.parse().map_err(|_| unknown())?))
            }
            ["drain"] => Command::Drain,
            ["stop"] => Command::Stop,
            ["heartbeat", seconds] => {
                let seconds = seconds.parse().map_err(|_| unknown())?;
                let every = Duration::try_from_secs_f64(seconds).map_err(|_| unknown())?;
                Command::Heartbeat(every.clamp(HEARTBEAT_MIN, FAR_FUTURE))
            }
            ["help"] => Command::Help,
            _ => return Err(unknown()),
        })
    }
}

/// One generation's line in a status.
pub(crate) struct StatusLine<'a> {
    pub who: Identity,
    /// In place of its report, if it has not given any.
    pub phase: &'static str,
    pub report: Option<&'a Report>,
}

impl fmt::Display for StatusLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Identity { generation, pid, engine, .. } = self.who;
        let engine = engine.map_or("none".to_owned(), |engine| engine.to_string());
        let Some(report) = self.report else {
            let phase = self.phase;
            return write!(
                f,
                "generation={generation} pid={pid} engine={engine} phase={phase} age=- connections=- \
                 oldest=- holds=- held=- unknown=- findings=-"
            );
        };
        let Report { phase, age, connections, oldest, holds, held, unknown, findings } = report;
        let age = Seconds(Some(*age));
        let oldest = Seconds(*oldest);
        let list = |names: &[String]| match names {
            [] => "-".to_owned(),
            names => names.join(","),
        };
        let (held, findings) = (list(held), list(findings));
        let unknown = unknown.map_or("-".to_owned(), |count| count.to_string());
        write!(
            f,
            "generation={generation} pid={pid} engine={engine} phase={phase} age={age} \
             connections={connections} oldest={oldest} holds={holds} held={held} \
             unknown={unknown} findings={findings}"
        )
    }
}

/// A time in seconds, to the millisecond, or a dash.
struct Seconds(Option<Duration>);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(time) => write!(f, "{:.3}", time.as_secs_f64()),
            None => f.write_str("-"),
        }
    }
}

/// The reply to `restart`. The further lines of an error are the last ones of the new program's
/// stderr.
pub(crate) fn verdict(verdict: &Verdict) -> String {
    let Verdict { generation, engine, took, steps, program, inventory, outcome } = verdict;
    let mut text = match outcome {
        Ok(pid) => format!("ok: generation {generation} is pid {pid}, by {engine}, in {took:?}"),
        Err(why) => format!("error: {why}"),
    };
    if outcome.is_ok() {
        let named = [
            ("made", steps.made),
            ("ready", steps.ready),
            ("committed", steps.committed),
            ("saved", steps.saved),
            ("downtime", steps.downtime),
        ];
        for (name, time) in named {
            if let Some(time) = time {
                let _ = write!(text, "\n{name}={:.3}ms", time.as_secs_f64() * 1000.0);
            }
        }
        if steps.moved_bytes > 0 {
            let _ = write!(text, "\nmoved_bytes={}", steps.moved_bytes);
        }
        if let Some(prepared) = &steps.prepared {
            put_prepared(&mut text, prepared);
        }
        if let Some(copied) = steps.copied {
            let _ = write!(text, "\ncopied={copied}");
        }
        if steps.kept_back > 0 {
            let _ = write!(text, "\nkept_back={}", steps.kept_back);
        }
        if let Some(program) = program {
            let _ = write!(text, "\nprogram={}", program.path.display());
            let note = "\nnote=this file ran already, so there is no new version in it";
            text.push_str(if program.runs_already { note } else { "" });
        }
        inventory.iter().for_each(|inventory| put_inventory(&mut text, inventory, *engine));
    }
    text
}

/// What both sides have now, or why it was not a fork.
fn put_inventory(text: &mut String, inventory: &Inventory, engine: Engine) {
    if inventory.is_clear() {
        return;
    }
    if engine == Engine::ForkExec {
        text.push_str(
            "\nnote=fork-exec instead of fork, which would have shared what is not known",
        );
    }
    for finding in &inventory.findings {
        let _ = write!(text, "\nunknown={finding}");
    }
    if inventory.more > 0 {
        let _ = write!(text, "\nunknown_more={}", inventory.more);
    }
    if let Some(why) = &inventory.unseen {
        let _ = write!(text, "\nunseen={why}");
    }
}

/// Times as above, sizes in bytes; only the reason where nothing was begun.
fn put_prepared(text: &mut String, prepared: &Prepared) {
    let Prepared { took, collapsed, left, stopped } = prepared;
    if !took.is_zero() {
        let took = took.as_secs_f64() * 1000.0;
        let _ = write!(text, "\nprepared={took:.3}ms\ncollapsed={collapsed}\nleft_small={left}");
    }
    if let Some(why) = stopped {
        let _ = write!(text, "\nunprepared={why}");
    }
}

/// Says that the server turns, while a request waits.
pub(crate) const HEARTBEAT: &[u8] = b"#\n";

/// A whole reply: no line in it is empty, so that the empty one ends it.
pub(crate) fn reply(text: &str) -> String {
    let lines = text.lines().map(str::trim_end).filter(|line| !line.is_empty());
    lines.fold(String::new(), |all, line| all + line + "\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_a_command_and_words() {
        assert_eq!(Command::parse("status"), Ok(Command::Status));
        let restart = |engine, moves| Ok(Command::Restart { engine, moves });
        assert_eq!(Command::parse("restart"), restart(None, false));
        assert_eq!(Command::parse("restart move"), restart(None, true));
        assert_eq!(
            Command::parse(" restart  fork-exec move\r"),
            restart(Some(Engine::ForkExec), true)
        );
        assert_eq!(Command::parse("restart like 12"), Ok(Command::RestartLike(12)));
        for awaited in [Awaited::Quiet, Awaited::Generation(12)] {
            assert_eq!(Command::parse(&awaited.to_string()), Ok(Command::Wait(awaited)));
        }
        let heartbeat = |text: &str| Command::parse(&format!("heartbeat {text}"));
        assert_eq!(heartbeat("2.5"), Ok(Command::Heartbeat(Duration::from_millis(2500))));
        assert_eq!(heartbeat("0"), Ok(Command::Heartbeat(HEARTBEAT_MIN)));
        assert_eq!(heartbeat("1e18"), Ok(Command::Heartbeat(FAR_FUTURE)));
        for wrong in [
            "heartbeat",
            "heartbeat -1",
            "heartbeat NaN",
            "heartbeat 1e300",
            "",
            "Status",
            "restart exec",
            "restart move fork",
            "restart fork fork",
            "restart like HUP",
            "wait for 3",
            "wait -1",
            "stop now",
            "\u{0}",
        ] {
            let why = Command::parse(wrong).unwrap_err();
            assert!(why.starts_with("error: ") && why.contains("is no request"), "{why}");
        }
    }

    #[test]
    fn an_empty_line_ends_a_reply_and_nothing_else_does() {
        assert_eq!(reply("error: a\n\n  b  \n"), "error: a\n  b\n\n");
        assert_eq!(reply("ok: x"), "ok: x\n\n");
    }

    #[test]
    fn what_is_not_known_is_a_dash() {
        let who = Identity { generation: 3, pid: 7, engine: None, words: true };
        let silent = StatusLine { who, phase: "silent", report: None };
        assert_eq!(
            silent.to_string(),
            "generation=3 pid=7 engine=none phase=silent age=- connections=- oldest=- holds=- held=- \
             unknown=- findings=-"
        );
        let report = Report {
            phase: "serving".into(),
            age: Duration::from_millis(1500),
            connections: 2,
            oldest: None,
            holds: 2,
            held: vec!["job_7".into(), "job_8".into()],
            unknown: Some(1),
            findings: vec!["fd:7;pipe;-;-;-;-".into()],
        };
        let who = Identity { engine: Some(Engine::Fork), ..who };
        assert_eq!(
            StatusLine { who, phase: "silent", report: Some(&report) }.to_string(),
            "generation=3 pid=7 engine=fork phase=serving age=1.500 connections=2 oldest=- \
             holds=2 held=job_7,job_8 unknown=1 findings=fd:7;pipe;-;-;-;-"
        );
    }
}
