//! Generations as a table for people and as JSON for programs. Knows no socket.

use std::{fmt, fs};

use heirloom::logging::Quoted;

use crate::finding::{self, Finding};

/// A generation as the server describes it, and what its memory is.
pub struct Generation {
    fields: Vec<(String, String)>,
    memory: Option<Memory>,
}

/// Bytes of a process, as far as they are present.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Memory {
    /// That it shares with nobody.
    private: u64,
    shared: u64,
    /// Of no file: its heap, most of all.
    anonymous: u64,
    /// Of these, what lies in pages of 2 MiB: a fork copies one entry for each, and 512 otherwise.
    huge: u64,
}

impl Memory {
    /// As `/proc/pid/smaps_rollup` has it.
    fn of(rollup: &str) -> Memory {
        let sum = |prefix: &str| {
            let lines = rollup.lines().filter(|line| line.starts_with(prefix));
            let kib = lines.filter_map(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok());
            kib.sum::<u64>() * 1024
        };
        Memory {
            private: sum("Private_"),
            shared: sum("Shared_"),
            anonymous: sum("Anonymous:"),
            huge: sum("AnonHugePages:"),
        }
    }

    /// How much of the heap is huge, in percent.
    fn huge_share(self) -> u64 {
        (self.huge * 100).checked_div(self.anonymous).unwrap_or(0)
    }
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
fn memory(pid: &str) -> Option<Memory> {
    Some(Memory::of(&fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?))
}

/// For people: times in seconds, memory in MiB, how much of the heap is huge in percent, and a dash for what is not known.
pub struct Table<'a>(pub &'a [Generation]);

impl fmt::Display for Table<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Where one process serves, it has no number.
        let is_worker = |generation: &Generation| generation.get("worker") != "-";
        let has_workers = self.0.iter().any(is_worker);
        let number = |f: &mut fmt::Formatter<'_>, text| match has_workers {
            true => write!(f, "{text:>6} "),
            false => Ok(()),
        };
        number(f, "worker")?;
        row(f, FIELDS, ["private", "shared", "huge"])?;
        for generation in self.0 {
            number(f, generation.get("worker"))?;
            let mib = |bytes: u64| format!("{:.1}M", bytes as f64 / (1024.0 * 1024.0));
            let known =
                |it: Memory| [mib(it.private), mib(it.shared), format!("{}%", it.huge_share())];
            let memory = generation.memory.map_or_else(|| ["-"; 3].map(str::to_owned), known);
            row(f, FIELDS.map(|name| generation.get(name)), memory.each_ref().map(String::as_str))?;
        }
        Ok(())
    }
}

fn row(
    f: &mut fmt::Formatter<'_>,
    [generation, pid, engine, phase, age, connections, oldest, holds, held]: [&str; 9],
    [private, shared, huge]: [&str; 3],
) -> fmt::Result {
    writeln!(
        f,
        "{generation:>10} {pid:>8} {engine:<9} {phase:<18} {age:>10} {connections:>11} {oldest:>10} \
         {holds:>5} {private:>9} {shared:>9} {huge:>5} {held}"
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
                Some(Memory { private, shared, anonymous, huge }) => write!(
                    f,
                    "\"private_bytes\":{private},\"shared_bytes\":{shared},\
                     \"anonymous_bytes\":{anonymous},\"huge_bytes\":{huge},"
                )?,
                None => f.write_str(
                    "\"private_bytes\":null,\"shared_bytes\":null,\
                     \"anonymous_bytes\":null,\"huge_bytes\":null,",
                )?,
            }
            let findings = generation.get("findings").split(',').filter(|text| *text != "-");
            let findings: Vec<_> = findings.map(Finding::read).collect();
            let unknown = value("unknown", generation.get("unknown"));
            write!(f, "\"unknown\":{unknown},\"findings\":{}", finding::list(&findings))?;
            match generation.get("worker") {
                "-" => f.write_str("}")?,
                worker => write!(f, ",\"worker\":{}}}", value("worker", worker))?,
            }
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
             \"private_bytes\":null,\"shared_bytes\":null,\
             \"anonymous_bytes\":null,\"huge_bytes\":null,\"unknown\":null,\"findings\":[]}]"
        );
    }

    #[test]
    fn of_a_heap_it_is_known_how_much_is_huge() {
        let rollup = "Rss: 9 kB\nPrivate_Clean: 1 kB\nPrivate_Dirty: 2 kB\nShared_Clean: 4 kB\n\
                      Anonymous:  400 kB\nAnonHugePages:  300 kB\n";
        let memory = Memory::of(rollup);
        let kib = |bytes: u64| bytes * 1024;
        let (private, shared, anonymous, huge) = (kib(3), kib(4), kib(400), kib(300));
        assert_eq!(memory, Memory { private, shared, anonymous, huge });
        assert_eq!(memory.huge_share(), 75);
        assert_eq!(Memory::of("").huge_share(), 0, "nothing was touched");
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
        assert!(table.contains("serving") && table.trim_end().ends_with("% -"), "{table}");
        let rows = [own.clone(), format!("{own} worker=1")].map(|line| Generation::read(&line));
        let table = Table(&rows).to_string();
        let firsts = table.lines().map(|line| line.split_whitespace().next().unwrap_or_default());
        assert_eq!(firsts.collect::<Vec<_>>(), ["worker", "-", "1"]);
        assert!(Json(&rows).to_string().ends_with("\"worker\":1}]"));
    }
}
