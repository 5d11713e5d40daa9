//! Commands about the server: INFO, CONFIG GET, COMMAND.

use std::{fmt::Write, process};

use super::super::{glob, resp};
use super::{
    Answer, Call,
    table::{self, Kind, Spec},
};

/// The Redis that this one resembles; clients look at it to know what they may use.
pub const VERSION: &str = "7.0.15";

/// A section of INFO and what writes its lines.
type Section = (&'static str, fn(&mut Call<'_, '_>) -> Vec<(&'static str, String)>);

const SECTIONS: [Section; 4] =
    [("Server", server), ("Clients", clients), ("Stats", stats), ("Keyspace", keyspace)];

/// Names that mean every section.
const EVERYTHING: [&[u8]; 3] = [b"all", b"default", b"everything"];

pub fn info(call: &mut Call<'_, '_>) -> Answer {
    let args = call.args;
    let is = |arg: &[u8], name: &[u8]| arg.eq_ignore_ascii_case(name);
    let all = args.len() == 1
        || args.from(1).any(|arg| EVERYTHING.iter().any(|everything| is(arg, everything)));
    let mut text = String::new();
    for (name, lines) in SECTIONS {
        if !all && !args.from(1).any(|arg| is(arg, name.as_bytes())) {
            continue;
        }
        if !text.is_empty() {
            text.push_str("\r\n");
        }
        let _ = write!(text, "# {name}\r\n"); // writing to a String cannot fail
        for (key, value) in lines(call) {
            let _ = write!(text, "{key}:{value}\r\n");
        }
    }
    resp::bulk(call.conn, text.as_bytes());
    Ok(())
}

fn server(call: &mut Call<'_, '_>) -> Vec<(&'static str, String)> {
    let age = call.conn.now().saturating_duration_since(call.state.since);
    let net = &mut *call.conn.net;
    let engine = net.engine().map_or("none".to_owned(), |engine| engine.to_string());
    vec![
        ("redis_version", VERSION.to_owned()),
        ("redis_mode", "standalone".to_owned()),
        ("process_id", process::id().to_string()),
        ("uptime_in_seconds", age.as_secs().to_string()),
        ("heirloom_generation", net.generation().to_string()),
        ("heirloom_engine", engine),
    ]
}

fn clients(call: &mut Call<'_, '_>) -> Vec<(&'static str, String)> {
    vec![("connected_clients", call.conn.net.connections().to_string())]
}

fn stats(call: &mut Call<'_, '_>) -> Vec<(&'static str, String)> {
    let (channels, patterns) = call.state.hub.counts();
    vec![
        ("total_connections_received", call.state.clients.to_string()),
        ("total_commands_processed", call.state.commands.to_string()),
        ("pubsub_channels", channels.to_string()),
        ("pubsub_patterns", patterns.to_string()),
    ]
}

fn keyspace(call: &mut Call<'_, '_>) -> Vec<(&'static str, String)> {
    let (keys, expires) = (call.state.store.len(), call.state.store.expiring());
    if keys == 0 {
        return Vec::new();
    }
    vec![("db0", format!("keys={keys},expires={expires},avg_ttl=0"))]
}

/// What CONFIG GET knows. Nothing of it can be set; it says how this server is.
const SETTINGS: [(&str, &str); 5] = [
    ("appendonly", "no"),
    ("databases", "1"),
    ("maxmemory", "0"),
    ("proto-max-bulk-len", "536870912"),
    ("save", ""),
];

pub fn config_get(call: &mut Call<'_, '_>) -> Answer {
    let patterns: Vec<_> = call.args.from(2).map(<[u8]>::to_ascii_lowercase).collect();
    let matches = |name: &str| patterns.iter().any(|p| glob::matches(p, name.as_bytes()));
    let found: Vec<_> = SETTINGS.iter().filter(|(name, _)| matches(name)).collect();
    resp::array(call.conn, found.len() * 2);
    for (name, value) in found {
        resp::bulk(call.conn, name.as_bytes());
        resp::bulk(call.conn, value.as_bytes());
    }
    Ok(())
}

/// The commands without the subcommands.
fn commands() -> impl Iterator<Item = &'static Spec> {
    table::NAMES.iter().filter(|name| !name.contains(&b'|')).filter_map(|name| table::find(name))
}

/// COMMAND: all of them.
pub fn command(call: &mut Call<'_, '_>) -> Answer {
    resp::array(call.conn, commands().count());
    commands().for_each(|spec| describe(call, spec));
    Ok(())
}

pub fn command_count(call: &mut Call<'_, '_>) -> Answer {
    resp::int(call.conn, commands().count() as i64);
    Ok(())
}

/// No texts are kept here; redis-cli then does without.
pub fn command_docs(call: &mut Call<'_, '_>) -> Answer {
    resp::array(call.conn, 0);
    Ok(())
}

pub fn command_info(call: &mut Call<'_, '_>) -> Answer {
    let names = call.args.from(2);
    resp::array(call.conn, names.len());
    for name in names {
        match commands().find(|spec| spec.name.eq_ignore_ascii_case(name)) {
            Some(spec) => describe(call, spec),
            None => resp::null(call.conn),
        }
    }
    Ok(())
}

/// Name, arity, flags, where the keys are; and four lists that are empty here: categories, tips, key
/// specifications, subcommands.
fn describe(call: &mut Call<'_, '_>, spec: &Spec) {
    resp::array(call.conn, 10);
    resp::bulk(call.conn, spec.lower_name().as_bytes());
    resp::int(call.conn, spec.arity.into());
    let flag = match spec.kind {
        Kind::Read => Some("readonly"),
        Kind::Write => Some("write"),
        Kind::Other | Kind::Always | Kind::Container => None,
    };
    resp::array(call.conn, flag.iter().len());
    if let Some(flag) = flag {
        resp::simple(call.conn, flag);
    }
    spec.keys.iter().for_each(|&place| resp::int(call.conn, place));
    (0..4).for_each(|_| resp::array(call.conn, 0));
}
