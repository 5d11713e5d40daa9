//! The documents say what is: tests and files that they name exist, and the README's server is the
//! one that is compiled with the crate's front page.

use std::{
    fs,
    path::{Path, PathBuf},
};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

fn read(path: impl AsRef<Path>) -> String {
    let path = Path::new(ROOT).join(path);
    fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// All Rust files of the project.
fn sources() -> Vec<PathBuf> {
    let mut todo: Vec<PathBuf> =
        ["src", "tests", "examples"].map(|dir| Path::new(ROOT).join(dir)).into();
    let mut found = Vec::new();
    while let Some(path) = todo.pop() {
        if path.is_dir() {
            let entries = fs::read_dir(&path).expect("a directory of ours");
            todo.extend(entries.map(|entry| entry.expect("an entry of it").path()));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

/// What stands between backticks in `text`.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

#[test]
fn each_invariant_names_a_test_that_exists() {
    let all: String = sources().iter().map(read).collect();
    let page = read("ARCHITECTURE.md");
    let invariants: Vec<_> = page.split("**Invariant:**").skip(1).collect();
    assert!(invariants.len() >= 10, "the invariants have another form");
    for invariant in invariants {
        let invariant = invariant.split("\n\n").next().unwrap_or_default();
        let (_, held_by) = invariant.rsplit_once("Held by").expect(invariant);
        assert!(quoted(held_by).next().is_some(), "no test is named: {invariant}");
        for test in quoted(held_by) {
            let name = test.rsplit("::").next().unwrap_or(test);
            assert!(all.contains(&format!("fn {name}(")), "there is no test {test}");
        }
    }
}

#[test]
fn the_code_map_is_complete() {
    let page = read("ARCHITECTURE.md");
    let map = page.split("## Code map").nth(1).and_then(|rest| rest.split("\n## ").next());
    let rows = map.expect("the code map").lines().filter(|line| line.starts_with("| `"));
    let named: Vec<&str> = rows.flat_map(quoted).collect();
    let src = Path::new(ROOT).join("src");
    for file in sources().iter().filter_map(|path| path.strip_prefix(&src).ok()) {
        let is_there = named
            .iter()
            .any(|name| file == Path::new(name) || (name.ends_with('/') && file.starts_with(name)));
        assert!(is_there, "src/{} is not in the code map", file.display());
    }
    for name in named.iter().filter(|name| name.ends_with(".rs") || name.ends_with('/')) {
        assert!(src.join(name).exists(), "the code map has src/{name}, which is not there");
    }
}

#[test]
fn the_readme_shows_the_server_that_is_compiled() {
    let readme = read("README.md");
    let shown = readme.split("```rust,no_run\n").nth(1).and_then(|rest| rest.split("```").next());
    let front: String = read("src/lib.rs")
        .lines()
        .filter_map(|line| line.strip_prefix("//!"))
        .map(|line| format!("{}\n", line.strip_prefix(' ').unwrap_or(line)))
        .collect();
    let compiled = front.split("```no_run\n").nth(1).and_then(|rest| rest.split("```").next());
    assert_eq!(shown.expect("a server in the README"), compiled.expect("one on the front page"));
}
