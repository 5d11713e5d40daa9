//! Bodies of requests, by length or in chunks, taken piece by piece as they come. Pure: knows no
//! routes and no connection, and never holds a byte.
//!
//! What it does not take stays with the reactor: a line of the chunked coding that is not whole, and
//! never more than one.

use serde::{Deserialize, Serialize};

use super::{
    reply::{Refusal, Status},
    request::{Framing, MAX_HEAD},
};

/// The longest line between chunks: a size with its extensions, or a trailer field. Both are rare
/// and are thrown away here.
const MAX_LINE: usize = 4 * 1024;

/// Extensions and trailers of one body, all in all. They count towards no length, so without a
/// limit a client could send them for ever (CVE-2023-39326 in Go).
const MAX_EXTRAS: usize = MAX_HEAD;

/// A body on its way in.
#[derive(Debug, Serialize, Deserialize)]
pub struct Body {
    pub stage: Stage,
    /// Content that may still come before the body is too long.
    pub room: u64,
    /// Bytes of extensions and trailers that may still come.
    pub extras: usize,
    /// Content so far.
    pub received: u64,
}

/// What comes next.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub enum Stage {
    /// Content, up to the length that the head gave.
    Plain { left: u64 },
    /// The line with the size of a chunk.
    Size,
    /// Content of a chunk.
    Chunk { left: u64 },
    /// The CRLF behind a chunk.
    ChunkEnd,
    /// A trailer field, or the empty line that ends the body.
    Trailer,
}

/// What was found at the beginning of the input.
#[derive(Debug, PartialEq, Eq)]
pub struct Piece<'a> {
    /// Bytes of input that are done with. Zero: more must come first.
    pub taken: usize,
    /// Content among them; may be empty.
    pub data: &'a [u8],
    /// The body ends behind them.
    pub is_last: bool,
}

impl Body {
    /// A body of at most `limit` bytes; `None` if it is empty and nothing will come.
    pub fn new(framing: Framing, limit: u64) -> Result<Option<Body>, Refusal> {
        let stage = match framing {
            Framing::Length(0) => return Ok(None),
            Framing::Length(left) if left > limit => return Err(too_large()),
            Framing::Length(left) => Stage::Plain { left },
            Framing::Chunked => Stage::Size,
        };
        Ok(Some(Body { stage, room: limit, extras: MAX_EXTRAS, received: 0 }))
    }

    /// Content so far.
    pub fn received(&self) -> u64 {
        self.received
    }

    /// Takes what can be taken of `input`, which is not empty. Not to be called after the last piece.
    pub fn next<'a>(&mut self, input: &'a [u8]) -> Result<Piece<'a>, Refusal> {
        match self.stage {
            Stage::Plain { left } => {
                let (data, left) = self.content(input, left);
                self.stage = Stage::Plain { left };
                Ok(Piece { taken: data.len(), data, is_last: left == 0 })
            }
            Stage::Size => self.size(input),
            Stage::Chunk { left } => {
                let (data, left) = self.content(input, left);
                self.stage = if left == 0 { Stage::ChunkEnd } else { Stage::Chunk { left } };
                Ok(Piece { taken: data.len(), data, is_last: false })
            }
            Stage::ChunkEnd => match input {
                [b'\r', b'\n', ..] => {
                    self.stage = Stage::Size;
                    Ok(Piece::passed(2))
                }
                [b'\r'] => Ok(Piece::passed(0)),
                _ => Err(Refusal::bad("a chunk is longer than its size")),
            },
            Stage::Trailer => self.trailer(input),
        }
    }

    /// Splits off content of which `left` bytes are missing; answers it and how many still are.
    fn content<'a>(&mut self, input: &'a [u8], left: u64) -> (&'a [u8], u64) {
        let data =
            &input[..usize::try_from(left).map_or(input.len(), |left| input.len().min(left))];
        self.received += data.len() as u64;
        (data, left - data.len() as u64)
    }

    fn size<'a>(&mut self, input: &'a [u8]) -> Result<Piece<'a>, Refusal> {
        // Seen at once, so that a client which has lost its place need not send a whole line.
        if !input[0].is_ascii_hexdigit() {
            return Err(Refusal::bad("malformed chunk size"));
        }
        let Some((line, taken)) = line(input)? else { return Ok(Piece::passed(0)) };
        let (size, extension) = size_line(line)?;
        self.charge(extension.len())?;
        self.room = self.room.checked_sub(size).ok_or(too_large())?;
        self.stage = if size == 0 { Stage::Trailer } else { Stage::Chunk { left: size } };
        Ok(Piece::passed(taken))
    }

    /// Trailers are checked and dropped: nothing here depends on one, and whoever merges them into
    /// the head lets a client say things behind the back of those who have checked the head.
    fn trailer<'a>(&mut self, input: &'a [u8]) -> Result<Piece<'a>, Refusal> {
        let Some((line, taken)) = line(input)? else { return Ok(Piece::passed(0)) };
        if line.is_empty() {
            return Ok(Piece { is_last: true, ..Piece::passed(taken) });
        }
        let name = line.split(|&byte| byte == b':').next().unwrap_or_default();
        if name.is_empty() || name.len() == line.len() || !name.iter().all(u8::is_ascii_graphic) {
            return Err(Refusal::bad("malformed trailer"));
        }
        self.charge(taken)?;
        Ok(Piece::passed(taken))
    }

    fn charge(&mut self, bytes: usize) -> Result<(), Refusal> {
        let left = self.extras.checked_sub(bytes);
        self.extras =
            left.ok_or(Refusal::new(Status::FieldsTooLarge, "too much beside the body"))?;
        Ok(())
    }
}

