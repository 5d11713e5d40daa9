//! A finding as the server says it, for people and for programs. Knows no socket.

use std::fmt;

use heirloom::logging::Quoted;

/// `place;kind;peer;path;lock;detail`, and what was in each.
pub struct Finding {
    place: String,
    kind: String,
    /// Peer, path, lock, detail.
    others: [Option<String>; 4],
}

/// What a list of others is called in JSON.
const OTHERS: [&str; 4] = ["peer", "path", "lock", "detail"];

impl Finding {
    /// What is missing is not known, as in a finding of a server that is older than this program.
    pub fn read(text: &str) -> Finding {
        let mut parts = text.split(';');
        let mut part = || parts.next().unwrap_or("-");
        let (place, kind) = (plain(part()), plain(part()));
        Finding { place, kind, others: OTHERS.map(|_| value(part())) }
    }
}

/// A value, unless it is the dash that says that there is none.
pub fn value(text: &str) -> Option<String> {
    (text != "-").then(|| plain(text))
}

/// A word as the text that it stands for: `%20` is a space.
pub fn plain(word: &str) -> String {
    let mut bytes = Vec::with_capacity(word.len());
    let mut rest = word.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let digits = after.get(..2).filter(|_| first == b'%');
        let digits = digits.filter(|digits| digits.iter().all(u8::is_ascii_hexdigit));
        let digits = digits.and_then(|digits| std::str::from_utf8(digits).ok());
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            None => {
                bytes.push(first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// `fd:7     tcp to 10.0.0.5:5432 (from 10.0.0.2:40312)`
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [peer, path, lock, detail] = &self.others;
        write!(f, "{:<8} {}", self.place, self.kind)?;
        peer.iter().try_for_each(|peer| write!(f, " to {peer}"))?;
        path.iter().try_for_each(|path| write!(f, " {path}"))?;
        let more: Vec<_> = detail.iter().chain(lock).map(String::as_str).collect();
        if more.is_empty() { Ok(()) } else { write!(f, " ({})", more.join("; ")) }
    }
}

/// For programs.
pub struct Json<'a>(pub &'a Finding);

impl fmt::Display for Json<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Finding { place, kind, others } = self.0;
        write!(f, "{{\"place\":{},\"kind\":{}", Quoted(place), Quoted(kind))?;
        for (name, value) in OTHERS.iter().zip(others) {
            write!(f, ",\"{name}\":{}", Text(value.as_deref()))?;
        }
        f.write_str("}")
    }
}

/// A string of JSON, or `null`.
pub struct Text<'a>(pub Option<&'a str>);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(text) => Quoted(text).fmt(f),
            None => f.write_str("null"),
        }
    }
}

/// A list in JSON.
pub struct List<'a, T>(pub &'a [T], pub fn(&T, &mut fmt::Formatter<'_>) -> fmt::Result);

impl<T> fmt::Display for List<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[")?;
        for (index, item) in self.0.iter().enumerate() {
            f.write_str(if index > 0 { "," } else { "" })?;
            self.1(item, f)?;
        }
        f.write_str("]")
    }
}

/// Findings in JSON.
pub fn list(findings: &[Finding]) -> List<'_, Finding> {
    List(findings, |finding, f| write!(f, "{}", Json(finding)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_the_text_that_it_stands_for() {
        assert_eq!(plain("/a%20b%2C%25"), "/a b,%");
        assert_eq!(plain("%zz%2"), "%zz%2");
        assert_eq!(plain("%C3%A9"), "é");
        assert_eq!((value("-"), value("%2D")), (None, Some("-".to_owned())));
    }

    #[test]
    fn a_finding_is_a_line_and_an_object() {
        let text = "fd:8;file;-;/a%20b;flock%20write;write%2C%20append";
        let finding = Finding::read(text);
        assert_eq!(finding.to_string(), "fd:8     file /a b (write, append; flock write)");
        assert_eq!(
            list(&[finding, Finding::read("timer:1;timer")]).to_string(),
            "[{\"place\":\"fd:8\",\"kind\":\"file\",\"peer\":null,\"path\":\"/a b\",\
             \"lock\":\"flock write\",\"detail\":\"write, append\"},\
             {\"place\":\"timer:1\",\"kind\":\"timer\",\"peer\":null,\"path\":null,\
             \"lock\":null,\"detail\":null}]"
        );
    }
}
