//! A reader of OpenMetrics text, by the specification and not by whoever has written it. Panics where that says "MUST".

use std::collections::{BTreeMap, BTreeSet};

/// All numbers of one scrape, by name and labels: `name{a="b",c="d"}`, labels in order.
#[derive(Debug)]
pub struct Scrape {
    samples: BTreeMap<String, f64>,
    counters: BTreeSet<String>,
}

impl Scrape {
    pub fn read(text: &str) -> Scrape {
        let body = text.strip_suffix("# EOF\n").unwrap_or_else(|| panic!("no end: {text}"));
        let (mut samples, mut counters) = (BTreeMap::new(), BTreeSet::new());
        let mut families: BTreeMap<String, (String, bool)> = BTreeMap::new();
        let mut current = String::new();
        for line in body.lines() {
            let words: Vec<_> = line.splitn(4, ' ').collect();
            match words[..] {
                ["#", "HELP", name, _] => name.clone_into(&mut current),
                ["#", "TYPE", name, kind] => {
                    assert_eq!(name, current, "TYPE without HELP: {line}");
                    let is_new =
                        families.insert(name.to_owned(), (kind.to_owned(), false)).is_none();
                    assert!(is_new, "a family twice: {line}");
                }
                ["#", ..] => panic!("what is that? {line}"),
                _ => {
                    let (name, labels, value) = sample(line);
                    let (kind, has_samples) = families.get_mut(&current).expect(line);
                    *has_samples = true;
                    let suffix = name.strip_prefix(&current).expect(line);
                    let suffixes: &[&str] = match kind.as_str() {
                        "counter" => &["_total"],
                        "gauge" => &[""],
                        "histogram" => &["_bucket", "_count", "_sum"],
                        other => panic!("a {other}: {line}"),
                    };
                    assert!(suffixes.contains(&suffix), "{line}");
                    let key = format!("{name}{{{}}}", labels.join(","));
                    if kind != "gauge" {
                        assert!(value >= 0.0, "{line}");
                        counters.insert(key.clone());
                    }
                    assert!(samples.insert(key, value).is_none(), "a sample twice: {line}");
                }
            }
        }
        let empty = families.iter().find(|(_, (_, has_samples))| !has_samples);
        assert!(empty.is_none(), "{empty:?}");
        let scrape = Scrape { samples, counters };
        scrape.check_histograms();
        scrape
    }

    /// Buckets hold all that smaller ones hold, and the last one all.
    fn check_histograms(&self) {
        for (key, count) in self.samples.iter().filter(|(key, _)| key.contains("_count{")) {
            let buckets = key.replace("_count{", "_bucket{").trim_end_matches('}').to_owned();
            let bound = |key: &str| {
                let bound = key.split("le=\"").nth(1)?.split('"').next()?.to_owned();
                Some(bound.parse::<f64>().expect("a bound"))
            };
            let buckets = self.samples.iter().filter(|(at, _)| at.starts_with(&buckets));
            let mut buckets: Vec<_> =
                buckets.map(|(at, count)| (bound(at).expect("a bound"), *count)).collect();
            buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
            assert!(buckets.is_sorted_by_key(|(_, count)| *count), "{key}: {buckets:?}");
            assert_eq!(buckets.last(), Some(&(f64::INFINITY, *count)), "{key}");
        }
    }

    /// One number; `key` as above.
    pub fn get(&self, key: &str) -> f64 {
        *self.samples.get(key).unwrap_or_else(|| panic!("no {key} in {:#?}", self.samples))
    }

    pub fn has(&self, key: &str) -> bool {
        self.samples.contains_key(key)
    }

    /// The sum over all labels.
    pub fn sum(&self, name: &str) -> f64 {
        let prefix = format!("{name}{{");
        let found = self.samples.iter().filter(|(key, _)| key.starts_with(&prefix));
        let values: Vec<_> = found.map(|(_, value)| *value).collect();
        assert!(!values.is_empty(), "no {name}");
        values.iter().sum()
    }

    /// All keys that begin so.
    pub fn keys(&self, prefix: &str) -> Vec<&str> {
        self.samples.keys().filter(|key| key.starts_with(prefix)).map(String::as_str).collect()
    }

    /// Nothing that is a count is less than it was, or gone.
    pub fn goes_on_from(&self, before: &Scrape) {
        for key in &before.counters {
            let (was, is) = (before.get(key), self.samples.get(key));
            assert!(is.is_some_and(|is| *is >= was), "{key} was {was}, is {is:?}");
        }
    }
}

/// Name, labels in order and value of a line.
fn sample(line: &str) -> (String, Vec<String>, f64) {
    let end = line.find(['{', ' ']).expect(line);
    let (name, mut rest) = line.split_at(end);
    let mut labels = Vec::new();
    if let Some(inside) = rest.strip_prefix('{') {
        rest = inside;
        loop {
            let (key, value) = rest.split_once("=\"").expect(line);
            let mut escaped = false;
            let end = value.find(|c| {
                let ends = c == '"' && !escaped;
                escaped = c == '\\' && !escaped;
                ends
            });
            let (value, behind) = value.split_at(end.expect(line));
            labels.push(format!("{key}=\"{value}\""));
            match behind.as_bytes()[1] {
                b',' => rest = &behind[2..],
                b'}' => {
                    rest = &behind[2..];
                    break;
                }
                _ => panic!("{line}"),
            }
        }
    }
    labels.sort();
    let value = rest.strip_prefix(' ').expect(line);
    (name.to_owned(), labels, value.parse().expect(line))
}
