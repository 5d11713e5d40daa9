//! The source itself: who may import whom, and what must occur nowhere. Reads `src` and `examples`
//! line by line; knows no more of Rust than that.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use crate::common::imports::Imports;

/// Every room of `src` and which others it may name, bottom up. A room is a folder, or a file of
/// `src` itself; what lies in a folder beside its rooms is the folder's own. Items count where they are
/// made, not where they are re-exported.
const ROOMS: [(&str, &[&str]); 50] = [
    // Plain values.
    ("limits", &[]),
    ("log_target", &[]),
    ("stats", &[]),
    ("inventory", &[]),
    ("cause", &["inventory"]),
    ("timeouts", &["limits"]),
    ("prepare", &["limits"]),
    ("plan", &["limits", "prepare"]),
    ("verdict", &["inventory", "plan", "prepare"]),
    ("error", &["verdict"]),
    // Pure: no I/O, and no time but in `clock`.
    ("buffer", &["limits"]),
    ("clock", &[]),
    ("timer", &["clock", "limits"]),
    ("codec", &["error"]),
    // Keys, records and handshakes; it knows no socket.
    ("tls", &["error"]),
    // What stands there without it.
    ("no_tls", &[]),
    // The system around a server.
    ("system", &["error", "inventory", "limits", "log_target"]),
    ("system/huge", &["prepare"]),
    ("workers", &["system"]),
    // What is said about all of it.
    ("logging", &["limits", "log_target", "system"]),
    // Work that is no connection.
    ("tasks", &["error", "limits", "log_target", "system", "timer"]),
    // What is known of names, and whom to ask.
    ("names", &["clock", "limits"]),
    // Sockets, from one stream to all that a process has.
    ("net", &["error", "limits", "timeouts", "tls"]),
    ("net/stream", &["limits", "net", "tls"]),
    ("net/proxy", &["limits", "net/stream"]),
    (
        "net/listen",
        &[
            "error",
            "limits",
            "log_target",
            "logging",
            "net",
            "net/proxy",
            "net/stream",
            "system",
            "timeouts",
            "tls",
        ],
    ),
    ("net/datagram", &["limits", "log_target", "net", "net/listen"]),
    ("net/conn", &["buffer", "clock", "limits", "net", "net/proxy", "net/stream", "timeouts"]),
    ("net/resolver", &["clock", "limits", "log_target", "names", "net", "net/stream", "system"]),
    // What is counted, in memory that all generations have.
    ("metrics", &["error", "net", "net/conn", "stats", "system", "workers"]),
    (
        "net/reactor",
        &[
            "buffer",
            "cause",
            "clock",
            "error",
            "inventory",
            "limits",
            "log_target",
            "logging",
            "metrics",
            "names",
            "net",
            "net/conn",
            "net/datagram",
            "net/listen",
            "net/proxy",
            "net/resolver",
            "net/stream",
            "plan",
            "stats",
            "system",
            "tasks",
            "timeouts",
            "timer",
            "tls",
            "workers",
        ],
    ),
    // A macro that writes methods of a service.
    ("carried", &["error", "net/reactor"]),
    // How one process follows another. It knows a connection as data.
    ("restart/link", &["limits", "log_target", "plan", "system", "tasks", "workers"]),
    (
        "restart/transfer",
        &[
            "buffer",
            "clock",
            "limits",
            "net",
            "net/conn",
            "net/proxy",
            "net/stream",
            "restart/link",
            "timeouts",
            "tls",
        ],
    ),
    (
        "restart/engine",
        &[
            "cause",
            "error",
            "inventory",
            "limits",
            "log_target",
            "net",
            "net/listen",
            "plan",
            "prepare",
            "restart/link",
            "restart/transfer",
            "system",
            "verdict",
            "workers",
        ],
    ),
    ("restart", &["log_target", "net", "plan", "restart/link"]),
    // Who looks after a server from outside.
    (
        "operate",
        &[
            "cause",
            "inventory",
            "limits",
            "metrics",
            "plan",
            "prepare",
            "restart/link",
            "system",
            "verdict",
            "workers",
        ],
    ),
    (
        "operate/supervisor/desk",
        &[
            "error",
            "limits",
            "log_target",
            "logging",
            "net",
            "net/listen",
            "operate",
            "restart/link",
            "workers",
        ],
    ),
    (
        "operate/supervisor",
        &[
            "cause",
            "clock",
            "error",
            "limits",
            "log_target",
            "logging",
            "metrics",
            "net/listen",
            "operate",
            "operate/supervisor/desk",
            "plan",
            "restart/engine",
            "restart/link",
            "restart/transfer",
            "system",
            "tls",
            "verdict",
            "workers",
        ],
    ),
    // What an author writes, and who calls it.
    ("service", &["error", "net", "net/datagram", "net/reactor", "tasks", "timeouts", "verdict"]),
    (
        "turn/generation",
        &[
            "cause",
            "limits",
            "metrics",
            "net",
            "net/conn",
            "net/listen",
            "net/reactor",
            "operate",
            "plan",
            "restart",
            "restart/engine",
            "restart/link",
            "restart/transfer",
            "system",
            "system/huge",
        ],
    ),
    (
        "turn",
        &[
            "cause",
            "error",
            "limits",
            "log_target",
            "logging",
            "net",
            "net/conn",
            "net/datagram",
            "net/reactor",
            "restart",
            "service",
            "system",
            "tasks",
            "timeouts",
            "turn/generation",
        ],
    ),
    (
        "turn/input",
        &[
            "error",
            "limits",
            "log_target",
            "net",
            "net/conn",
            "net/datagram",
            "net/reactor",
            "restart",
            "restart/link",
            "service",
            "system",
            "tasks",
            "turn",
        ],
    ),
    (
        "turn/restart",
        &[
            "cause",
            "error",
            "limits",
            "log_target",
            "logging",
            "metrics",
            "net",
            "net/conn",
            "net/reactor",
            "net/stream",
            "plan",
            "prepare",
            "restart",
            "restart/engine",
            "restart/link",
            "restart/transfer",
            "service",
            "system/huge",
            "tasks",
            "turn",
            "turn/generation",
            "verdict",
        ],
    ),
    (
        "turn/leaving",
        &[
            "cause",
            "error",
            "limits",
            "log_target",
            "net",
            "net/conn",
            "net/datagram",
            "net/listen",
            "net/reactor",
            "plan",
            "restart",
            "restart/engine",
            "restart/link",
            "service",
            "system",
            "turn",
            "turn/generation",
            "verdict",
        ],
    ),
    (
        "turn/report",
        &[
            "cause",
            "clock",
            "inventory",
            "limits",
            "log_target",
            "logging",
            "metrics",
            "net",
            "net/conn",
            "net/reactor",
            "net/stream",
            "operate",
            "plan",
            "restart",
            "restart/engine",
            "restart/link",
            "service",
            "system",
            "turn",
            "turn/generation",
            "verdict",
        ],
    ),
    // What an author starts.
    (
        "server",
        &[
            "error",
            "limits",
            "log_target",
            "logging",
            "metrics",
            "net",
            "net/datagram",
            "net/listen",
            "net/reactor",
            "operate",
            "operate/supervisor",
            "plan",
            "restart",
            "restart/engine",
            "service",
            "system",
            "tasks",
            "timeouts",
            "tls",
            "turn",
            "turn/generation",
            "workers",
        ],
    ),
    (
        "testing",
        &[
            "clock",
            "error",
            "net",
            "net/conn",
            "net/datagram",
            "net/reactor",
            "net/stream",
            "plan",
            "restart",
            "service",
            "tasks",
            "timeouts",
            "turn",
            "turn/generation",
        ],
    ),
    ("testing/conversation", &["error", "net", "plan", "service", "testing", "timeouts"]),
    // Prose.
    ("guide", &[]),
];

