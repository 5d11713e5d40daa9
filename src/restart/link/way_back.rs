//! What a new side must know to hand the service back, as fields of the first word. Pure.

use std::time::Duration;

use super::wire::{Fields, Malformed, put, put_number, put_time};
use crate::plan::Restart;

/// How a restart is undone, should it come to that. An old side that says nothing of it takes back its
/// listeners, and nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WayBack {
    /// Connections go back, as they have come.
    pub moves: bool,
    /// So long they may stand still meanwhile.
    pub max_downtime: Duration,
    /// So much of what clients have queued goes along.
    pub max_moved: u64,
    /// The old side reads records up to this version.
    pub records: u64,
}

// Tags are never given a second meaning, and are those of a message.
const MAX_DOWNTIME: u16 = 80;
const MOVES: u16 = 81;
const MAX_MOVED: u16 = 82;
const RECORDS: u16 = 92;

impl WayBack {
    /// The way back from a restart, to a side that reads records up to this version.
    pub fn of(how: &Restart, records: u64) -> WayBack {
        let Restart { moves, max_downtime, max_moved, .. } = *how;
        WayBack { moves, max_downtime, max_moved: max_moved as u64, records }
    }

    pub(super) fn put(&self, out: &mut Vec<u8>) {
        put_time(out, MAX_DOWNTIME, self.max_downtime);
        put(out, MOVES, &[u8::from(self.moves)]);
        put_number(out, MAX_MOVED, self.max_moved);
        put_number(out, RECORDS, self.records);
    }

    pub(super) fn read(fields: Fields<'_>) -> Result<Option<WayBack>, Malformed> {
        let Some(max_downtime) = fields.maybe_time(MAX_DOWNTIME, "downtime")? else {
            return Ok(None);
        };
        Ok(Some(WayBack {
            moves: fields.one(MOVES, "moves")? == [1],
            max_downtime,
            max_moved: fields.number(MAX_MOVED, "most bytes")?,
            records: fields.maybe_number(RECORDS, "records")?.unwrap_or(1),
        }))
    }
}
