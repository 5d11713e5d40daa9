//! What a restart would come to, for people and for programs. Knows no socket.

use std::fmt;

use heirloom::logging::Quoted;

use crate::finding::{self, Finding, List, Text, plain, value};

/// The answer to `check`.
pub struct Check {
    lines: Vec<(String, String)>,
    threads: Vec<(String, String)>,
    findings: Vec<Finding>,
}

impl Check {
    /// From the lines behind the first.
    pub fn read(lines: &[String]) -> Check {
        let pairs = lines.iter().filter_map(|line| line.split_once('='));
        let pairs: Vec<_> = pairs.map(|(name, it)| (name.to_owned(), it.to_owned())).collect();
        let all = |name: &str| -> Vec<String> {
            let found = pairs.iter().filter(|(found, _)| found == name);
            found.map(|(_, value)| value.clone()).collect()
        };
        let thread = |text: &String| {
            let (id, name) = text.split_once(';').unwrap_or((text, ""));
            (id.to_owned(), plain(name))
        };
        Check {
            threads: all("thread").iter().map(thread).collect(),
            findings: all("finding").iter().map(|text| Finding::read(text)).collect(),
            lines: pairs,
        }
    }

    fn get(&self, name: &str) -> Option<String> {
        let found = self.lines.iter().find(|(found, _)| found == name);
        found.and_then(|(_, text)| value(text))
    }

    fn number(&self, name: &str) -> u64 {
        self.get(name).and_then(|text| text.parse().ok()).unwrap_or(0)
    }

    /// Whether a restart that names no engine would be refused now.
    pub fn is_refused(&self) -> bool {
        self.get("restart").as_deref() == Some("refused")
    }

    /// `possible`, or why not.
    fn prospect(&self, engine: &str) -> String {
        let state = self.get(engine).unwrap_or_else(|| "unknown".to_owned());
        match self.get(&format!("{engine}_why")) {
            Some(why) if state == "instead" => format!("fork-exec instead: {why}"),
            Some(why) => format!("{state}: {why}"),
            None => state,
        }
    }
}

/// For people.
impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let restart = self.get("restart").unwrap_or_default();
        writeln!(f, "restart    {restart}")?;
        writeln!(f, "fork       {}", self.prospect("fork"))?;
        writeln!(f, "fork-exec  {}", self.prospect("fork_exec"))?;
        let note = match self.get("runs_already").as_deref() {
            Some("true") => " (the file that runs already)",
            _ => "",
        };
        writeln!(f, "program    {}{note}", self.get("program").unwrap_or_default())?;
        let names: Vec<_> = self.threads.iter().map(|(_, name)| name.as_str()).collect();
        writeln!(f, "threads    {} ({})", self.number("threads"), names.join(", "))?;
        writeln!(f, "mailboxes  {}", self.number("mailboxes"))?;
        writeln!(f, "unknown    {}", self.number("unknown"))?;
        for finding in &self.findings {
            writeln!(f, "  {finding}")?;
        }
        self.get("unseen").iter().try_for_each(|why| writeln!(f, "unseen     {why}"))
    }
}

/// For programs.
pub struct Json<'a>(pub &'a Check);

impl fmt::Display for Json<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let check = self.0;
        f.write_str("{")?;
        for name in ["restart", "fork", "fork_why", "fork_exec", "fork_exec_why", "program"] {
            write!(f, "\"{name}\":{},", Text(check.get(name).as_deref()))?;
        }
        let runs_already = check.get("runs_already").as_deref() == Some("true");
        write!(f, "\"runs_already\":{runs_already},\"threads\":{},", check.number("threads"))?;
        let thread = |(id, name): &(String, String), f: &mut fmt::Formatter<'_>| {
            let id = id.parse::<u32>().unwrap_or(0);
            write!(f, "{{\"id\":{id},\"name\":{}}}", Quoted(name))
        };
        write!(f, "\"thread_names\":{},", List(&check.threads, thread))?;
        for name in ["mailboxes", "unknown"] {
            write!(f, "\"{name}\":{},", check.number(name))?;
        }
        let unseen = check.get("unseen");
        let findings = finding::list(&check.findings);
        write!(f, "\"findings\":{findings},\"unseen\":{}}}", Text(unseen.as_deref()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check() -> Check {
        let lines = [
            "restart=refused",
            "fork=refused",
            "fork_why=fork%20refused%3A%20no",
            "fork_exec=possible",
            "fork_exec_why=-",
            "program=/srv/a%20b",
            "runs_already=true",
            "threads=1",
            "thread=12;main",
            "mailboxes=0",
            "unknown=1",
            "finding=fd:7;tcp;127.0.0.1:80;-;-;-",
            "unseen=-",
        ];
        Check::read(&lines.map(str::to_owned))
    }

    #[test]
    fn people_read_a_line_for_each_thing() {
        let text = check().to_string();
        assert!(check().is_refused());
        assert!(text.contains("fork       refused: fork refused: no\n"), "{text}");
        assert!(text.contains("fork-exec  possible\n"), "{text}");
        assert!(text.contains("program    /srv/a b (the file that runs already)\n"), "{text}");
        assert!(text.contains("threads    1 (main)\n"), "{text}");
        assert!(text.ends_with("unknown    1\n  fd:7     tcp to 127.0.0.1:80\n"), "{text}");
    }

    #[test]
    fn programs_read_an_object() {
        assert_eq!(
            Json(&check()).to_string(),
            "{\"restart\":\"refused\",\"fork\":\"refused\",\"fork_why\":\"fork refused: no\",\
             \"fork_exec\":\"possible\",\"fork_exec_why\":null,\"program\":\"/srv/a b\",\
             \"runs_already\":true,\"threads\":1,\"thread_names\":[{\"id\":12,\"name\":\"main\"}],\
             \"mailboxes\":0,\"unknown\":1,\"findings\":[{\"place\":\"fd:7\",\"kind\":\"tcp\",\
             \"peer\":\"127.0.0.1:80\",\"path\":null,\"lock\":null,\"detail\":null}],\"unseen\":null}"
        );
    }
}
