//! Replies as servers send them, for clients. Pure: knows no command.

use super::resp::{CRLF, Line, MAX_BULK, integer, line};

/// How deep arrays may be nested. The deepest that Redis sends are some four levels deep.
const MAX_DEPTH: usize = 16;

/// One reply; its bytes borrow from the input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply<'a> {
    Simple(&'a [u8]),
    Error(&'a [u8]),
    Int(i64),
    Bulk(&'a [u8]),
    /// A bulk or an array that is not there.
    Null,
    Array(Vec<Reply<'a>>),
    /// Keys and values in turns, and what else only version 3 has.
    Map(Vec<Reply<'a>>),
    Set(Vec<Reply<'a>>),
    /// What was not asked for.
    Push(Vec<Reply<'a>>),
    /// Lines for people.
    Text(&'a [u8]),
}

/// The reply at the beginning of `input` and the bytes it takes; `None`: more of it is to come.
///
/// # Errors
/// When it is no reply; nobody can tell where the next one would begin.
pub fn reply(input: &[u8]) -> Result<Option<(Reply<'_>, usize)>, &'static str> {
    nested(input, MAX_DEPTH)
}

fn nested(input: &[u8], depth: usize) -> Result<Option<(Reply<'_>, usize)>, &'static str> {
    let (head, taken) = match line(input) {
        Line::Whole(head, taken) => (head, taken),
        Line::Part => return Ok(None),
        Line::TooLong | Line::Torn => return Err("a line without an end"),
    };
    let Some((&kind, text)) = head.split_first() else { return Err("an empty line") };
    let number = || integer(text).ok_or("a number that is none");
    let reply = match kind {
        b'+' => Reply::Simple(text),
        b'-' => Reply::Error(text),
        b':' => Reply::Int(number()?),
        b'$' | b'*' if text == b"-1" => Reply::Null,
        b'_' if text.is_empty() => Reply::Null,
        b'$' => return Ok(bulk(input, taken, number()?)?.map(|(all, end)| (Reply::Bulk(all), end))),
        b'=' => return verbatim(input, taken, number()?),
        b'*' | b'%' | b'~' | b'>' => return nest(kind, input, taken, number()?, depth),
        _ => return Err("an unknown kind of reply"),
    };
    Ok(Some((reply, taken)))
}

/// Its bytes, and where it ends.
fn bulk(input: &[u8], start: usize, length: i64) -> Result<Option<(&[u8], usize)>, &'static str> {
    let length = usize::try_from(length).ok().filter(|&length| length <= MAX_BULK);
    let end = start + length.ok_or("a bulk of impossible length")?;
    match input.get(end..end + CRLF.len()) {
        None => Ok(None),
        Some(CRLF) => Ok(Some((&input[start..end], end + CRLF.len()))),
        Some(_) => Err("a bulk without an end"),
    }
}

/// A bulk that begins with what kind of text it is.
fn verbatim(
    input: &[u8],
    start: usize,
    length: i64,
) -> Result<Option<(Reply<'_>, usize)>, &'static str> {
    let Some((all, end)) = bulk(input, start, length)? else { return Ok(None) };
    let text = all.strip_prefix(b"txt:").ok_or("a text of unknown kind")?;
    Ok(Some((Reply::Text(text), end)))
}

fn nest(
    kind: u8,
    input: &[u8],
    mut at: usize,
    count: i64,
    depth: usize,
) -> Result<Option<(Reply<'_>, usize)>, &'static str> {
    let each = if kind == b'%' { 2 } else { 1 };
    let count = usize::try_from(count).ok().and_then(|count| count.checked_mul(each));
    let count = count.ok_or("an array of impossible length")?;
    let depth = depth.checked_sub(1).ok_or("arrays in arrays without end")?;
    let mut items = Vec::new(); // not `count` of them: that is only what the peer says
    for _ in 0..count {
        let Some((item, taken)) = nested(&input[at..], depth)? else { return Ok(None) };
        items.push(item);
        at += taken;
    }
    let reply = match kind {
        b'%' => Reply::Map(items),
        b'~' => Reply::Set(items),
        b'>' => Reply::Push(items),
        _ => Reply::Array(items),
    };
    Ok(Some((reply, at)))
}
