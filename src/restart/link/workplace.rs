//! Which worker a generation is, as it is told; and what else only a supervisor hears. Pure.

use super::{
    identity::{PID, process_id},
    wire::{Fields, Malformed, put, put_number},
};
use crate::workers::Worker;

const MAKER: u16 = 20;
const CODE: u16 = 21;
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

/// Which process has made a generation.
pub(super) fn put_maker(out: &mut Vec<u8>, maker: Option<u32>) {
    maker.iter().for_each(|pid| put_number(out, MAKER, u64::from(*pid)));
}

pub(super) fn maker(fields: Fields<'_>) -> Result<Option<u32>, Malformed> {
    let is_said = fields.maybe(MAKER, "maker")?.is_some();
    is_said.then(|| process_id(fields, MAKER, "maker")).transpose()
}

/// How a process has ended.
pub(super) fn put_code(out: &mut Vec<u8>, code: u8) {
    put(out, CODE, &[code]);
}

pub(super) fn code(fields: Fields<'_>) -> Result<u8, Malformed> {
    match fields.one(CODE, "code")? {
        [code] => Ok(*code),
        _ => Err(Malformed::Field("code")),
    }
}
