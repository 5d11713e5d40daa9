//! The source itself: who may import whom, and what must occur nowhere. Reads `src` and `examples`
//! line by line; knows no more of Rust than that.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Every module of `src` and what it may import, bottom up. A module that is missing here may import
/// nothing and must not exist.
const LAYERS: [(&str, &[&str]); 22] = [
    // Plain values.
    ("limits", &[]),
    ("stats", &[]),
    ("plan", &["limits"]),
    ("verdict", &["plan"]),
    ("error", &["verdict"]),
    // Pure: no I/O, no clock.
    ("buffer", &["limits"]),
    ("clock", &[]),
    ("timer", &["clock"]),
    ("codec", &["error"]),
    // The system's edges.
    ("signal", &["error"]),
    ("pidfile", &["error"]),
    ("systemd", &["limits"]),
    ("net", &["buffer", "clock", "error", "limits", "plan", "stats", "timer"]),
    // How one process follows another: links, messages, processes. It knows a connection as data.
    ("restart", &["clock", "error", "limits", "net", "plan", "signal", "verdict"]),
    ("control", &["plan", "restart", "verdict"]),
    // What an author writes, and who calls it.
    ("service", &["error", "net", "verdict"]),
    (
        "turn",
        &[
            "control", "error", "limits", "net", "pidfile", "plan", "restart", "service", "signal",
            "systemd", "verdict",
        ],
    ),
    // A process that serves nobody and sees to it that another does.
    ("supervisor", &["error", "limits", "net", "pidfile", "plan", "restart", "signal", "verdict"]),
    // What an author starts.
    (
        "server",
        &[
            "error",
            "limits",
            "net",
            "pidfile",
            "plan",
            "restart",
            "service",
            "signal",
            "supervisor",
            "systemd",
            "turn",
        ],
    ),
    ("testing", &["error", "net", "plan", "restart", "service", "turn"]),
    // Prose.
    ("guide", &[]),
    ("lib", &[]),
];

/// The only files with `unsafe` in them.
const UNSAFE: [&str; 4] =
    ["src/restart/fork.rs", "src/restart/pass.rs", "src/restart/exec.rs", "src/net/stream.rs"];

/// The only example with `unsafe` in it: the lessons fork.
const UNSAFE_EXAMPLE: &str = "examples/lessons/process.rs";

/// The only files that call a service: the turn, and the harness that stands in for its first phases.
const CALLERS: [&str; 2] = ["src/turn", "src/testing.rs"];

/// The only files that ask the system for the time: before the first turn and once in each, to find how
/// long the poll may sleep, where a new program waits in a blocking read for its old side, and where
/// something is timed that happens within one turn: a fork, a downtime.
const CLOCKS: [&str; 9] = [
    "src/server.rs",
    "src/turn.rs",
    "src/turn/moving.rs",
    "src/net/moving.rs",
    "src/net/timing.rs",
    "src/restart/attempt.rs",
    "src/restart/inherit.rs",
    "src/supervisor/mod.rs",
    "src/testing.rs",
];

const LONGEST_FILE: usize = 400;
const LONGEST_FUNCTION: usize = 60;

/// A source file: its path from the root of the project, and its lines.
struct Source {
    path: String,
    lines: Vec<String>,
}

impl Source {
    /// The lines that are code in the library: no comments, and not the tests that end a file.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let tests = self.lines.windows(2).position(|pair| {
            pair[0].trim() == "#[cfg(test)]" && pair[1].trim_start().starts_with("mod ")
        });
        let lines = self.lines[..tests.unwrap_or(self.lines.len())].iter().enumerate();
        lines
            .map(|(at, line)| (at + 1, line.as_str()))
            .filter(|(_, line)| !line.trim_start().starts_with("//"))
    }

    /// The module directly under the crate that the file belongs to.
    fn module(&self) -> &str {
        let inside = self.path.strip_prefix("src/").unwrap_or(&self.path);
        let first = inside.split('/').next().unwrap_or(inside);
        first.strip_suffix(".rs").unwrap_or(first)
    }

    fn is_one_of(&self, places: &[&str]) -> bool {
        places.iter().any(|place| {
            let inside = self.path.strip_prefix(place);
            inside.is_some_and(|rest| rest.is_empty() || rest == ".rs" || rest.starts_with('/'))
        })
    }

    /// What it imports from this crate, by `use` or by a path in the text.
    fn imports(&self) -> Vec<String> {
        let text: String = self.code().flat_map(|(_, line)| [line, "\n"]).collect();
        let mut found = Vec::new();
        for (at, _) in text.match_indices("crate::") {
            let rest = &text[at + "crate::".len()..];
            match rest.strip_prefix('{') {
                Some(group) => found.extend(top_level_names(group)),
                None => found.push(name_at(rest)),
            }
        }
        found.retain(|name| !name.is_empty());
        found
    }
}

