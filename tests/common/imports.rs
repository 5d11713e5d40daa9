//! Which file of a crate imports from which: `use` lines and paths in the text, followed through the
//! re-exports of each `mod.rs` to the file that has the item.

use std::collections::{BTreeMap, BTreeSet};

/// A path as written or as resolved: `crate::net::Conn` is `["net", "Conn"]`.
type Path = Vec<String>;

/// The files of a crate by module: `src/net/mod.rs` is `["net"]`, `src/lib.rs` is `[]`.
pub struct Imports {
    files: BTreeMap<Path, String>,
    /// What a module offers under a name, and where that is.
    reexports: BTreeMap<Path, Path>,
    /// By file: what it names.
    named: BTreeMap<String, Vec<Path>>,
}

impl Imports {
    /// Of files below `root`, each with its code, without comments and tests.
    pub fn of(root: &str, sources: &[(String, String)]) -> Imports {
        let files: BTreeMap<Path, String> =
            sources.iter().map(|(path, _)| (module(root, path), path.clone())).collect();
        let mut found = Imports { files, reexports: BTreeMap::new(), named: BTreeMap::new() };
        for (path, code) in sources {
            let here = module(root, path);
            let mut named = Vec::new();
            let mut rest = code.as_str();
            while let Some((before, after)) = split_use(rest) {
                named.extend(found.paths_in(before, &here));
                let (paths, end) = after.split_once(';').expect("a use ends");
                let is_reexport = before.ends_with("pub ") || before.ends_with(") ");
                let paths = expand(paths);
                let paths = paths.iter().filter_map(|path| found.absolute(path, &here));
                for path in paths.collect::<Vec<_>>() {
                    match path.last() {
                        Some(name) if is_reexport => {
                            let offered = here.iter().chain([name]).cloned().collect();
                            found.reexports.insert(offered, path);
                        }
                        _ => named.push(path),
                    }
                }
                rest = end;
            }
            named.extend(found.paths_in(rest, &here));
            found.named.insert(path.clone(), named);
        }
        found
    }

    /// For each file the others that it imports from.
    pub fn by_file(&self) -> BTreeMap<&str, BTreeSet<&str>> {
        let others = |(file, named): (&'_ String, &'_ Vec<Path>)| {
            let files = named.iter().filter_map(|path| self.file_of(path));
            files.filter(|other| other != file).collect()
        };
        self.named.iter().map(|(file, named)| (file.as_str(), others((file, named)))).collect()
    }

    /// The file that has the item, however many modules offer it on the way.
    fn file_of(&self, path: &[String]) -> Option<&str> {
        // A name may be both a module and an item of it (`mailbox::mailbox`): inside it is the module.
        if let Some(target) = self.reexports.get(path) {
            return self.file_of(target);
        }
        for end in (1..=path.len()).rev() {
            if let Some(file) = self.files.get(&path[..end]) {
                return Some(file);
            }
            if let Some(target) = self.reexports.get(&path[..end]) {
                return self.file_of(&[target.as_slice(), &path[end..]].concat());
            }
        }
        None
    }

    /// From the root of the crate; `None`: of another crate.
    fn absolute(&self, path: &str, here: &[String]) -> Option<Path> {
        let path = path.split(" as ").next().unwrap_or(path);
        let mut parts: Vec<&str> = path.split("::").map(str::trim).collect();
        let mut from: Vec<&str> = here.iter().map(String::as_str).collect();
        match parts[0] {
            "crate" => from.clear(),
            "self" | "super" => {}
            first => {
                let child: Path = from.iter().chain([&first]).map(|&part| part.into()).collect();
                self.files.get(&child)?;
            }
        }
        while let Some(&first) = parts.first()
            && ["crate", "self", "super"].contains(&first)
        {
            parts.remove(0);
            if first == "super" {
                from.pop();
            }
        }
        parts.retain(|&part| part != "self");
        Some(from.into_iter().chain(parts).map(str::to_owned).collect())
    }

    /// Paths of this crate in ordinary code: those that say so.
    fn paths_in(&self, text: &str, here: &[String]) -> Vec<Path> {
        let starts = ["crate::", "super::"].into_iter().flat_map(|start| text.match_indices(start));
        let path = |at: usize| {
            let is_part = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
            let end = text[at..].find(|c| !is_part(c)).unwrap_or(text.len() - at);
            text[at..at + end].trim_end_matches(':')
        };
        // `pub(in crate::turn)` says who may look, and imports nothing.
        let is_use = |&(at, _): &(usize, &str)| !text[..at].ends_with("pub(in ");
        starts.filter(is_use).filter_map(|(at, _)| self.absolute(path(at), here)).collect()
    }
}

fn module(root: &str, path: &str) -> Path {
    let inside =
        path.strip_prefix(root).unwrap_or(path).trim_start_matches('/').trim_end_matches(".rs");
    let mut parts: Path = inside.split('/').map(str::to_owned).collect();
    parts.pop_if(|last| ["mod", "lib", "main"].contains(&last.as_str()));
    parts
}

/// The text before the next `use` that begins a line, and the text behind the word.
fn split_use(text: &str) -> Option<(&str, &str)> {
    let begins_line = |at: usize| {
        let line = text[..at].rsplit('\n').next().unwrap_or("").trim_start();
        line.is_empty() || line == "pub " || (line.starts_with("pub(") && line.ends_with(") "))
    };
    let (at, _) = text.match_indices("use ").find(|&(at, _)| begins_line(at))?;
    Some((&text[..at], &text[at + "use ".len()..]))
}

/// `a::{b, c::{d}}` is `a::b` and `a::c::d`.
fn expand(paths: &str) -> Vec<String> {
    let Some((before, rest)) = paths.split_once('{') else { return vec![paths.trim().to_owned()] };
    let inside = rest.rsplit_once('}').map_or(rest, |(inside, _)| inside);
    let (mut depth, mut parts) = (0, vec![String::new()]);
    for c in inside.chars() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(String::new());
                continue;
            }
            _ => {}
        }
        parts.last_mut().expect("one at least").push(c);
    }
    let full = parts.iter().filter(|part| !part.trim().is_empty()).flat_map(|part| expand(part));
    full.map(|path| format!("{}{path}", before.trim())).collect()
}