impl Piece<'_> {
    /// `taken` bytes without content.
    fn passed(taken: usize) -> Self {
        Piece { taken, data: &[], is_last: false }
    }
}

fn too_large() -> Refusal {
    Refusal::new(Status::ContentTooLarge, "the body is too long")
}

/// The first line without its end, and how many bytes it takes with it; `None`: it is not whole.
/// It ends in CRLF; an LF alone, or any control character, would be read differently elsewhere.
fn line(input: &[u8]) -> Result<Option<(&[u8], usize)>, Refusal> {
    let window = &input[..input.len().min(MAX_LINE)];
    let Some(end) = window.iter().position(|&byte| byte == b'\n') else {
        if window.len() == MAX_LINE {
            return Err(Refusal::new(Status::FieldsTooLarge, "a line in the body is too long"));
        }
        return Ok(None);
    };
    match window[..end].strip_suffix(b"\r") {
        Some(line) if !line.iter().any(|byte| byte.is_ascii_control() && *byte != b'\t') => {
            Ok(Some((line, end + 1)))
        }
        _ => Err(Refusal::bad("malformed line in the body")),
    }
}

/// `1*HEXDIG`, then nothing or extensions (RFC 9112, section 7.1.1).
fn size_line(line: &[u8]) -> Result<(u64, &[u8]), Refusal> {
    let malformed = Refusal::bad("malformed chunk size");
    let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    let (digits, extension) = line.split_at(digits);
    check_extensions(extension).ok_or(malformed)?;
    let digits = std::str::from_utf8(digits).map_err(|_| malformed)?;
    let size = u64::from_str_radix(digits, 16).map_err(|_| malformed)?;
    Ok((size, extension))
}

/// `*( BWS ";" BWS token [ BWS "=" BWS ( token / quoted-string ) ] )`, to the end of the line. Nobody here wants to
/// know one. But what is passed over unread is where a request can hide: a line that ends elsewhere for somebody else.
fn check_extensions(mut rest: &[u8]) -> Option<()> {
    while !rest.is_empty() {
        rest = token(blanks(blanks(rest).strip_prefix(b";")?))?;
        if let Some(value) = blanks(rest).strip_prefix(b"=") {
            let value = blanks(value);
            rest = if value.starts_with(b"\"") { quoted(&value[1..])? } else { token(value)? };
        }
    }
    Some(())
}

/// What is behind a token; `None`: there is none.
fn token(input: &[u8]) -> Option<&[u8]> {
    let is_of_one = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    let length = input.iter().take_while(|byte| is_of_one(byte)).count();
    (length > 0).then(|| &input[length..])
}

/// What is behind the text of a quoted string and its closing mark. Control characters are refused already.
fn quoted(mut input: &[u8]) -> Option<&[u8]> {
    loop {
        input = match input {
            [b'"', rest @ ..] => return Some(rest),
            [b'\\', _, rest @ ..] | [_, rest @ ..] => rest,
            [] => return None,
        };
    }
}

fn blanks(input: &[u8]) -> &[u8] {
    let length = input.iter().take_while(|byte| b" \t".contains(byte)).count();
    &input[length..]
}

#[cfg(test)]
#[path = "body_tests.rs"]
mod tests;
