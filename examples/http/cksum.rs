//! The checksum that cksum(1) prints: POSIX' CRC-32, of the bytes and then of their number. Pure.

use serde::{Deserialize, Serialize};

/// Of the bytes so far. It is all there is to know for whoever goes on with the next one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cksum(pub u32);

/// The polynomial of Ethernet, the highest power first.
const POLYNOMIAL: u32 = 0x04C1_1DB7;

/// What each byte comes to.
const TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let (mut rest, mut bit) = ((byte as u32) << 24, 0);
        while bit < 8 {
            let is_odd = rest >> 31 == 1;
            rest = rest << 1 ^ if is_odd { POLYNOMIAL } else { 0 };
            bit += 1;
        }
        table[byte] = rest;
        byte += 1;
    }
    table
};

impl Cksum {
    pub fn add(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0 << 8 ^ TABLE[usize::from((self.0 >> 24) as u8 ^ byte)];
        }
    }

    /// After `length` bytes in all: their number counts by its lowest byte first, without the zeros at its end.
    pub fn end(mut self, length: u64) -> u32 {
        let bytes = length.to_le_bytes();
        let zeros = length.leading_zeros() as usize / 8;
        self.add(&bytes[..bytes.len() - zeros]);
        !self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &[u8]) -> u32 {
        let mut sum = Cksum::default();
        sum.add(text);
        sum.end(text.len() as u64)
    }

    #[test]
    fn it_is_what_the_program_prints() {
        assert_eq!(of(b""), 4_294_967_295);
        assert_eq!(of(b"123456789"), 930_766_865);
        assert_eq!(of(b"hello, world\n"), 1_398_783_287);
        assert_eq!(of(&[b'x'; 100_000]), 1_627_735_810);
    }

    #[test]
    fn it_does_not_depend_on_where_the_bytes_are_cut() {
        let text = b"it goes on in the next process";
        for cut in 0..=text.len() {
            let mut sum = Cksum::default();
            sum.add(&text[..cut]);
            sum.add(&text[cut..]);
            assert_eq!(sum.end(text.len() as u64), of(text));
        }
    }
}
