//! The load of redis-benchmark beside our own: the client that people reach for first, as it is when nothing is set.
//!
//! What it does otherwise, in its version 7.0.15:
//!
//! - Keys and values are short: all its clients have one key of 16 bytes, `key:__rand_int__`, and values of 3 bytes, where ours have a
//!   key for each client and 64 bytes. redis-server keeps up to 44 bytes in one piece with its own head (`embstr`), so these are
//!   the values that cost it least.
//! - Without a SET before, its GET finds nothing, and `$-1` is what costs any server least. Here there is one.
//! - It takes replies apart one by one (hiredis), where ours compares bytes, and answers to one client before it looks at the next. So it is
//!   the slower end for kv, which waits for it at every tenth batch, and not for redis-server, which never waits at 16 and 64.
//!
//! Either client sends a batch with one write and has it answered by one: neither server reads a batch in pieces. So what the kernel takes
//! for a batch is the same for both servers, and most of what ours takes. A GET by redis-benchmark, both pinned, medians of three runs, from
//! `/proc/PID/stat` and `/proc/PID/status` (ticks of 10 ms: the sum is surer than its parts):
//!
//! | for a batch | depth | sleeps | user, µs | system, µs | both, ours to redis |
//! |---|---:|---:|---:|---:|---:|
//! | kv | 1 | 0.105 | 0.50 | 3.87 | 0.89 |
//! | redis-server | 1 | 0.089 | 0.90 | 4.00 | |
//! | kv | 16 | 0.107 | 1.20 | 4.05 | 0.65 |
//! | redis-server | 16 | 0.001 | 4.30 | 3.75 | |
//! | kv | 64 | 0.075 | 2.95 | 4.45 | 0.37 |
//! | redis-server | 64 | 0.000 | 14.75 | 4.85 | |
//!
//! A server that did nothing at all between the system calls would be at 0.79, 0.50 and 0.23.

use std::{
    io,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use crate::{
    common::process::Running,
    load::Outcome,
    work::{Resp, Work},
};

/// Of its own, as of our load.
const CLIENTS: usize = 50;

pub const PROGRAM: &str = "redis-benchmark";

/// Has it ask for about so long.
///
/// # Errors
/// When it cannot be started, or ends otherwise than well.
pub fn run(server: &Running, work: Work, depth: usize, time: Duration) -> io::Result<Outcome> {
    let (verb, version) = match work {
        Work::Get(version) => ("get", version),
        Work::Set(version) => ("set", version),
        Work::Echo | Work::Http => return Err(io::ErrorKind::InvalidInput.into()),
    };
    ask(server, "set", version, 1, CLIENTS as u64)?;
    // It wants to know how many, and not for how long.
    let rate = 100_000.0 * (depth as f64).sqrt();
    let requests = (rate * time.as_secs_f64()) as u64;
    let (cpu, begun) = (server.cpu_time(), Instant::now());
    ask(server, verb, version, depth, requests)?;
    let (time, cpu) = (begun.elapsed(), server.cpu_time().saturating_sub(cpu));
    Ok(Outcome { requests, time, cpu, wrong_bytes: 0, broken: 0 })
}

fn ask(server: &Running, verb: &str, version: Resp, depth: usize, requests: u64) -> io::Result<()> {
    let port = server.address.rsplit(':').next().unwrap_or_default();
    let mut command = Command::new(PROGRAM);
    command.args(["-q", "-p", port, "-t", verb, "-c", &CLIENTS.to_string()]);
    command.args(["-P", &depth.to_string(), "-n", &requests.to_string()]);
    command.args((version == Resp::Three).then_some("-3"));
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    match status? {
        status if status.success() => Ok(()),
        status => Err(io::Error::other(format!("{PROGRAM}: {status}"))),
    }
}
