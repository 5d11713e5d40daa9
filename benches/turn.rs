//! Turns in memory: what the reactor takes for a message when the kernel takes nothing.
//!
//! ```sh
//! cargo bench --features benches --bench turn
//! ```
//!
//! The peer is in memory too, and each byte is copied into it and out of it once more than in a server.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use heirloom::{Connection, Origin, Result, Service, codec, testing::Harness};

/// Everything goes back at once.
struct Echo;

impl Service for Echo {
    type Session = ();

    fn on_open(&mut self, _conn: &mut Connection<'_>, _origin: Origin) -> Result {
        Ok(())
    }

    fn on_data(&mut self, conn: &mut Connection<'_>, _: &mut (), input: &[u8]) -> Result<usize> {
        conn.send(input);
        Ok(input.len())
    }
}

/// Each line is a message, and answered by itself.
struct Lines;

impl Service for Lines {
    type Session = ();

    fn on_open(&mut self, _conn: &mut Connection<'_>, _origin: Origin) -> Result {
        Ok(())
    }

    fn on_data(&mut self, conn: &mut Connection<'_>, _: &mut (), input: &[u8]) -> Result<usize> {
        let Some((line, taken)) = codec::line(input, 1024)? else { return Ok(0) };
        conn.send(line);
        conn.send(b"\n");
        Ok(taken)
    }
}

fn echo(c: &mut Criterion) {
    let mut group = c.benchmark_group("turn/echo");
    for size in [64, 1024, 16 * 1024] {
        let (mut harness, bytes) = (Harness::new(Echo), vec![b'x'; size]);
        let peer = harness.connect();
        group.throughput(Throughput::Bytes(size as u64));
        group.bench_function(format!("{size} B"), |b| {
            b.iter(|| {
                harness.feed(peer, &bytes);
                assert_eq!(harness.take(peer).len(), size);
            });
        });
    }
}

fn lines(c: &mut Criterion) {
    let mut group = c.benchmark_group("turn/lines of 32 B");
    for depth in [1, 16, 256] {
        let line = b"0123456789abcdef0123456789abcde\n";
        let (mut harness, bytes) = (Harness::new(Lines), line.repeat(depth));
        let peer = harness.connect();
        group.throughput(Throughput::Elements(depth as u64));
        group.bench_function(format!("{depth} at a time"), |b| {
            b.iter(|| {
                harness.feed(peer, &bytes);
                assert_eq!(harness.take(peer).len(), bytes.len());
            });
        });
    }
}

criterion_group!(benches, echo, lines);
criterion_main!(benches);
