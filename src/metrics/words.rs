//! A text in words of the memory, eight bytes in each. Knows no place.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Writes as much of it as there is room for.
pub(super) fn put_text(words: &[AtomicU64], text: &[u8]) {
    for (word, bytes) in words.iter().zip(text.chunks(8)) {
        let mut padded = [0; 8];
        padded[..bytes.len()].copy_from_slice(bytes);
        word.store(u64::from_le_bytes(padded), Relaxed);
    }
}

/// So many bytes, as far as there are.
pub(super) fn text_of(words: &[AtomicU64], length: usize) -> Vec<u8> {
    let words = &words[..length.div_ceil(8).min(words.len())];
    let mut bytes: Vec<u8> =
        words.iter().flat_map(|word| word.load(Relaxed).to_le_bytes()).collect();
    bytes.truncate(length);
    bytes
}
