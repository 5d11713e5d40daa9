//! What the command line asks for, and which tests that are. Knows nothing of how they are run.

use std::{
    collections::BTreeSet,
    env,
    process::{Command, Stdio},
};

use super::{LIBTEST, share::cores};

/// Tests that run at the same time at most, for each core: they wait most of their time.
const PER_CORE: usize = 8;

/// A plain run of tests.
#[derive(Debug, PartialEq, Eq)]
pub struct Asked {
    /// What libtest has to know to find them: names, `--skip`, `--exact`, `--ignored` and the like.
    filters: Vec<String>,
    with_ignored: bool,
    pub is_quiet: bool,
    pub at_a_time: usize,
}

/// Names of tests, such as `eof::the_end_is_told_once`.
pub struct Found {
    pub to_run: Vec<String>,
    pub ignored: Vec<String>,
    pub filtered_out: usize,
}

impl Asked {
    /// By the arguments of a test program; `None` if they ask for anything but a run, or for what only libtest can do.
    pub fn from_args(mut args: impl Iterator<Item = String>) -> Option<Asked> {
        let at_a_time = env::var("RUST_TEST_THREADS").ok().and_then(|count| count.parse().ok());
        let mut asked = Asked {
            filters: Vec::new(),
            with_ignored: false,
            is_quiet: false,
            at_a_time: at_a_time.unwrap_or(PER_CORE * cores()),
        };
        while let Some(arg) = args.next() {
            let (flag, value) = arg.split_once('=').unwrap_or((&arg, ""));
            let mut value = || if value.is_empty() { args.next() } else { Some(value.to_owned()) };
            match flag {
                "-q" | "--quiet" => asked.is_quiet = true,
                "--test-threads" => asked.at_a_time = value()?.parse().ok().filter(|&it| it > 0)?,
                "--skip" => asked.filters.extend(["--skip".to_owned(), value()?]),
                "--exact" => asked.filters.push(arg),
                "--ignored" | "--include-ignored" => {
                    asked.with_ignored = true;
                    asked.filters.push(arg);
                }
                _ if flag.starts_with('-') => return None,
                _ => asked.filters.push(arg),
            }
        }
        Some(asked)
    }

    pub fn find(&self) -> Found {
        let selected = list(&self.filters);
        let filters = self.filters.iter().map(String::as_str);
        let ignored: BTreeSet<_> = match self.with_ignored {
            true => BTreeSet::new(),
            false => list(filters.chain(["--ignored"])).into_iter().collect(),
        };
        let all =
            if self.filters.is_empty() { selected.len() } else { list([] as [&str; 0]).len() };
        let filtered_out = all - selected.len();
        let (ignored, to_run) = selected.into_iter().partition(|test| ignored.contains(test));
        Found { to_run, ignored, filtered_out }
    }
}

/// This program, which is libtest's this time.
pub fn libtest() -> Command {
    let mut command = Command::new(env::current_exe().expect("the path of this program"));
    command.env(LIBTEST, "1").stdin(Stdio::null());
    command
}

fn list(filters: impl IntoIterator<Item = impl AsRef<std::ffi::OsStr>>) -> Vec<String> {
    let listed = libtest().args(filters).args(["--list", "--format", "terse"]).output();
    let listed = listed.expect("it starts");
    assert!(listed.status.success(), "{}", String::from_utf8_lossy(&listed.stderr));
    let lines = String::from_utf8(listed.stdout).expect("names");
    lines.lines().filter_map(|line| line.strip_suffix(": test")).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(line: &str) -> Option<Asked> {
        Asked::from_args(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn a_plain_run_is_one_with_names_and_what_chooses_among_them() {
        let some =
            asked("eof:: --skip a --skip=b --exact --test-threads=3 -q").expect("a plain run");
        assert_eq!(some.filters, ["eof::", "--skip", "a", "--skip", "b", "--exact"]);
        assert_eq!((some.at_a_time, some.is_quiet, some.with_ignored), (3, true, false));
        assert!(asked("--ignored").is_some_and(|it| it.with_ignored));
        assert!(asked("").is_some_and(|it| it.filters.is_empty() && it.at_a_time > 0));
    }

    #[test]
    fn everything_else_is_libtests() {
        for line in
            ["--list", "eof:: --nocapture", "--help", "--test-threads 0", "--skip", "--format=json"]
        {
            assert_eq!(asked(line), None, "{line}");
        }
    }
}
