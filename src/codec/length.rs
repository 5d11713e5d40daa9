//! Frames that begin with their length: big-endian as on the wire of most protocols, or as short as it can be.

use crate::error::Result;

/// How many bytes the length itself has.
///
/// ```
/// use heirloom::codec::{Prefix, length};
///
/// assert_eq!(length(b"\x02hi", Prefix::U8, 64)?, Some((&b"hi"[..], 3)));
/// assert_eq!(length(b"\0\0\0\x02hi", Prefix::U32, 64)?, Some((&b"hi"[..], 6)));
/// assert_eq!(length(b"\x02hi", Prefix::Varint, 64)?, Some((&b"hi"[..], 3)));
/// # Ok::<(), heirloom::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prefix {
    /// One byte.
    U8,
    /// Two bytes, big-endian.
    U16,
    /// Four bytes, big-endian.
    U32,
    /// One to four bytes of seven bits each, the lowest ones first; all but the last have the highest bit set. So MQTT
    /// has its [remaining length], and Protocol Buffers a message in a stream (as a [varint], up to 256 MiB).
    ///
    /// [remaining length]: https://docs.oasis-open.org/mqtt/mqtt/v3.1.1/os/mqtt-v3.1.1-os.html#_Toc398718023
    /// [varint]: https://protobuf.dev/programming-guides/encoding/#varints
    Varint,
}

/// A varint has no more bytes.
const LONGEST: usize = 4;

impl Prefix {
    /// The length that `input` begins with and how many bytes that has, if it is there.
    fn read(self, input: &[u8]) -> Result<Option<(usize, usize)>> {
        let bytes = match self {
            Prefix::U8 => 1,
            Prefix::U16 => 2,
            Prefix::U32 => 4,
            Prefix::Varint => return varint(input),
        };
        let size = input
            .get(..bytes)
            .map(|head| head.iter().fold(0usize, |size, &byte| size << 8 | usize::from(byte)));
        Ok(size.map(|size| (size, bytes)))
    }

    /// Writes the prefix of a frame of `size` bytes behind what is in `out`.
    ///
    /// # Panics
    /// When there is no such prefix: a `U8` has 255 bytes at most behind it, a `Varint` 256 MiB less one.
    ///
    /// ```
    /// use heirloom::codec::{Prefix, length};
    ///
    /// let mut wire = Vec::new();
    /// Prefix::Varint.put(300, &mut wire);
    /// assert_eq!(wire, [0xac, 0x02]);
    /// wire.extend([7; 300]);
    /// assert_eq!(length(&wire, Prefix::Varint, 1024)?, Some((&[7; 300][..], 302)));
    /// # Ok::<(), heirloom::Error>(())
    /// ```
    pub fn put(self, size: usize, out: &mut Vec<u8>) {
        let too_long = "a frame that is longer than its prefix can say";
        match self {
            Prefix::U8 => out.push(size.try_into().expect(too_long)),
            Prefix::U16 => out.extend(u16::try_from(size).expect(too_long).to_be_bytes()),
            Prefix::U32 => out.extend(u32::try_from(size).expect(too_long).to_be_bytes()),
            Prefix::Varint => {
                assert!(size >> (7 * LONGEST) == 0, "{too_long}");
                let mut left = size;
                while left >= 0x80 {
                    out.push(left as u8 | 0x80);
                    left >>= 7;
                }
                out.push(left as u8);
            }
        }
    }
}

fn varint(input: &[u8]) -> Result<Option<(usize, usize)>> {
    let mut size = 0;
    for (at, &byte) in input.iter().take(LONGEST).enumerate() {
        size |= usize::from(byte & 0x7f) << (7 * at);
        if byte < 0x80 {
            return Ok(Some((size, at + 1)));
        }
    }
    if input.len() < LONGEST { Ok(None) } else { Err("a length of more than four bytes".into()) }
}

/// The first frame of `input` without its prefix, and the bytes it takes with it.
///
/// # Errors
/// When the prefix announces more than `limit` bytes; known before they arrive. And when it is a varint that does not
/// end.
///
/// ```
/// use heirloom::codec::{Prefix, length};
///
/// assert_eq!(length(b"\x00\x02hi+", Prefix::U16, 1024)?, Some((&b"hi"[..], 4)));
/// assert_eq!(length(b"\x00\x02h", Prefix::U16, 1024)?, None);
/// assert!(length(b"\xff\xff", Prefix::U16, 1024).is_err());
/// # Ok::<(), heirloom::Error>(())
/// ```
pub fn length(input: &[u8], prefix: Prefix, limit: usize) -> Result<Option<(&[u8], usize)>> {
    let Some((size, before)) = prefix.read(input)? else { return Ok(None) };
    if size > limit {
        return Err(format!("a frame of {size} bytes, the limit is {limit}").into());
    }
    let end = before + size;
    Ok(input.get(before..end).map(|frame| (frame, end)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_empty_frame_is_a_frame() {
        assert_eq!(length(&[0], Prefix::U8, 0).unwrap(), Some((&[][..], 1)));
    }

    #[test]
    fn a_varint_ends_and_need_not_be_as_short_as_it_can_be() {
        assert_eq!(length(b"\x82\x00hi", Prefix::Varint, 2).unwrap(), Some((&b"hi"[..], 4)));
        assert_eq!(length(b"\xff\xff\xff", Prefix::Varint, 9).unwrap(), None);
        assert!(length(b"\xff\xff\xff\xff", Prefix::Varint, usize::MAX).is_err());
        assert!(length(b"\xff\xff\xff\x7f", Prefix::Varint, (1 << 28) - 2).is_err());
        assert_eq!(length(b"\xff\xff\xff\x7f", Prefix::Varint, 1 << 28).unwrap(), None);
    }

    #[test]
    fn what_a_prefix_cannot_say_is_not_written() {
        for (prefix, most) in [
            (Prefix::U8, u8::MAX as usize),
            (Prefix::U16, u16::MAX as usize),
            (Prefix::U32, u32::MAX as usize),
            (Prefix::Varint, (1 << 28) - 1),
        ] {
            let mut wire = Vec::new();
            prefix.put(most, &mut wire);
            assert_eq!(prefix.read(&wire).unwrap(), Some((most, wire.len())));
            assert!(std::panic::catch_unwind(|| prefix.put(most + 1, &mut Vec::new())).is_err());
        }
    }

    proptest! {
        #[test]
        fn what_is_framed_is_found_at_every_cut(
            body in proptest::collection::vec(any::<u8>(), 0..300),
            prefix in proptest::sample::select(vec![Prefix::U16, Prefix::U32, Prefix::Varint]),
            cut in 0usize..310,
        ) {
            let mut wire = Vec::new();
            prefix.put(body.len(), &mut wire);
            wire.extend(&body);
            let found = length(&wire[..cut.min(wire.len())], prefix, 300).unwrap();
            let expected = (cut >= wire.len()).then_some((body.as_slice(), wire.len()));
            prop_assert_eq!(found, expected);
        }
    }
}