/// The identifier that `text` begins with.
fn name_at(text: &str) -> String {
    text.chars().take_while(|&c| c.is_alphanumeric() || c == '_').collect()
}

/// The first name of each item of a `{..}` group whose opening brace is behind us.
fn top_level_names(group: &str) -> Vec<String> {
    let (mut depth, mut at_start, mut names) = (0, true, Vec::new());
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => at_start = true,
            c if c.is_alphanumeric() && depth == 0 && at_start => {
                names.push(name_at(&group[at..]));
                at_start = false;
            }
            _ => {}
        }
    }
    names
}

/// The Rust files below `folder` to which the rules apply.
fn sources(folder: &str) -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut todo = vec![root.join(folder)];
    let mut found: Vec<PathBuf> = Vec::new();
    while let Some(dir) = todo.pop() {
        for entry in fs::read_dir(&dir).expect("a folder of the project") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                todo.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                found.push(path);
            }
        }
    }
    // The operator's program is a program of its own, and tests are tests wherever they stand.
    let is_apart = |path: &PathBuf| {
        path.starts_with(root.join("src/bin"))
            || path.file_stem().is_some_and(|stem| {
                let stem = stem.to_string_lossy();
                stem == "model" || stem == "tests" || stem.ends_with("_tests")
            })
    };
    found.retain(|path| !is_apart(path));
    found.sort();
    assert!(!found.is_empty(), "no source in {folder}");
    let read = |path: PathBuf| Source {
        lines: fs::read_to_string(&path).expect("text").lines().map(str::to_owned).collect(),
        path: path.strip_prefix(root).expect("inside").to_string_lossy().into_owned(),
    };
    found.into_iter().map(read).collect()
}

/// Fails with every place where `what` occurs in the code of `src` outside `allowed`.
fn only_in(allowed: &[&str], what: &str, occurs: impl Fn(&str) -> bool) {
    let mut places = Vec::new();
    for source in sources("src").iter().filter(|source| !source.is_one_of(allowed)) {
        for (number, line) in source.code().filter(|(_, line)| occurs(line)) {
            places.push(format!("{}:{number}: {}", source.path, line.trim()));
        }
    }
    assert!(places.is_empty(), "{what}:\n{}", places.join("\n"));
}

/// Whether `word` stands in `line` as a word of its own.
fn has_word(line: &str, word: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| {
        !line[..at].ends_with(is_part) && !line[at + word.len()..].starts_with(is_part)
    })
}

#[test]
fn each_module_imports_only_what_is_below_it() {
    for source in sources("src") {
        let module = source.module();
        let Some((_, allowed)) = LAYERS.iter().find(|(name, _)| *name == module) else {
            panic!("{}: the module {module} has no place in LAYERS", source.path);
        };
        for import in source.imports() {
            assert!(
                import == module || allowed.contains(&import.as_str()),
                "{}: {module} may not import {import}",
                source.path
            );
        }
    }
}

#[test]
fn the_layers_have_no_cycle() {
    for (at, (module, allowed)) in LAYERS.iter().enumerate() {
        for import in *allowed {
            let below = LAYERS[..at].iter().any(|(name, _)| name == import);
            assert!(below, "{module} imports {import}, which is not below it");
        }
    }
}

