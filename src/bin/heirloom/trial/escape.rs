//! Text of a command line as the bytes that it stands for. Pure.

use std::{ffi::OsStr, os::unix::ffi::OsStrExt};

/// `\r`, `\n`, `\t`, `\0`, `\\` and `\xHH`, as `printf(1)` has them; all else stands for itself.
///
/// # Errors
/// When a backslash is followed by something else.
pub fn bytes(text: &OsStr) -> Result<Vec<u8>, String> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        rest = after;
        if first != b'\\' {
            out.push(first);
            continue;
        }
        let (byte, taken) = match rest.first() {
            Some(b'r') => (b'\r', 1),
            Some(b'n') => (b'\n', 1),
            Some(b't') => (b'\t', 1),
            Some(b'0') => (0, 1),
            Some(b'\\') => (b'\\', 1),
            Some(b'x') => (hex(rest).ok_or("\\x is followed by two hexadecimal digits")?, 3),
            Some(&other) => {
                return Err(format!("\\{} stands for nothing", char::from(other).escape_default()));
            }
            None => return Err("it ends in a backslash".to_owned()),
        };
        out.push(byte);
        rest = &rest[taken..];
    }
    Ok(out)
}

fn hex(text: &[u8]) -> Option<u8> {
    let digits = text.get(1..3).filter(|digits| digits.iter().all(u8::is_ascii_hexdigit))?;
    u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_stand_for_bytes() {
        let bytes = |text: &str| bytes(OsStr::new(text));
        assert_eq!(bytes(r"GET /\r\n\t\0\\\x7f.").unwrap(), b"GET /\r\n\t\0\\\x7f.");
        for wrong in [r"\q", r"\", r"\x7", r"\x+7"] {
            assert!(bytes(wrong).is_err(), "{wrong}");
        }
    }
}
