//! What TLS costs a request, in memory: our records beside rustls' own with its buffers and openssl's, by each cipher. Opens
//! the records of a request, which its client has sealed before, and seals the answers to a read as one; counts
//! allocations, but for openssl. Where its headers or a C compiler are missing (Debian: libssl-dev), it is left out. Beside
//! them the ciphers alone, with nothing around: less than that no records by ring can take.
//!
//! ```sh
//! cargo bench --features benches,tls --bench tls      # half a minute
//! ```

use std::{
    alloc::{GlobalAlloc, Layout, System},
    env, fs,
    hint::black_box,
    io::{self, Read, Write},
    path::PathBuf,
    process::{Command, Stdio},
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use nix::time::{ClockId, clock_gettime};
use ring::aead::{
    AES_128_GCM, AES_256_GCM, Aad, Algorithm, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey,
};

/// The room itself: what it offers is for the crate alone.
#[path = "../src/tls"]
#[allow(dead_code, unreachable_pub, unused_imports)]
mod tls {
    mod alert;
    mod carry;
    mod cipher;
    mod keys;
    mod messages;
    /// Nothing is counted here.
    mod nonces {
        pub struct Used;

        impl Used {
            pub fn of(_: &[u8]) -> Used {
                Used
            }

            pub fn note(&self, _: [u8; 12]) {}
        }
    }
    mod open;
    pub mod peer_tests;
    mod records;
    mod seal;
    mod secret;
    mod suite;

    pub use self::{alert::Alert, keys::*, records::*, secret::*, suite::*};
}

use tls::{Records, Wiped, peer_tests::pair};

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

struct Counting;

// SAFETY: everything is the system allocator's work.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Relaxed);
        // SAFETY: as promised by our caller.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: as promised by our caller.
        unsafe { System.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Relaxed);
        // SAFETY: as promised by our caller.
        unsafe { System.realloc(block, layout, size) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// Number, name, its cipher, and how openssl calls it.
const SUITES: [(u16, &str, &Algorithm, &str); 4] = [
    (0x1301, "TLS 1.3 AES-128-GCM", &AES_128_GCM, "TLS_AES_128_GCM_SHA256"),
    (0x1302, "TLS 1.3 AES-256-GCM", &AES_256_GCM, "TLS_AES_256_GCM_SHA384"),
    (0x1303, "TLS 1.3 CHACHA20", &CHACHA20_POLY1305, "TLS_CHACHA20_POLY1305_SHA256"),
    (0xc02b, "TLS 1.2 AES-128-GCM", &AES_128_GCM, "ECDHE-ECDSA-AES128-GCM-SHA256"),
];

/// How long a request is, and how many come in one read.
const SHAPES: [(&str, usize, usize); 4] =
    [("64 B", 64, 1), ("64 B x 16", 64, 16), ("1 KiB", 1 << 10, 1), ("16 KiB", 1 << 14, 1)];

/// Rounds, of which the fastest counts: what else the machine does only makes them slower.
const ROUNDS: usize = 7;

/// Bytes of requests in a round.
const BYTES: usize = 4 << 20;

/// A read buffer, as a server has one for all its connections.
const BUFFER: usize = 64 << 10;

/// The time that this thread has worked, whatever else the machine does.
fn cpu() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).expect("a clock").into()
}

struct Figures {
    each: Duration,
    allocations: f64,
}

/// Reads in a round.
fn reads(length: usize, depth: usize) -> usize {
    (BYTES / (length * depth)).min(5000)
}

/// Has `serve` answer reads of `depth` requests each, as the client `says` them; the fastest round.
fn measure(
    mut says: impl FnMut(&[u8]) -> Vec<u8>,
    length: usize,
    depth: usize,
    mut serve: impl FnMut(&[u8]),
) -> Figures {
    let request = vec![7; length];
    let reads = reads(length, depth);
    let mut best = Figures { each: Duration::MAX, allocations: 0.0 };
    for _ in 0..ROUNDS {
        let read = |_| (0..depth).flat_map(|_| says(&request)).collect::<Vec<u8>>();
        let sealed: Vec<_> = (0..reads).map(read).collect();
        let (allocated, begun) = (ALLOCATIONS.load(Relaxed), cpu());
        sealed.iter().for_each(|read| serve(read));
        let (took, count) = (cpu() - begun, (reads * depth) as u32);
        if took / count < best.each {
            let allocated = ALLOCATIONS.load(Relaxed) - allocated;
            best = Figures { each: took / count, allocations: allocated as f64 / f64::from(count) };
        }
    }
    best
}

