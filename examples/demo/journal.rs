//! What the server's log tells about its generations. Pure: a line in, a fact out.
//!
//! The log is how the driver learns how a restart went. A pid file would name the process that serves,
//! but not the one that failed, nor why, nor the old one that has drained; and a change of it has to be
//! polled for, while a line of the log arrives.

use std::time::Duration;

/// What a line says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    /// This process serves from now on.
    Ready { generation: u64, pid: i32, engine: String, address: String },
    /// Connections have moved; nobody has served them for so long.
    Moved { downtime: Duration },
    /// The old process has handed over.
    Done { pid: i32 },
    /// There is no new process, and why.
    Failed(String),
    /// This process has served what it had and leaves.
    Drained { pid: i32 },
    /// Something that a good run does not log.
    Trouble(String),
    /// Nothing that matters here.
    Other,
}

/// Reads one line, `[PID] LEVEL: TEXT`. A line of another form is trouble: the server logs nothing
/// like it, so it comes from a panic or from the system.
pub fn parse(line: &str) -> Fact {
    let trouble = || Fact::Trouble(line.to_owned());
    let Some((pid, rest)) = line.strip_prefix('[').and_then(|rest| rest.split_once("] ")) else {
        return trouble();
    };
    let (Ok(pid), Some((level, text))) = (pid.parse(), rest.split_once(": ")) else {
        return trouble();
    };
    match level {
        "ERROR" if text.starts_with("restart") || text.starts_with("fork refused") => {
            Fact::Failed(text.to_owned())
        }
        // The demo has one version of itself, and upgrades to that.
        "WARN" if text.contains(" is the very file that already runs") => Fact::Other,
        "ERROR" | "WARN" => trouble(),
        _ if text.starts_with("ready: ") => parse_ready(text).unwrap_or_else(trouble),
        _ if text.starts_with("moved: ") => parse_moved(text).unwrap_or_else(trouble),
        _ if text.starts_with("restart: done in ") => match last_number(text) {
            Some(pid) => Fact::Done { pid },
            None => trouble(),
        },
        _ if text.starts_with("drained: ") => Fact::Drained { pid },
        // A client ended in a way that is not in order.
        _ if text.starts_with("close ") => trouble(),
        _ => Fact::Other,
    }
}

/// `ready: generation 3 (fork), pid 4711, listening on 127.0.0.1:40123`
fn parse_ready(text: &str) -> Option<Fact> {
    let (generation, rest) = text.strip_prefix("ready: generation ")?.split_once(" (")?;
    let (engine, rest) = rest.split_once("), pid ")?;
    let (pid, address) = rest.split_once(", listening on ")?;
    Some(Fact::Ready {
        generation: generation.parse().ok()?,
        pid: pid.parse().ok()?,
        engine: engine.to_owned(),
        address: address.to_owned(),
    })
}

/// `moved: 200 connections, 0 stay; none was served for 3.142 ms`
fn parse_moved(text: &str) -> Option<Fact> {
    let ms: f64 = text.strip_suffix(" ms")?.rsplit(' ').next()?.parse().ok()?;
    Some(Fact::Moved { downtime: Duration::try_from_secs_f64(ms / 1e3).ok()? })
}

fn last_number(text: &str) -> Option<i32> {
    text.rsplit(' ').next()?.parse().ok()
}
