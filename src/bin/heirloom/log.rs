//! The journal of a service, for people and for programs. Knows no socket.

use std::fmt;

use heirloom::logging::Quoted;

use crate::finding::{Text, value};

/// An entry, as the server has it: `key=value`, in the order in which it has written them.
pub struct Entry(Vec<(String, String)>);

impl Entry {
    pub fn read(line: &str) -> Entry {
        let pairs = line.split(' ').filter_map(|pair| pair.split_once('='));
        let own = |(key, word): (&str, &str)| Some((key.to_owned(), value(word)?));
        Entry(pairs.filter_map(own).collect())
    }

    fn get(&self, key: &str) -> Option<&str> {
        self.0.iter().find(|(at, _)| at == key).map(|(_, value)| value.as_str())
    }

    /// Which one it is; they are counted from 0.
    pub fn number(&self) -> u64 {
        self.get("number").and_then(|number| number.parse().ok()).unwrap_or(0)
    }

    fn seconds(&self, key: &str) -> Option<f64> {
        self.get(key)?.parse().ok()
    }

    /// `by SIGHUP from pid 7 (uid 1000)`
    fn asked_by(&self) -> String {
        let program = self.get("by_program").map_or(String::new(), |name| format!("{name}, "));
        let who = match (self.get("by_pid"), self.get("by_uid")) {
            (Some(pid), Some(uid)) => format!(" from pid {pid} ({program}uid {uid})"),
            _ => String::new(),
        };
        match self.get("trigger") {
            Some("signal") => format!("by {}{who}", self.get("signal").unwrap_or("a signal")),
            Some("command") => format!("by a command{who}"),
            Some("crash") => {
                let status = self.get("status").map(|it| format!(", status {it}"));
                let crashed = self.get("crashed").unwrap_or("?");
                format!("after a crash of generation {crashed}{}", status.unwrap_or_default())
            }
            Some("callback") => "by the service itself".to_owned(),
            Some("unknown") => "nobody is left who knows who has asked".to_owned(),
            _ => String::new(),
        }
    }

    /// How a drain begins or ends, or how a process has ended.
    fn course(&self) -> String {
        let word = |key: &str, before: &str, behind: &str| {
            self.get(key).map_or(String::new(), |value| format!(", {before}{value}{behind}"))
        };
        let time = |key: &str, before: &str| {
            let seconds = self.seconds(key).map(|it| format!(", {before} {it:.3} s"));
            seconds.unwrap_or_default()
        };
        match self.get("event") {
            Some("lame_duck") => time("within", "for"),
            Some("drain") => word("connections", "", " connections") + &time("within", "within"),
            Some("drained") => time("took", "in") + &word("cut", "", " connections cut"),
            Some("died") => word("status", "status ", "") + &word("signal", "", ""),
            _ => String::new(),
        }
    }

    /// Why, in words: a drain has one of a few.
    fn reason(&self) -> String {
        let before = if self.get("event") == Some("drain") { ", for a " } else { "; " };
        self.get("reason").map_or(String::new(), |why| format!("{before}{why}"))
    }

    /// Which steps it took, in milliseconds.
    fn steps(&self) -> String {
        let steps = ["made", "ready", "committed", "saved", "downtime"];
        let step = |name| Some(format!("{name} {:.3} ms", self.seconds(name)? * 1e3));
        let steps: Vec<_> = steps.into_iter().filter_map(step).collect();
        if steps.is_empty() { String::new() } else { format!("; {}", steps.join(", ")) }
    }

    fn program(&self) -> String {
        let Some(program) = self.get("program") else { return String::new() };
        let build =
            self.get("build_id").map(|id| format!(", build {}", id.get(..12).unwrap_or(id)));
        let written = self.seconds("modified").map(|at| format!(", of {}", Utc(at)));
        format!("; {program}{}{}", build.unwrap_or_default(), written.unwrap_or_default())
    }
}

/// `2026-11-29T10:39:23Z  restart: generation 1 by fork, committed, pid 12, by SIGHUP from ...`
impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = Utc(self.seconds("at").unwrap_or(0.0));
        let (event, generation) =
            (self.get("event").unwrap_or("?"), self.get("generation").unwrap_or("?"));
        write!(f, "{at}  {event:<9}  generation {generation}")?;
        let said = |key: &str, before: &str| {
            self.get(key).map_or(String::new(), |value| format!("{before}{value}"))
        };
        write!(f, "{}{}", said("worker", " of worker "), said("engine", " by "))?;
        write!(f, "{}{}", said("outcome", ", "), said("pid", ", pid "))?;
        let asked_by = Some(self.asked_by()).filter(|by| !by.is_empty());
        let asked_by = asked_by.map_or(String::new(), |by| format!(", {by}"));
        write!(f, "{}{asked_by}", self.course())?;
        write!(f, "{}{}{}", self.steps(), self.program(), self.reason())
    }
}

