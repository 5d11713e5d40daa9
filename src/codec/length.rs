//! Frames that begin with their length, big-endian as on the wire of most protocols.

use crate::error::Result;

/// How many bytes the length itself has.
///
/// ```
/// use heirloom::codec::{Prefix, length};
///
/// assert_eq!(length(b"\x02hi", Prefix::U8, 64)?, Some((&b"hi"[..], 3)));
/// assert_eq!(length(b"\0\0\0\x02hi", Prefix::U32, 64)?, Some((&b"hi"[..], 6)));
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
}

impl Prefix {
    fn size(self) -> usize {
        match self {
            Prefix::U8 => 1,
            Prefix::U16 => 2,
            Prefix::U32 => 4,
        }
    }
}

/// The first frame of `input` without its prefix, and the bytes it takes with it.
///
/// # Errors
/// When the prefix announces more than `limit` bytes; known before they arrive.
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
    let Some((head, rest)) = input.split_at_checked(prefix.size()) else {
        return Ok(None);
    };
    let size = head.iter().fold(0usize, |size, &byte| size << 8 | usize::from(byte));
    if size > limit {
        return Err(format!("a frame of {size} bytes, the limit is {limit}").into());
    }
    Ok(rest.get(..size).map(|frame| (frame, prefix.size() + size)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_empty_frame_is_a_frame() {
        assert_eq!(length(&[0], Prefix::U8, 0).unwrap(), Some((&[][..], 1)));
    }

    proptest! {
        #[test]
        fn what_is_framed_is_found_at_every_cut(body in proptest::collection::vec(any::<u8>(), 0..300), cut in 0usize..310) {
            let mut wire = (body.len() as u32).to_be_bytes().to_vec();
            wire.extend(&body);
            let found = length(&wire[..cut.min(wire.len())], Prefix::U32, 300).unwrap();
            let expected = (cut >= wire.len()).then_some((body.as_slice(), wire.len()));
            prop_assert_eq!(found, expected);
        }
    }
}
