//! How long keys are there.

use std::time::Instant;

use super::super::{request::Args, resp::integer};
use super::{Answer, Call, Capitals, Fault, NOT_AN_INTEGER};

/// How a client says when a key expires.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Time {
    /// Milliseconds in one unit.
    unit: i64,
    /// Counted from 1970, not from now.
    is_absolute: bool,
}

impl Time {
    pub const SECONDS: Time = Time { unit: 1000, is_absolute: false };
    pub const MILLIS: Time = Time { unit: 1, is_absolute: false };
    const AT_SECONDS: Time = Time { unit: 1000, is_absolute: true };
    const AT_MILLIS: Time = Time { unit: 1, is_absolute: true };

    /// As an option of SET and GETEX.
    pub fn named(option: &[u8]) -> Option<Time> {
        Some(match option {
            b"EX" => Time::SECONDS,
            b"PX" => Time::MILLIS,
            b"EXAT" => Time::AT_SECONDS,
            b"PXAT" => Time::AT_MILLIS,
            _ => return None,
        })
    }
}

/// The millisecond that is meant, since 1970. What does not fit is refused.
fn millis(call: &Call<'_, '_>, amount: i64, time: Time, command: &str) -> Answer<i64> {
    let from = if time.is_absolute { 0 } else { call.state.wall.millis(call.now) };
    let millis = amount.checked_mul(time.unit).and_then(|millis| millis.checked_add(from));
    millis.ok_or_else(|| invalid(command))
}

fn invalid(command: &str) -> Fault {
    format!("ERR invalid expire time in '{command}' command").into_bytes().into()
}

/// The moment, for commands that take no number below one. It may be over, if it is absolute.
pub fn moment_ahead(
    call: &Call<'_, '_>,
    text: &[u8],
    time: Time,
    command: &str,
) -> Answer<Instant> {
    let amount = integer(text).ok_or(NOT_AN_INTEGER)?;
    if amount <= 0 {
        return Err(invalid(command));
    }
    let millis = millis(call, amount, time, command)?;
    Ok(call.state.wall.moment(millis).unwrap_or(call.now))
}

/// On which expiry, the one that the key has, another one depends.
#[derive(Default)]
struct Condition {
    /// There is none.
    nx: bool,
    /// There is one.
    xx: bool,
    /// It comes sooner. No expiry is as if it never came.
    gt: bool,
    /// It comes later.
    lt: bool,
}

impl Condition {
    fn parse(args: Args<'_>) -> Answer<Condition> {
        let mut condition = Condition::default();
        for word in args.from(3) {
            match Capitals::of(word).as_bytes() {
                b"NX" => condition.nx = true,
                b"XX" => condition.xx = true,
                b"GT" => condition.gt = true,
                b"LT" => condition.lt = true,
                _ => return Err([b"ERR Unsupported option ", word].concat().into()),
            }
        }
        let Condition { nx, xx, gt, lt } = condition;
        if nx && (xx || gt || lt) {
            return Err(
                b"ERR NX and XX, GT or LT options at the same time are not compatible".into()
            );
        }
        if gt && lt {
            return Err(b"ERR GT and LT options at the same time are not compatible".into());
        }
        Ok(condition)
    }

    /// By milliseconds since 1970, as clients see them.
    fn holds(&self, current: Option<i64>, new: i64) -> bool {
        match current {
            None => !self.xx && !self.gt,
            Some(_) if self.nx => false,
            Some(current) => (!self.gt || new > current) && (!self.lt || new < current),
        }
    }
}

pub fn expire(call: &mut Call<'_, '_>) -> Answer {
    expire_at(call, Time::SECONDS, "expire")
}

pub fn pexpire(call: &mut Call<'_, '_>) -> Answer {
    expire_at(call, Time::MILLIS, "pexpire")
}

pub fn expireat(call: &mut Call<'_, '_>) -> Answer {
    expire_at(call, Time::AT_SECONDS, "expireat")
}

pub fn pexpireat(call: &mut Call<'_, '_>) -> Answer {
    expire_at(call, Time::AT_MILLIS, "pexpireat")
}

/// A key whose time is over goes at once.
fn expire_at(call: &mut Call<'_, '_>, time: Time, command: &str) -> Answer {
    let key = call.args.at(1);
    let condition = Condition::parse(call.args)?;
    let amount = integer(call.args.at(2)).ok_or(NOT_AN_INTEGER)?;
    let millis = millis(call, amount, time, command)?;
    let (store, wall) = (&mut call.state.store, call.state.wall);
    let is_done = store
        .get(key, call.now)
        .is_some_and(|item| condition.holds(item.due.map(|due| wall.millis(due)), millis));
    if is_done {
        match wall.moment(millis).filter(|&due| due > call.now) {
            Some(due) => drop(store.expire(key, Some(due), call.now)),
            None => drop(store.remove(key, call.now)),
        }
    }
    call.out.int(is_done.into());
    Ok(())
}

pub fn persist(call: &mut Call<'_, '_>) -> Answer {
    let key = call.args.at(1);
    let expires = call.state.store.get(key, call.now).is_some_and(|item| item.due.is_some());
    call.out.int((expires && call.state.store.expire(key, None, call.now)).into());
    Ok(())
}

/// To the nearest second.
pub fn ttl(call: &mut Call<'_, '_>) -> Answer {
    tell(call, |due, now| ((due - now).max(0) + 500) / 1000)
}

pub fn pttl(call: &mut Call<'_, '_>) -> Answer {
    tell(call, |due, now| (due - now).max(0))
}

pub fn expiretime(call: &mut Call<'_, '_>) -> Answer {
    tell(call, |due, _| due.saturating_add(500) / 1000)
}

pub fn pexpiretime(call: &mut Call<'_, '_>) -> Answer {
    tell(call, |due, _| due)
}

/// What follows from when the key expires and from now; -1: it never does, -2: there is no such key.
fn tell(call: &mut Call<'_, '_>, what: impl FnOnce(i64, i64) -> i64) -> Answer {
    let wall = call.state.wall;
    let due = call.state.store.get(call.args.at(1), call.now).map(|item| item.due);
    call.out.int(match due {
        None => -2,
        Some(None) => -1,
        Some(Some(due)) => what(wall.millis(due), wall.millis(call.now)),
    });
    Ok(())
}
