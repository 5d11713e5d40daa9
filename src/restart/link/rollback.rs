//! What the two sides of a roll back say to each other. Pure.

use super::wire::{Fields, Malformed, put, put_number};

/// One word of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Rollback {
    /// New to old: I am not wanted after all. With it: what my service has saved, in a memfd. That is the piece
    /// of changes with this number, or else all; `last_serial` as in `State`.
    State { piece: Option<u64>, last_serial: u64 },
    /// New to old, behind that and the connections: that was all, serve again; why, and how often I have said
    /// so. (An older program says no number, and wants to hear `Resumed` at once.)
    TakeBack { reason: String, number: Option<u64> },
    /// Old to new, in answer to the one of this number: I have taken it in, and could serve; not these
    /// connections, whose places are taken.
    CanTakeBack { number: u64, refused: Vec<u64> },
    /// Old to new, instead: I cannot.
    CannotTakeBack { number: u64, reason: String },
    /// New to old: it is yours, the connections are.
    HandedBack,
    /// New to old, instead: I keep everything, forget what I have sent.
    Kept,
}

// Kinds and tags are never given a second meaning, and are those of a message.
const TAKE_BACK: u16 = 11;
const STATE: u16 = 80;
const CAN_TAKE_BACK: u16 = 81;
const CANNOT_TAKE_BACK: u16 = 82;
const HANDED_BACK: u16 = 83;
const KEPT: u16 = 84;

const LAST_SERIAL: u16 = 3;
const REASON: u16 = 6;
// 80 to 82 are those of a way back.
const NUMBER: u16 = 83;
const PIECE: u16 = 84;
const REFUSED: u16 = 85;

/// A reason is cut to this many bytes.
pub(super) const REASON_MAX: usize = 4096;

impl Rollback {
    pub(super) fn kind(&self) -> u16 {
        match self {
            Rollback::State { .. } => STATE,
            Rollback::TakeBack { .. } => TAKE_BACK,
            Rollback::CanTakeBack { .. } => CAN_TAKE_BACK,
            Rollback::CannotTakeBack { .. } => CANNOT_TAKE_BACK,
            Rollback::HandedBack => HANDED_BACK,
            Rollback::Kept => KEPT,
        }
    }

    pub(super) fn put(&self, out: &mut Vec<u8>) {
        match self {
            Rollback::State { piece, last_serial } => {
                piece.iter().for_each(|piece| put_number(out, PIECE, *piece));
                put_number(out, LAST_SERIAL, *last_serial);
            }
            Rollback::TakeBack { reason, number } => {
                put_reason(out, reason);
                number.iter().for_each(|number| put_number(out, NUMBER, *number));
            }
            Rollback::CanTakeBack { number, refused } => {
                put_number(out, NUMBER, *number);
                refused.iter().for_each(|id| put_number(out, REFUSED, *id));
            }
            Rollback::CannotTakeBack { number, reason } => {
                put_number(out, NUMBER, *number);
                put_reason(out, reason);
            }
            Rollback::HandedBack | Rollback::Kept => {}
        }
    }

    /// `None`: this kind is none of them.
    pub(super) fn of(kind: u16, fields: Fields<'_>) -> Result<Option<Rollback>, Malformed> {
        let number = || fields.number(NUMBER, "number");
        Ok(Some(match kind {
            STATE => Rollback::State {
                piece: fields.maybe_number(PIECE, "piece")?,
                last_serial: fields.number(LAST_SERIAL, "last serial")?,
            },
            TAKE_BACK => Rollback::TakeBack {
                reason: fields.text(REASON, "reason")?,
                number: fields.maybe_number(NUMBER, "number")?,
            },
            CAN_TAKE_BACK => Rollback::CanTakeBack {
                number: number()?,
                refused: fields.numbers(REFUSED, "refused")?,
            },
            CANNOT_TAKE_BACK => Rollback::CannotTakeBack {
                number: number()?,
                reason: fields.text(REASON, "reason")?,
            },
            HANDED_BACK => Rollback::HandedBack,
            KEPT => Rollback::Kept,
            _ => return Ok(None),
        }))
    }
}

pub(super) fn put_reason(out: &mut Vec<u8>, reason: &str) {
    let cut = reason.floor_char_boundary(REASON_MAX);
    put(out, REASON, &reason.as_bytes()[..cut]);
}
