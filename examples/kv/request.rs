//! Commands as clients send them: arrays of bulks, or inline lines. Pure: knows no command's meaning.
//!
//! The arguments borrow from the input, and what else reading takes is kept for the next command, so
//! that in the long run nothing is allocated.

use std::ops::Range;

use super::resp::{CRLF, Line, MAX_BULK, MAX_LINE, integer, line, short_head};

/// The longest command altogether (Redis: `client-query-buffer-limit`, 1 GB).
pub const MAX_COMMAND: usize = 1024 * 1024 * 1024;

/// The most arguments (Redis before 7.0; now it takes 2^31, and its memory is the limit).
const MAX_ARGS: i64 = 1024 * 1024;

/// More arguments than this are rare: the memory for them is given back.
const KEPT_ARGS: usize = 4096;

/// No argument is shorter, with what is around it.
const SHORTEST_BULK: usize = b"$0\r\n\r\n".len();

/// The arguments of one command, its name first. None at all where a client sends an empty line.
#[derive(Clone, Copy, Debug)]
pub struct Args<'a> {
    bytes: &'a [u8],
    spans: &'a [Range<usize>],
}

impl<'a> Args<'a> {
    pub fn len(self) -> usize {
        self.spans.len()
    }

    /// How many bytes were read to find it, quotes of an inline command excepted.
    pub fn bytes(self) -> usize {
        self.bytes.len()
    }

    /// # Panics
    /// When there is no such argument.
    pub fn at(self, index: usize) -> &'a [u8] {
        &self.bytes[self.spans[index].clone()]
    }

    pub fn get(self, index: usize) -> Option<&'a [u8]> {
        (index < self.len()).then(|| self.at(index))
    }

    /// The arguments from `first` on.
    pub fn from(self, first: usize) -> impl ExactSizeIterator<Item = &'a [u8]> {
        let spans = self.spans.get(first..).unwrap_or_default();
        spans.iter().map(move |span| &self.bytes[span.clone()])
    }
}

/// What is found at the beginning of the input.
#[derive(Debug)]
pub enum Request<'a> {
    /// A command and the bytes it takes.
    Whole(Args<'a>, usize),
    /// The beginning of one that has at least `want` bytes altogether.
    Part { want: usize },
}

/// Why the input is no command. Nobody can tell where the next one would begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    ArrayLength,
    ArrayLineTooLong,
    NotABulk {
        found: u8,
    },
    BulkLength,
    BulkLineTooLong,
    InlineTooLong,
    Quotes,
    /// Redis skips these two bytes unseen. A client that has miscounted is better told.
    NoLineEnd,
    /// Redis closes without a word.
    TooLong,
}

impl Malformed {
    /// In the words of Redis, where it has any.
    pub fn text(self) -> Vec<u8> {
        let why = match self {
            Malformed::ArrayLength => "invalid multibulk length",
            Malformed::ArrayLineTooLong => "too big mbulk count string",
            Malformed::NotABulk { found } => {
                return [&b"ERR Protocol error: expected '$', got '"[..], &[found], b"'"].concat();
            }
            Malformed::BulkLength => "invalid bulk length",
            Malformed::BulkLineTooLong => "too big bulk count string",
            Malformed::InlineTooLong => "too big inline request",
            Malformed::Quotes => "unbalanced quotes in request",
            Malformed::NoLineEnd => "expected CR LF",
            Malformed::TooLong => "too big request",
        };
        format!("ERR Protocol error: {why}").into()
    }
}

/// How far a command has come: its length, or the least that it will have.
enum Progress {
    Whole(usize),
    Part(usize),
}

/// Reads commands, one at a time.
#[derive(Debug, Default)]
pub struct Reader {
    /// Where the arguments are, in the input or in `unquoted`.
    spans: Vec<Range<usize>>,
    /// The arguments of an inline command, without their quotes.
    unquoted: Vec<u8>,
}

impl Reader {
    /// The command at the beginning of `input`, which is not empty.
    ///
    /// A command that comes in pieces is read from its beginning each time. What makes this right is
    /// `want`: a big argument is waited for as a whole, and of many small ones a good part.
    pub fn read<'a>(&'a mut self, input: &'a [u8]) -> Result<Request<'a>, Malformed> {
        self.spans.clear();
        self.spans.shrink_to(KEPT_ARGS);
        self.unquoted.clear();
        let is_array = input.first() == Some(&b'*');
        let progress = if is_array { self.read_array(input)? } else { self.read_inline(input)? };
        match progress {
            Progress::Whole(taken) => {
                let bytes = if is_array { &input[..taken] } else { &self.unquoted };
                Ok(Request::Whole(Args { bytes, spans: &self.spans }, taken))
            }
            Progress::Part(want) if want > MAX_COMMAND => Err(Malformed::TooLong),
            Progress::Part(want) => Ok(Request::Part { want }),
        }
    }

