//! From the bytes of a head to a typed request, or to the reason why not. Pure: knows no routes, no
//! bodies and no connection.
//!
//! The rules are those of RFC 9112, in its strict reading: whatever two parties on the way could
//! read in two ways is refused, since a request that hides in another one (smuggling) lives on
//! such differences. So a line ends in CRLF and never in LF alone, a length is given once and in one
//! manner, and `chunked` is the last coding and the only one.

use std::mem::MaybeUninit;

use httparse::{Error, Header, Status as Parsed};
use serde::{Deserialize, Serialize};

use super::reply::{After, Refusal, Status};

/// The longest head: nginx's 4 times 8 KiB seem much for a client without cookies, Go allows 1 MiB.
pub const MAX_HEAD: usize = 16 * 1024;

/// The most fields in a head (Apache allows 100). The parser's table of them stands on the stack.
const MAX_FIELDS: usize = 64;

/// A request without its fields: what they mean is in here.
#[derive(Debug, PartialEq, Eq)]
pub struct Request<'a> {
    pub method: Method,
    /// Without the query.
    pub path: &'a str,
    pub framing: Framing,
    pub after: After,
    /// The client waits for `100 Continue` before it sends the body.
    pub expects_continue: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    Get,
    Head,
    Post,
    Put,
    /// Known to RFC 9110 or 5789, and of no use to any resource here.
    Unused,
    Unknown,
}

/// Where the body ends. A request without a body has one of length 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Framing {
    Length(u64),
    Chunked,
}

/// What the fields that matter here say.
#[derive(Default)]
struct Fields<'a> {
    host: Option<&'a [u8]>,
    length: Option<u64>,
    transfer: Option<Transfer>,
    close: bool,
    keep_alive: bool,
    expects_continue: bool,
}

/// The transfer codings so far, in the order in which they were applied.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Transfer {
    Chunked,
    /// Others, and `chunked` is not the last.
    Open,
    /// Others, then `chunked`: it is clear where the body ends, but not what it says.
    Encoded,
}

/// Finds the head at the beginning of `input` and answers it with its length; `None`: more of it is
/// to come. The verdict is the same however the bytes arrive.
///
/// A head that comes in pieces is read from its beginning each time. That is right as long as
/// `MAX_HEAD` is small and most heads come in one piece.
pub fn parse(input: &[u8]) -> Result<Option<(Request<'_>, usize)>, Refusal> {
    let window = &input[..input.len().min(MAX_HEAD)];
    let mut fields = [const { MaybeUninit::uninit() }; MAX_FIELDS];
    let mut head = httparse::Request::new(&mut []);
    let taken = match head.parse_with_uninit_headers(window, &mut fields) {
        Ok(Parsed::Complete(taken)) => taken,
        Ok(Parsed::Partial) => return incomplete(window),
        Err(Error::TooManyHeaders) => {
            return Err(Refusal::new(Status::FieldsTooLarge, "too many fields"));
        }
        Err(Error::Version) => return judge_version(window),
        Err(_) => return Err(Refusal::bad("malformed head")),
    };
    if has_bare_line_feed(&window[..taken]) {
        return Err(Refusal::bad("a line ends in LF without CR"));
    }
    let (Some(method), Some(target), Some(minor)) = (head.method, head.path, head.version) else {
        return Err(Refusal::bad("malformed head"));
    };
    let is_1_0 = minor == 0;
    let fields = Fields::read(head.headers)?;
    fields.check_host(is_1_0)?;
    let method = Method::of(method);
    let request = Request {
        method,
        path: path(method, target)?,
        framing: fields.framing(is_1_0)?,
        after: fields.after(is_1_0),
        // HTTP/1.0 knows no interim replies.
        expects_continue: fields.expects_continue && !is_1_0,
    };
    Ok(Some((request, taken)))
}

fn incomplete<T>(window: &[u8]) -> Result<Option<T>, Refusal> {
    if window.len() < MAX_HEAD {
        return Ok(None);
    }
    Err(Refusal::new(Status::FieldsTooLarge, "the head is too long"))
}

/// The parser stops at the first byte that is not of `HTTP/1.0` or `HTTP/1.1`; what was meant shows
/// when the line is whole. A future HTTP/1.2 could be answered like 1.1; there will be none.
fn judge_version<T>(window: &[u8]) -> Result<Option<T>, Refusal> {
    let start = window.iter().position(|byte| !b"\r\n".contains(byte)).unwrap_or(0);
    let line = &window[start..];
    let Some(end) = line.iter().position(|&byte| byte == b'\n') else { return incomplete(window) };
    let line = line[..end].strip_suffix(b"\r").unwrap_or_default();
    let version = line.splitn(3, |&byte| byte == b' ').nth(2);
    match version {
        Some([b'H', b'T', b'T', b'P', b'/', b'0'..=b'9', b'.', b'0'..=b'9']) => {
            Err(Refusal::new(Status::VersionNotSupported, "this is an HTTP/1.1 server"))
        }
        _ => Err(Refusal::bad("malformed version")),
    }
}

/// The parser takes an LF alone for the end of a line, as RFC 9112, section 2.2, allows. An
/// intermediary that does not would see another head.
fn has_bare_line_feed(head: &[u8]) -> bool {
    // All of it is looked at, whatever is found: so the compiler takes many bytes at a time.
    let pairs = head.iter().zip(head.iter().skip(1));
    pairs.fold(head.starts_with(b"\n"), |found, (&before, &byte)| {
        found | ((byte == b'\n') & (before != b'\r'))
    })
}

