//! How long nobody serves a connection while it moves: from the last answer of the old process to the
//! first one of the new. And what it costs to write connections down.
//!
//! ```sh
//! cargo bench --features benches --bench handover                            # two minutes
//! cargo bench --features benches --bench handover -- fork-exec/10000
//! cargo build --profile bench --example kv && cargo bench --features benches --bench handover -- --state              # ten minutes
//! cargo bench --features benches --bench handover -- --state --keys 100000,10000000 --rounds 3
//! cargo bench --features benches --bench handover -- --state --against OTHER/kv   # beside another build of the example
//! ```
//!
//! The program is its own server: it starts itself with `--serve`. One connection asks all the time, the
//! others are idle; what is measured is the longest time that it waits. `--state` is another matter, which has a
//! file of its own: what a restart costs a service with a million keys. It prints Markdown, and draws
//! `target/charts/handover-state.svg`.

#[path = "../common/mod.rs"]
mod common;
#[allow(dead_code)] // of the library's file, what a record needs
#[path = "../../src/limits.rs"]
mod limits;
#[allow(dead_code)]
#[path = "../../src/restart"]
mod restart {
    pub mod link {
        pub mod wire;
    }
    pub mod transfer {
        pub mod record;
        mod silence;
    }
}
mod state;
#[allow(dead_code, unused_imports)] // of its tests, too
#[path = "../../src/timeouts.rs"]
mod timeouts;

use std::{
    hint::black_box,
    io::{Read, Write},
    net::TcpStream,
    process::Command,
    time::{Duration, Instant},
};

use common::process::{Running, allow_descriptors, free_address};
use criterion::{BenchmarkId, Criterion, Throughput};
use heirloom::{Connection, Origin, Restart, Result, Server, Service, Timeouts};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use restart::transfer::record::{Part, Record};

/// The role that the program has beside its main one; an address follows.
const SERVE: &str = "--serve";

const PATIENCE: Duration = Duration::from_secs(20);

/// Answers any byte with the pid.
struct Who;

impl Service for Who {
    type Session = ();

    fn on_open(&mut self, _conn: &mut Connection<'_>, _origin: Origin) -> Result {
        Ok(())
    }

    fn on_data(
        &mut self,
        conn: &mut Connection<'_>,
        _session: &mut (),
        input: &[u8],
    ) -> Result<usize> {
        conn.send(&std::process::id().to_le_bytes());
        Ok(input.len())
    }

    fn export(&self, _session: &()) -> Option<Vec<u8>> {
        Some(vec![0; 16])
    }

    fn import(&mut self, _conn: &mut Connection<'_>, _saved: &[u8]) -> Result {
        Ok(())
    }
}

fn serve(address: &str) -> Result {
    let how = |how: Restart| how.move_connections().probation(Duration::ZERO);
    Server::new(Who)?
        .listen(address)?
        .timeouts(Timeouts::new().first_message(None))
        .restart_on(libc::SIGHUP, how(Restart::fork()))
        .restart_on(libc::SIGUSR2, how(Restart::fork_exec()))
        .run()
}

/// The server, the connections that say nothing, and the one that asks.
struct Bench {
    /// Ends with this value.
    _server: Running,
    idle: Vec<TcpStream>,
    asker: TcpStream,
    pid: u32,
}

impl Bench {
    fn start(count: usize) -> Bench {
        let address = free_address().expect("a free port");
        let mut command = Command::new(std::env::current_exe().expect("our own path"));
        command.args([SERVE, &address]);
        let server = Running::start(command, &address, None).expect("the server starts");
        let connect = || {
            let mut stream = TcpStream::connect(&address).expect("the server accepts");
            let pid = ask(&mut stream);
            (stream, pid)
        };
        let idle = (1..count).map(|_| connect().0).collect();
        let (asker, pid) = connect();
        asker.set_nodelay(true).expect("an option");
        Bench { _server: server, idle, asker, pid }
    }

    /// Restarts, and answers how long it was at most from the last answer of the old process to the first
    /// one of the new: since the last question that the old one has answered, as the answer may have been
    /// there long before this program was.
    fn restart(&mut self, signal: Signal) -> Duration {
        // A turn or two, in which the last restart ends.
        (0..10).for_each(|_| assert_eq!(ask(&mut self.asker), self.pid));
        kill(Pid::from_raw(self.pid as i32), signal).expect("the server is there");
        let begun = Instant::now();
        let (mut before, mut asked) = (begun, begun);
        loop {
            let pid = ask(&mut self.asker);
            if pid != self.pid {
                self.pid = pid;
                return before.elapsed();
            }
            (before, asked) = (asked, Instant::now());
            assert!(begun.elapsed() < PATIENCE, "no new process");
        }
    }
}

impl Drop for Bench {
    /// Whatever was measured, all connections have gone along.
    fn drop(&mut self) {
        for stream in &mut self.idle {
            assert_eq!(ask(stream), self.pid, "a connection has stayed behind");
        }
        let _ = kill(Pid::from_raw(self.pid as i32), Signal::SIGKILL);
    }
}

/// One write and one read. Not the load client of `examples/common`, whose deadlines take two more system calls: the
/// gap is as long as it is between two questions.
fn ask(stream: &mut TcpStream) -> u32 {
    let mut answer = [0; 4];
    stream.write_all(b"?").and_then(|()| stream.read_exact(&mut answer)).expect("an answer");
    u32::from_le_bytes(answer)
}

fn moves(criterion: &mut Criterion) {
    allow_descriptors().expect("room for the connections");
    let mut group = criterion.benchmark_group("downtime");
    group.sample_size(10);
    for (engine, signal) in [("fork", Signal::SIGHUP), ("fork-exec", Signal::SIGUSR2)] {
        for count in [1, 1000, 10_000] {
            group.throughput(Throughput::Elements(count as u64));
            let mut bench = None;
            group.bench_function(BenchmarkId::new(engine, count), |bencher| {
                let bench = bench.get_or_insert_with(|| Bench::start(count));
                bencher.iter_custom(|rounds| (0..rounds).map(|_| bench.restart(signal)).sum());
            });
        }
    }
}

fn records(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("record");
    for (name, bytes) in [("idle", 0), ("64 KiB unsent", 64 * 1024)] {
        let record = Record {
            id: 1 << 24,
            peer: b"127.0.0.1:40000".to_vec(),
            session: Some(vec![7; 16]),
            output: vec![Part::Own(vec![7; bytes])],
            timers: vec![(1, Duration::from_secs(1))],
            bytes_in: 100,
            ..Record::default()
        };
        let mut encoded = Vec::new();
        record.encode(&mut encoded);
        group.throughput(Throughput::Bytes(encoded.len() as u64));
        let mut out = Vec::new();
        group.bench_function(BenchmarkId::new("encode", name), |bencher| {
            bencher.iter(|| {
                out.clear();
                black_box(&record).encode(&mut out);
            });
        });
        group.bench_function(BenchmarkId::new("decode", name), |bencher| {
            bencher.iter(|| Record::decode(&mut black_box(encoded.as_slice())));
        });
    }
}

fn main() {
    let mut args = std::env::args().skip(1);
    if args.next().as_deref() == Some(SERVE) {
        let address = args.next().expect("an address");
        return serve(&address).expect("the server serves");
    }
    if std::env::args().any(|word| word == state::FLAG) {
        return state::run().expect("the servers are measured");
    }
    let mut criterion = Criterion::default().configure_from_args();
    records(&mut criterion);
    moves(&mut criterion);
    criterion.final_summary();
}
