//! The tests that redis has for itself, run against kv as a server that is there already. They are in `target/redis`,
//! where `.ci/run` puts the source of redis 7.0: `cargo test --test promises kv_tcl:: -- --ignored`.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::common::{Dir, Server};

/// The files about what kv has, and how many of their tests it passes at least. The rest needs what it does not claim,
/// and that is told apart below.
const UNITS: [(&str, usize); 11] = [
    ("type/string", 56),
    ("type/incr", 21),
    ("keyspace", 33),
    ("expire", 57),
    ("scan", 5),
    ("pubsub", 15),
    ("protocol", 15),
    ("quit", 3),
    ("multi", 21),
    ("info", 0), // all of it is for servers that redis starts itself
    ("introspection", 19),
];

/// How kv says that it does not claim something.
const UNCLAIMED: [&str; 2] =
    ["ERR unknown command '", "ERR Unknown option or number of arguments for CONFIG SET - '"];

/// Tests that need settings, but fail in other words.
const SKIPPED: [&str; 5] = [
    "CONFIG SET with multiple args",      // sets maxmemory
    "CONFIG SET rollback on set error",   // sets maxmemory
    "CONFIG SET rollback on apply error", // sets port
    "CONFIG GET hidden configs",
    "CONFIG GET multiple args",
];

/// A copy of the tests but for one line: before each file all functions are deleted, which are scripts.
fn tests() -> (Dir, PathBuf) {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/redis/tests");
    assert!(source.exists(), "redis's source is not in target/redis");
    let dir = Dir::new();
    let copied = Command::new("cp").arg("-r").arg(&source).arg(dir.path("tests")).status();
    assert!(copied.expect("cp runs").success());
    let path = dir.path("tests/support/server.tcl");
    let text = fs::read_to_string(&path).expect("the file");
    let without = text.replace("\n    r function flush\n", "\n");
    assert_ne!(without, text, "these are no tests of redis 7.0");
    fs::write(&path, without).expect("the file");
    let root = dir.path("");
    (dir, root)
}

fn run(root: &Path, server: &Server, unit: &str) -> String {
    let (host, port) = server.address.rsplit_once(':').expect("host:port");
    let mut command = Command::new("timeout");
    command.args(["200", "tclsh", "tests/test_helper.tcl", "--host", host, "--port", port]);
    // One database; how a value is kept is nobody's business; and what fails does not hide the rest.
    command.args(["--singledb", "--ignore-encoding", "--durable", "--single"]);
    command.arg(format!("unit/{unit}"));
    command.args(["--tags", "-needs:debug -needs:repl -needs:save -needs:config-maxmemory"]);
    command.args(SKIPPED.iter().flat_map(|test| ["--skiptest", test]));
    let output = command.current_dir(root).stdin(Stdio::null()).output().expect("tclsh runs");
    plain(&String::from_utf8_lossy(&output.stdout))
}

/// Without the colours.
fn plain(text: &str) -> String {
    let mut pieces = text.split("\x1b[");
    let first = pieces.next().unwrap_or_default().to_owned();
    pieces.fold(first, |text, piece| text + piece.split_once('m').map_or("", |(_, rest)| rest))
}

/// One report, which begins with a word in brackets at the beginning of a line.
fn reports(output: &str) -> Vec<&str> {
    let marks =
        ["\n[ok]: ", "\n[err]: ", "\n[ignore]: ", "\n[skip]: ", "\n[exception]: ", "\n[1/1 done]"];
    let mut starts: Vec<_> =
        marks.iter().flat_map(|mark| output.match_indices(mark)).map(|(at, _)| at + 1).collect();
    starts.sort();
    let ends = starts.iter().skip(1).copied().chain([output.len()]);
    starts.iter().zip(ends).map(|(&start, end)| &output[start..end]).collect()
}

#[test]
#[ignore = "needs tclsh, and redis's source in target/redis"]
fn redis_s_own_tests_fail_only_where_kv_does_not_claim_to_know() {
    let (_dir, root) = tests();
    let server = Server::of("kv").start();
    let mut wrong = String::new();
    for (unit, least) in UNITS {
        let output = run(&root, &server, unit);
        let reports = reports(&output);
        let passed = reports.iter().filter(|report| report.starts_with("[ok]")).count();
        let failed = reports.iter().filter(|report| !report.starts_with("[ok]"));
        let failed = failed.filter(|report| {
            report.starts_with("[exception]")
                || report.starts_with("[err]")
                    && !UNCLAIMED.iter().any(|unclaimed| report.contains(unclaimed))
        });
        failed.for_each(|report| wrong += &format!("{unit}: {report}\n"));
        if passed < least || !output.contains(&format!("done]: unit/{unit}")) {
            wrong += &format!("{unit}: {passed} passed, {least} are expected\n{output}\n");
        }
        println!("{unit}: {passed} passed");
    }
    assert!(wrong.is_empty(), "{wrong}");
}
