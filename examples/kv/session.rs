//! What one connection must remember: plain data, so that it can be written down and go to the next program.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    out::Version,
    pubsub::Subscriptions,
    request::{Args, MAX_COMMAND, Reader, Request},
    resp,
};

#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// For CLIENT ID.
    pub number: u64,
    /// The name that it gave itself, or nothing.
    pub name: Vec<u8>,
    /// What the client's library calls itself, and its version.
    pub library: [Vec<u8>; 2],
    pub version: Version,
    pub replies: Replies,
    pub subscriptions: Subscriptions,
    /// It is shown every command (MONITOR).
    pub is_monitor: bool,
    pub transaction: Option<Transaction>,
    /// Keys that must not change before EXEC, and whether each was there: if it is not any more then it has
    /// changed, seen or unseen.
    pub watched: BTreeMap<Vec<u8>, bool>,
    /// When it came, and when its last command did: milliseconds since 1970.
    pub since: i64,
    pub active: i64,
    /// The name of that command, as it is in the table; in a new program there is none yet.
    #[serde(skip)]
    pub last: &'static [u8],
    /// The beginning of a command is there, and not all of it.
    #[serde(skip)]
    pub is_midway: bool,
}

/// Whether replies are sent (CLIENT REPLY).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Replies {
    #[default]
    On,
    Off,
    /// All but the next one.
    SkipNext,
}

/// Commands between MULTI and EXEC.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transaction {
    /// As they would come over the wire.
    commands: Vec<u8>,
    pub len: usize,
    /// One was refused, so none will be carried out.
    pub is_broken: bool,
}

impl Transaction {
    /// Queues a command. `false`: together they are longer than a single one may be.
    pub fn push(&mut self, args: Args<'_>) -> bool {
        resp::array(&mut self.commands, args.len());
        args.from(0).for_each(|arg| resp::bulk(&mut self.commands, arg));
        self.len += 1;
        if self.commands.len() > MAX_COMMAND {
            *self = Transaction { is_broken: true, ..Transaction::default() };
            return false;
        }
        true
    }

    /// How many bytes are queued.
    pub fn size(&self) -> usize {
        self.commands.len()
    }

    /// Takes each command in turn.
    pub fn each(&self, mut take: impl FnMut(Args<'_>)) {
        let (mut reader, mut rest) = (Reader::default(), self.commands.as_slice());
        while !rest.is_empty()
            && let Ok(Request::Whole(args, taken)) = reader.read(rest)
        {
            take(args);
            rest = &rest[taken..];
        }
    }

    /// Whether it is what [`push`](Self::push) makes, wherever it comes from.
    pub fn is_sound(&self) -> bool {
        let mut again = Transaction { is_broken: self.is_broken, ..Transaction::default() };
        self.each(|args| {
            again.push(args);
        });
        again == *self
    }
}
