//! Commands on keys: whether, which, and under what name.

use super::super::{
    glob,
    resp::{Decimal, integer},
    store::{Expiry, Item},
};
use super::{Answer, Call, Capitals, NOT_AN_INTEGER, SYNTAX, connection::check_database};

/// How many keys SCAN looks at unless told.
const SCAN_COUNT: usize = 10;

pub fn del(call: &mut Call<'_, '_>) -> Answer {
    let (store, now) = (&mut call.state.store, call.now);
    let removed = call.args.from(1).filter(|key| store.remove(key, now).is_some()).count();
    call.out.int(removed as i64);
    Ok(())
}

pub fn exists(call: &mut Call<'_, '_>) -> Answer {
    let (store, now) = (&call.state.store, call.now);
    let found = call.args.from(1).filter(|key| store.get(key, now).is_some()).count();
    call.out.int(found as i64);
    Ok(())
}

/// TYPE. There is one type here.
pub fn kind(call: &mut Call<'_, '_>) -> Answer {
    let found = call.state.store.get(call.args.at(1), call.now).is_some();
    call.out.simple(if found { "string" } else { "none" });
    Ok(())
}

pub fn keys(call: &mut Call<'_, '_>) -> Answer {
    let pattern = call.args.at(1);
    let keys = call.state.store.keys(call.now);
    let keys: Vec<_> = keys.filter(|key| glob::matches(pattern, key)).collect();
    call.out.bulks(&keys);
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
    let (mut keys, next) = call.state.store.scan(cursor, count, call.now);
    keys.retain(|key| strings && pattern.is_none_or(|pattern| glob::matches(pattern, key)));
    call.out.array(2);
    call.out.bulk(next.to_string().as_bytes());
    call.out.bulks(&keys);
    Ok(())
}

pub fn random(call: &mut Call<'_, '_>) -> Answer {
    call.out.bulk_or_null(call.state.store.random(call.now));
    Ok(())
}

pub fn rename(call: &mut Call<'_, '_>) -> Answer {
    if !call.state.store.rename(call.args.at(1), call.args.at(2), call.now) {
        return Err(b"ERR no such key".into());
    }
    call.out.ok();
    Ok(())
}

/// Only if nobody has the new name.
pub fn renamenx(call: &mut Call<'_, '_>) -> Answer {
    let [from, to] = [1, 2].map(|at| call.args.at(at));
    if call.state.store.get(from, call.now).is_none() {
        return Err(b"ERR no such key".into());
    }
    let is_free = call.state.store.get(to, call.now).is_none();
    call.out.int((is_free && call.state.store.rename(from, to, call.now)).into());
    Ok(())
}

/// Value and expiry under another name as well, in place of what had it only if that is said.
pub fn copy(call: &mut Call<'_, '_>) -> Answer {
    let [from, to] = [1, 2].map(|at| call.args.at(at));
    let (mut words, mut replaces) = (call.args.from(3), false);
    while let Some(word) = words.next() {
        match Capitals::of(word).as_bytes() {
            b"REPLACE" => replaces = true,
            b"DB" => check_database(words.next().ok_or(SYNTAX)?)?,
            _ => return Err(SYNTAX),
        }
    }
    if from == to {
        return Err(b"ERR source and destination objects are the same".into());
    }
    let store = &mut call.state.store;
    let is_free = replaces || store.get(to, call.now).is_none();
    let source = store.get(from, call.now).filter(|_| is_free);
    let source = source.map(|item| (item.value.clone(), item.due));
    call.out.int(source.is_some().into());
    if let Some((value, due)) = source {
        store.set(to, &value, due.map_or(Expiry::Never, Expiry::At), call.now);
    }
    Ok(())
}

/// With those that have expired and are not purged yet.
pub fn dbsize(call: &mut Call<'_, '_>) -> Answer {
    call.out.int(call.state.store.len() as i64);
    Ok(())
}

/// FLUSHALL, FLUSHDB. It is done at once in either mode: nothing is left for later.
pub fn flush(call: &mut Call<'_, '_>) -> Answer {
    let mode = call.args.get(1).map(Capitals::of);
    let known = mode.is_none_or(|mode| matches!(mode.as_bytes(), b"SYNC" | b"ASYNC"));
    if !known || call.args.len() > 2 {
        return Err(SYNTAX);
    }
    call.state.store.clear(call.now);
    call.out.ok();
    Ok(())
}

/// How Redis would keep a value that was set to this. Here all are kept as bytes.
pub fn encoding(call: &mut Call<'_, '_>) -> Answer {
    /// The longest one that stands in one piece with its head.
    const EMBEDDED: usize = 44;
    let name = |item: &Item| match item.value.as_slice() {
        value if integer(value).is_some_and(|n| Decimal::new(n).as_bytes() == value) => "int",
        value if value.len() <= EMBEDDED => "embstr",
        _ => "raw",
    };
    let item = call.state.store.get(call.args.at(2), call.now);
    call.out.bulk_or_null(item.map(|item| name(item).as_bytes()));
    Ok(())
}

/// A value has one key.
pub fn refcount(call: &mut Call<'_, '_>) -> Answer {
    match call.state.store.get(call.args.at(2), call.now) {
        Some(_) => call.out.int(1),
        None => call.out.null(),
    }
    Ok(())
}
