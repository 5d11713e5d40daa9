//! Commands on values that are numbers.

use super::super::{
    float,
    resp::{Decimal, integer},
    store::Expiry,
};
use super::{Answer, Call, NOT_AN_INTEGER};

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
    let key = call.args.at(1);
    let before = match call.state.store.get(key, call.now) {
        Some(item) => integer(&item.value).ok_or(NOT_AN_INTEGER)?,
        None => 0,
    };
    let sum = before.checked_add(amount);
    let sum = sum.ok_or(b"ERR increment or decrement would overflow")?;
    call.state.store.set(key, Decimal::new(sum).as_bytes(), Expiry::Keep, call.now);
    call.out.int(sum);
    Ok(())
}

pub fn incrbyfloat(call: &mut Call<'_, '_>) -> Answer {
    let (key, amount) = (call.args.at(1), call.args.at(2));
    let item = call.state.store.get(key, call.now);
    let before = item.map_or(&b"0"[..], |item| &item.value);
    let sum = float::sum(before, amount).map_err(|why| why.as_bytes())?;
    call.state.store.set(key, sum.as_bytes(), Expiry::Keep, call.now);
    call.out.bulk(sum.as_bytes());
    Ok(())
}