/// The only files with `unsafe` in them.
const UNSAFE: [&str; 14] = [
    "src/tls/cipher.rs",
    "src/system/descriptors.rs",
    "src/system/disposition.rs",
    "src/system/signal_set.rs",
    "src/system/stdio.rs",
    "src/system/noted.rs",
    "src/system/shared_words.rs",
    "src/system/huge/helper.rs",
    "src/restart/engine/fork.rs",
    "src/restart/engine/passed.rs",
    "src/restart/engine/exec.rs",
    "src/restart/link/channel.rs",
    "src/net/stream/socket.rs",
    "src/net/sockopt.rs",
];

/// The only examples with `unsafe` in them: the lessons fork, and the lab maps memory that is shared and asks for options
/// of sockets.
const UNSAFE_EXAMPLES: [&str; 3] =
    ["examples/lessons/process.rs", "examples/lab/holding.rs", "examples/lab/sockets.rs"];

/// The only files that call a service: the turn, and the harness that stands in for its first phases.
const CALLERS: [&str; 2] = ["src/turn", "src/testing"];

/// The only files that ask the system for the time: the clock that everybody else asks, and who has none:
/// before the first turn, where a process is made, where one side of a restart waits in a blocking read or write
/// for the other, and in a supervisor; and a ticketer, whom rustls does not tell.
const CLOCKS: [&str; 8] = [
    "src/clock.rs",
    "src/server/mod.rs",
    "src/restart/engine/attempt.rs",
    "src/restart/engine/inherit.rs",
    "src/restart/engine/pipe.rs",
    "src/operate/supervisor/mod.rs",
    "src/testing",
    "src/tls/ticketer.rs",
];

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

