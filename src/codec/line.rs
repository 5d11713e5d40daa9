//! Lines that end in LF or CR LF.

use crate::error::{Error, Result};

/// The first line of `input` without its end, and the bytes it takes with it.
///
/// # Errors
/// When the line is longer than `limit` bytes, also when its end has not come yet.
///
/// ```
/// use heirloom::codec::line;
///
/// assert_eq!(line(b"hello\r\nwor", 80)?, Some((&b"hello"[..], 7)));
/// assert_eq!(line(b"wor", 80)?, None);
/// assert!(line(b"a line without an end", 10).is_err());
/// # Ok::<(), heirloom::Error>(())
/// ```
pub fn line(input: &[u8], limit: usize) -> Result<Option<(&[u8], usize)>> {
    // The end of the longest good line is at `limit` (LF) or one further (CR LF).
    let window = &input[..input.len().min(limit.saturating_add(2))];
    let Some(end) = window.iter().position(|&byte| byte == b'\n') else {
        return if window.strip_suffix(b"\r").unwrap_or(window).len() > limit {
            Err(too_long(limit))
        } else {
            Ok(None)
        };
    };
    let line = window[..end].strip_suffix(b"\r").unwrap_or(&window[..end]);
    if line.len() > limit { Err(too_long(limit)) } else { Ok(Some((line, end + 1))) }
}

fn too_long(limit: usize) -> Error {
    format!("a line is longer than {limit} bytes").into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_limit_holds_for_both_line_ends() {
        assert_eq!(line(b"abc\n", 3).unwrap(), Some((&b"abc"[..], 4)));
        assert_eq!(line(b"abc\r\n", 3).unwrap(), Some((&b"abc"[..], 5)));
        assert_eq!(line(b"abc\r", 3).unwrap(), None);
        assert!(line(b"abcd", 3).is_err());
        assert!(line(b"abcd\n", 3).is_err());
        assert!(line(b"abcd\r\n", 3).is_err());
    }

    #[test]
    fn no_limit_is_a_limit_too() {
        assert_eq!(line(b"abc\n", usize::MAX).unwrap(), Some((&b"abc"[..], 4)));
        assert_eq!(line(b"abc", usize::MAX).unwrap(), None);
    }

    proptest! {
        /// A prefix never yields another frame than the whole: incomplete, the same, or an error
        /// that the whole has too.
        #[test]
        fn a_prefix_says_nothing_else(input in proptest::collection::vec(prop_oneof![Just(b'a'), Just(b'\r'), Just(b'\n')], 0..40), limit in 0usize..20, cut in 0usize..40) {
            let cut = cut.min(input.len());
            match (line(&input[..cut], limit), line(&input, limit)) {
                (Ok(None), _) | (Err(_), Err(_)) => {}
                (Ok(Some(part)), Ok(Some(whole))) => prop_assert_eq!(part, whole),
                (part, whole) => prop_assert!(false, "{:?} {:?}", part, whole),
            }
        }
    }
}
