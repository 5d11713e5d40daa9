//! Bytes that tell their place: of one that is lost, repeated or swapped, the next ones are wrong. Pure.

/// The bytes from `position` on of the pattern `seed`.
pub fn fill(seed: u64, position: u64, bytes: &mut [u8]) {
    for (at, byte) in (position..).zip(bytes) {
        *byte = (at.wrapping_add(seed).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 56) as u8;
    }
}
