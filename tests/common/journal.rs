//! A lab whose generations write down what must be done once, each under its own name. Knows no promise.

use std::{fs, path::PathBuf};

use super::{
    Dir, Setup,
    restart::{Engine, Lab},
    wait_for,
};

/// A line of the journal: which generation did it, in which process, and what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub generation: u64,
    pub pid: i32,
    pub what: String,
}

/// A lab whose generations write down what they do.
pub struct Journaled {
    pub lab: Lab,
    path: PathBuf,
    _dir: Dir,
}

impl Journaled {
    pub fn with(probation: u64, adjust: impl FnOnce(Setup) -> Setup) -> Journaled {
        let dir = Dir::new();
        let path = dir.path("journal");
        let lab = Lab::with(|setup| {
            adjust(setup.env("LAB_JOURNAL", path.display()).env("LAB_PROBATION", probation))
        });
        Journaled { lab, path, _dir: dir }
    }

    pub fn entries(&self) -> Vec<Entry> {
        let text = fs::read_to_string(&self.path).unwrap_or_default();
        let entry = |line: &str| {
            let words: Vec<_> = line.splitn(3, ' ').collect();
            let [generation, pid, what] = words[..] else { panic!("{line:?}") };
            Entry {
                generation: generation.parse().expect("a number"),
                pid: pid.parse().expect("a pid"),
                what: what.to_owned(),
            }
        };
        let whole = text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n'));
        whole.map(entry).collect()
    }

    pub fn of(&self, what: &str) -> Vec<Entry> {
        self.entries().into_iter().filter(|entry| entry.what == what).collect()
    }

    pub fn wait(&self, what: &str, count: usize) -> Vec<Entry> {
        wait_for(&format!("{count} times {what:?}"), || self.of(what).len() >= count);
        self.of(what)
    }

    /// Restarts as far as the probation, and answers the new pid.
    pub fn begin_restart(&self, engine: Engine) -> i32 {
        let ready = self.lab.count_lines("ready: generation");
        let old = self.lab.pid();
        self.lab.signal(engine.signal());
        self.lab.wait_lines("ready: generation", ready + 1);
        wait_for("the new side's pid file", || self.lab.pid() != old);
        self.lab.pid()
    }
}
