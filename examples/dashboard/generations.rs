//! Which generations there are: the reply to `status` on the control socket, and what `/proc` says of each.
//! Knows no socket.

use std::fs;

use super::place::Place;

/// One line of a status, as JSON would have it: what is not known is `null`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Generation {
    pub place: Place,
    pub pid: u32,
    pub engine: String,
    pub phase: String,
    pub age: Option<String>,
    pub connections: Option<u64>,
    /// Resident memory in KiB. A forked process shares most of it with its parent at first.
    pub memory: Option<u64>,
}

/// Reads a whole reply; nothing, if it is an error. The newest comes first.
pub fn parse(reply: &str) -> Vec<Generation> {
    let mut lines = reply.lines();
    match lines.next() {
        Some(first) if first.starts_with("ok") => lines.filter_map(line).collect(),
        _ => Vec::new(),
    }
}

fn line(line: &str) -> Option<Generation> {
    let field = |name: &str| {
        let pairs = line.split(' ').filter_map(|pair| pair.split_once('='));
        pairs.filter(|(key, _)| *key == name).map(|(_, value)| value).next()
    };
    Some(Generation {
        place: Place {
            worker: field("worker").and_then(|worker| worker.parse().ok()),
            generation: field("generation")?.parse().ok()?,
        },
        pid: field("pid")?.parse().ok()?,
        engine: field("engine")?.to_owned(),
        phase: field("phase")?.to_owned(),
        age: field("age").filter(|age| *age != "-").map(str::to_owned),
        connections: field("connections").and_then(|count| count.parse().ok()),
        memory: None,
    })
}

/// `VmRSS` of `/proc/PID/status`: the number of `statm`, without the size of a page to ask for.
pub fn memory(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_whitespace().next()?.parse().ok()
}
