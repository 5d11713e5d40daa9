//! SET and its relatives: a value, and how long it is there.

use super::super::{request::Args, store::Expiry};
use super::{
    Answer, Call, Capitals, SYNTAX,
    expiry::{Time, moment_ahead},
};

/// What `SET key value` may be followed by.
#[derive(Default)]
struct SetOptions<'a> {
    if_absent: bool,
    if_present: bool,
    /// Only if the value before is this one (of Valkey 8.1 and Redis 8.4).
    if_equal: Option<&'a [u8]>,
    /// The reply is the value before.
    get: bool,
    keep_expiry: bool,
    expiry: Option<(Time, &'a [u8])>,
}

impl<'a> SetOptions<'a> {
    fn parse(args: Args<'a>) -> Answer<SetOptions<'a>> {
        let mut options = SetOptions::default();
        let mut words = args.from(3);
        while let Some(word) = words.next() {
            let word = Capitals::of(word);
            match word.as_bytes() {
                b"NX" if !options.if_present => options.if_absent = true,
                b"XX" if !options.if_absent => options.if_present = true,
                b"IFEQ" => options.if_equal = Some(words.next().ok_or(SYNTAX)?),
                b"GET" => options.get = true,
                b"KEEPTTL" if options.expiry.is_none() => options.keep_expiry = true,
                word if !options.keep_expiry => {
                    let time = Time::named(word).ok_or(SYNTAX)?;
                    if options.expiry.is_some_and(|(other, _)| other != time) {
                        return Err(SYNTAX);
                    }
                    options.expiry = Some((time, words.next().ok_or(SYNTAX)?));
                }
                _ => return Err(SYNTAX),
            }
        }
        if options.if_equal.is_some() && (options.if_absent || options.if_present) {
            return Err(SYNTAX);
        }
        Ok(options)
    }

    /// Whether the value before makes no difference.
    fn asks_nothing(&self) -> bool {
        !(self.if_absent || self.if_present || self.get || self.if_equal.is_some())
    }

    fn allow(&self, before: Option<&[u8]>) -> bool {
        match before {
            Some(before) => !self.if_absent && self.if_equal.is_none_or(|value| value == before),
            None => !self.if_present && self.if_equal.is_none(),
        }
    }
}

pub fn set(call: &mut Call<'_, '_>) -> Answer {
    let (key, value) = (call.args.at(1), call.args.at(2));
    let options = SetOptions::parse(call.args)?;
    let expiry = match options.expiry {
        Some((time, text)) => Expiry::At(moment_ahead(call, text, time, "set")?),
        None if options.keep_expiry => Expiry::Keep,
        None => Expiry::Never,
    };
    if options.asks_nothing() {
        call.state.store.set(key, value, expiry, call.now);
        call.out.ok();
        return Ok(());
    }
    let before = call.state.store.get(key, call.now).map(|item| item.value.as_slice());
    let is_allowed = options.allow(before);
    if options.get {
        call.out.bulk_or_null(before);
    } else if is_allowed {
        call.out.ok();
    } else {
        call.out.null();
    }
    if is_allowed {
        call.state.store.set(key, value, expiry, call.now);
    }
    Ok(())
}

pub fn setnx(call: &mut Call<'_, '_>) -> Answer {
    let key = call.args.at(1);
    let is_absent = call.state.store.get(key, call.now).is_none();
    if is_absent {
        call.state.store.set(key, call.args.at(2), Expiry::Never, call.now);
    }
    call.out.int(is_absent.into());
    Ok(())
}

pub fn setex(call: &mut Call<'_, '_>) -> Answer {
    set_for(call, Time::SECONDS, "setex")
}

pub fn psetex(call: &mut Call<'_, '_>) -> Answer {
    set_for(call, Time::MILLIS, "psetex")
}

fn set_for(call: &mut Call<'_, '_>, time: Time, command: &str) -> Answer {
    let due = moment_ahead(call, call.args.at(2), time, command)?;
    call.state.store.set(call.args.at(1), call.args.at(3), Expiry::At(due), call.now);
    call.out.ok();
    Ok(())
}

/// Reads a value, and may say how long it is there from now on.
pub fn getex(call: &mut Call<'_, '_>) -> Answer {
    let key = call.args.at(1);
    let mut words = call.args.from(2);
    let due = match words.next().map(Capitals::of) {
        None => None,
        Some(word) if word.as_bytes() == b"PERSIST" => Some(None),
        Some(word) => {
            let time = Time::named(word.as_bytes()).ok_or(SYNTAX)?;
            let text = words.next().ok_or(SYNTAX)?;
            if words.len() > 0 {
                return Err(SYNTAX);
            }
            Some(Some(moment_ahead(call, text, time, "getex")?))
        }
    };
    if words.next().is_some() {
        return Err(SYNTAX);
    }
    let item = call.state.store.get(key, call.now);
    call.out.bulk_or_null(item.map(|item| item.value.as_slice()));
    let Some((item, due)) = item.zip(due) else { return Ok(()) };
    match due {
        Some(due) if due <= call.now => drop(call.state.store.remove(key, call.now)),
        due if due != item.due => drop(call.state.store.expire(key, due, call.now)),
        _ => {}
    }
    Ok(())
}