const LONGEST_FILE: usize = 400;
/// A trait cannot be split: what its methods say to their author does not count there.
const TRAIT: &str = "src/service/mod.rs";
const LONGEST_FUNCTION: usize = 60;

/// A source file: its path from the root of the project, and its lines.
struct Source {
    path: String,
    lines: Vec<String>,
}

impl Source {
    /// The lines that are code in the library: no comments, nothing that is imported for tests, and not the tests that end a file.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let is_for_tests = |line: &str| line.trim() == "#[cfg(test)]";
        let tests = self.lines.windows(2).position(|pair| {
            is_for_tests(&pair[0]) && has_word(&pair[1], "mod") && pair[1].ends_with('{')
        });
        let lines = self.lines[..tests.unwrap_or(self.lines.len())].iter().enumerate();
        let (mut before, mut is_skipped) = ("", false);
        lines
            .map(|(at, line)| (at + 1, line.as_str()))
            .filter(|(_, line)| !line.trim_start().starts_with("//"))
            .filter(move |(_, line)| {
                is_skipped |=
                    is_for_tests(before) && (has_word(line, "use") || has_word(line, "mod"));
                before = line;
                let is_code = !is_skipped;
                is_skipped &= !line.ends_with(';');
                is_code
            })
    }

    fn is_one_of(&self, places: &[&str]) -> bool {
        places.iter().any(|place| {
            let inside = self.path.strip_prefix(place);
            inside.is_some_and(|rest| rest.is_empty() || rest == ".rs" || rest.starts_with('/'))
        })
    }
}

/// The room of a file below `src`: its folder, the parent where a `mod.rs` opens the folder's rooms.
fn room_of(path: &str) -> &str {
    let inside = path.strip_prefix("src/").unwrap_or(path);
    inside.rsplit_once('/').map_or(inside.trim_end_matches(".rs"), |(folder, _)| folder)
}

/// For each file below `root`, a crate, the others that it imports from.
fn imports(root: &str) -> BTreeMap<String, BTreeSet<String>> {
    let code = |source: &Source| {
        let lines: String = source.code().flat_map(|(_, line)| [line, "\n"]).collect();
        (source.path.clone(), lines)
    };
    let sources: Vec<_> = sources(root).iter().map(code).collect();
    let own = |(file, others): (&str, BTreeSet<&str>)| {
        (file.to_owned(), others.into_iter().map(str::to_owned).collect())
    };
    Imports::of(root, &sources).by_file().into_iter().map(own).collect()
}

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(ROOT).join(path)).expect("text")
}

