//! Bytes that tell their place: after one that is lost, repeated or swapped, the next ones are wrong. Pure.

/// The bytes from `position` on of the pattern `seed`.
pub fn fill(seed: u64, position: u64, mut bytes: &mut [u8]) {
    let mut at = position;
    while !bytes.is_empty() {
        let word = ((seed << 32) + at / 8).wrapping_mul(0x9E37_79B9_7F4A_7C15).to_be_bytes();
        let from = (at % 8) as usize;
        let count = bytes.len().min(8 - from);
        let (piece, rest) = bytes.split_at_mut(count);
        piece.copy_from_slice(&word[from..from + count]);
        (bytes, at) = (rest, at + count as u64);
    }
}