/// Our records: in place in the read buffer, and one record for all answers to a read.
fn ours(suite: u16, length: usize, depth: usize) -> Figures {
    let (mut records, mut peer) = pair(suite, false);
    let (mut buffer, mut scratch, mut output) = (vec![0; BUFFER], Vec::new(), Vec::new());
    let mut check = Vec::new();
    let figures = measure(
        |request| peer.says(request),
        length,
        depth,
        |read| {
            buffer[..read.len()].copy_from_slice(read);
            let opened = records.open(&mut buffer[..read.len()]);
            assert_eq!(opened.plain, length * depth);
            output.clear();
            for request in buffer[..opened.plain].chunks(length) {
                output.extend_from_slice(request);
            }
            scratch.clear();
            let mut sealed = 0;
            while sealed < output.len() {
                sealed += records.seal(&[&output[..]], sealed, &mut scratch).expect("one writer");
            }
            black_box(&scratch);
            if check.is_empty() {
                check = scratch.clone();
            }
        },
    );
    assert_eq!(peer.hears(&check).expect("authentic").len(), length * depth);
    figures
}

/// rustls with its buffers, as most servers have it; it too gets all answers to a read at once.
fn rustls(suite: u16, length: usize, depth: usize) -> Figures {
    let (mut ours, mut client) = tls::peer_tests::both(suite);
    let (mut buffer, mut scratch, mut output) = (vec![0; BUFFER], Vec::new(), Vec::new());
    measure(
        |request| client.says(request),
        length,
        depth,
        |mut read| {
            while !read.is_empty() {
                ours.0.read_tls(&mut read).expect("room");
                ours.0.process_new_packets().expect("authentic");
            }
            let mut filled = 0;
            while filled < length * depth {
                filled += ours.0.reader().read(&mut buffer[filled..]).expect("some");
            }
            output.clear();
            for request in buffer[..filled].chunks(length) {
                output.extend_from_slice(request);
            }
            ours.0.writer().write_all(&output).expect("a vector takes all");
            scratch.clear();
            while ours.0.wants_write() {
                ours.0.write_tls(&mut scratch).expect("a vector takes all");
            }
            black_box(&scratch);
        },
    )
}

/// Nothing but the ciphers, on the same bytes: each record of a read opened in place, and what was in them sealed as one.
fn ciphers(algorithm: &'static Algorithm, is_tls13: bool, length: usize, depth: usize) -> Duration {
    let key = || {
        LessSafeKey::new(
            UnboundKey::new(algorithm, &[7; 32][..algorithm.key_len()]).expect("a key"),
        )
    };
    let (clients, ours) = (key(), key());
    // What stands before a sealed text, and the type that is sealed along.
    let (front, kind, aad) = if is_tls13 { (5, 1, 5) } else { (13, 0, 13) };
    let aad = Aad::from(&[23; 13][..aad]);
    let nonce = |number: &mut u64| {
        *number += 1;
        let mut nonce = [0; 12];
        nonce[4..].copy_from_slice(&number.to_be_bytes());
        Nonce::assume_unique_for_key(nonce)
    };
    let (mut said, mut heard, mut sealed) = (0, 0, 0);
    let says = |request: &[u8]| {
        let mut record = vec![0; front];
        let mut text = [request, &[23][..kind]].concat();
        clients.seal_in_place_append_tag(nonce(&mut said), aad, &mut text).expect("not too long");
        record.append(&mut text);
        record
    };
    let (mut buffer, mut output) = (vec![0; BUFFER], Vec::new());
    let record = front + length + kind + algorithm.tag_len();
    let figures = measure(says, length, depth, |read| {
        buffer[..read.len()].copy_from_slice(read);
        for at in 0..depth {
            let bytes = &mut buffer[at * length..(at + 1) * record];
            let from = bytes.len() - record + front;
            black_box(clients.open_within(nonce(&mut heard), aad, bytes, from..))
                .expect("authentic");
        }
        output.clear();
        output.extend_from_slice(&buffer[..length * depth + kind]);
        let tag = ours.seal_in_place_separate_tag(nonce(&mut sealed), aad, &mut output);
        let _ = black_box(tag.expect("not too long"));
    });
    figures.each
}

/// A program on openssl that does the same, and a certificate for it.
struct Openssl {
    program: PathBuf,
    pair: [PathBuf; 2],
}

