//! Every command that changes keys against a plain map, with time that goes by; and a copy of the keys that hears
//! of the changes alone, as a new program does while clients go on writing.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::{
    super::{saved, wall::Wall},
    *,
};

/// A value, and the millisecond of its end.
type Model = BTreeMap<&'static str, (String, Option<i64>)>;

const KEYS: [&str; 4] = ["a", "b", "c", "d"];

#[derive(Clone, Debug)]
enum Step {
    /// `SET key value`, its options, and the milliseconds of an expiry.
    Set(&'static str, u8, Option<&'static str>, Option<i64>),
    Setnx(&'static str, u8),
    Psetex(&'static str, u8, i64),
    Getex(&'static str, Option<i64>),
    Getset(&'static str, u8),
    Getdel(&'static str),
    Mset(&'static str, &'static str, u8),
    Msetnx(&'static str, &'static str, u8),
    Append(&'static str, u8),
    Setrange(&'static str, usize, u8),
    Incrby(&'static str, i64),
    Incrbyfloat(&'static str, u8),
    Del(&'static str, &'static str),
    Rename(&'static str, &'static str),
    Renamenx(&'static str, &'static str),
    Copy(&'static str, &'static str, bool),
    Pexpire(&'static str, i64),
    Pexpireat(&'static str, i64),
    Persist(&'static str),
    Flush,
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let key = || prop::sample::select(KEYS.to_vec());
    let (digit, time) = (|| 0u8..10, || 1i64..40);
    let option = prop::option::of(prop::sample::select(vec!["NX", "XX", "KEEPTTL", "IFEQ 3"]));
    prop_oneof![
        4 => (key(), digit(), option, prop::option::of(time()))
            .prop_map(|(key, value, option, time)| Step::Set(key, value, option, time)),
        1 => (key(), digit()).prop_map(|(key, value)| Step::Setnx(key, value)),
        1 => (key(), digit(), time()).prop_map(|(key, value, time)| Step::Psetex(key, value, time)),
        1 => (key(), prop::option::of(time())).prop_map(|(key, time)| Step::Getex(key, time)),
        1 => (key(), digit()).prop_map(|(key, value)| Step::Getset(key, value)),
        1 => key().prop_map(Step::Getdel),
        1 => (key(), key(), digit()).prop_map(|(one, two, value)| Step::Mset(one, two, value)),
        1 => (key(), key(), digit()).prop_map(|(one, two, value)| Step::Msetnx(one, two, value)),
        1 => (key(), digit()).prop_map(|(key, value)| Step::Append(key, value)),
        1 => (key(), 0usize..4, digit()).prop_map(|(key, at, value)| Step::Setrange(key, at, value)),
        1 => (key(), -5i64..5).prop_map(|(key, amount)| Step::Incrby(key, amount)),
        1 => (key(), digit()).prop_map(|(key, amount)| Step::Incrbyfloat(key, amount)),
        1 => (key(), key()).prop_map(|(one, two)| Step::Del(one, two)),
        1 => (key(), key()).prop_map(|(from, to)| Step::Rename(from, to)),
        1 => (key(), key()).prop_map(|(from, to)| Step::Renamenx(from, to)),
        1 => (key(), key(), any::<bool>()).prop_map(|(from, to, over)| Step::Copy(from, to, over)),
        1 => (key(), -5i64..40).prop_map(|(key, time)| Step::Pexpire(key, time)),
        1 => (key(), -5i64..40).prop_map(|(key, time)| Step::Pexpireat(key, time)),
        1 => key().prop_map(Step::Persist),
        1 => Just(Step::Flush),
        3 => (0u64..15).prop_map(Step::Wait),
    ]
}

/// The command as a client writes it. `now` is the millisecond.
fn line(step: &Step, now: i64) -> String {
    match step {
        Step::Set(key, value, option, time) => {
            // KEEPTTL and an expiry exclude each other.
            let time = time.filter(|_| *option != Some("KEEPTTL"));
            let time = time.map_or(String::new(), |time| format!("PX {time}"));
            format!("SET {key} {value} {} {time}", option.unwrap_or_default())
        }
        Step::Setnx(key, value) => format!("SETNX {key} {value}"),
        Step::Psetex(key, value, time) => format!("PSETEX {key} {time} {value}"),
        Step::Getex(key, Some(time)) => format!("GETEX {key} PXAT {}", now + time - 5),
        Step::Getex(key, None) => format!("GETEX {key} PERSIST"),
        Step::Getset(key, value) => format!("GETSET {key} {value}"),
        Step::Getdel(key) => format!("GETDEL {key}"),
        Step::Mset(one, two, value) => format!("MSET {one} {value} {two} x{value}"),
        Step::Msetnx(one, two, value) => format!("MSETNX {one} {value} {two} x{value}"),
        Step::Append(key, value) => format!("APPEND {key} {value}"),
        Step::Setrange(key, at, value) => format!("SETRANGE {key} {at} {value}"),
        Step::Incrby(key, amount) => format!("INCRBY {key} {amount}"),
        Step::Incrbyfloat(key, amount) => format!("INCRBYFLOAT {key} 0.{amount}"),
        Step::Del(one, two) => format!("DEL {one} {two}"),
        Step::Rename(from, to) => format!("RENAME {from} {to}"),
        Step::Renamenx(from, to) => format!("RENAMENX {from} {to}"),
        Step::Copy(from, to, over) => {
            format!("COPY {from} {to} {}", if *over { "REPLACE" } else { "" })
        }
        Step::Pexpire(key, time) => format!("PEXPIRE {key} {time}"),
        Step::Pexpireat(key, time) => format!("PEXPIREAT {key} {}", now + time),
        Step::Persist(key) => format!("PERSIST {key}"),
        Step::Flush => "FLUSHALL".to_owned(),
        Step::Wait(_) => "PING".to_owned(),
    }
}

/// The same on the plain map.
fn apply(step: &Step, model: &mut Model, now: i64) {
    let has = |model: &Model, key: &str| model.contains_key(key);
    match *step {
        Step::Set(key, value, option, time) => {
            let before = model.get(key).cloned();
            let is_allowed = match option {
                Some("NX") => before.is_none(),
                Some("XX") => before.is_some(),
                Some("IFEQ 3") => before.as_ref().is_some_and(|(value, _)| value == "3"),
                _ => true,
            };
            let due = match option {
                Some("KEEPTTL") => before.and_then(|(_, due)| due),
                _ => time.map(|time| now + time),
            };
            if is_allowed {
                model.insert(key, (value.to_string(), due));
            }
        }
        Step::Setnx(key, value) => {
            model.entry(key).or_insert((value.to_string(), None));
        }
        Step::Psetex(key, value, time) => {
            drop(model.insert(key, (value.to_string(), Some(now + time))))
        }
        Step::Getex(key, time) => {
            model.entry(key).and_modify(|item| item.1 = time.map(|time| now + time - 5));
        }
        Step::Getset(key, value) => drop(model.insert(key, (value.to_string(), None))),
        Step::Getdel(key) => drop(model.remove(key)),
        Step::Msetnx(one, two, _) if has(model, one) || has(model, two) => {}
        Step::Mset(one, two, value) | Step::Msetnx(one, two, value) => {
            model.insert(one, (value.to_string(), None));
            model.insert(two, (format!("x{value}"), None));
        }
        Step::Append(key, value) => model.entry(key).or_default().0 += &value.to_string(),
        Step::Setrange(key, at, value) => {
            let item = &mut model.entry(key).or_default().0;
            while item.len() <= at {
                item.push('\0');
            }
            item.replace_range(at..=at, &value.to_string());
        }
        Step::Incrby(key, amount) => {
            change_number(model, key, |number| number + amount as f64, true)
        }
        Step::Incrbyfloat(key, amount) => {
            change_number(model, key, |number| number + f64::from(amount) / 10.0, false);
        }
        Step::Del(one, two) => drop((model.remove(one), model.remove(two))),
        Step::Renamenx(_, to) if has(model, to) => {}
        Step::Rename(from, to) | Step::Renamenx(from, to) => {
            let item = model.remove(from);
            model.extend(item.map(|item| (to, item)));
        }
        Step::Copy(from, to, over) => {
            if from != to && (over || !has(model, to)) {
                let item = model.get(from).cloned();
                model.extend(item.map(|item| (to, item)));
            }
        }
        Step::Pexpire(key, time) | Step::Pexpireat(key, time) => {
            model.entry(key).and_modify(|item| item.1 = Some(now + time));
        }
        Step::Persist(key) => drop(model.entry(key).and_modify(|item| item.1 = None)),
        Step::Flush => model.clear(),
        Step::Wait(_) => {}
    }
}

/// Numbers of a few tenths, which 64 bits hold well enough to be rounded.
fn change_number(model: &mut Model, key: &'static str, change: impl Fn(f64) -> f64, whole: bool) {
    let item = model.get(key);
    let text = item.map_or("0", |(value, _)| value);
    let is_whole = text == "0" || (!text.starts_with('0') && text.parse::<i64>().is_ok());
    let Ok(number) = text.parse::<f64>() else { return };
    if whole && !is_whole {
        return;
    }
    let due = item.and_then(|(_, due)| *due);
    // What a client has appended may be behind the point.
    let digits = text.split_once('.').map_or(1, |(_, behind)| behind.len().max(1));
    let scale = 10f64.powi(digits as i32);
    let sum = (change(number) * scale).round() / scale;
    model.insert(key, (sum.to_string(), due));
}

fn expire(model: &mut Model, now: i64) {
    model.retain(|_, (_, due)| due.is_none_or(|due| now < due));
}

/// What the store has, as the plain map has it.
fn shown(state: &State, now: Instant) -> BTreeMap<String, (String, Option<i64>)> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let live = state.store.items().filter(|item| item.due.is_none_or(|due| now < due));
    let due = |due: Option<Instant>| due.map(|due| state.wall.millis(due));
    live.map(|item| (text(&item.key), (text(&item.value), due(item.due)))).collect()
}

fn same(model: &Model) -> BTreeMap<String, (String, Option<i64>)> {
    model.iter().map(|(key, item)| (key.to_string(), item.clone())).collect()
}

/// The time of day of the service in the harness, at this moment.
fn now(harness: &mut Harness<Kv>) -> (Instant, i64, Wall) {
    let (now, wall) = (harness.net().now(), harness.service().state.wall);
    (now, wall.millis(now), wall)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn every_write_does_what_a_plain_map_would(
        before in prop::collection::vec(step(), 0..20),
        after in prop::collection::vec(step(), 0..60),
    ) {
        let (mut harness, peer) = start();
        let (mut model, tracked_from) = (Model::new(), before.len());
        let mut copy = Kv::new();
        for (number, step) in before.iter().chain(&after).enumerate() {
            if number == tracked_from {
                let (moment, _, wall) = now(&mut harness);
                harness.service().state.store.touched.track(true);
                let mut bytes = Vec::new();
                saved::save(&harness.service().state, &mut bytes, moment).unwrap();
                copy.state.wall = wall;
                saved::load(&mut copy.state, &mut bytes.as_slice(), moment).unwrap();
            }
            if let Step::Incrbyfloat(key, _) = step
                && model.get(key).is_some_and(|(value, _)| value.len() > 12)
            {
                continue; // more digits than the model's numbers have
            }
            if let Step::Wait(millis) = step {
                harness.advance(Duration::from_millis(*millis));
            }
            let (moment, millis, _) = now(&mut harness);
            expire(&mut model, millis);
            ask(&mut harness, peer, &line(step, millis));
            apply(step, &mut model, millis);
            expire(&mut model, millis);
            prop_assert_eq!(shown(&harness.service().state, moment), same(&model), "{}", line(step, millis));
        }
        if !after.is_empty() {
            let (moment, ..) = now(&mut harness);
            let mut bytes = Vec::new();
            saved::save_changes(&mut harness.service().state, &mut bytes, usize::MAX, moment).unwrap();
            saved::load_changes(&mut copy.state, &mut bytes.as_slice(), moment).unwrap();
            prop_assert_eq!(shown(&copy.state, moment), same(&model));
        }
    }
}
