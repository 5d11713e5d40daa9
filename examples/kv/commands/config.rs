//! CONFIG: how this server is. What it is cannot be changed while it runs; to ask for what is the case is no error.

use super::super::glob;
use super::{Answer, Call, Fault};

const SETTINGS: [(&str, &str); 9] = [
    ("appendonly", "no"),
    ("cluster-enabled", "no"),
    ("daemonize", "no"),
    ("databases", "1"),
    ("maxmemory", "0"),
    ("maxmemory-policy", "noeviction"),
    ("proto-max-bulk-len", "536870912"),
    ("save", ""),
    ("timeout", "0"),
];

pub fn get(call: &mut Call<'_, '_>) -> Answer {
    let patterns: Vec<_> = call.args.from(2).map(<[u8]>::to_ascii_lowercase).collect();
    let matches = |name: &str| patterns.iter().any(|p| glob::matches(p, name.as_bytes()));
    let found: Vec<_> = SETTINGS.iter().filter(|(name, _)| matches(name)).collect();
    call.out.map(found.len());
    for (name, value) in found {
        call.out.bulk(name.as_bytes());
        call.out.bulk(value.as_bytes());
    }
    Ok(())
}

/// Nothing is changed, so it is all or nothing.
pub fn set(call: &mut Call<'_, '_>) -> Answer {
    let mut words = call.args.from(2);
    if words.len() % 2 == 1 {
        return Err(b"ERR wrong number of arguments for 'config|set' command".into());
    }
    let mut asked: Vec<(&str, &str, &[u8])> = Vec::new();
    while let (Some(name), Some(value)) = (words.next(), words.next()) {
        let known = SETTINGS.iter().find(|(known, _)| name.eq_ignore_ascii_case(known.as_bytes()));
        let &(known, is) = known.ok_or_else(|| unknown(name))?;
        if asked.iter().any(|&(other, ..)| other == known) {
            return Err(failed(known, "duplicate parameter"));
        }
        asked.push((known, is, value));
    }
    let other = asked.iter().find(|(_, is, value)| !value.eq_ignore_ascii_case(is.as_bytes()));
    if let Some((name, ..)) = other {
        return Err(failed(name, "can't set immutable config"));
    }
    call.out.ok();
    Ok(())
}

fn unknown(name: &[u8]) -> Fault {
    let start = b"ERR Unknown option or number of arguments for CONFIG SET - '";
    [&start[..], name, b"'"].concat().into()
}

fn failed(name: &str, why: &str) -> Fault {
    format!("ERR CONFIG SET failed (possibly related to argument '{name}') - {why}")
        .into_bytes()
        .into()
}
