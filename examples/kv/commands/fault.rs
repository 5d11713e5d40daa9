//! What is said instead of a reply, in the words of Redis, and words as they are compared.

use std::borrow::Cow;

use super::{super::request::Args, table::Spec};

/// With its code: `ERR ...`.
pub type Fault = Cow<'static, [u8]>;

/// A command has written its reply, or there is a fault to be told.
pub type Answer<T = ()> = Result<T, Fault>;

pub const SYNTAX: Fault = Cow::Borrowed(b"ERR syntax error");
pub const NOT_AN_INTEGER: Fault = Cow::Borrowed(b"ERR value is not an integer or out of range");

/// How much of a client's words an error repeats.
const SHOWN: usize = 128;

pub fn wrong_arity(spec: &Spec) -> Fault {
    let name = spec.lower_name();
    format!("ERR wrong number of arguments for '{name}' command").into_bytes().into()
}

pub fn of_a_subscriber(spec: &Spec) -> Fault {
    format!(
        "ERR Can't execute '{}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET \
         are allowed in this context",
        spec.lower_name()
    )
    .into_bytes()
    .into()
}

/// Names what was asked for, and the first 128 bytes of how.
pub fn unknown_command(args: Args<'_>) -> Fault {
    let mut shown = Vec::new();
    for arg in args.from(1) {
        if shown.len() >= SHOWN {
            break;
        }
        let room = SHOWN - shown.len();
        shown.extend([b"'", printed(arg, room), b"' "].concat());
    }
    let name = printed(args.at(0), SHOWN);
    [b"ERR unknown command '", name, b"', with args beginning with: ", &shown].concat().into()
}

pub fn unknown_subcommand(name: &[u8], sub: &[u8]) -> Fault {
    let (sub, name) = (printed(sub, SHOWN), name.to_ascii_uppercase());
    [b"ERR unknown subcommand '", sub, b"'. Try ", &name, b" HELP."].concat().into()
}

/// What C's `%.*s` prints.
fn printed(text: &[u8], most: usize) -> &[u8] {
    let text = &text[..text.len().min(most)];
    text.split(|&byte| byte == 0).next().unwrap_or_default()
}

/// Whether it is a line of HTTP. A page of the web can have a browser send us one, with commands in it where
/// the form's text should be.
pub fn is_of_a_browser(args: Args<'_>) -> bool {
    [&b"post"[..], b"host:"].iter().any(|word| args.at(0).eq_ignore_ascii_case(word))
}

/// A word in capitals, on the stack: commands and options are written in any case. One that is longer
/// than all that are known is cut, and so unknown.
pub struct Capitals {
    bytes: [u8; Capitals::ROOM],
    len: usize,
}

impl Capitals {
    /// One byte more than the longest command.
    const ROOM: usize = "PUBSUB|CHANNELS".len() + 1;

    pub fn of(word: &[u8]) -> Capitals {
        let mut capitals = Capitals { bytes: [0; Capitals::ROOM], len: 0 };
        capitals.push(word);
        capitals
    }

    pub fn push(&mut self, word: &[u8]) {
        let len = word.len().min(Capitals::ROOM - self.len);
        let place = &mut self.bytes[self.len..][..len];
        place.copy_from_slice(&word[..len]);
        place.make_ascii_uppercase();
        self.len += len;
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}
