//! What a generation tells its supervisor about itself. Nothing is ever said in answer. Pure.

use super::{
    identity::{Identity, PID, process_id},
    wire::{Fields, Malformed, put, put_number},
};

/// One word of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Notice {
    /// I am main, and this process has made me. With it: my pidfd. Listeners and Offered follow.
    Main { who: Identity, maker: Option<u32> },
    /// I drain, another one serves.
    Retired { pid: u32 },
    /// I accept for some time yet, and then the service is to end. Should I be gone before, make no other.
    LameDuck { pid: u32 },
    /// My loop turns. (The supervisor is the manager's watchdog for us.)
    Turns { pid: u32 },
    /// The service is to end.
    Leaving { pid: u32 },
    /// A process that I have made has ended, with this status.
    Ended { pid: u32, code: u8 },
}

// Kinds and tags are never given a second meaning, and are those of a message.
const MAIN: u16 = 21;
const RETIRED: u16 = 22;
const LEAVING: u16 = 23;
const ENDED: u16 = 24;
const LAME_DUCK: u16 = 29;
const TURNS: u16 = 32;

const MAKER: u16 = 20;
const CODE: u16 = 21;

impl Notice {
    pub(super) fn kind(&self) -> u16 {
        match self {
            Notice::Main { .. } => MAIN,
            Notice::Retired { .. } => RETIRED,
            Notice::LameDuck { .. } => LAME_DUCK,
            Notice::Turns { .. } => TURNS,
            Notice::Leaving { .. } => LEAVING,
            Notice::Ended { .. } => ENDED,
        }
    }

    pub(super) fn put(&self, out: &mut Vec<u8>) {
        match self {
            Notice::Main { who, maker } => {
                who.put(out);
                maker.iter().for_each(|pid| put_number(out, MAKER, u64::from(*pid)));
            }
            Notice::Retired { pid }
            | Notice::LameDuck { pid }
            | Notice::Turns { pid }
            | Notice::Leaving { pid } => {
                put_number(out, PID, u64::from(*pid));
            }
            Notice::Ended { pid, code } => {
                put_number(out, PID, u64::from(*pid));
                put(out, CODE, &[*code]);
            }
        }
    }

    /// `None`: this kind is none of them.
    pub(super) fn of(kind: u16, fields: Fields<'_>) -> Result<Option<Notice>, Malformed> {
        let pid = || process_id(fields, PID, "pid");
        Ok(Some(match kind {
            MAIN => Notice::Main { who: Identity::of(fields)?, maker: maker(fields)? },
            RETIRED => Notice::Retired { pid: pid()? },
            LAME_DUCK => Notice::LameDuck { pid: pid()? },
            TURNS => Notice::Turns { pid: pid()? },
            LEAVING => Notice::Leaving { pid: pid()? },
            ENDED => Notice::Ended { pid: pid()?, code: code(fields)? },
            _ => return Ok(None),
        }))
    }
}

fn maker(fields: Fields<'_>) -> Result<Option<u32>, Malformed> {
    let is_said = fields.maybe(MAKER, "maker")?.is_some();
    is_said.then(|| process_id(fields, MAKER, "maker")).transpose()
}

fn code(fields: Fields<'_>) -> Result<u8, Malformed> {
    match fields.one(CODE, "code")? {
        [code] => Ok(*code),
        _ => Err(Malformed::Field("code")),
    }
}
