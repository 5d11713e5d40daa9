//! How a lesson speaks: paragraphs that fit a terminal, and a mark where each way begins.

const WIDTH: usize = 88;

/// A paragraph.
pub fn say(text: impl AsRef<str>) {
    print_wrapped("  ", text.as_ref());
}

/// What is about to be done wrong.
pub fn wrong(text: impl AsRef<str>) {
    println!();
    print_wrapped("✗ Wrong. ", text.as_ref());
}

/// What is about to be done right.
pub fn right(text: impl AsRef<str>) {
    println!();
    print_wrapped("✓ Right. ", text.as_ref());
}

/// A place in the library.
pub fn place(file: &str, function: &str, how: &str) {
    print_wrapped("  ", &format!("{file}: {function}"));
    print_wrapped("      ", how);
}

fn print_wrapped(mark: &str, text: &str) {
    let indent = " ".repeat(mark.chars().take_while(|c| !c.is_alphanumeric()).count());
    let mut line = mark.to_owned();
    for word in text.split_whitespace() {
        if line.chars().count() + word.chars().count() > WIDTH {
            println!("{}", line.trim_end());
            line.clone_from(&indent);
        }
        line.push_str(word);
        line.push(' ');
    }
    println!("{}", line.trim_end());
}
