//! The documents say what is: links lead somewhere, tests, files, commands and flags that they name
//! exist, and the README's server is the one that is compiled with the crate's front page.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

const PAGES: [&str; 4] = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md"];

/// What is longer is not read to its end.
const README_LINES: usize = 200;

fn read(path: impl AsRef<Path>) -> String {
    let path = Path::new(ROOT).join(path);
    fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// All Rust files of the project.
fn sources() -> Vec<PathBuf> {
    ["src", "tests", "examples"].into_iter().flat_map(files).collect()
}

/// All Rust files below `dir`.
fn files(dir: &str) -> Vec<PathBuf> {
    let mut todo = vec![Path::new(ROOT).join(dir)];
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

/// What a file of the crate says in its `//!` lines.
fn prose(path: impl AsRef<Path>) -> String {
    let text = read(path);
    let lines = text.lines().filter_map(|line| line.strip_prefix("//!"));
    lines.map(|line| format!("{}\n", line.strip_prefix(' ').unwrap_or(line))).collect()
}

/// The pages, the front page and the guide, each with its name.
fn pages_and_prose() -> Vec<(String, String)> {
    let pages = PAGES.map(|page| (page.to_owned(), read(page))).into_iter();
    let guide = files("src/guide").into_iter().chain([Path::new(ROOT).join("src/lib.rs")]);
    pages.chain(guide.map(|path| (path.display().to_string(), prose(path)))).collect()
}

/// `page` without its blocks of code.
fn without_code(page: &str) -> String {
    let lines = |text: &str| text.lines().map(|line| format!("{line}\n")).collect::<String>();
    lines(page).split("```").step_by(2).collect()
}

/// Where the links of a page go, but for those that leave the project.
fn links(page: &str) -> Vec<String> {
    let page = without_code(page);
    let text: String = page.split('`').step_by(2).collect();
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    targets.filter(|target| !target.contains("://")).map(str::to_owned).collect()
}

/// What a page's headings are called in links, as GitHub makes them: small letters, hyphens for spaces, no
/// punctuation, and a number for one that was there before.
fn anchors(page: &str) -> Vec<String> {
    let page = without_code(page);
    let mut found: Vec<String> = Vec::new();
    let mut times: BTreeMap<String, usize> = BTreeMap::new();
    for heading in page.lines().filter(|line| line.starts_with('#')) {
        let title = heading.trim_start_matches('#').trim().to_lowercase().replace(' ', "-");
        let title: String =
            title.chars().filter(|&c| c.is_alphanumeric() || c == '-' || c == '_').collect();
        let before = times.entry(title.clone()).or_default();
        found.push(if *before == 0 { title } else { format!("{title}-{before}") });
        *before += 1;
    }
    found
}

/// The word that `text` begins with, as a shell or a sentence would end it.
fn first_word(text: &str) -> &str {
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '-' && c != '_');
    &text[..end.unwrap_or(text.len())]
}

/// What stands between backticks in the first column of a table.
fn first_column(text: &str) -> impl Iterator<Item = &str> {
    let rows = text.lines().filter_map(|line| line.strip_prefix("| `"));
    rows.filter_map(|row| row.split('`').next())
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
        let own = path.file_stem().unwrap_or_default();
        // A test of several files is called by its folder.
        let folder = path.parent().and_then(|folder| folder.file_name()).unwrap_or_default();
        let stem = if own == "main" || own == "mod" { folder } else { own };
        (stem == module || stem == tests.as_str()) && text.contains(&name)
    })
}

