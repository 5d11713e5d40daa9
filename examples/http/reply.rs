//! Heads of replies, as text. Pure: knows no request and no connection.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::date::Date;

/// The statuses that this server uses (RFC 9110, section 15).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    Ok = 200,
    NoContent = 204,
    BadRequest = 400,
    #[allow(dead_code)] // the dashboard has it
    Forbidden = 403,
    NotFound = 404,
    MethodNotAllowed = 405,
    RequestTimeout = 408,
    ContentTooLarge = 413,
    ExpectationFailed = 417,
    FieldsTooLarge = 431,
    NotImplemented = 501,
    VersionNotSupported = 505,
}

/// What was asked for will not be done. Where it comes from decides what follows: a wrong head or
/// body leaves nobody knowing where the next request begins, a wrong path does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub status: Status,
    /// A line for whoever looks at it, without its end.
    pub why: &'static str,
    /// The methods that would do, for 405.
    pub allow: Option<&'static str>,
}

/// What becomes of the connection after a reply, and so what the reply says about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum After {
    /// It stays, as HTTP/1.1 has it unless somebody says otherwise.
    Keep,
    /// It stays, and HTTP/1.0 has to be told.
    SayKeepAlive,
    Close,
}

/// How the client will know where the body of a reply ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    Length(u64),
    Chunked,
    /// There is none, by its status (RFC 9110, section 8.6: then no length is given either).
    Nothing,
}

/// The head of a reply; `Display` writes it, with the empty line that ends it.
#[derive(Clone, Copy, Debug)]
pub struct Head {
    pub status: Status,
    pub content_type: &'static str,
    pub extent: Extent,
    pub date: Date,
    pub generation: u64,
    pub after: After,
    pub allow: Option<&'static str>,
    /// What a page may do that is shown to somebody (Content Security Policy).
    pub policy: Option<&'static str>,
}

/// Go on and send the body that you have announced.
pub const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// The chunk that ends a chunked body, and no trailers.
pub const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

pub const TEXT: &str = "text/plain; charset=utf-8";
pub const JSON: &str = "application/json";
pub const BYTES: &str = "application/octet-stream";

impl Status {
    fn reason(self) -> &'static str {
        match self {
            Status::Ok => "OK",
            Status::NoContent => "No Content",
            Status::BadRequest => "Bad Request",
            Status::Forbidden => "Forbidden",
            Status::NotFound => "Not Found",
            Status::MethodNotAllowed => "Method Not Allowed",
            Status::RequestTimeout => "Request Timeout",
            Status::ContentTooLarge => "Content Too Large",
            Status::ExpectationFailed => "Expectation Failed",
            Status::FieldsTooLarge => "Request Header Fields Too Large",
            Status::NotImplemented => "Not Implemented",
            Status::VersionNotSupported => "HTTP Version Not Supported",
        }
    }
}

impl Refusal {
    pub const fn new(status: Status, why: &'static str) -> Refusal {
        Refusal { status, why, allow: None }
    }

    /// The commonest one: this is not HTTP, or could be read in two ways.
    pub const fn bad(why: &'static str) -> Refusal {
        Refusal::new(Status::BadRequest, why)
    }
}

impl fmt::Display for Head {
    /// A reply to HTTP/1.0 says HTTP/1.1 as well: it is the version of the one who speaks
    /// (RFC 9110, section 6.2).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HTTP/1.1 {} {}\r\n", self.status as u16, self.status.reason())?;
        write!(f, "Date: {}\r\n", self.date)?;
        match self.extent {
            Extent::Length(length) => write!(f, "Content-Length: {length}\r\n")?,
            Extent::Chunked => f.write_str("Transfer-Encoding: chunked\r\n")?,
            Extent::Nothing => {}
        }
        if self.extent != Extent::Nothing {
            write!(f, "Content-Type: {}\r\n", self.content_type)?;
        }
        write!(f, "X-Generation: {}\r\n", self.generation)?;
        if let Some(methods) = self.allow {
            write!(f, "Allow: {methods}\r\n")?;
        }
        if let Some(policy) = self.policy {
            write!(f, "Content-Security-Policy: {policy}\r\n")?;
        }
        match self.after {
            After::Keep => {}
            After::SayKeepAlive => f.write_str("Connection: keep-alive\r\n")?,
            After::Close => f.write_str("Connection: close\r\n")?,
        }
        f.write_str("\r\n")
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::{
        super::date::{self, Calendar},
        *,
    };

    #[test]
    fn a_head_says_no_more_than_it_must() {
        let mut calendar = Calendar::new(date::example);
        calendar.look(Instant::now());
        let mut head = Head {
            date: calendar.date(),
            status: Status::Ok,
            content_type: TEXT,
            extent: Extent::Length(13),
            generation: 7,
            after: After::Keep,
            allow: None,
            policy: None,
        };
        assert_eq!(
            head.to_string(),
            "HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Length: 13\r\n\
             Content-Type: text/plain; charset=utf-8\r\nX-Generation: 7\r\n\r\n"
        );
        head.status = Status::MethodNotAllowed;
        head.extent = Extent::Chunked;
        head.allow = Some("GET, HEAD");
        head.after = After::Close;
        assert_eq!(
            head.to_string(),
            "HTTP/1.1 405 Method Not Allowed\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\
             Transfer-Encoding: chunked\r\nContent-Type: text/plain; charset=utf-8\r\n\
             X-Generation: 7\r\nAllow: GET, HEAD\r\nConnection: close\r\n\r\n"
        );
        head.status = Status::NoContent;
        head.extent = Extent::Nothing;
        head.after = After::Keep;
        assert_eq!(
            head.to_string(),
            "HTTP/1.1 204 No Content\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\
             X-Generation: 7\r\nAllow: GET, HEAD\r\n\r\n"
        );
    }
}
