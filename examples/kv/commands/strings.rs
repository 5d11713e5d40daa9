//! Commands on values.

use std::time::Duration;

use super::super::{
    request::Args,
    resp::{self, Decimal, MAX_BULK, integer},
    store::Expiry,
};
use super::{Answer, Call, Capitals, NOT_AN_INTEGER, SYNTAX, keys::lifetime};

pub fn get(call: &mut Call<'_, '_>) -> Answer {
    let item = call.state.store.get(call.args.at(1), call.conn.now());
    resp::bulk_or_null(call.conn, item.map(|item| item.value.as_slice()));
    Ok(())
}

/// What `SET key value` may be followed by.
#[derive(Default)]
struct SetOptions<'a> {
    if_absent: bool,
    if_present: bool,
    /// The reply is the value before.
    get: bool,
    keep_expiry: bool,
    /// The milliseconds of one unit of it, and how many of them, as text.
    lifetime: Option<(i64, &'a [u8])>,
}

impl<'a> SetOptions<'a> {
    fn parse(args: Args<'a>) -> Answer<SetOptions<'a>> {
        let mut options = SetOptions::default();
        let mut words = args.from(3);
        while let Some(word) = words.next() {
            match Capitals::of(word).as_bytes() {
                b"NX" if !options.if_present => options.if_absent = true,
                b"XX" if !options.if_absent => options.if_present = true,
                b"GET" => options.get = true,
                b"KEEPTTL" if options.lifetime.is_none() => options.keep_expiry = true,
                unit @ (b"EX" | b"PX") if !options.keep_expiry => {
                    let unit = if unit == b"EX" { 1000 } else { 1 };
                    if options.lifetime.is_some_and(|(other, _)| other != unit) {
                        return Err(SYNTAX);
                    }
                    options.lifetime = Some((unit, words.next().ok_or(SYNTAX)?));
                }
                _ => return Err(SYNTAX),
            }
        }
        Ok(options)
    }

    /// Whether the value before makes no difference.
    fn asks_nothing(&self) -> bool {
        !(self.if_absent || self.if_present || self.get)
    }
}

pub fn set(call: &mut Call<'_, '_>) -> Answer {
    let (key, value, now) = (call.args.at(1), call.args.at(2), call.conn.now());
    let options = SetOptions::parse(call.args)?;
    let expiry = match options.lifetime {
        Some((unit, text)) => match lifetime(text, unit, "set")? {
            millis @ 1.. => Expiry::At(now + Duration::from_millis(millis as u64)),
            _ => return Err(super::keys::invalid_expiry("set")),
        },
        None if options.keep_expiry => Expiry::Keep,
        None => Expiry::Never,
    };
    if options.asks_nothing() {
        call.state.store.set(key, value, expiry, now);
        resp::ok(call.conn);
        return Ok(());
    }
    let before = call.state.store.get(key, now);
    let refused = if before.is_some() { options.if_absent } else { options.if_present };
    if options.get {
        resp::bulk_or_null(call.conn, before.map(|item| item.value.as_slice()));
    } else if refused {
        resp::null(call.conn);
    } else {
        resp::ok(call.conn);
    }
    if !refused {
        call.state.store.set(key, value, expiry, now);
    }
    Ok(())
}

pub fn setnx(call: &mut Call<'_, '_>) -> Answer {
    let (key, now) = (call.args.at(1), call.conn.now());
    let absent = call.state.store.get(key, now).is_none();
    if absent {
        call.state.store.set(key, call.args.at(2), Expiry::Never, now);
    }
    resp::int(call.conn, absent.into());
    Ok(())
}

pub fn getset(call: &mut Call<'_, '_>) -> Answer {
    get(call)?;
    call.state.store.set(call.args.at(1), call.args.at(2), Expiry::Never, call.conn.now());
    Ok(())
}

pub fn getdel(call: &mut Call<'_, '_>) -> Answer {
    get(call)?;
    call.state.store.remove(call.args.at(1), call.conn.now());
    Ok(())
}

pub fn mget(call: &mut Call<'_, '_>) -> Answer {
    let (keys, now) = (call.args.from(1), call.conn.now());
    resp::array(call.conn, keys.len());
    for key in keys {
        let item = call.state.store.get(key, now);
        resp::bulk_or_null(call.conn, item.map(|item| item.value.as_slice()));
    }
    Ok(())
}

pub fn mset(call: &mut Call<'_, '_>) -> Answer {
    let (mut words, now) = (call.args.from(1), call.conn.now());
    if words.len() % 2 == 1 {
        return Err(b"ERR wrong number of arguments for 'mset' command".into());
    }
    while let (Some(key), Some(value)) = (words.next(), words.next()) {
        call.state.store.set(key, value, Expiry::Never, now);
    }
    resp::ok(call.conn);
    Ok(())
}

pub fn append(call: &mut Call<'_, '_>) -> Answer {
    let (key, more, now) = (call.args.at(1), call.args.at(2), call.conn.now());
    let length = call.state.store.get(key, now).map_or(0, |item| item.value.len());
    if length + more.len() > MAX_BULK {
        return Err(b"ERR string exceeds maximum allowed size (proto-max-bulk-len)".into());
    }
    let length = call.state.store.append(key, more, now);
    resp::int(call.conn, length as i64);
    Ok(())
}

pub fn strlen(call: &mut Call<'_, '_>) -> Answer {
    let item = call.state.store.get(call.args.at(1), call.conn.now());
    resp::int(call.conn, item.map_or(0, |item| item.value.len() as i64));
    Ok(())
}

pub fn incr(call: &mut Call<'_, '_>) -> Answer {
    add(call, 1)
}

pub fn decr(call: &mut Call<'_, '_>) -> Answer {
    add(call, -1)
}

pub fn incrby(call: &mut Call<'_, '_>) -> Answer {
    add(call, integer(call.args.at(2)).ok_or(NOT_AN_INTEGER)?)
}

pub fn decrby(call: &mut Call<'_, '_>) -> Answer {
    let amount = integer(call.args.at(2)).ok_or(NOT_AN_INTEGER)?;
    add(call, amount.checked_neg().ok_or(b"ERR decrement would overflow")?)
}

fn add(call: &mut Call<'_, '_>, amount: i64) -> Answer {
    let (key, now) = (call.args.at(1), call.conn.now());
    let before = match call.state.store.get(key, now) {
        Some(item) => integer(&item.value).ok_or(NOT_AN_INTEGER)?,
        None => 0,
    };
    let sum = before.checked_add(amount);
    let sum = sum.ok_or(b"ERR increment or decrement would overflow")?;
    call.state.store.set(key, Decimal::new(sum).as_bytes(), Expiry::Keep, now);
    resp::int(call.conn, sum);
    Ok(())
}