#[test]
fn nothing_imports_a_codec() {
    for source in sources("src").iter().filter(|source| source.module() != "codec") {
        assert!(!source.imports().iter().any(|name| name == "codec"), "{}", source.path);
    }
}

#[test]
fn only_the_turn_calls_a_service() {
    // A call is `service.on_data(` or `.on_data(`; the trait itself declares `fn on_data(`.
    let calls = |line: &str| line.contains(".on_") && line.contains('(');
    only_in(&CALLERS, "a call of a service outside the turn", calls);
    // And there is something to find.
    let turn = sources("src/turn");
    assert!(turn.iter().flat_map(Source::code).any(|(_, line)| calls(line)));
}

#[test]
fn unsafe_is_in_the_named_files_only() {
    only_in(&UNSAFE, "`unsafe` outside the named files", |line| has_word(line, "unsafe"));
    for source in sources("examples").iter().filter(|source| source.path != UNSAFE_EXAMPLE) {
        let found = source.code().find(|(_, line)| has_word(line, "unsafe"));
        assert!(found.is_none(), "{}: unsafe in an example", source.path);
    }
}

#[test]
fn every_unsafe_block_says_why_it_is_sound() {
    let (library, examples) = (sources("src"), sources("examples"));
    let library = library.iter().filter(|source| source.is_one_of(&UNSAFE));
    for source in library.chain(examples.iter().filter(|source| source.path == UNSAFE_EXAMPLE)) {
        for (number, line) in source.code().filter(|(_, line)| has_word(line, "unsafe")) {
            let before = &source.lines[number.saturating_sub(9)..number];
            assert!(
                before.iter().any(|line| line.contains("SAFETY:")),
                "{}:{number}: no SAFETY comment above: {line}",
                source.path
            );
        }
    }
}

#[test]
fn nothing_stored_is_a_closure() {
    only_in(&[], "a boxed closure", |line| {
        ["dyn Fn", "dyn FnMut", "dyn FnOnce"].iter().any(|kind| line.contains(kind))
    });
}

#[test]
fn no_thread_is_ever_started() {
    only_in(&[], "a thread", |line| {
        line.contains("std::thread") || line.contains("thread::") || line.contains("pthread_create")
    });
}

#[test]
fn time_is_an_argument_outside_the_named_files() {
    only_in(&CLOCKS, "a look at the clock", |line| {
        line.contains("Instant::now") || line.contains("SystemTime")
    });
}

#[test]
fn every_file_opens_by_saying_what_it_is_for() {
    for source in ["src", "examples", "tests", "benches"].into_iter().flat_map(sources) {
        let first = source.lines.first().map_or("", String::as_str);
        assert!(first.starts_with("//! "), "{} opens with {first:?}", source.path);
    }
}

#[test]
fn no_file_is_too_long() {
    for source in ["src", "examples"].into_iter().flat_map(sources) {
        let lines = source.lines.len();
        assert!(lines <= LONGEST_FILE, "{} has {lines} lines", source.path);
    }
}

#[test]
fn no_function_is_too_long() {
    for source in ["src", "examples", "benches"].into_iter().flat_map(sources) {
        let mut open: Vec<(usize, usize, &str)> = Vec::new();
        for (number, line) in source.lines.iter().enumerate() {
            let text = line.trim_start();
            let indent = line.len() - text.len();
            if text.starts_with("//") {
                continue;
            }
            if has_word(text, "fn") && !text.contains("fn(") && !text.ends_with(['}', ';']) {
                open.push((indent, number, text));
            }
            // A declaration without a body ends with a semicolon at the depth of its `fn`.
            if let Some(&(depth, from, name)) = open.last()
                && depth == indent
                && (text == "}" || text.ends_with(';'))
                && number > from
            {
                open.pop();
                let lines = number - from + 1;
                assert!(
                    lines <= LONGEST_FUNCTION,
                    "{}:{}: {lines} lines: {name}",
                    source.path,
                    from + 1
                );
            }
        }
        assert!(open.is_empty(), "{}: where does it end? {:?}", source.path, open);
    }
}
