//! Events of the page's stream, as text. Pure: knows no connection.

use std::fmt::Display;

/// After so many milliseconds a browser opens a stream anew that has ended. Its own default is seconds.
const RETRY: u32 = 200;

/// An event as one chunk of a chunked body. `members` are the members of a JSON object.
pub fn chunk(number: u64, event: &str, members: &str) -> Vec<u8> {
    as_chunk(&format!("id: {number}\nevent: {event}\ndata: {{{members}}}\n\n"))
}

/// The first event of a stream. It is no new one, so it has the number of the last one that was sent.
pub fn greeting(last: u64, who: &str) -> Vec<u8> {
    as_chunk(&format!("retry: {RETRY}\nid: {last}\nevent: hello\ndata: {{{who}}}\n\n"))
}

fn as_chunk(text: &str) -> Vec<u8> {
    format!("{:x}\r\n{text}\r\n", text.len()).into_bytes()
}

/// A text as a JSON string (RFC 8259, section 7).
pub fn json(text: impl Display) -> String {
    let text = text.to_string();
    let letters = text.chars().map(|letter| if letter < ' ' { ' ' } else { letter });
    let escaped = letters.fold(String::new(), |mut all, letter| {
        if matches!(letter, '"' | '\\') {
            all.push('\\');
        }
        all.push(letter);
        all
    });
    format!("\"{escaped}\"")
}