/// One object of JSON.
pub struct Json<'a>(pub &'a Entry);

impl fmt::Display for Json<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_text = |key: &str| {
            [
                "event",
                "engine",
                "outcome",
                "trigger",
                "signal",
                "program",
                "by_program",
                "build_id",
                "reason",
            ]
            .contains(&key.trim_start_matches("old_"))
        };
        for (index, (key, value)) in self.0.0.iter().enumerate() {
            write!(f, "{}{}:", if index == 0 { "{" } else { "," }, Quoted(key))?;
            let is_number = value.parse::<f64>().is_ok_and(f64::is_finite);
            match is_number && !is_text(key) {
                true => f.write_str(value)?,
                false => Text(Some(value)).fmt(f)?,
            }
        }
        f.write_str("}")
    }
}

/// A time since 1970 as RFC 3339 has it, to the second.
struct Utc(f64);

impl fmt::Display for Utc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0 as u64;
        let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
        let (mut day, mut year) = (seconds / 86_400, 1970);
        let is_leap = |year: u64| {
            let of = |years| year.is_multiple_of(years);
            of(4) && (!of(100) || of(400))
        };
        let days = |year| if is_leap(year) { 366 } else { 365 };
        while day >= days(year) {
            day -= days(year);
            year += 1;
        }
        let february = if is_leap(year) { 29 } else { 28 };
        let mut month = 1;
        for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
            if day < length {
                break;
            }
            day -= length;
            month += 1;
        }
        write!(f, "{year}-{month:02}-{:02}T{hour:02}:{minute:02}:{second:02}Z", day + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_a_line_and_an_object() {
        let entry = Entry::read(
            "number=3 event=restart at=1700000000.250 generation=3 engine=fork outcome=died took=0.02 trigger=signal \
             signal=SIGHUP by_pid=7 by_uid=1000 made=0.0015 program=/srv/a%20b build_id=0123456789abcdef reason=it%20%22ended%22",
        );
        assert_eq!(entry.number(), 3);
        assert_eq!(
            entry.to_string(),
            "2023-11-14T22:13:20Z  restart    generation 3 by fork, died, by SIGHUP from pid 7 (uid 1000); \
             made 1.500 ms; /srv/a b, build 0123456789ab; it \"ended\""
        );
        assert_eq!(
            Json(&entry).to_string(),
            r#"{"number":3,"event":"restart","at":1700000000.250,"generation":3,"engine":"fork","outcome":"died","took":0.02,"trigger":"signal","signal":"SIGHUP","by_pid":7,"by_uid":1000,"made":0.0015,"program":"/srv/a b","build_id":"0123456789abcdef","reason":"it \"ended\""}"#
        );
    }

    #[test]
    fn drains_and_deaths_are_told_in_words() {
        for (line, told) in [
            (
                "event=lame_duck at=0 generation=0 pid=7 trigger=signal signal=SIGTERM by_pid=8 by_uid=0 by_program=sh within=4",
                "lame_duck  generation 0, pid 7, for 4.000 s, by SIGTERM from pid 8 (sh, uid 0)",
            ),
            (
                "event=drain at=0 worker=1 generation=2 pid=7 reason=stop trigger=command by_pid=8 by_uid=0 connections=3 within=30",
                "drain      generation 2 of worker 1, pid 7, 3 connections, within 30.000 s, by a command from pid 8 (uid 0), for a stop",
            ),
            (
                "event=drained at=0 generation=2 pid=7 outcome=deadline took=30.0002 cut=2",
                "drained    generation 2, deadline, pid 7, in 30.000 s, 2 connections cut",
            ),
            (
                "event=died at=0 generation=2 pid=7 status=139 signal=SIGSEGV",
                "died       generation 2, pid 7, status 139, SIGSEGV",
            ),
        ] {
            assert_eq!(Entry::read(line).to_string(), format!("1970-01-01T00:00:00Z  {told}"));
        }
    }

    #[test]
    fn a_time_is_a_date() {
        for (seconds, date) in [
            (0.0, "1970-01-01T00:00:00Z"),
            (951_782_399.9, "2000-02-28T23:59:59Z"),
            (951_782_400.0, "2000-02-29T00:00:00Z"),
            (1_704_067_199.0, "2023-12-31T23:59:59Z"),
            (4_107_542_400.0, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(Utc(seconds).to_string(), date);
        }
    }
}
