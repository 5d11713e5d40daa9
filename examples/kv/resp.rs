//! The words of the Redis protocol that servers and clients share: lines, numbers, limits, and how values are
//! written that are the same in both of its versions. Pure: knows no command, no store and no socket.
//!
//! `request` reads what a client sends, `reply` what a server answers; `out` knows the versions.

/// The longest bulk string (`proto-max-bulk-len`).
pub const MAX_BULK: usize = 512 * 1024 * 1024;

/// The longest line: an inline command, or the head of a bulk or an array.
pub const MAX_LINE: usize = 64 * 1024;

pub const CRLF: &[u8] = b"\r\n";

/// The longest head: a kind, a number, the line's end.
const HEAD: usize = 1 + Decimal::LONGEST + CRLF.len();

/// A bulk up to this size is copied once more to be written in one piece.
const SHORT: usize = 128;

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

/// `$5`, then five bytes. A short one is put together first: one piece costs less than three.
pub fn bulk(out: &mut impl Sink, bytes: &[u8]) {
    if bytes.len() > SHORT {
        head(out, b'$', bytes.len() as i64);
        out.put(bytes);
        return out.put(CRLF);
    }
    let mut whole = [0; HEAD + SHORT + CRLF.len()];
    let start = head_before(&mut whole[..HEAD], b'$', bytes.len() as i64);
    let end = HEAD + bytes.len();
    whole[HEAD..end].copy_from_slice(bytes);
    whole[end..][..CRLF.len()].copy_from_slice(CRLF);
    out.put(&whole[start..end + CRLF.len()]);
}

/// `*2`; that many values follow. A command is an array of bulks.
pub fn array(out: &mut impl Sink, len: usize) {
    head(out, b'*', len as i64);
}

/// A kind, a number, the line's end.
pub fn head(out: &mut impl Sink, kind: u8, value: i64) {
    let mut line = [0; HEAD];
    let start = head_before(&mut line, kind, value);
    out.put(&line[start..]);
}

/// Writes a kind, a number and the line's end so that they end where `line` does; answers where they begin.
fn head_before(line: &mut [u8], kind: u8, value: i64) -> usize {
    let end = line.len() - CRLF.len();
    line[end..].copy_from_slice(CRLF);
    let start = digits_before(&mut line[..end], value) - 1;
    line[start] = kind;
    start
}

fn digits_before(line: &mut [u8], value: i64) -> usize {
    let mut start = line.len();
    let mut rest = value.unsigned_abs();
    loop {
        start -= 1;
        line[start] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    if value < 0 {
        start -= 1;
        line[start] = b'-';
    }
    start
}

/// A number as text, on the stack: most replies have one, and none of them shall allocate.
pub struct Decimal {
    digits: [u8; Decimal::LONGEST],
    start: usize,
}

impl Decimal {
    const LONGEST: usize = "-9223372036854775808".len();

    pub fn new(value: i64) -> Decimal {
        let mut digits = [0; Decimal::LONGEST];
        let start = digits_before(&mut digits, value);
        Decimal { digits, start }
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

/// A line of `kind` and up to three digits, as nearly all heads are: its number and the bytes it takes.
/// `None`: it is another, or none, and has to be looked at closely.
pub fn short_head(input: &[u8], kind: u8) -> Option<(usize, usize)> {
    let (&first, line) = input.split_first()?;
    let number = |digits: &[u8]| {
        digits.iter().fold(0, |number, digit| number * 10 + usize::from(digit - b'0'))
    };
    let found = match *line {
        [a @ b'0'..=b'9', b'\r', b'\n', ..] => (number(&[a]), 4),
        [a @ b'1'..=b'9', b @ b'0'..=b'9', b'\r', b'\n', ..] => (number(&[a, b]), 5),
        [a @ b'1'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9', b'\r', b'\n', ..] => {
            (number(&[a, b, c]), 6)
        }
        _ => return None,
    };
    (first == kind).then_some(found)
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
