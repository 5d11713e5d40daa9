//! Cutting bytes into messages: lines, and frames that begin with their length.
//!
//! ```sh
//! cargo bench --features benches --bench codec
//! ```

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use heirloom::codec::{self, Prefix};

/// A full read buffer.
const INPUT: usize = heirloom::limits::READ_BUDGET;

/// Lines of a log, of a chat, and of a text that wraps late.
const LINES: [usize; 3] = [16, 80, 1000];

fn lines(c: &mut Criterion) {
    let mut group = c.benchmark_group("codec/line");
    for length in LINES {
        let line: Vec<u8> = (0..length).map(|at| b'a' + (at % 26) as u8).chain(*b"\r\n").collect();
        let input = line.repeat(INPUT / line.len());
        group.throughput(Throughput::Bytes(input.len() as u64));
        group.bench_function(format!("{length} B"), |b| {
            b.iter(|| {
                count(&input, |rest| codec::line(rest, 4096).ok().flatten().map(|found| found.1))
            });
        });
    }
}

fn frames(c: &mut Criterion) {
    let mut group = c.benchmark_group("codec/length");
    for length in LINES {
        let frame = [&(length as u32).to_be_bytes()[..], &vec![7; length]].concat();
        let input = frame.repeat(INPUT / frame.len());
        group.throughput(Throughput::Bytes(input.len() as u64));
        group.bench_function(format!("{length} B"), |b| {
            b.iter(|| {
                count(&input, |rest| {
                    codec::length(rest, Prefix::U32, 4096).ok().flatten().map(|found| found.1)
                })
            });
        });
    }
}

/// Takes message after message; answers how many there were.
fn count(input: &[u8], take: impl Fn(&[u8]) -> Option<usize>) -> usize {
    let (mut at, mut messages) = (0, 0);
    while let Some(taken) = take(black_box(&input[at..])) {
        at += taken;
        messages += 1;
    }
    assert_eq!(at, input.len());
    messages
}

criterion_group!(benches, lines, frames);
criterion_main!(benches);
