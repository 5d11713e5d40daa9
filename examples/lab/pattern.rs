//! Bytes that tell their place: after one that is lost, repeated or swapped, the next ones are wrong. Pure.

use std::sync::OnceLock;

/// A prime, so that no piece of a buffer or of a socket is as long, nor several of them.
const LENGTH: u64 = 262_139;

/// The bytes from `position` on of the pattern `seed`.
pub fn fill(seed: u64, position: u64, mut bytes: &mut [u8]) {
    let noise = noise();
    // Another prime: neighbouring seeds begin far from each other.
    let begin = seed % LENGTH * 104_729;
    let mut at = ((begin + position % LENGTH) % LENGTH) as usize;
    while !bytes.is_empty() {
        let count = bytes.len().min(noise.len() - at);
        let (piece, rest) = bytes.split_at_mut(count);
        piece.copy_from_slice(&noise[at..at + count]);
        (bytes, at) = (rest, 0);
    }
}

/// What all patterns are pieces of. It is made once: to compare a byte is to cost little, also in a debug build.
fn noise() -> &'static [u8] {
    static NOISE: OnceLock<Vec<u8>> = OnceLock::new();
    NOISE.get_or_init(|| {
        let word = |at: u64| at.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_be_bytes();
        let mut noise: Vec<u8> = (1..=LENGTH.div_ceil(8)).flat_map(word).collect();
        noise.truncate(LENGTH as usize);
        noise
    })
}