/// The Rust files below `folder` to which the rules apply.
fn sources(folder: &str) -> Vec<Source> {
    let root = Path::new(ROOT);
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
                stem.starts_with("model") || stem == "tests" || stem.ends_with("_tests")
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
fn each_room_imports_only_from_those_below_it() {
    for (file, others) in imports("src") {
        let room = room_of(&file);
        if room == "lib" {
            continue; // it re-exports, and names everything
        }
        let Some((_, allowed)) = ROOMS.iter().find(|(name, _)| *name == room) else {
            panic!("{file}: the room {room} has no place in ROOMS");
        };
        for other in &others {
            let imported = room_of(other);
            let is_allowed = imported == room || allowed.contains(&imported);
            assert!(is_allowed, "{file}: {room} may not import {imported} ({other})");
        }
    }
}

#[test]
fn the_rooms_have_an_order() {
    for (at, (room, allowed)) in ROOMS.iter().enumerate() {
        for import in *allowed {
            let below = ROOMS[..at].iter().any(|(name, _)| name == import);
            assert!(below, "{room} imports {import}, which is not below it");
        }
    }
}

/// A permission that nobody uses would hide the arrow that comes back one day.
#[test]
fn every_permission_is_used() {
    let mut used = BTreeSet::new();
    for (file, others) in imports("src") {
        used.extend(others.iter().map(|it| (room_of(&file).to_owned(), room_of(it).to_owned())));
    }
    for (room, allowed) in ROOMS {
        for import in allowed {
            let arrow = (room.to_owned(), (*import).to_owned());
            assert!(used.contains(&arrow), "{room} does not import {import}");
        }
    }
}

#[test]
fn no_files_import_each_other_in_a_circle() {
    for root in ["src", "benches/peers", "benches/restart"] {
        no_circle(imports(root));
    }
}

fn no_circle(mut left: BTreeMap<String, BTreeSet<String>>) {
    // What imports nothing that is left is no part of a circle, and nor is who imports only such.
    while let Some(file) = left.iter().find_map(|(file, others)| {
        others.iter().all(|other| !left.contains_key(other)).then(|| file.clone())
    }) {
        left.remove(&file);
    }
    // Nor is what nothing imports that is left.
    while let Some(file) = left.keys().find(|&file| !left.values().any(|it| it.contains(file))) {
        let file = file.clone();
        left.remove(&file);
    }
    assert!(left.is_empty(), "these import each other: {left:#?}");
}

#[test]
fn nothing_imports_a_codec() {
    for (file, others) in imports("src") {
        let codec = others.iter().find(|other| room_of(other) == "codec");
        assert!(codec.is_none() || room_of(&file) == "codec", "{file}");
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
    for source in sources("examples").iter().filter(|source| !source.is_one_of(&UNSAFE_EXAMPLES)) {
        let found = source.code().find(|(_, line)| has_word(line, "unsafe"));
        assert!(found.is_none(), "{}: unsafe in an example", source.path);
    }
}

#[test]
fn every_unsafe_block_says_why_it_is_sound() {
    let (library, examples) = (sources("src"), sources("examples"));
    let library = library.iter().filter(|source| source.is_one_of(&UNSAFE));
    for source in library.chain(examples.iter().filter(|source| source.is_one_of(&UNSAFE_EXAMPLES)))
    {
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
fn every_line_of_the_log_has_a_subject() {
    for source in sources("src") {
        let lines: Vec<_> = source.code().collect();
        for pair in lines.windows(2) {
            let [(number, line), (_, next)] = pair else { unreachable!("two each") };
            let levels = ["error", "warn", "info", "debug", "trace", "log"];
            let begins = levels.iter().any(|level| line.contains(&format!("log::{level}!(")));
            let has_target = line.contains("!(target: ") || next.trim().starts_with("target: ");
            assert!(!begins || has_target, "{}:{number}: {line}", source.path);
        }
    }
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

/// What has no line there would not be compiled, and nobody would notice.
#[test]
fn every_file_of_tests_is_run() {
    let (manifest, program) = (read("Cargo.toml"), read("tests/main.rs"));
    for entry in fs::read_dir(Path::new(ROOT).join("tests")).expect("the tests") {
        let path = entry.expect("an entry").path();
        let name = path.file_stem().expect("a name").to_string_lossy();
        let is_code = path.is_dir() || path.extension().is_some_and(|ending| ending == "rs");
        let is_program =
            name == "main" || manifest.contains(&format!("[[test]]\nname = \"{name}\"\n"));
        let has_line = program.lines().any(|line| line == format!("mod {name};"));
        assert!(!is_code || is_program || has_line, "tests/main.rs has no `mod {name};`");
    }
}

#[test]
fn no_file_is_too_long() {
    for source in ["src", "examples"].into_iter().flat_map(sources) {
        let is_doc = |line: &&String| line.trim_start().starts_with("///");
        let docs = source.lines.iter().filter(is_doc).count();
        let lines = source.lines.len() - if source.path == TRAIT { docs } else { 0 };
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
