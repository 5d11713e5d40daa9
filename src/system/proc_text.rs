//! What the kernel says of a process's descriptors, locks, mappings and timers, as text (`proc(5)`). Pure:
//! knows no file.

use std::os::fd::RawFd;

/// What `/proc/self/fd/N` leads to (`readlink(2)`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Target {
    Socket,
    Pipe,
    Memfd(String),
    /// What has no file: `eventfd`, `timerfd`, `io_uring`, ...
    Anonymous(String),
    Path(String),
}

/// Reads the target of the link; `is_deleted`: the file has no name any more, so ` (deleted)` is no part of it.
pub(super) fn target(text: &str, is_deleted: bool) -> Target {
    let has_number = |rest: &str| rest.ends_with(']');
    if let Some(name) = text.strip_prefix("anon_inode:") {
        let name = name.trim_start_matches('[').trim_end_matches(']');
        let name = if name == "eventpoll" { "epoll" } else { name };
        return Target::Anonymous(clean(name));
    }
    match text.split_once(":[") {
        Some(("socket", rest)) if has_number(rest) => return Target::Socket,
        Some(("pipe", rest)) if has_number(rest) => return Target::Pipe,
        Some((kind, rest)) if has_number(rest) && !text.starts_with('/') => {
            return Target::Anonymous(clean(kind)); // a name space
        }
        _ => {}
    }
    let path = if is_deleted { text.strip_suffix(" (deleted)").unwrap_or(text) } else { text };
    match path.starts_with("/memfd:") {
        true => Target::Memfd(clean(path)),
        false => Target::Path(clean(path)),
    }
}

/// The longest text that is kept of what others have named.
const TEXT_MAX: usize = 256;

/// What somebody has named, without characters that a terminal would obey.
pub(super) fn clean(text: &str) -> String {
    let text = &text[..text.floor_char_boundary(TEXT_MAX)];
    text.chars().fold(String::new(), |mut all, c| {
        match c.is_control() {
            true => all.extend(c.escape_default()),
            false => all.push(c),
        }
        all
    })
}

/// What `/proc/self/fdinfo/N` says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct FdInfo {
    /// As for `open(2)`.
    pub flags: i32,
    /// Held by this process and this description.
    pub locks: Vec<String>,
    /// Of a pidfd.
    pub pid: Option<i32>,
    /// What an inotify or an epoll set watches.
    pub watches: usize,
    /// Of a timerfd: the first expiration and the interval, in seconds and nanoseconds.
    pub value: Option<(u64, u64)>,
    pub interval: Option<(u64, u64)>,
}

pub(super) fn fdinfo(text: &str) -> FdInfo {
    let mut found = FdInfo::default();
    for line in text.lines() {
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.trim();
        match name.trim() {
            "flags" => found.flags = i32::from_str_radix(value, 8).unwrap_or(0),
            "lock" => found.locks.extend(lock(value)),
            "Pid" => found.pid = value.parse().ok(),
            "tfd" => found.watches += 1,
            "it_value" => found.value = time(value),
            "it_interval" => found.interval = time(value),
            name if name.starts_with("inotify wd") => found.watches += 1,
            _ => {}
        }
    }
    found
}

/// `(1, 500000000)`.
fn time(text: &str) -> Option<(u64, u64)> {
    let (seconds, nanos) = text.strip_prefix('(')?.strip_suffix(')')?.split_once(',')?;
    Some((seconds.trim().parse().ok()?, nanos.trim().parse().ok()?))
}

/// A line of `/proc/locks`, which is what `fdinfo` has as well: `1: FLOCK  ADVISORY  WRITE 42 fd:01:7 0 EOF`.
/// The kernel lists there what this process has locked by this description, so nothing has to be searched.
/// `None`: it waits, and holds nothing; or it is no such line.
pub(super) fn lock(line: &str) -> Option<String> {
    let mut words = line.split_whitespace().skip(1);
    let kind = match words.next()? {
        "FLOCK" => "flock",
        "POSIX" => "fcntl",
        "OFDLCK" => "ofd",
        "LEASE" => "lease",
        _ => return None,
    };
    let mut words = words.skip(1);
    let mode = words.next()?.to_ascii_lowercase();
    let (from, to) = (words.nth(2)?, words.next()?);
    Some(match (from, to) {
        ("0", "EOF") => format!("{kind} {mode}"),
        _ => clean(&format!("{kind} {mode} {from}-{to}")),
    })
}

/// A line of `/proc/self/maps`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mapping {
    pub start: u64,
    pub end: u64,
    /// Major and minor number of the device, and the inode.
    pub file: (u64, u64, u64),
    pub path: Option<String>,
    pub is_deleted: bool,
}

/// The mapping, if what one process writes there another one reads.
pub(super) fn shared_mapping(line: &str) -> Option<Mapping> {
    let mut rest = line;
    let mut word = || {
        let (word, after) = rest.split_once(' ').unwrap_or((rest, ""));
        rest = after.trim_start();
        word
    };
    let (range, rights, _offset, device, inode) = (word(), word(), word(), word(), word());
    if !(rights.contains('w') && rights.ends_with('s')) {
        return None;
    }
    let hex = |text: &str| u64::from_str_radix(text, 16).ok();
    let ((start, end), (major, minor)) = (range.split_once('-')?, device.split_once(':')?);
    let path = rest.strip_suffix(" (deleted)").unwrap_or(rest);
    Some(Mapping {
        start: hex(start)?,
        end: hex(end)?,
        file: (hex(major)?, hex(minor)?, inode.parse().ok()?),
        path: Some(clean(path)).filter(|path| !path.is_empty()),
        is_deleted: path.len() < rest.len(),
    })
}

/// The timers in `/proc/self/timers`: the id of each, and what it does when it expires.
pub(super) fn timers(text: &str) -> Vec<(u32, String)> {
    let mut found = Vec::new();
    for line in text.lines() {
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        match (name, found.last_mut()) {
            ("ID", _) => found.extend(value.trim().parse().ok().map(|id| (id, String::new()))),
            ("signal", Some((_, does))) => {
                let number = value.trim().split('/').next().unwrap_or_default();
                *does = clean(&format!("signal {number}"));
            }
            _ => {}
        }
    }
    found
}

/// How many descriptors there is room for, by `/proc/self/status`: no number that is in use is as high.
pub(super) fn table_size(status: &str) -> Option<RawFd> {
    let line = status.lines().find_map(|line| line.strip_prefix("FDSize:"))?;
    line.trim().parse().ok()
}

/// The number under which an epoll set has what it knows as `data`, by the `fdinfo` of the set.
pub(super) fn watched_as(fdinfo: &str, data: u64) -> Option<RawFd> {
    fdinfo.lines().find_map(|line| {
        let mut words = line.strip_prefix("tfd:")?.split_whitespace();
        let number = words.next()?.parse().ok()?;
        let found = words.skip_while(|word| *word != "data:").nth(1)?;
        (u64::from_str_radix(found, 16) == Ok(data)).then_some(number)
    })
}

#[cfg(test)]
#[path = "proc_text_tests.rs"]
mod tests;
