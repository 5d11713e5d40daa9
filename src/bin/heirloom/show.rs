//! Generations as a table for people and as JSON for programs. Knows no socket.

use std::{fmt, fs};

use heirloom::logging::Quoted;

use crate::finding::{self, Finding};

/// A generation as the server describes it, and what its memory is.
pub struct Generation {
    fields: Vec<(String, String)>,
    /// Bytes that it shares with nobody, and bytes that it shares, if they could be read.
    memory: Option<(u64, u64)>,
}

/// What the server tells of each.
const FIELDS: [&str; 9] =
    ["generation", "pid", "engine", "phase", "age", "connections", "oldest", "holds", "held"];

impl Generation {
    /// Reads a line of `key=value`.
    pub fn read(line: &str) -> Generation {
        let fields = line.split(' ').filter_map(|pair| pair.split_once('='));
        let fields = fields.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let generation = Generation { fields, memory: None };
        Generation { memory: memory(generation.get("pid")), ..generation }
    }

    fn get(&self, name: &str) -> &str {
        self.fields.iter().find(|(at, _)| at == name).map_or("-", |(_, value)| value)
    }
}

/// Asked of the kernel here and not by the server, which would stand still for it: the kernel walks
/// over all pages (`proc_pid_smaps(5)`).
fn memory(pid: &str) -> Option<(u64, u64)> {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    let sum = |prefix: &str| {
        let lines = text.lines().filter(|line| line.starts_with(prefix));
        let kib = lines.filter_map(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok());
        kib.sum::<u64>() * 1024
    };
    Some((sum("Private_"), sum("Shared_")))
}

/// For people: times in seconds, memory in MiB, and a dash for what is not known.
pub struct Table<'a>(pub &'a [Generation]);

impl fmt::Display for Table<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        row(f, FIELDS, "private", "shared")?;
        for generation in self.0 {
            let mib = |bytes: u64| format!("{:.1}M", bytes as f64 / (1024.0 * 1024.0));
            let unknown = || ("-".to_owned(), "-".to_owned());
            let (private, shared) =
                generation.memory.map_or_else(unknown, |(p, s)| (mib(p), mib(s)));
            row(f, FIELDS.map(|name| generation.get(name)), &private, &shared)?;
        }
        Ok(())
    }
}

fn row(
    f: &mut fmt::Formatter<'_>,
    [generation, pid, engine, phase, age, connections, oldest, holds, held]: [&str; 9],
    private: &str,
    shared: &str,
) -> fmt::Result {
    writeln!(
        f,
        "{generation:>10} {pid:>8} {engine:<9} {phase:<18} {age:>10} {connections:>11} {oldest:>10} \
         {holds:>5} {private:>9} {shared:>9} {held}"
    )
}

/// For programs: an array of objects; times in seconds, memory in bytes, `null` for what is not
/// known.
pub struct Json<'a>(pub &'a [Generation]);

impl fmt::Display for Json<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A number as JSON has them: `inf` and `+1` are names that somebody has given.
        let is_number = |text: &str| {
            text.parse::<f64>().is_ok() && text.bytes().all(|b| b.is_ascii_digit() || b == b'.')
        };
        let value = |name: &str, text: &str| match text {
            "-" => "null".to_owned(),
            _ if name != "held" && is_number(text) => text.to_owned(),
            _ => Quoted(text).to_string(),
        };
        f.write_str("[")?;
        for (index, generation) in self.0.iter().enumerate() {
            f.write_str(if index > 0 { ",{" } else { "{" })?;
            for name in FIELDS {
                write!(f, "\"{name}\":{},", value(name, generation.get(name)))?;
            }
            match generation.memory {
                Some((private, shared)) => {
                    write!(f, "\"private_bytes\":{private},\"shared_bytes\":{shared},")?;
                }
                None => f.write_str("\"private_bytes\":null,\"shared_bytes\":null,")?,
            }
            let findings = generation.get("findings").split(',').filter(|text| *text != "-");
            let findings: Vec<_> = findings.map(Finding::read).collect();
            let unknown = value("unknown", generation.get("unknown"));
            write!(f, "\"unknown\":{unknown},\"findings\":{}}}", finding::list(&findings))?;
        }
        f.write_str("]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_is_null() {
        let line = "generation=3 pid=0 engine=none phase=silent age=- connections=- oldest=- holds=- \
             held=-";
        assert_eq!(
            Json(&[Generation::read(line)]).to_string(),
            "[{\"generation\":3,\"pid\":0,\"engine\":\"none\",\"phase\":\"silent\",\"age\":null,\
             \"connections\":null,\"oldest\":null,\"holds\":null,\"held\":null,\
             \"private_bytes\":null,\"shared_bytes\":null,\"unknown\":null,\"findings\":[]}]"
        );
    }

    #[test]
    fn names_are_strings_whatever_they_look_like() {
        for (held, json) in
            [("inf", "\"inf\""), ("1", "\"1\""), ("a\"b\u{7f}", "\"a\\\"b\\u007f\"")]
        {
            let line = format!("generation=3 pid=0 engine=none phase=+1 held={held}");
            let text = Json(&[Generation::read(&line)]).to_string();
            assert!(text.contains(&format!("\"held\":{json},")), "{text}");
            assert!(
                text.contains("\"generation\":3,") && text.contains("\"phase\":\"+1\""),
                "{text}"
            );
        }
    }

    #[test]
    fn a_table_has_a_head_and_a_row_each() {
        let own = format!("generation=1 pid={} engine=fork phase=serving", std::process::id());
        let table = Table(&[Generation::read(&own)]).to_string();
        assert_eq!(table.lines().count(), 2);
        assert!(table.contains("serving") && table.trim_end().ends_with("M -"), "{table}");
    }
}
