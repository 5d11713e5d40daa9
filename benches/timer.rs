//! Timers, with 1, ten thousand and a million of them waiting.
//!
//! ```sh
//! cargo bench --features benches --bench timer
//! ```

use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use heirloom::timer::TimerQueue;

const WAITING: [u64; 3] = [1, 10_000, 1_000_000];

/// Between two deadlines.
const STEP: Duration = Duration::from_micros(50);

/// So many timers, each later than the one before, as idle timeouts are.
fn queue(start: Instant, waiting: u64) -> TimerQueue<u64> {
    let mut queue = TimerQueue::new();
    for key in 0..waiting {
        queue.insert(start + STEP * key as u32, key);
    }
    queue
}

/// A timer is set and taken back before it runs out: what a request with a deadline does.
fn set_and_take_back(c: &mut Criterion) {
    let mut group = c.benchmark_group("timer/set and take back");
    group.throughput(Throughput::Elements(1));
    let start = Instant::now();
    for waiting in WAITING {
        let mut queue = queue(start, waiting);
        let mut key = waiting;
        group.bench_function(format!("{waiting} waiting"), |b| {
            b.iter(|| {
                key += 1;
                let at = start + STEP * (key.wrapping_mul(0x9E37_79B9) % waiting.max(2)) as u32;
                queue.insert(at, key);
                queue.remove(at, key)
            });
        });
    }
}

/// The next one runs out and is set anew behind all others: what a look at a timeout does.
fn run_out(c: &mut Criterion) {
    let mut group = c.benchmark_group("timer/run out and set anew");
    group.throughput(Throughput::Elements(1));
    let start = Instant::now();
    for waiting in WAITING {
        let mut queue = queue(start, waiting);
        group.bench_function(format!("{waiting} waiting"), |b| {
            b.iter(|| {
                let next = queue.next().expect("some are waiting");
                let (at, key) = queue.pop(next).expect("it is due");
                queue.insert(at + STEP * waiting as u32, key);
            });
        });
    }
}

criterion_group!(benches, set_and_take_back, run_out);
criterion_main!(benches);