/// The path of a target in origin form (`/path?query`) or absolute form (`http://host/path`). The
/// authority in the latter goes before `Host`, and neither changes anything in this server.
fn path(method: Method, target: &str) -> Result<&str, Refusal> {
    if !target.is_ascii() || target.contains('#') {
        return Err(Refusal::bad("malformed target"));
    }
    let path = if target.starts_with('/') || (target == "*" && method == Method::Unused) {
        target
    } else {
        match target.split_once("://") {
            Some((scheme, rest))
                if ["http", "https"].iter().any(|s| scheme.eq_ignore_ascii_case(s)) =>
            {
                rest.find(['/', '?']).map_or("/", |authority| &rest[authority..])
            }
            // `CONNECT host:port` goes to a proxy; it is not known here, whatever its target.
            _ if method == Method::Unknown => target,
            _ => return Err(Refusal::bad("malformed target")),
        }
    };
    let path = path.split('?').next().unwrap_or(path);
    Ok(if path.is_empty() { "/" } else { path })
}

impl Method {
    fn of(name: &str) -> Method {
        match name {
            "GET" => Method::Get,
            "HEAD" => Method::Head,
            "POST" => Method::Post,
            "PUT" => Method::Put,
            "DELETE" | "OPTIONS" | "PATCH" | "TRACE" => Method::Unused,
            _ => Method::Unknown,
        }
    }
}

impl<'a> Fields<'a> {
    fn read(headers: &[Header<'a>]) -> Result<Fields<'a>, Refusal> {
        let mut fields = Fields::default();
        for &Header { name, value } in headers {
            let is = |known: &str| name.eq_ignore_ascii_case(known);
            if is("host") {
                if fields.host.replace(value).is_some() {
                    return Err(Refusal::bad("more than one Host"));
                }
            } else if is("content-length") {
                // Even the same length twice is refused: it shows that somebody has meddled.
                if fields.length.replace(length(value)?).is_some() {
                    return Err(Refusal::bad("more than one Content-Length"));
                }
            } else if is("transfer-encoding") {
                for coding in list(value) {
                    fields.transfer = Some(Transfer::add(fields.transfer, coding)?);
                }
            } else if is("connection") {
                for option in list(value) {
                    fields.close |= option.eq_ignore_ascii_case(b"close");
                    fields.keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
                }
            } else if is("expect") {
                // Any other expectation may be ignored (RFC 9110, section 10.1.1).
                fields.expects_continue |= value.eq_ignore_ascii_case(b"100-continue");
            }
        }
        Ok(fields)
    }

    /// An empty host is allowed, a second one or what could not be a host is not. The grammar is
    /// not checked further, as no host is looked up here.
    fn check_host(&self, is_1_0: bool) -> Result<(), Refusal> {
        match self.host {
            None if !is_1_0 => Err(Refusal::bad("no Host")),
            Some(host) if host.iter().any(|b| !b.is_ascii_graphic() || b"/?#@\\".contains(b)) => {
                Err(Refusal::bad("malformed Host"))
            }
            _ => Ok(()),
        }
    }

    /// RFC 9112, sections 6.1 to 6.3.
    fn framing(&self, is_1_0: bool) -> Result<Framing, Refusal> {
        match (self.transfer, self.length) {
            (None, length) => Ok(Framing::Length(length.unwrap_or(0))),
            (Some(_), _) if is_1_0 => Err(Refusal::bad("Transfer-Encoding in HTTP/1.0")),
            (Some(_), Some(_)) => Err(Refusal::bad("Content-Length and Transfer-Encoding")),
            (Some(Transfer::Chunked), None) => Ok(Framing::Chunked),
            (Some(Transfer::Open), None) => Err(Refusal::bad("the last coding is not chunked")),
            (Some(Transfer::Encoded), None) => {
                Err(Refusal::new(Status::NotImplemented, "unknown transfer coding"))
            }
        }
    }

    fn after(&self, is_1_0: bool) -> After {
        match (self.close, is_1_0) {
            (true, _) => After::Close,
            (false, false) => After::Keep,
            (false, true) if self.keep_alive => After::SayKeepAlive,
            (false, true) => After::Close,
        }
    }
}

impl Transfer {
    /// One more coding. Nothing may come after `chunked`, not even itself.
    fn add(before: Option<Transfer>, coding: &[u8]) -> Result<Transfer, Refusal> {
        match (before, coding.eq_ignore_ascii_case(b"chunked")) {
            (Some(Transfer::Chunked | Transfer::Encoded), _) => {
                Err(Refusal::bad("a transfer coding after chunked"))
            }
            (None, true) => Ok(Transfer::Chunked),
            (Some(Transfer::Open), true) => Ok(Transfer::Encoded),
            (_, false) => Ok(Transfer::Open),
        }
    }
}

/// The elements of a comma-separated list; empty ones too.
fn list(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|&byte| byte == b',').map(<[u8]>::trim_ascii)
}

/// Digits and nothing else: no sign, no blank, no list.
fn length(value: &[u8]) -> Result<u64, Refusal> {
    let digits =
        std::str::from_utf8(value).ok().filter(|text| text.bytes().all(|b| b.is_ascii_digit()));
    digits.and_then(|digits| digits.parse().ok()).ok_or(Refusal::bad("malformed Content-Length"))
}

#[cfg(test)]
#[path = "request_tests.rs"]
mod tests;
