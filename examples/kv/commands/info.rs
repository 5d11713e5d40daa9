//! INFO: what the server knows about itself, in sections.

use std::{fmt::Write, fs, process};

use nix::sys::resource::{Usage, UsageWho, getrusage};

use super::{Answer, Call};

/// The Redis that this one resembles; clients look at it to know what they may use.
pub const VERSION: &str = "7.0.15";

/// A section of INFO and what writes its lines.
type Section = (&'static str, fn(&mut Call<'_, '_>) -> Vec<(&'static str, String)>);

const SECTIONS: [Section; 8] = [
    ("Server", server),
    ("Clients", clients),
    ("Memory", memory),
    ("Persistence", persistence),
    ("Stats", stats),
    ("Replication", replication),
    ("CPU", cpu),
    ("Keyspace", keyspace),
];

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
    call.out.text(text.as_bytes());
    Ok(())
}

fn server(call: &mut Call<'_, '_>) -> Vec<(&'static str, String)> {
    let age = call.now.saturating_duration_since(call.state.since);
    let net = &mut *call.out.conn.net;
    let port =
        net.addresses().iter().find_map(|address| address.rsplit_once(':')?.1.parse::<u16>().ok());
    let engine = net.engine().map_or("none".to_owned(), |engine| engine.to_string());
    vec![
        ("redis_version", VERSION.to_owned()),
        ("redis_mode", "standalone".to_owned()),
        ("os", "Linux".to_owned()),
        ("arch_bits", usize::BITS.to_string()),
        ("multiplexing_api", "epoll".to_owned()),
        ("process_id", process::id().to_string()),
        ("run_id", run_id(call)),
        ("tcp_port", port.unwrap_or_default().to_string()),
        ("uptime_in_seconds", age.as_secs().to_string()),
        ("uptime_in_days", (age.as_secs() / 86_400).to_string()),
        ("heirloom_generation", call.out.conn.net.generation().to_string()),
        ("heirloom_engine", engine),
    ]
}

/// Forty digits that are this service's alone; all its generations are one.
fn run_id(call: &Call<'_, '_>) -> String {
    format!("{:040x}", call.state.store.seed().identity())
}

fn clients(call: &mut Call<'_, '_>) -> Vec<(&'static str, String)> {
    let listeners = call.state.hub.listeners();
    vec![
        ("connected_clients", call.out.conn.net.connections().to_string()),
        ("blocked_clients", "0".to_owned()),
        ("pubsub_clients", listeners.to_string()),
    ]
}

/// Of the process; nobody counts what the keys take.
fn memory(_call: &mut Call<'_, '_>) -> Vec<(&'static str, String)> {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let bytes = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
        kib.unwrap_or_default() * 1024
    };
    let used = bytes("VmRSS:");
    vec![
        ("used_memory", used.to_string()),
        ("used_memory_human", format!("{:.2}M", used as f64 / 1048576.0)),
        ("used_memory_rss", used.to_string()),
        ("used_memory_peak", bytes("VmHWM:").to_string()),
        ("maxmemory", "0".to_owned()),
        ("maxmemory_policy", "noeviction".to_owned()),
        ("mem_allocator", "libc".to_owned()),
    ]
}

/// Clients wait for a server that is still loading. One that answers has all its keys.
fn persistence(_call: &mut Call<'_, '_>) -> Vec<(&'static str, String)> {
    vec![("loading", "0".to_owned())]
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

/// Nobody follows, and this one follows nobody.
fn replication(call: &mut Call<'_, '_>) -> Vec<(&'static str, String)> {
    vec![
        ("role", "master".to_owned()),
        ("connected_slaves", "0".to_owned()),
        ("master_replid", run_id(call)),
        ("master_repl_offset", "0".to_owned()),
    ]
}

fn cpu(_call: &mut Call<'_, '_>) -> Vec<(&'static str, String)> {
    let seconds = |who, time: fn(&Usage) -> nix::sys::time::TimeVal| {
        let time = getrusage(who).map(|usage| time(&usage));
        time.map_or("0".to_owned(), |time| format!("{}.{:06}", time.tv_sec(), time.tv_usec()))
    };
    let (own, children) = (UsageWho::RUSAGE_SELF, UsageWho::RUSAGE_CHILDREN);
    vec![
        ("used_cpu_sys", seconds(own, Usage::system_time)),
        ("used_cpu_user", seconds(own, Usage::user_time)),
        ("used_cpu_sys_children", seconds(children, Usage::system_time)),
        ("used_cpu_user_children", seconds(children, Usage::user_time)),
    ]
}

fn keyspace(call: &mut Call<'_, '_>) -> Vec<(&'static str, String)> {
    let (keys, expires) = (call.state.store.len(), call.state.store.expiring());
    if keys == 0 {
        return Vec::new();
    }
    vec![("db0", format!("keys={keys},expires={expires},avg_ttl=0"))]
}
