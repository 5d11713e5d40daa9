//! Which worker a generation is, as it is told. Pure.

use super::{
    identity::PID,
    wire::{Fields, Malformed, put_number},
};
use crate::workers::Worker;

const WORKER: u16 = 30;
const WORKERS: u16 = 31;

pub(super) fn put_supervisor(out: &mut Vec<u8>, pid: u32, worker: Option<Worker>) {
    put_number(out, PID, u64::from(pid));
    if let Some(Worker { index, count }) = worker {
        put_number(out, WORKER, u64::from(index));
        put_number(out, WORKERS, u64::from(count));
    }
}

/// The first programs knew of one process that serves.
pub(super) fn worker(fields: Fields<'_>) -> Result<Option<Worker>, Malformed> {
    let index = fields.maybe_number(WORKER, "worker")?;
    let count = fields.maybe_number(WORKERS, "workers")?;
    let (Some(index), Some(count)) = (index, count) else { return Ok(None) };
    let number = |value| u32::try_from(value).map_err(|_| Malformed::Field("worker"));
    Ok(Some(Worker { index: number(index)?, count: number(count)? }))
}
