//! What the hand-written servers answer: echo, GET and SET of RESP, one page of HTTP. Knows no socket.
//!
//! `bare` and `tokio` share it, so that they differ from each other in nothing but the loop.

use std::collections::HashMap;

/// The reply of the `http` example, byte for byte, in one second of 1994.
const HELLO: &[u8] =
    b"HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Length: 13\r\n\
    Content-Type: text/plain; charset=utf-8\r\nX-Generation: 0\r\n\r\nhello, world\n";

/// Most headers that a request may have; the `http` example allows as many.
const HEADERS: usize = 64;

pub enum Protocol {
    Echo,
    Resp(HashMap<Vec<u8>, Vec<u8>>),
    Http,
}

impl Protocol {
    pub fn named(name: &str) -> Option<Protocol> {
        match name {
            "echo" => Some(Protocol::Echo),
            "resp" => Some(Protocol::Resp(HashMap::new())),
            "http" => Some(Protocol::Http),
            _ => None,
        }
    }

    /// Appends the replies to all whole requests of `input`; answers the bytes that these took, or
    /// `None` for what is no request.
    pub fn answer(&mut self, input: &[u8], out: &mut Vec<u8>) -> Option<usize> {
        let mut taken = 0;
        while taken < input.len() {
            let rest = &input[taken..];
            let count = match self {
                Protocol::Echo => {
                    out.extend_from_slice(rest);
                    rest.len()
                }
                Protocol::Resp(store) => match command(rest)? {
                    Some((args, count)) => {
                        carry_out(store, &args, out)?;
                        count
                    }
                    None => break,
                },
                Protocol::Http => {
                    let mut headers = [httparse::EMPTY_HEADER; HEADERS];
                    let mut request = httparse::Request::new(&mut headers);
                    match request.parse(rest).ok()? {
                        httparse::Status::Complete(count) => {
                            out.extend_from_slice(HELLO);
                            count
                        }
                        httparse::Status::Partial => break,
                    }
                }
            };
            taken += count;
        }
        Some(taken)
    }
}

/// Up to three arguments: a GET or a SET.
type Args<'a> = ([&'a [u8]; 3], usize);

/// `Some(None)`: not all of it is there.
fn command(input: &[u8]) -> Option<Option<(Args<'_>, usize)>> {
    let mut args = [&input[..0]; 3];
    let Some((count, mut at)) = number(input, b'*')? else { return Some(None) };
    for arg in args.get_mut(..count)? {
        let Some((length, taken)) = number(&input[at..], b'$')? else { return Some(None) };
        let start = at + taken;
        at = start + length + 2;
        if input.len() < at {
            return Some(None);
        }
        *arg = &input[start..start + length];
    }
    Some(Some(((args, count), at)))
}

/// A line like `*3`: its number and its length.
fn number(input: &[u8], kind: u8) -> Option<Option<(usize, usize)>> {
    let Some(end) = input.iter().position(|&byte| byte == b'\r') else { return Some(None) };
    if input.len() < end + 2 {
        return Some(None);
    }
    let digits = input[..end].strip_prefix(&[kind])?;
    let value = digits.iter().try_fold(0usize, |value, digit| {
        let digit = digit.is_ascii_digit().then(|| usize::from(digit - b'0'))?;
        value.checked_mul(10)?.checked_add(digit)
    })?;
    Some(Some((value, end + 2)))
}

fn carry_out(
    store: &mut HashMap<Vec<u8>, Vec<u8>>,
    (args, count): &Args<'_>,
    out: &mut Vec<u8>,
) -> Option<()> {
    match (count, args) {
        (2, [verb, key, _]) if verb.eq_ignore_ascii_case(b"GET") => match store.get(*key) {
            Some(value) => {
                out.push(b'$');
                push_number(value.len(), out);
                out.extend_from_slice(b"\r\n");
                out.extend_from_slice(value);
                out.extend_from_slice(b"\r\n");
            }
            None => out.extend_from_slice(b"$-1\r\n"),
        },
        (3, [verb, key, value]) if verb.eq_ignore_ascii_case(b"SET") => {
            match store.get_mut(*key) {
                Some(old) => {
                    old.clear();
                    old.extend_from_slice(value);
                }
                None => drop(store.insert(key.to_vec(), value.to_vec())),
            }
            out.extend_from_slice(b"+OK\r\n");
        }
        _ => return None,
    }
    Some(())
}

fn push_number(value: usize, out: &mut Vec<u8>) {
    if value >= 10 {
        push_number(value / 10, out);
    }
    out.push(b'0' + (value % 10) as u8);
}
