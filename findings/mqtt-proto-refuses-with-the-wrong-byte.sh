#!/usr/bin/env bash
# The crate mqtt-proto writes the refusal of a subscription in a SUBACK as 0x03. MQTT 3.1.1 has 0x80 for it, and
# reserves 0x03 (3.9.3). It reads 0x80 as the refusal, and its own 0x03 as an error: what it has written it cannot read.
#
# A good guess from memory is "a codec whose enum of return codes has a variant `Failure` writes 0x80". A broker on
# it has to put the byte right.
#
# Seen on 2026-11-29 with mqtt-proto 0.4.0, rustc 1.95.0, x86-64.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
mkdir src
cat > Cargo.toml <<'TOML'
[package]
name = "refusal"
version = "0.1.0"
edition = "2021"

[dependencies]
mqtt-proto = "=0.4.0"
TOML
cat > src/main.rs <<'RUST'
use mqtt_proto::{
    v3::{Packet, Suback, SubscribeReturnCode},
    Pid,
};

fn main() {
    let refused = Suback::new(Pid::default(), vec![SubscribeReturnCode::Failure]);
    let bytes = Packet::from(refused).encode().expect("a packet").as_ref().to_vec();
    println!("written: {bytes:02x?}");
    let by_the_standard = [0x90, 3, 0, 1, 0x80];
    for (name, bytes) in [("its own", bytes.as_slice()), ("by the standard", &by_the_standard)] {
        match Packet::decode(bytes) {
            Ok(Some(Packet::Suback(suback))) => println!("{name}: {:?}", suback.topics),
            other => println!("{name}: {other:?}"),
        }
    }
}
RUST
cargo run --quiet > out
cat out
diff out - <<'TEXT'
written: [90, 03, 00, 01, 03]
its own: Err(InvalidQos(3))
by the standard: [Failure]
TEXT