#[test]
fn each_invariant_names_a_test_that_exists() {
    let files: Vec<_> = sources().into_iter().map(|path| (path.clone(), read(path))).collect();
    let page = read("ARCHITECTURE.md");
    let invariants: Vec<_> = chapter(&page, "## Invariants").split("\n- ").skip(1).collect();
    assert!(invariants.len() >= 40, "the invariants have another form");
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
fn every_link_leads_somewhere() {
    let mut count = 0;
    for page in PAGES {
        for link in links(&read(page)) {
            count += 1;
            let (file, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let target = if file.is_empty() { page } else { file };
            assert!(Path::new(ROOT).join(target).exists(), "{page}: there is no {target}");
            if !anchor.is_empty() {
                let known = anchors(&read(target));
                assert!(known.iter().any(|it| it == anchor), "{page}: {target} has no #{anchor}");
            }
        }
    }
    assert!(count >= 20, "the links have another form");
}

#[test]
fn pages_of_the_guide_link_to_chapters_that_exist() {
    let mut count = 0;
    for (page, text) in pages_and_prose() {
        for link in links(&text).iter().filter_map(|link| link.strip_prefix("super::")) {
            let Some((target, anchor)) = link.split_once('#') else { continue };
            let known = anchors(&prose(format!("src/guide/{target}.rs")));
            assert!(known.iter().any(|it| it == anchor), "{page}: {target} has no #{anchor}");
            count += 1;
        }
    }
    assert!(count >= 2, "the links have another form");
}

#[test]
fn links_and_anchors_are_found() {
    let page = "# A `b`, c!\n```sh\n# no chapter\n[no](link)\n```\n## A stable pid\n`[no](x)` [d](e#f)\n\
                ![picture](g.svg) [out](https://example.org) [in two\nlines](h.md)\n## A stable pid\n";
    assert_eq!(links(page), ["e#f", "g.svg", "h.md"]);
    assert_eq!(anchors(page), ["a-b-c", "a-stable-pid", "a-stable-pid-1"]);
}

#[test]
fn the_readme_is_one_page() {
    let (readme, first_screen) = (read("README.md"), 20);
    let lines = readme.lines().count();
    assert!(
        lines <= README_LINES,
        "README.md has {lines} lines: what is long belongs into the guide"
    );
    for command in ["cargo run --release --example demo", "cargo test"] {
        let mut first = readme.lines().take(first_screen);
        assert!(
            first.any(|line| line.starts_with(command)),
            "{command} is not on the first screen"
        );
    }
}

#[test]
fn the_readme_and_the_front_page_lead_to_every_page_of_the_guide() {
    let (readme, front, contents) =
        (read("README.md"), read("src/lib.rs"), read("src/guide/mod.rs"));
    let readme = links(&readme);
    let pages: Vec<_> = contents.lines().filter_map(|line| line.strip_prefix("pub mod ")).collect();
    assert!(pages.len() >= 10, "the guide has another form");
    for page in pages.iter().map(|page| page.trim_end_matches(';')) {
        let file = format!("src/guide/{page}.rs");
        assert!(readme.contains(&file), "README.md does not link to {file}");
        assert!(front.contains(&format!("(guide::{page})")), "the front page has no guide::{page}");
        assert!(contents.contains(&format!("]({page})")), "the guide's contents have no {page}");
    }
}

#[test]
fn commands_name_what_exists() {
    let manifest = read("Cargo.toml");
    let lessons: String = files("examples/lessons").into_iter().map(read).collect();
    let has_tests = |name: &str| {
        let tests = Path::new(ROOT).join("tests");
        tests.join(format!("{name}.rs")).exists() || tests.join(name).join("mod.rs").exists()
    };
    let exists = |flag: &str, name: &str| match flag {
        "--example" => Path::new(ROOT).join("examples").join(name).is_dir(),
        "--bench" => manifest.contains(&format!("[[bench]]\nname = \"{name}\"")),
        "--test" => manifest.contains(&format!("[[test]]\nname = \"{name}\"")),
        "--test promises" => has_tests(name),
        "lessons --" => name == "all" || lessons.contains(&format!("name: \"{name}\"")),
        _ => manifest.contains(&format!("[[bin]]\nname = \"{name}\"")),
    };
    let mut count = 0;
    for (page, text) in pages_and_prose() {
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        for flag in ["--example", "--bench", "--test", "--test promises", "--bin", "lessons --"] {
            for name in text.split(&format!("{flag} ")).skip(1).map(first_word) {
                if name.chars().any(char::is_lowercase) {
                    assert!(exists(flag, name), "{page}: there is no {flag} {name}");
                    count += 1;
                }
            }
        }
    }
    assert!(count >= 40, "the commands have another form");
}

#[test]
fn files_that_are_named_exist() {
    let (tops, not_ours) = (["src/", "tests/", "examples/", "benches/"], ["src/main.rs"]);
    let mut count = 0;
    for (page, text) in pages_and_prose() {
        let names = quoted(&text).filter(|name| tops.iter().any(|top| name.starts_with(top)));
        for name in names.filter(|name| !name.contains("NAME") && !not_ours.contains(name)) {
            assert!(Path::new(ROOT).join(name).exists(), "{page}: there is no {name}");
            count += 1;
        }
    }
    assert!(count >= 40, "the names of files have another form");
}

#[test]
fn the_readme_lists_every_example() {
    let readme = read("README.md");
    let listed: BTreeSet<_> = first_column(chapter(&readme, "## Examples")).collect();
    let folders = fs::read_dir(Path::new(ROOT).join("examples")).expect("the examples");
    let folders = folders.map(|entry| entry.expect("an entry of it").file_name());
    let there: BTreeSet<_> = folders.filter_map(|name| name.into_string().ok()).collect();
    let there: BTreeSet<_> =
        there.iter().map(String::as_str).filter(|&name| name != "common").collect();
    assert_eq!(listed, there);
}

#[test]
fn the_guide_lists_every_flag_of_the_examples() {
    let guide = prose("src/guide/operating.rs");
    let table = guide.split("# The command line of the examples").nth(1).expect("a chapter");
    let table = table.split("\n# ").next().unwrap_or(table);
    let flags = table.lines().filter(|line| line.starts_with("| `--")).flat_map(|row| {
        let cell = row.split('|').nth(1).unwrap_or_default();
        quoted(cell).filter_map(|flag| flag.strip_prefix("--")).map(first_word).collect::<Vec<_>>()
    });
    let code = read("examples/common/mod.rs");
    let known = code.split("Arg::Long(\"").skip(1).filter_map(|rest| rest.split('"').next());
    let known: BTreeSet<_> = known.filter(|&flag| flag != "help").collect();
    assert_eq!(flags.collect::<BTreeSet<_>>(), known);
}

#[test]
fn the_guide_lists_every_command_of_the_operator() {
    let guide = prose("src/guide/operating.rs");
    let table =
        guide.split("| command | what it does").nth(1).and_then(|it| it.split("\n\n").next());
    let listed: BTreeSet<_> = first_column(table.expect("a table")).map(first_word).collect();
    let help =
        Command::new(env!("CARGO_BIN_EXE_heirloom")).arg("--help").output().expect("it runs");
    let help = String::from_utf8(help.stdout).expect("text");
    let commands = help.split("Commands:\n").nth(1).and_then(|rest| rest.split("\n\n").next());
    let commands = commands.expect("the commands").lines();
    let known: BTreeSet<_> = commands.map(|line| first_word(line.trim_start())).collect();
    assert_eq!(listed, known);
}

#[test]
fn the_readme_shows_the_server_that_is_compiled() {
    let readme = read("README.md");
    let shown = readme.split("```rust,no_run\n").nth(1).and_then(|rest| rest.split("```").next());
    let front = prose("src/lib.rs");
    let compiled = front.split("```no_run\n").nth(1).and_then(|rest| rest.split("```").next());
    assert_eq!(shown.expect("a server in the README"), compiled.expect("one on the front page"));
}
