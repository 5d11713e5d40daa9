//! Which commands there are, and what every one of them may use. What they do is in the files beside.

pub mod connection;
pub mod info;
pub mod keys;
pub mod listen;
pub mod strings;
mod table;

use std::{borrow::Cow, time::Instant};

use heirloom::Connection;
use serde::{Deserialize, Serialize};

use self::table::{Kind, Spec};
use super::{
    pubsub::{Hub, Subscriptions},
    request::Args,
    resp,
    store::Store,
};

/// What all connections share.
pub struct State {
    pub store: Store,
    pub hub: Hub,
    /// Clients so far, which is also the number of the last one.
    pub clients: u64,
    /// Commands so far.
    pub commands: u64,
    /// When this program was started, by whatever generation.
    pub since: Instant,
}

/// What one connection must remember: plain data, so that it can be written down.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// For CLIENT ID.
    pub number: u64,
    /// The name that it gave itself, or nothing.
    pub name: Vec<u8>,
    pub subscriptions: Subscriptions,
}

/// One command being carried out: what was asked, by whom, and all that there is.
pub struct Call<'a, 'conn> {
    /// The command's name, and what follows it.
    pub args: Args<'a>,
    pub conn: &'a mut Connection<'conn>,
    pub session: &'a mut Session,
    pub state: &'a mut State,
}

/// What is said instead of a reply, with its code: `ERR ...`.
pub type Fault = Cow<'static, [u8]>;

/// A command has written its reply, or there is a fault to be told.
pub type Answer<T = ()> = Result<T, Fault>;

pub const SYNTAX: Fault = Cow::Borrowed(b"ERR syntax error");
pub const NOT_AN_INTEGER: Fault = Cow::Borrowed(b"ERR value is not an integer or out of range");

/// Carries out a command and queues its reply.
pub fn run(call: &mut Call<'_, '_>) {
    if call.args.len() == 0 {
        return; // an empty line; people type them
    }
    call.state.commands += 1;
    if let Err(fault) = find(call.args).and_then(|spec| permit(spec, call)) {
        resp::error(call.conn, &fault);
    }
}

/// The command that is meant, or for one with subcommands which of these.
fn find(args: Args<'_>) -> Answer<&'static Spec> {
    let name = args.at(0);
    let Some(spec) = named(name).filter(|_| !name.contains(&b'|')) else {
        return Err(unknown_command(args));
    };
    match args.get(1) {
        Some(sub) if spec.kind == Kind::Container => {
            let mut word = Capitals::of(name);
            word.push(b"|");
            word.push(sub);
            table::find(word.as_bytes()).ok_or_else(|| unknown_subcommand(name, sub))
        }
        _ => Ok(spec),
    }
}

/// Nearly every client writes capitals as they are in the table.
fn named(name: &[u8]) -> Option<&'static Spec> {
    table::find(name).or_else(|| table::find(Capitals::of(name).as_bytes()))
}

/// Carries it out if it may be done now, with so many arguments.
fn permit(spec: &Spec, call: &mut Call<'_, '_>) -> Answer {
    let given = call.args.len() as i32;
    if given != spec.arity && (spec.arity > 0 || given < -spec.arity) {
        return Err(wrong_arity(spec));
    }
    if call.session.subscriptions.len() > 0 && spec.kind != Kind::Always {
        return Err(format!(
            "ERR Can't execute '{}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET \
             are allowed in this context",
            spec.lower_name()
        )
        .into_bytes()
        .into());
    }
    (spec.run)(call)
}

fn wrong_arity(spec: &Spec) -> Fault {
    let name = spec.lower_name();
    format!("ERR wrong number of arguments for '{name}' command").into_bytes().into()
}

/// Names what was asked for, and the first 128 bytes of how.
fn unknown_command(args: Args<'_>) -> Fault {
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

fn unknown_subcommand(name: &[u8], sub: &[u8]) -> Fault {
    let (sub, name) = (printed(sub, SHOWN), name.to_ascii_uppercase());
    [b"ERR unknown subcommand '", sub, b"'. Try ", &name, b" HELP."].concat().into()
}

/// How much of a client's words an error repeats.
const SHOWN: usize = 128;

/// What C's `%.*s` prints.
fn printed(text: &[u8], most: usize) -> &[u8] {
    let text = &text[..text.len().min(most)];
    text.split(|&byte| byte == 0).next().unwrap_or_default()
}

/// A word in capitals, on the stack: commands and options are written in any case. One that is longer
/// than all that are known is cut, and so unknown.
pub struct Capitals {
    bytes: [u8; Capitals::ROOM],
    len: usize,
}

impl Capitals {
    /// One byte more than the longest command.
    const ROOM: usize = "CLIENT|SETNAME".len() + 1;

    pub fn of(word: &[u8]) -> Capitals {
        let mut capitals = Capitals { bytes: [0; Capitals::ROOM], len: 0 };
        capitals.push(word);
        capitals
    }

    fn push(&mut self, word: &[u8]) {
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
