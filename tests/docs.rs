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

/// What `page` has under `title`.
fn chapter<'a>(page: &'a str, title: &str) -> &'a str {
    let chapter = page.split(title).nth(1).and_then(|rest| rest.split("\n## ").next());
    chapter.unwrap_or_else(|| panic!("no {title}"))
}

/// Whether the tests of a file called `module` have one called `name`.
fn has_test(files: &[(PathBuf, String)], module: &str, name: &str) -> bool {
    let (tests, name) = (format!("{module}_tests"), format!("fn {name}("));
    files.iter().any(|(path, text)| {
        let stem = path.file_stem().unwrap_or_default();
        (stem == module || stem == tests.as_str()) && text.contains(&name)
    })
}

#[test]
fn each_invariant_names_a_test_that_exists() {
    let files: Vec<_> = sources().into_iter().map(|path| (path.clone(), read(path))).collect();
    let page = read("ARCHITECTURE.md");
    let invariants: Vec<_> = chapter(&page, "## Invariants").split("\n- ").skip(1).collect();
    assert!(invariants.len() >= 50, "the invariants have another form");
    for invariant in invariants {
        let tests: Vec<_> = quoted(invariant).filter(|quoted| quoted.contains("::")).collect();
        assert!(!tests.is_empty(), "no test is named: {invariant}");
        for test in tests {
            let mut parts = test.rsplit("::").filter(|&part| part != "tests");
            let (Some(name), Some(module)) = (parts.next(), parts.next()) else { panic!("{test}") };
            assert!(has_test(&files, module, name), "there is no test {test}");
        }
    }
}

#[test]
fn the_code_map_is_complete() {
    let page = read("ARCHITECTURE.md");
    let rows = chapter(&page, "## Code map").lines().filter(|line| line.starts_with("| `"));
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
fn the_readme_links_to_chapters_that_exist() {
    let (page, readme) = (read("ARCHITECTURE.md"), read("README.md"));
    let headings = page.lines().filter(|line| line.starts_with('#'));
    let anchors: Vec<_> = headings
        .map(|line| line.trim_start_matches(['#', ' ']).to_lowercase().replace(' ', "-"))
        .collect();
    for link in readme.split("ARCHITECTURE.md#").skip(1) {
        let anchor = link.split(')').next().unwrap_or(link);
        assert!(anchors.iter().any(|known| known == anchor), "ARCHITECTURE.md has no #{anchor}");
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
