//! Commands on values.

use super::super::{
    resp::{MAX_BULK, integer},
    store::Expiry,
};
use super::{Answer, Call, NOT_AN_INTEGER};

pub fn get(call: &mut Call<'_, '_>) -> Answer {
    let item = call.state.store.get(call.args.at(1), call.now);
    call.out.bulk_or_null(item.map(|item| item.value.as_slice()));
    Ok(())
}

pub fn getset(call: &mut Call<'_, '_>) -> Answer {
    get(call)?;
    call.state.store.set(call.args.at(1), call.args.at(2), Expiry::Never, call.now);
    Ok(())
}

pub fn getdel(call: &mut Call<'_, '_>) -> Answer {
    get(call)?;
    call.state.store.remove(call.args.at(1), call.now);
    Ok(())
}

pub fn mget(call: &mut Call<'_, '_>) -> Answer {
    let keys = call.args.from(1);
    call.out.array(keys.len());
    for key in keys {
        let item = call.state.store.get(key, call.now);
        call.out.bulk_or_null(item.map(|item| item.value.as_slice()));
    }
    Ok(())
}

pub fn mset(call: &mut Call<'_, '_>) -> Answer {
    check_pairs(call, "mset")?;
    set_pairs(call);
    call.out.ok();
    Ok(())
}

/// All of them, or none if one is there.
pub fn msetnx(call: &mut Call<'_, '_>) -> Answer {
    check_pairs(call, "msetnx")?;
    let mut keys = call.args.from(1).step_by(2);
    let is_new = keys.all(|key| call.state.store.get(key, call.now).is_none());
    if is_new {
        set_pairs(call);
    }
    call.out.int(is_new.into());
    Ok(())
}

fn check_pairs(call: &Call<'_, '_>, command: &str) -> Answer {
    if call.args.len().is_multiple_of(2) {
        let why = format!("ERR wrong number of arguments for '{command}' command");
        return Err(why.into_bytes().into());
    }
    Ok(())
}

fn set_pairs(call: &mut Call<'_, '_>) {
    let mut words = call.args.from(1);
    while let (Some(key), Some(value)) = (words.next(), words.next()) {
        call.state.store.set(key, value, Expiry::Never, call.now);
    }
}

pub fn append(call: &mut Call<'_, '_>) -> Answer {
    let (key, more) = (call.args.at(1), call.args.at(2));
    let length = call.state.store.get(key, call.now).map_or(0, |item| item.value.len());
    check_length(length + more.len())?;
    let length = call.state.store.append(key, more, call.now);
    call.out.int(length as i64);
    Ok(())
}

fn check_length(length: usize) -> Answer {
    if length > MAX_BULK {
        return Err(b"ERR string exceeds maximum allowed size (proto-max-bulk-len)".into());
    }
    Ok(())
}

pub fn strlen(call: &mut Call<'_, '_>) -> Answer {
    let item = call.state.store.get(call.args.at(1), call.now);
    call.out.int(item.map_or(0, |item| item.value.len() as i64));
    Ok(())
}

/// From the first to the last byte that are named, each counted from the end if it is below zero.
pub fn getrange(call: &mut Call<'_, '_>) -> Answer {
    let [first, last] = [2, 3].map(|at| integer(call.args.at(at)));
    let (first, last) = (first.ok_or(NOT_AN_INTEGER)?, last.ok_or(NOT_AN_INTEGER)?);
    let item = call.state.store.get(call.args.at(1), call.now);
    let value = item.map_or(&[][..], |item| &item.value);
    let from_start = |at: i64| match usize::try_from(at) {
        Ok(at) => at,
        Err(_) => value.len().saturating_sub(at.unsigned_abs() as usize),
    };
    let is_reversed = first < 0 && last < 0 && first > last;
    let end = from_start(last).saturating_add(1).min(value.len());
    let part = value.get(from_start(first)..end).filter(|_| !is_reversed);
    call.out.bulk(part.unwrap_or_default());
    Ok(())
}

/// Writes over a part of a value. Nothing, where there is nothing, makes no key.
pub fn setrange(call: &mut Call<'_, '_>) -> Answer {
    let (key, bytes) = (call.args.at(1), call.args.at(3));
    let start = integer(call.args.at(2)).ok_or(NOT_AN_INTEGER)?;
    let start = usize::try_from(start).map_err(|_| b"ERR offset is out of range")?;
    if bytes.is_empty() {
        return strlen(call);
    }
    check_length(start.saturating_add(bytes.len()))?;
    let length = call.state.store.overwrite(key, start, bytes, call.now);
    call.out.int(length as i64);
    Ok(())
}
