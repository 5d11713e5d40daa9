//! Values in a line of the log that somebody else has written: escaped, so that they end where they end.

use std::fmt::{self, Write};

use crate::limits::QUOTED;

/// A value in a line of `key=value`, between quotation marks and escaped as in JSON (RFC 8259): whatever
/// is in it, the line stays one line, and a parser reads back what was written.
///
/// For what a peer, another program or an operator has said. Characters that are not printable are escaped
/// as well, so that none of them speaks to the terminal of whoever reads the log. A value of more than
/// [`limits::QUOTED`](crate::limits::QUOTED) bytes is cut there, and ends in `…`.
///
/// ```
/// use heirloom::logging::Quoted;
///
/// let said = "no such \"room\"\nlogin: root";
/// assert_eq!(format!("why={}", Quoted(said)), r#"why="no such \"room\"\nlogin: root""#);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Quoted<T>(pub T);

impl<T: fmt::Display> fmt::Display for Quoted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", Escaped(&self.0))
    }
}

/// The same without the marks, for the end of a sentence.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Escaped<T>(pub T);

impl<T: fmt::Display> fmt::Display for Escaped<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(Escape { out: f, left: Some(QUOTED) }, "{}", self.0)
    }
}

struct Escape<'a, 'b> {
    out: &'a mut fmt::Formatter<'b>,
    /// Bytes of the value that may still come; `None`: it was cut.
    left: Option<usize>,
}

impl Write for Escape<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for c in text.chars() {
            let Some(left) = self.left else { return Ok(()) };
            self.left = left.checked_sub(c.len_utf8());
            match self.left {
                Some(_) => self.escape(c)?,
                None => self.out.write_char('…')?,
            }
        }
        Ok(())
    }
}

impl Escape<'_, '_> {
    fn escape(&mut self, c: char) -> fmt::Result {
        match c {
            '"' => self.out.write_str("\\\""),
            '\\' => self.out.write_str("\\\\"),
            '\n' => self.out.write_str("\\n"),
            '\r' => self.out.write_str("\\r"),
            '\t' => self.out.write_str("\\t"),
            // Those that are not printable, and those that stick to the character before.
            c if c != '\'' && c.escape_debug().len() > 1 => {
                let mut units = [0; 2];
                let mut units = c.encode_utf16(&mut units).iter();
                units.try_for_each(|unit| write!(self.out, "\\u{unit:04x}"))
            }
            c => self.out.write_char(c),
        }
    }
}

/// Reads a line of `key=value` and `key="value"`, with words between them that are neither, as somebody
/// would who has read only the documentation.
#[cfg(test)]
pub(crate) fn read(line: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut rest = line;
    while !rest.is_empty() {
        let end = rest.find([' ', '=']).unwrap_or(rest.len());
        let (key, more) = rest.split_at(end);
        let Some(value) = more.strip_prefix('=') else {
            rest = more.strip_prefix(' ').unwrap_or(more);
            continue;
        };
        let (value, more) = match value.strip_prefix('"') {
            Some(value) => unquote(value),
            None => {
                let (value, more) = value.split_at(value.find(' ').unwrap_or(value.len()));
                (value.to_owned(), more)
            }
        };
        found.push((key.to_owned(), value));
        rest = more.strip_prefix(' ').unwrap_or(more);
    }
    found
}

/// The value of what begins behind a quotation mark, and what follows behind the next one.
#[cfg(test)]
fn unquote(text: &str) -> (String, &str) {
    let (mut units, mut chars) = (Vec::new(), text.chars());
    loop {
        let c = chars.next().expect("an end of the value");
        let plain = match c {
            '"' => return (String::from_utf16(&units).expect("whole characters"), chars.as_str()),
            '\\' => match chars.next().expect("what is escaped") {
                'n' => '\n',
                'r' => '\r',
                't' => '\t',
                'u' => {
                    let (digits, rest) = chars.as_str().split_at(4);
                    units.push(u16::from_str_radix(digits, 16).expect("four digits"));
                    chars = rest.chars();
                    continue;
                }
                c => c,
            },
            c => c,
        };
        units.extend(plain.encode_utf16(&mut [0; 2]).iter());
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_text_is_one_line_that_reads_back(text in any::<String>(), other in "(?s).{0,40}") {
            let line = format!("close #1 reason={} in=3 note={} age=0.100s", Quoted(&text), Quoted(&other));
            prop_assert!(line.chars().all(|c| !c.is_control() && !"\u{2028}\u{2029}".contains(c)), "{line:?}");
            let own = |key: &str, value: &str| (key.to_owned(), value.to_owned());
            let all = [own("reason", &text), own("in", "3"), own("note", &other), own("age", "0.100s")];
            prop_assert_eq!(read(&line), all);
        }
    }

    #[test]
    fn what_is_printable_is_left_as_it_is() {
        let text = "it's 20 °C — 日本 🦀";
        assert_eq!(Quoted(text).to_string(), format!("\"{text}\""));
        assert_eq!(
            Quoted("\u{7f}\u{1b}[2J\u{9b}\u{202e}🦀\u{e0001}").to_string(),
            "\"\\u007f\\u001b[2J\\u009b\\u202e🦀\\udb40\\udc01\""
        );
    }

    #[test]
    fn a_value_without_end_has_one() {
        let line = Quoted("ö".repeat(QUOTED)).to_string();
        assert_eq!(line.chars().count(), QUOTED / 2 + 3);
        assert!(line.ends_with("ö…\""), "{}", &line[line.len() - 20..]);
        assert!(!Quoted("x".repeat(QUOTED)).to_string().contains('…'));
    }
}
