//! The answer to `check`: what a restart by each engine would come to now. Pure: knows no process.

use std::fmt;

use crate::{
    inventory::{Inventory, word},
    plan::Engine,
};

/// What was found out without a restart.
#[derive(Debug)]
pub(crate) struct Check {
    pub fork: Prospect,
    pub fork_exec: Prospect,
    /// The engine that a restart uses where nobody names one.
    pub first: Engine,
    /// What would be started, and whether it is the very file that runs.
    pub program: String,
    pub runs_already: bool,
    /// Ids and names of the threads; not all where there are many.
    pub threads: Vec<(u32, String)>,
    pub thread_count: usize,
    pub mailboxes: usize,
    pub inventory: Inventory,
}

/// What a restart by one engine would come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Prospect {
    Possible,
    /// Fork-exec would be used instead, and why.
    Instead(String),
    Refused(String),
}

impl Prospect {
    fn name(&self) -> &'static str {
        match self {
            Prospect::Possible => "possible",
            Prospect::Instead(_) => "instead",
            Prospect::Refused(_) => "refused",
        }
    }

    fn why(&self) -> String {
        match self {
            Prospect::Possible => "-".to_owned(),
            Prospect::Instead(why) | Prospect::Refused(why) => word(why),
        }
    }
}

impl Check {
    /// What a restart that names no engine would come to: the engine, or nothing.
    fn restart(&self) -> Option<Engine> {
        let by_exec = || (self.fork_exec == Prospect::Possible).then_some(Engine::ForkExec);
        match (self.first, &self.fork) {
            (Engine::ForkExec, _) | (_, Prospect::Instead(_)) => by_exec(),
            (Engine::Fork, Prospect::Possible) => Some(Engine::Fork),
            (Engine::Fork, Prospect::Refused(_)) => None,
        }
    }
}

/// The first line for whoever reads the reply itself, the others as words.
impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let restart = self.restart().map_or("refused".to_owned(), |engine| engine.to_string());
        match self.restart() {
            Some(engine) => writeln!(f, "ok: a restart would be by {engine}")?,
            None => writeln!(f, "ok: a restart would be refused")?,
        }
        writeln!(f, "restart={restart}")?;
        for (name, prospect) in [("fork", &self.fork), ("fork_exec", &self.fork_exec)] {
            writeln!(f, "{name}={}\n{name}_why={}", prospect.name(), prospect.why())?;
        }
        writeln!(f, "program={}\nruns_already={}", word(&self.program), self.runs_already)?;
        writeln!(f, "threads={}", self.thread_count)?;
        for (id, name) in &self.threads {
            writeln!(f, "thread={id};{}", word(name))?;
        }
        writeln!(f, "mailboxes={}\nunknown={}", self.mailboxes, self.inventory.count())?;
        for finding in &self.inventory.findings {
            writeln!(f, "finding={}", finding.to_word())?;
        }
        let unseen = self.inventory.unseen.as_deref().map_or("-".to_owned(), word);
        write!(f, "unseen={unseen}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(first: Engine, fork: Prospect, fork_exec: Prospect) -> Check {
        Check {
            fork,
            fork_exec,
            first,
            program: "/srv/a b".to_owned(),
            runs_already: true,
            threads: vec![(7, "main".to_owned())],
            thread_count: 1,
            mailboxes: 0,
            inventory: Inventory::default(),
        }
    }

    #[test]
    fn the_restart_is_by_what_is_first_or_what_it_falls_back_to() {
        let (possible, no) = (Prospect::Possible, Prospect::Refused("no".to_owned()));
        let instead = Prospect::Instead("threads".to_owned());
        let restart = |first, fork: &Prospect, exec: &Prospect| {
            check(first, fork.clone(), exec.clone()).restart()
        };
        assert_eq!(restart(Engine::Fork, &possible, &no), Some(Engine::Fork));
        assert_eq!(restart(Engine::Fork, &instead, &possible), Some(Engine::ForkExec));
        assert_eq!(restart(Engine::Fork, &instead, &no), None);
        assert_eq!(restart(Engine::Fork, &no, &possible), None);
        assert_eq!(restart(Engine::ForkExec, &no, &possible), Some(Engine::ForkExec));
        assert_eq!(restart(Engine::ForkExec, &possible, &no), None);
    }

    #[test]
    fn each_line_is_a_name_and_a_word() {
        let refused = Prospect::Refused("fork refused: the process has 2 threads".to_owned());
        let text = check(Engine::Fork, refused, Prospect::Possible).to_string();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[0], "ok: a restart would be refused");
        assert!(lines[1..].iter().all(|line| line.contains('=') && !line.contains(' ')), "{text}");
        assert!(
            lines.contains(&"program=/srv/a%20b") && lines.contains(&"thread=7;main"),
            "{text}"
        );
    }
}
