//! Echo over loopback, with a server that is a process of its own: there and back, as a client sees it. One write,
//! one read: the deadlines of the load client of `examples/common` would be measured, too.
//!
//! ```sh
//! cargo build --profile bench --example echo && cargo bench --features benches --bench echo
//! ```

#[path = "common/mod.rs"]
mod common;

use std::{
    io::{Read, Write},
    net::TcpStream,
};

use common::process::{Cores, Running, example, free_address, pin};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

fn echo(c: &mut Criterion) {
    let cores = Cores::find();
    if let Some(cores) = cores {
        pin(cores.load).expect("a core of our own");
    }
    let address = free_address().expect("a free port");
    let mut command = example("echo");
    command.args(["--listen", &address]).env("RUST_LOG", "warn");
    let server = Running::start(command, &address, cores).expect("the example");
    let mut group = c.benchmark_group("echo/64 B");
    for depth in [1, 16, 256] {
        let mut stream = TcpStream::connect(&server.address).expect("a connection");
        stream.set_nodelay(true).expect("TCP");
        let sent: Vec<u8> = (0..64 * depth).map(|at| at as u8).collect();
        let mut received = vec![0; sent.len()];
        group.throughput(Throughput::Elements(depth as u64));
        group.bench_function(format!("{depth} at a time"), |b| {
            b.iter(|| {
                stream.write_all(&sent).expect("it takes all");
                stream.read_exact(&mut received).expect("all comes back");
                assert!(received == sent);
            });
        });
    }
}

criterion_group!(benches, echo);
criterion_main!(benches);
