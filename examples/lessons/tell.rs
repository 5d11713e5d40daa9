//! How a lesson speaks: paragraphs that fit a terminal, and a mark where each way begins.

use std::io::{self, Write};

const WIDTH: usize = 88;

/// A line as it is. Whoever has closed stdout does not want to read it; the exit status remains.
pub fn line(text: impl AsRef<str>) {
    let _ = writeln!(io::stdout(), "{}", text.as_ref());
}

/// A paragraph.
pub fn say(text: impl AsRef<str>) {
    print_wrapped("  ", text.as_ref());
}

/// What is about to be done wrong.
pub fn wrong(text: impl AsRef<str>) {
    line("");
    print_wrapped("✗ Wrong. ", text.as_ref());
}

/// What is about to be done right.
pub fn right(text: impl AsRef<str>) {
    line("");
    print_wrapped("✓ Right. ", text.as_ref());
}

/// A place in the library.
pub fn place(file: &str, function: &str, how: &str) {
    print_wrapped("  ", &format!("{file}: {function}"));
    print_wrapped("      ", how);
}

fn print_wrapped(mark: &str, text: &str) {
    let indent = " ".repeat(mark.chars().take_while(|c| !c.is_alphanumeric()).count());
    let mut row = mark.to_owned();
    for word in text.split_whitespace() {
        if row.chars().count() + word.chars().count() > WIDTH {
            line(row.trim_end());
            row.clone_from(&indent);
        }
        row.push_str(word);
        row.push(' ');
    }
    line(row.trim_end());
}