    fn read_array(&mut self, input: &[u8]) -> Result<Progress, Malformed> {
        let Some((count, mut at)) = array_head(input)? else {
            return Ok(Progress::Part(input.len() + 1));
        };
        for left in (0..count).rev() {
            let after = left * SHORTEST_BULK;
            let Some((length, taken)) = bulk_head(&input[at..])? else {
                return Ok(Progress::Part((at + SHORTEST_BULK).max(input.len() + 1) + after));
            };
            let (start, end) = (at + taken, at + taken + length);
            match input.get(end..end + CRLF.len()) {
                Some(CRLF) => self.spans.push(start..end),
                Some(_) => return Err(Malformed::NoLineEnd),
                None => return Ok(Progress::Part(end + CRLF.len() + after)),
            }
            at = end + CRLF.len();
        }
        Ok(Progress::Whole(at))
    }

    /// A line that people type: words, some of them in quotes.
    fn read_inline(&mut self, input: &[u8]) -> Result<Progress, Malformed> {
        let window = &input[..input.len().min(MAX_LINE + 1)];
        let Some(end) = window.iter().position(|&byte| byte == b'\n') else {
            return match window.len() > MAX_LINE {
                true => Err(Malformed::InlineTooLong),
                false => Ok(Progress::Part(input.len() + 1)),
            };
        };
        // A C string ends at its first zero byte; so do the words of a line for Redis.
        let mut rest = window[..end].split(|&byte| byte == 0).next().unwrap_or_default();
        loop {
            while let [byte, after @ ..] = rest
                && is_blank(*byte)
            {
                rest = after;
            }
            if rest.is_empty() {
                return Ok(Progress::Whole(end + 1));
            }
            let start = self.unquoted.len();
            rest = unquote(rest, &mut self.unquoted).ok_or(Malformed::Quotes)?;
            self.spans.push(start..self.unquoted.len());
        }
    }
}

/// How many arguments follow, and the bytes of the line that says so; `None`: it is not all there.
fn array_head(input: &[u8]) -> Result<Option<(usize, usize)>, Malformed> {
    let short = short_head(input, b'*');
    if short.is_some() {
        return Ok(short);
    }
    let (head, taken) = match line(input) {
        Line::Whole(head, taken) => (head, taken),
        Line::Part => return Ok(None),
        Line::TooLong => return Err(Malformed::ArrayLineTooLong),
        Line::Torn => return Err(Malformed::NoLineEnd),
    };
    let count = integer(&head[1..]).filter(|&count| count <= MAX_ARGS);
    Ok(Some((count.ok_or(Malformed::ArrayLength)?.max(0) as usize, taken)))
}

/// How long an argument is, and the bytes of the line that says so; `None`: it is not all there.
fn bulk_head(input: &[u8]) -> Result<Option<(usize, usize)>, Malformed> {
    let short = short_head(input, b'$');
    if short.is_some() {
        return Ok(short);
    }
    let (head, taken) = match line(input) {
        Line::Whole(head, taken) => (head, taken),
        Line::Part => return Ok(None),
        Line::TooLong => return Err(Malformed::BulkLineTooLong),
        Line::Torn => return Err(Malformed::NoLineEnd),
    };
    let Some(digits) = head.strip_prefix(b"$") else {
        return Err(Malformed::NotABulk { found: head.first().copied().unwrap_or(b'\r') });
    };
    let length = integer(digits).and_then(|length| usize::try_from(length).ok());
    let length = length.filter(|&length| length <= MAX_BULK).ok_or(Malformed::BulkLength)?;
    Ok(Some((length, taken)))
}

/// `isspace` of C.
fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}

/// Appends the first word of `text` to `out` and answers what follows it. `None`: a quote is not
/// closed, or something follows it closely. A quote may also begin inside of a word.
fn unquote<'a>(mut text: &'a [u8], out: &mut Vec<u8>) -> Option<&'a [u8]> {
    let mut quote = None;
    loop {
        (text, quote) = match (quote, text) {
            (None, [] | [b' ' | b'\t' | b'\r', ..]) => return Some(text),
            (None, [mark @ (b'"' | b'\''), rest @ ..]) => (rest, Some(*mark)),
            (Some(_), []) => return None,
            (Some(mark), [byte, rest @ ..]) if *byte == mark => {
                return rest.first().is_none_or(|&next| is_blank(next)).then_some(rest);
            }
            (Some(b'\''), [b'\\', b'\'', rest @ ..]) => {
                out.push(b'\'');
                (rest, quote)
            }
            (Some(b'"'), [b'\\', escaped, rest @ ..]) => (unescape(*escaped, rest, out), quote),
            (_, [byte, rest @ ..]) => {
                out.push(*byte);
                (rest, quote)
            }
        };
    }
}

/// What stands for `\n`, `\x0a` and the like; answers what follows it.
fn unescape<'a>(escaped: u8, rest: &'a [u8], out: &mut Vec<u8>) -> &'a [u8] {
    let hex = |digit: u8| char::from(digit).to_digit(16).map(|value| value as u8);
    if let (b'x', [high, low, after @ ..]) = (escaped, rest)
        && let (Some(high), Some(low)) = (hex(*high), hex(*low))
    {
        out.push(high << 4 | low);
        return after;
    }
    out.push(match escaped {
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'b' => 8,
        b'a' => 7,
        other => other,
    });
    rest
}
