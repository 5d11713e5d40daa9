//! The load of redis-benchmark beside our own: the client that people reach for first, as it is when nothing is set.
//!
//! What it does otherwise, in its version 7.0.15:
//!
//! - Keys and values are short: all its clients have one key of 16 bytes, `key:__rand_int__`, and values of 3 bytes, where ours have a
//!   key for each client and 64 bytes. redis-server keeps up to 44 bytes in one piece with its own head (`embstr`), so these are
//!   the values that cost it least.
//! - Without a SET before, its GET finds nothing, and `$-1` is what costs any server least. Here there is one.
//! - It takes replies apart one by one (hiredis), where ours compares bytes. So a server that is quicker has less to do in each turn: at
//!   depth 16 kv had 13 clients to serve for each `epoll_wait`, redis-server 21 (`perf stat -e syscalls:sys_enter_epoll_wait -p PID`, one
//!   run on a busy machine), and what it saves by a request it pays in part for more turns.
//!
//! Either client sends a batch with one write and has it answered by one: neither server reads a batch in pieces. What the kernel takes for
//! that is the same for both servers, and most of what ours takes: the row of the bare loop, by our own load, says what is left to save.

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
