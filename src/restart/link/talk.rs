//! What services of different generations tell each other, and who of them can be told something, as messages of the
//! link. Pure.
//!
//! A program that is older than these skips them, and never says `Speakers`, so nobody tells it anything.

use super::wire::{Fields, Malformed, put, put_number};
use crate::tasks::{Batch, Heard};

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Talk {
    /// From any process to any other, by way of the newest.
    Words(Batch),
    /// In answer: I have taken them.
    Heard(Heard),
    /// The newest to each other one: I serve, and these can be told something. What you have told and nobody has
    /// taken, say it again: I may not have it.
    Speakers { serves: u64, others: Vec<u64> },
}

const WORDS: u16 = 44;
const HEARD: u16 = 45;
const SPEAKERS: u16 = 46;

/// Whose word it is, and of `SPEAKERS` who serves.
const FROM: u16 = 42;
/// For whom it is, and of `SPEAKERS` who can be told something.
const TO: u16 = 43;
const NUMBER: u16 = 44;
const OLDEST: u16 = 45;
const BYTES: u16 = 46;

impl Talk {
    /// For whom it is; `None`: for whoever has it.
    pub fn to(&self) -> Option<u64> {
        match self {
            Talk::Words(batch) => Some(batch.to),
            Talk::Heard(heard) => Some(heard.to),
            Talk::Speakers { .. } => None,
        }
    }

    pub(super) fn kind(&self) -> u16 {
        match self {
            Talk::Words(_) => WORDS,
            Talk::Heard(_) => HEARD,
            Talk::Speakers { .. } => SPEAKERS,
        }
    }

    pub(super) fn put(&self, out: &mut Vec<u8>) {
        match self {
            Talk::Words(Batch { from, to, oldest, number, words }) => {
                put_number(out, FROM, *from);
                put_number(out, TO, *to);
                put_number(out, OLDEST, *oldest);
                put_number(out, NUMBER, *number);
                words.iter().for_each(|word| put(out, BYTES, word));
            }
            Talk::Heard(Heard { by, to, number }) => {
                put_number(out, FROM, *by);
                put_number(out, TO, *to);
                put_number(out, NUMBER, *number);
            }
            Talk::Speakers { serves, others } => {
                put_number(out, FROM, *serves);
                others.iter().for_each(|other| put_number(out, TO, *other));
            }
        }
    }

    /// `None`: this kind is none of them.
    pub(super) fn of(kind: u16, fields: Fields<'_>) -> Result<Option<Talk>, Malformed> {
        let from = || fields.number(FROM, "from");
        let to = || fields.number(TO, "to");
        let number = || fields.number(NUMBER, "number");
        Ok(Some(match kind {
            WORDS => Talk::Words(Batch {
                from: from()?,
                to: to()?,
                oldest: fields.number(OLDEST, "oldest")?,
                number: number()?,
                words: fields.all(BYTES)?.into_iter().map(<[u8]>::to_vec).collect(),
            }),
            HEARD => Talk::Heard(Heard { by: from()?, to: to()?, number: number()? }),
            SPEAKERS => Talk::Speakers { serves: from()?, others: fields.numbers(TO, "others")? },
            _ => return Ok(None),
        }))
    }
}
