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

/// The longest method; those in IANA's registry have 17 letters at most. What has no blank by then is no request.
const MAX_METHOD: usize = 64;

/// The most fields in a head (Apache allows 100). The parser's table of them stands on the stack.
const MAX_FIELDS: usize = 64;

const TOO_MANY: Refusal = Refusal::new(Status::FieldsTooLarge, "too many fields");

/// A request without its fields: what they mean is in here.
#[derive(Debug, PartialEq, Eq)]
pub struct Request<'a> {
    pub method: Method,
    /// Without the query.
    pub path: &'a str,
    pub framing: Framing,
    pub after: After,
    pub expects: Expectation,
    /// Whom it is for and, if a browser has sent it, whose page has asked for that.
    pub from: Whence<'a>,
}

/// What the client waits for before it sends the body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Expectation {
    #[default]
    Nothing,
    /// `100 Continue`.
    Continue,
    /// Something that nobody has heard of.
    Unknown,
}

/// `Host` and `Origin`, for a server to which it matters by what name, and from which page, it is spoken to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Whence<'a> {
    pub host: &'a [u8],
    pub origin: Option<&'a [u8]>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    Get,
    Head,
    Post,
    Put,
    Options,
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
    expects: Expectation,
    origin: Option<&'a [u8]>,
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
    match head.parse_with_uninit_headers(window, &mut fields) {
        Ok(Parsed::Complete(taken)) => {
            let (Some(method), Some(target), Some(minor)) = (head.method, head.path, head.version)
            else {
                return Err(Refusal::bad("malformed head"));
            };
            let line = Line { method, target, is_1_0: minor == 0 };
            understand(line, head.headers, &window[..taken])
        }
        Ok(Parsed::Partial) => incomplete(window),
        Err(Error::TooManyHeaders) => Err(TOO_MANY),
        Err(Error::Version) => judge_version(window),
        Err(_) => Err(Refusal::bad("malformed head")),
    }
}

/// What the first line says.
struct Line<'a> {
    method: &'a str,
    target: &'a str,
    is_1_0: bool,
}

/// A verdict on a head that is whole: these are its bytes.
fn understand<'a>(
    line: Line<'a>,
    headers: &[Header<'a>],
    head: &[u8],
) -> Result<Option<(Request<'a>, usize)>, Refusal> {
    let Line { method, target, is_1_0 } = line;
    if has_bare_line_feed(head) {
        return Err(Refusal::bad("a line ends in LF without CR"));
    }
    if method.len() > MAX_METHOD {
        return Err(Refusal::bad("malformed head"));
    }
    let fields = Fields::read(headers)?;
    fields.check_host(is_1_0)?;
    let method = Method::of(method);
    let request = Request {
        method,
        path: path(method, target)?,
        framing: fields.framing(is_1_0)?,
        after: fields.after(is_1_0),
        // HTTP/1.0 knows no interim replies, and no expectations.
        expects: if is_1_0 { Expectation::Nothing } else { fields.expects },
        from: Whence { host: fields.host.unwrap_or_default(), origin: fields.origin },
    };
    Ok(Some((request, head.len())))
}

fn incomplete<T>(window: &[u8]) -> Result<Option<T>, Refusal> {
    let line = without_blank_lines(window);
    if line.len() > MAX_METHOD && !line[..=MAX_METHOD].contains(&b' ') {
        return Err(Refusal::bad("malformed head"));
    }
    if window.len() < MAX_HEAD {
        return Ok(None);
    }
    Err(Refusal::new(Status::FieldsTooLarge, "the head is too long"))
}

/// Empty lines before a request mean nothing (RFC 9112, section 2.2).
fn without_blank_lines(window: &[u8]) -> &[u8] {
    let start = window.iter().position(|byte| !b"\r\n".contains(byte));
    &window[start.unwrap_or(window.len())..]
}

/// The parser stops at the first byte that is not of `HTTP/1.0` or `HTTP/1.1`; what was meant shows
/// when the line is whole. Method and target are well-formed then, or it would have stopped there.
///
/// A later version 1 is answered as the latest that is known, 1.1 (RFC 9110, section 2.5).
fn judge_version(window: &[u8]) -> Result<Option<(Request<'_>, usize)>, Refusal> {
    let malformed = Refusal::bad("malformed version");
    let start = window.len() - without_blank_lines(window).len();
    let Some(end) = window[start..].iter().position(|&byte| byte == b'\n') else {
        return incomplete(window);
    };
    let line = window[start..start + end].strip_suffix(b"\r").unwrap_or_default();
    let line = std::str::from_utf8(line).map_err(|_| malformed)?;
    let mut words = line.splitn(3, ' ');
    let (Some(method), Some(target), Some(version)) = (words.next(), words.next(), words.next())
    else {
        return Err(malformed);
    };
    match version.as_bytes() {
        [b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'0'..=b'9'] => {}
        [b'H', b'T', b'T', b'P', b'/', b'0'..=b'9', b'.', b'0'..=b'9'] => {
            return Err(Refusal::new(Status::VersionNotSupported, "this is an HTTP/1.1 server"));
        }
        _ => return Err(malformed),
    }
    let line = Line { method, target, is_1_0: false };
    let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
    let begin = start + end + 1;
    match httparse::parse_headers(&window[begin..], &mut fields) {
        Ok(Parsed::Complete((taken, headers))) => {
            understand(line, headers, &window[..begin + taken])
        }
        Ok(Parsed::Partial) => incomplete(window),
        Err(Error::TooManyHeaders) => Err(TOO_MANY),
        Err(_) => Err(Refusal::bad("malformed head")),
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
    let path = if target.starts_with('/') || (target == "*" && method == Method::Options) {
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
    // A browser would have made a slash of it.
    if path.contains('\\') {
        return Err(Refusal::bad("malformed target"));
    }
    Ok(if path.is_empty() { "/" } else { path })
}

impl Method {
    fn of(name: &str) -> Method {
        match name {
            "GET" => Method::Get,
            "HEAD" => Method::Head,
            "POST" => Method::Post,
            "PUT" => Method::Put,
            "OPTIONS" => Method::Options,
            "DELETE" | "PATCH" | "TRACE" => Method::Unused,
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
                for expectation in list(value).filter(|element| !element.is_empty()) {
                    fields.expects.add(expectation);
                }
            } else if is("origin") && fields.origin.replace(value).is_some() {
                return Err(Refusal::bad("more than one Origin"));
            }
        }
        Ok(fields)
    }

    /// There is one, and it could be a host: `http` has no targets without (RFC 9110, section 4.2.1). The grammar
    /// is not checked further, as no host is looked up here.
    fn check_host(&self, is_1_0: bool) -> Result<(), Refusal> {
        match self.host {
            None if !is_1_0 => Err(Refusal::bad("no Host")),
            Some([]) => Err(Refusal::bad("malformed Host")),
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

impl Expectation {
    /// One more. What is not known is not met, whatever else there is (RFC 9110, section 10.1.1).
    fn add(&mut self, expectation: &[u8]) {
        *self = match self {
            Expectation::Unknown => Expectation::Unknown,
            _ if expectation.eq_ignore_ascii_case(b"100-continue") => Expectation::Continue,
            _ => Expectation::Unknown,
        };
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
