//! A worker that takes jobs from a Redis stream, and is restarted without losing or repeating one.
//!
//! ```sh
//! redis-server --port 6379 &                     # Redis 7
//! cargo run --release --example jobs -- --pid-file /tmp/jobs.pid    # then, elsewhere:
//! for n in $(seq 100); do redis-cli xadd jobs '*' text "job $n" rounds 9999999; done > /dev/null
//! echo stats | nc -q1 127.0.0.1 7781             # while they are done,
//! kill -HUP $(cat /tmp/jobs.pid)                 # a new generation by fork,
//! kill -USR2 $(cat /tmp/jobs.pid)                # and one by fork-exec
//! redis-cli xinfo consumers jobs workers         # a generation that has jobs in hand is one
//! redis-cli llen jobs:done                       # 100, after some seconds
//! redis-cli lrange jobs:done 0 2                 # entry,worker,deliveries,digest
//! ```
//!
//! `JOBS_REDIS` is the address of Redis (`127.0.0.1:6379`, or `unix:/path`; no name, since a look-up
//! blocks), `JOBS_LEASE` the seconds after which the jobs of a dead worker are taken over (30).
//!
//! # What a restart does to jobs
//!
//! Redis remembers which job it has given to whom until it is acknowledged (`XREADGROUP`, `XACK`). The new
//! generation is a consumer by another name and fetches for itself. The old one asks for no more from the
//! moment when it stops accepting clients. One question may be on its way then: `CLIENT UNBLOCK` ends it,
//! or it ends by itself within two seconds. Either way it is answered once, and jobs in that answer are
//! in hand like any other. A *hold* keeps the old process until all of them are done and acknowledged;
//! then it takes its name out of the group and leaves. So nothing has to be carried from one
//! generation to the next, and nothing is done twice.
//!
//! A worker that is killed leaves jobs behind. Each belongs to it for a lease, which a live worker renews
//! while a job takes long (`XCLAIM .. JUSTID`); when that has run out, another takes the job over
//! (`XAUTOCLAIM`) and looks how often it was delivered (`XPENDING`). It was possibly done before, so this is
//! counted as a repeat; and what has been delivered too often goes to `jobs:failed`, since it may be what
//! kills the workers. An answer that was lost with its connection is found in the same way.
//!
//! # Why a job can be done twice, and what would help
//!
//! A job's effect here is one element of the list `jobs:done`, and the acknowledgement is sent when Redis has
//! confirmed the effect. Whoever dies in between leaves a job that is done and will be done again: at least
//! once. `MULTI`, effect, `XACK`, `EXEC` would make it exactly once, also under kills, but only because the
//! effect is in the same Redis. An e-mail or another database is not, and has to bear the repeat: by
//! the entry's number, under which it has seen the job before. The example shows the general case.
//!
//! A process that stood still for longer than the lease does not know that its jobs have gone to others, and
//! does them as well: the lease has to be longer than any downtime. Names of killed workers stay in the
//! group. Names are made of generation and process id; workers on several machines need the machine's too.
//!
//! `worker` knows when the reactor calls, `line` is a connection to Redis that comes back. Pure are
//! `batch`, the jobs in hand, and `request`, the questions to Redis and what its answers mean; `kv` lends
//! the words of the protocol.

mod batch;
#[path = "../common/mod.rs"]
mod common;
mod line;
#[path = "../kv/reply.rs"]
mod reply;
mod request;
#[allow(dead_code)] // a client needs half of it
#[path = "../kv/resp.rs"]
mod resp;
mod stage;
mod worker;

use std::{env, net::SocketAddr, ops::RangeInclusive, process::ExitCode, time::Duration};

use worker::Worker;

/// In seconds. A shorter one would run out at every downtime, with a longer one a job of a worker that has died waits
/// for minutes.
const LEASES: RangeInclusive<f64> = 1.0..=200.0;

fn main() -> ExitCode {
    match worker() {
        Ok(worker) => common::serve(
            common::Defaults {
                listen: "127.0.0.1:7781",
                moves: false,
                alone: Some("the jobs are in one process, so one process serves"),
            },
            worker,
            |server| server,
        ),
        Err(why) => {
            eprintln!("jobs: {why}");
            ExitCode::from(2) // as with a wrong command line
        }
    }
}

fn worker() -> Result<Worker, String> {
    let redis = env::var("JOBS_REDIS").unwrap_or_else(|_| "127.0.0.1:6379".to_owned());
    if !redis.starts_with("unix:") && redis.parse::<SocketAddr>().is_err() {
        return Err(format!("JOBS_REDIS: {redis:?} is neither ip:port nor unix:/path"));
    }
    let lease = env::var("JOBS_LEASE").unwrap_or_else(|_| "30".to_owned());
    match lease.parse().ok().filter(|seconds| LEASES.contains(seconds)) {
        Some(seconds) => Ok(Worker::new(redis, Duration::from_secs_f64(seconds))),
        None => Err(format!("JOBS_LEASE: {lease:?} is no number of seconds from 1 to 200")),
    }
}
