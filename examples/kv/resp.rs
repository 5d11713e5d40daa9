//! The words of the Redis protocol, version 2, that servers and clients share: lines, numbers, limits,
//! and how values are written. Pure: knows no command, no store and no socket.
//!
//! `request` reads what a client sends, `reply` what a server answers.

/// The longest bulk string (`proto-max-bulk-len`).
pub const MAX_BULK: usize = 512 * 1024 * 1024;

/// The longest line: an inline command, or the head of a bulk or an array.
pub const MAX_LINE: usize = 64 * 1024;

pub const CRLF: &[u8] = b"\r\n";

/// Where bytes are written to; it takes them all and cannot fail.
pub trait Sink {
    fn put(&mut self, bytes: &[u8]);
}

impl Sink for Vec<u8> {
    fn put(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

/// `+OK`; `text` has no line end in it.
pub fn simple(out: &mut impl Sink, text: &str) {
    out.put(b"+");
    out.put(text.as_bytes());
    out.put(CRLF);
}

/// The commonest one, in one piece.
pub fn ok(out: &mut impl Sink) {
    out.put(b"+OK\r\n");
}

/// `-ERR ...`. What a client has sent may be part of the text, so line ends become spaces.
pub fn error(out: &mut impl Sink, text: &[u8]) {
    out.put(b"-");
    for piece in text.split_inclusive(|byte| b"\r\n".contains(byte)) {
        match piece.split_last() {
            Some((b'\r' | b'\n', line)) => {
                out.put(line);
                out.put(b" ");
            }
            _ => out.put(piece),
        }
    }
    out.put(CRLF);
}

/// `:1`
pub fn int(out: &mut impl Sink, value: i64) {
    head(out, b':', value);
}

/// `$5`, then five bytes.
pub fn bulk(out: &mut impl Sink, bytes: &[u8]) {
    head(out, b'$', bytes.len() as i64);
    out.put(bytes);
    out.put(CRLF);
}

/// A bulk that is not there.
pub fn null(out: &mut impl Sink) {
    out.put(b"$-1\r\n");
}

/// A bulk that may not be there.
pub fn bulk_or_null(out: &mut impl Sink, bytes: Option<&[u8]>) {
    match bytes {
        Some(bytes) => bulk(out, bytes),
        None => null(out),
    }
}

/// `*2`; that many values follow. A command is an array of bulks.
pub fn array(out: &mut impl Sink, len: usize) {
    head(out, b'*', len as i64);
}

fn head(out: &mut impl Sink, kind: u8, value: i64) {
    let digits = Decimal::new(value);
    let digits = digits.as_bytes();
    let mut line = [0; 1 + Decimal::LONGEST + CRLF.len()];
    line[0] = kind;
    line[1..][..digits.len()].copy_from_slice(digits);
    line[1 + digits.len()..][..CRLF.len()].copy_from_slice(CRLF);
    out.put(&line[..1 + digits.len() + CRLF.len()]);
}

/// A number as text, on the stack: most replies have one, and none of them shall allocate.
pub struct Decimal {
    digits: [u8; Decimal::LONGEST],
    start: usize,
}

impl Decimal {
    const LONGEST: usize = "-9223372036854775808".len();

    pub fn new(value: i64) -> Decimal {
        let mut decimal = Decimal { digits: [0; Decimal::LONGEST], start: Decimal::LONGEST };
        let mut rest = value.unsigned_abs();
        loop {
            decimal.push_front(b'0' + (rest % 10) as u8);
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        if value < 0 {
            decimal.push_front(b'-');
        }
        decimal
    }

    fn push_front(&mut self, byte: u8) {
        self.start -= 1;
        self.digits[self.start] = byte;
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.digits[self.start..]
    }
}

/// A number as Redis writes one, and in no other way: no `+`, no blanks, no leading zeros, no `-0`.
pub fn integer(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    match digits {
        [b'0'] if !negative => return Some(0),
        [b'1'..=b'9', ..] => {}
        _ => return None,
    }
    // Downwards, since there is one more number below zero than above.
    let mut value = 0i64;
    for digit in digits {
        let digit = digit.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value = value.checked_mul(10)?.checked_sub(i64::from(digit))?;
    }
    if negative { Some(value) } else { value.checked_neg() }
}

/// What is found where a line should be.
#[derive(Debug, PartialEq, Eq)]
pub enum Line<'a> {
    /// Its text without the end, and the bytes it takes with it.
    Whole(&'a [u8], usize),
    /// Its end has not come yet.
    Part,
    /// Longer than [`MAX_LINE`], wherever it ends.
    TooLong,
    /// A CR without its LF.
    Torn,
}

/// The line at the beginning of `input`, which ends in CR LF. However much of `input` is there, what is
/// found is the same or [`Line::Part`].
pub fn line(input: &[u8]) -> Line<'_> {
    let window = &input[..input.len().min(MAX_LINE + CRLF.len())];
    match window.iter().position(|&byte| byte == b'\r') {
        Some(end) if end > MAX_LINE => Line::TooLong,
        Some(end) => match window.get(end + 1) {
            None => Line::Part,
            Some(b'\n') => Line::Whole(&window[..end], end + CRLF.len()),
            Some(_) => Line::Torn,
        },
        None if window.len() > MAX_LINE => Line::TooLong,
        None => Line::Part,
    }
}