impl Openssl {
    /// `None` where it does not build.
    fn build() -> io::Result<Option<Openssl>> {
        let me = env::current_exe()?; // target/release/deps/...
        let target = me.ancestors().nth(3).ok_or_else(|| io::Error::other("no target folder"))?;
        let file = |name: &str| target.join(format!("tls-openssl{name}"));
        let (program, pair) = (file(""), [file(".pem"), file(".key")]);
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/tls_openssl.c");
        let built = Command::new("cc")
            .args(["-O2", source, "-lssl", "-lcrypto", "-o"])
            .arg(&program)
            .stderr(Stdio::null())
            .status();
        if !built.is_ok_and(|status| status.success()) {
            return Ok(None);
        }
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]);
        let made = made.map_err(io::Error::other)?;
        fs::write(&pair[0], made.cert.pem())?;
        fs::write(&pair[1], made.signing_key.serialize_pem())?;
        Ok(Some(Openssl { program, pair }))
    }

    fn measure(&self, suite: &str, length: usize, depth: usize) -> io::Result<Duration> {
        let numbers = [length, depth, ROUNDS, reads(length, depth)].map(|it| it.to_string());
        let mut command = Command::new(&self.program);
        let output = command.args(&self.pair).arg(suite).args(numbers).output()?;
        let text = String::from_utf8_lossy(&output.stdout);
        let nanos: f64 = text
            .trim()
            .parse()
            .map_err(|_| io::Error::other(String::from_utf8_lossy(&output.stderr)))?;
        Ok(Duration::from_secs_f64(nanos * 1e-9))
    }
}

fn time(count: u32, mut what: impl FnMut()) -> Duration {
    let round = |what: &mut dyn FnMut()| {
        let begun = cpu();
        (0..count).for_each(|_| what());
        (cpu() - begun) / count
    };
    (0..ROUNDS).map(|_| round(&mut what)).min().unwrap_or_default()
}

/// What is done once for a connection, when it moves or wakes up.
fn moves(suite: u16) -> [Duration; 4] {
    let (mut records, mut peer) = pair(suite, false);
    let mut carried = Wiped::default();
    records.encode(&mut carried);
    let write = time(10_000, || {
        let mut out = Wiped::default();
        records.encode(&mut out);
        black_box(&out);
    });
    let read = time(10_000, || {
        black_box(Records::decode(carried.bytes()).expect("what was written"));
    });
    let request = peer.says(b"x");
    // The record is spoilt and not taken, but for the first: what is measured is a cipher that is made for it.
    let fresh = time(10_000, || {
        let mut records = Records::decode(carried.bytes()).expect("what was written");
        black_box(records.open(&mut request.clone()));
    });
    let mut sink = Vec::new();
    let update = match suite >> 8 == 0x13 {
        true => time(1000, || {
            sink.clear();
            records.update_sending(&mut sink).expect("one writer");
        }),
        false => Duration::ZERO,
    };
    [write, read, fresh - read.min(fresh), update]
}

fn main() -> io::Result<()> {
    let openssl = Openssl::build()?;
    println!(
        "us per request (allocations): ours, rustls with buffers, openssl, the ciphers alone; ours to rustls, to openssl, \
         and the ciphers to rustls"
    );
    for (suite, name, algorithm, theirs) in SUITES {
        for (shape, length, depth) in SHAPES {
            let (ours, rustls) = (ours(suite, length, depth), rustls(suite, length, depth));
            let ciphers = ciphers(algorithm, suite >> 8 == 0x13, length, depth);
            let us = |time: Duration| time.as_secs_f64() * 1e6;
            let openssl =
                openssl.as_ref().map(|it| it.measure(theirs, length, depth)).transpose()?;
            let of_openssl =
                |text: fn(f64) -> String, value: Option<f64>| value.map_or("-".into(), text);
            println!(
                "{name:20} {shape:10} {:7.3} ({:.1}) {:7.3} ({:.1}) {:>7} {:7.3}  {:.2} {:>4} {:.2}",
                us(ours.each),
                ours.allocations,
                us(rustls.each),
                rustls.allocations,
                of_openssl(|it| format!("{it:.3}"), openssl.map(us)),
                us(ciphers),
                us(ours.each) / us(rustls.each),
                of_openssl(|it| format!("{it:.2}"), openssl.map(|it| us(ours.each) / us(it))),
                us(ciphers) / us(rustls.each),
            );
        }
    }
    if openssl.is_none() {
        println!("Skipped: openssl, for want of libssl-dev or cc.");
    }
    println!("ns: written down, made again, first record after that, key update");
    for (suite, name, ..) in SUITES {
        let [write, read, fresh, update] = moves(suite).map(|time| time.as_nanos());
        println!("{name:20} {write:6} {read:6} {fresh:6} {update:6}");
    }
    println!("bytes: {} a connection", size_of::<Records>());
    Ok(())
}
