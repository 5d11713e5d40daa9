//! Commands on keys: whether, how long, which.

use std::time::{Duration, Instant};

use super::super::{
    glob,
    request::Args,
    resp::{self, integer},
};
use super::{Answer, Call, Capitals, Fault, NOT_AN_INTEGER, SYNTAX};

/// How many keys SCAN looks at unless told.
const SCAN_COUNT: usize = 10;

/// Redis adds the time of day to a lifetime, in milliseconds, and refuses what no longer fits. So
/// does this, as if it were the year 2039.
const LONGEST_LIFETIME: i64 = i64::MAX - (1 << 41);

pub fn del(call: &mut Call<'_, '_>) -> Answer {
    let (store, now) = (&mut call.state.store, call.conn.now());
    let removed = call.args.from(1).filter(|key| store.remove(key, now).is_some()).count();
    resp::int(call.conn, removed as i64);
    Ok(())
}

pub fn exists(call: &mut Call<'_, '_>) -> Answer {
    let (store, now) = (&call.state.store, call.conn.now());
    let found = call.args.from(1).filter(|key| store.get(key, now).is_some()).count();
    resp::int(call.conn, found as i64);
    Ok(())
}

/// A lifetime in milliseconds, of a number of units of so many milliseconds each.
pub fn lifetime(text: &[u8], unit: i64, command: &str) -> Answer<i64> {
    let amount = integer(text).ok_or(NOT_AN_INTEGER)?;
    let millis = amount.checked_mul(unit).filter(|&millis| millis <= LONGEST_LIFETIME);
    millis.ok_or_else(|| invalid_expiry(command))
}

pub fn invalid_expiry(command: &str) -> Fault {
    format!("ERR invalid expire time in '{command}' command").into_bytes().into()
}

pub fn expire(call: &mut Call<'_, '_>) -> Answer {
    expire_in(call, 1000, "expire")
}

pub fn pexpire(call: &mut Call<'_, '_>) -> Answer {
    expire_in(call, 1, "pexpire")
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

    /// `new` is `None` where it lies in the past.
    fn holds(&self, current: Option<Instant>, new: Option<Instant>) -> bool {
        match current {
            None => !self.xx && !self.gt,
            Some(_) if self.nx => false,
            Some(current) => {
                (!self.gt || new.is_some_and(|new| new > current))
                    && (!self.lt || new.is_none_or(|new| new < current))
            }
        }
    }
}

fn expire_in(call: &mut Call<'_, '_>, unit: i64, command: &str) -> Answer {
    let (key, now) = (call.args.at(1), call.conn.now());
    let condition = Condition::parse(call.args)?;
    let millis = lifetime(call.args.at(2), unit, command)?;
    let due = (millis > 0).then(|| now + Duration::from_millis(millis as u64));
    let store = &mut call.state.store;
    let done = store.get(key, now).is_some_and(|item| condition.holds(item.due, due));
    match due {
        _ if !done => {}
        Some(_) => drop(store.expire(key, due, now)),
        None => drop(store.remove(key, now)),
    }
    resp::int(call.conn, done.into());
    Ok(())
}

pub fn persist(call: &mut Call<'_, '_>) -> Answer {
    let (key, now) = (call.args.at(1), call.conn.now());
    let expires = call.state.store.get(key, now).is_some_and(|item| item.due.is_some());
    resp::int(call.conn, (expires && call.state.store.expire(key, None, now)).into());
    Ok(())
}

/// In seconds, to the nearest one.
pub fn ttl(call: &mut Call<'_, '_>) -> Answer {
    let millis = time_left(call);
    resp::int(call.conn, if millis < 0 { millis } else { (millis + 500) / 1000 });
    Ok(())
}

pub fn pttl(call: &mut Call<'_, '_>) -> Answer {
    let millis = time_left(call);
    resp::int(call.conn, millis);
    Ok(())
}

/// In milliseconds; -1: it never expires, -2: there is no such key.
fn time_left(call: &Call<'_, '_>) -> i64 {
    let now = call.conn.now();
    match call.state.store.get(call.args.at(1), now).map(|item| item.due) {
        None => -2,
        Some(None) => -1,
        Some(Some(due)) => due.saturating_duration_since(now).as_millis() as i64,
    }
}

/// TYPE. There is one type here.
pub fn kind(call: &mut Call<'_, '_>) -> Answer {
    let found = call.state.store.get(call.args.at(1), call.conn.now()).is_some();
    resp::simple(call.conn, if found { "string" } else { "none" });
    Ok(())
}

pub fn keys(call: &mut Call<'_, '_>) -> Answer {
    let pattern = call.args.at(1);
    let keys = call.state.store.keys(call.conn.now());
    let keys: Vec<_> = keys.filter(|key| glob::matches(pattern, key)).collect();
    bulks(call.conn, &keys);
    Ok(())
}

pub fn scan(call: &mut Call<'_, '_>) -> Answer {
    let cursor = str::from_utf8(call.args.at(1)).ok().and_then(|text| text.parse().ok());
    let cursor: u64 = cursor.ok_or(b"ERR invalid cursor")?;
    let (mut pattern, mut count, mut strings) = (None, SCAN_COUNT, true);
    let mut words = call.args.from(2);
    while let Some(word) = words.next() {
        let value = words.next().ok_or(SYNTAX)?;
        match Capitals::of(word).as_bytes() {
            b"MATCH" => pattern = Some(value),
            b"COUNT" => {
                let number = integer(value).ok_or(NOT_AN_INTEGER)?;
                count = usize::try_from(number).ok().filter(|&count| count > 0).ok_or(SYNTAX)?;
            }
            b"TYPE" => strings = value.eq_ignore_ascii_case(b"string"),
            _ => return Err(SYNTAX),
        }
    }
    let (mut keys, next) = call.state.store.scan(cursor, count, call.conn.now());
    keys.retain(|key| strings && pattern.is_none_or(|pattern| glob::matches(pattern, key)));
    resp::array(call.conn, 2);
    resp::bulk(call.conn, next.to_string().as_bytes());
    bulks(call.conn, &keys);
    Ok(())
}

fn bulks(out: &mut impl resp::Sink, items: &[&[u8]]) {
    resp::array(out, items.len());
    for item in items {
        resp::bulk(out, item);
    }
}

pub fn random(call: &mut Call<'_, '_>) -> Answer {
    let now = call.conn.now();
    resp::bulk_or_null(call.conn, call.state.store.random(now));
    Ok(())
}

pub fn rename(call: &mut Call<'_, '_>) -> Answer {
    let now = call.conn.now();
    if !call.state.store.rename(call.args.at(1), call.args.at(2), now) {
        return Err(b"ERR no such key".into());
    }
    resp::ok(call.conn);
    Ok(())
}

pub fn dbsize(call: &mut Call<'_, '_>) -> Answer {
    resp::int(call.conn, call.state.store.len() as i64);
    Ok(())
}

/// FLUSHALL, FLUSHDB. It is done at once in either mode: nothing is left for later.
pub fn flush(call: &mut Call<'_, '_>) -> Answer {
    let mode = call.args.get(1).map(Capitals::of);
    let known = mode.is_none_or(|mode| matches!(mode.as_bytes(), b"SYNC" | b"ASYNC"));
    if !known || call.args.len() > 2 {
        return Err(SYNTAX);
    }
    call.state.store.clear();
    resp::ok(call.conn);
    Ok(())
}
