#!/usr/bin/env bash
# A sealer of rustls on aws-lc-rs that is made in the middle of a session (for a session that another process or a
# disk has kept) seals some records and refuses others: AWS-LC takes the first nonce that it sees for that of record 0
# and wants the rest to rise from there by exclusive or. The same sealer begun with a record 0 refuses none, and ring's
# has no such state.
#
# A good guess from memory is "key, nonce and sequence number are all that an AEAD needs, so a sealer can begin at any
# number". Who goes on at number N seals an empty record with number 0 first, and throws it away.
#
# Seen on 2026-11-29 with rustls 0.23.46, aws-lc-rs 1.19.0, ring 0.17.14, rustc 1.95.0, x86-64.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
mkdir src
cat > Cargo.toml <<'TOML'
[package]
name = "sealer"
version = "0.1.0"
edition = "2021"

[dependencies]
aws-lc-rs = "=1.19.0"
ring = "=0.17.14"
rustls = { version = "=0.23.46", default-features = false, features = ["aws_lc_rs", "ring", "std", "tls12"] }
TOML
cat > src/main.rs <<'RUST'
use rustls::{
    crypto::cipher::{AeadKey, Iv, MessageEncrypter, OutboundChunks, OutboundPlainMessage},
    ContentType, ProtocolVersion, SupportedCipherSuite,
};

fn seal(sealer: &mut dyn MessageEncrypter, number: u64) -> bool {
    let (typ, version) = (ContentType::ApplicationData, ProtocolVersion::TLSv1_2);
    let payload = OutboundChunks::Single(b"hello");
    sealer.encrypt(OutboundPlainMessage { typ, version, payload }, number).is_ok()
}

/// Of a thousand records from number 1000 on: how many are refused, and which is the first.
fn refused(suite: SupportedCipherSuite, begins_at_zero: bool) -> (usize, Option<u64>) {
    let suite = suite.tls13().expect("a suite of TLS 1.3");
    let mut sealer = suite.aead_alg.encrypter(AeadKey::from([7; 32]), Iv::from([9; 12]));
    if begins_at_zero {
        seal(&mut *sealer, 0);
    }
    let refused: Vec<u64> = (1000..2000).filter(|number| !seal(&mut *sealer, *number)).collect();
    (refused.len(), refused.first().copied())
}

fn main() {
    use rustls::crypto::{aws_lc_rs, ring};
    let aws_lc = aws_lc_rs::cipher_suite::TLS13_AES_256_GCM_SHA384;
    println!("aws-lc, from 1000 on: {:?}", refused(aws_lc, false));
    println!("aws-lc, 0 first: {:?}", refused(aws_lc, true));
    let ring = ring::cipher_suite::TLS13_AES_256_GCM_SHA384;
    println!("ring, from 1000 on: {:?}", refused(ring, false));
}
RUST
cargo run --quiet > out
cat out
diff out - <<'TEXT'
aws-lc, from 1000 on: (968, Some(1016))
aws-lc, 0 first: (0, None)
ring, from 1000 on: (0, None)
TEXT
