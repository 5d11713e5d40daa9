//! One request by HTTP/1 and its reply, for what the library itself answers: `GET` and `HEAD` of a few paths, one
//! request a connection. Pure: knows no socket and no time.
//!
//! What is no request is refused with a status, as RFC 9112 has it; nothing of a body is read, since the connection is closed
//! behind the reply (RFC 9112, section 9.6).

use std::fmt::Write;

use httparse::{EMPTY_HEADER, Error, Request, Status as Parsed};

use crate::limits::{MONITOR_FIELDS, MONITOR_HEAD};

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ask {
    /// Only the head of the reply is wanted.
    pub head_only: bool,
    /// Without a query.
    pub path: String,
}

/// The status of a reply (RFC 9110, section 15; 431 is RFC 6585).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    Ok,
    BadRequest,
    NotFound,
    MethodNotAllowed,
    HeadTooLarge,
    Unavailable,
    VersionNotSupported,
}

impl Status {
    fn line(self) -> &'static str {
        match self {
            Status::Ok => "200 OK",
            Status::BadRequest => "400 Bad Request",
            Status::NotFound => "404 Not Found",
            Status::MethodNotAllowed => "405 Method Not Allowed",
            Status::HeadTooLarge => "431 Request Header Fields Too Large",
            Status::Unavailable => "503 Service Unavailable",
            Status::VersionNotSupported => "505 HTTP Version Not Supported",
        }
    }
}

/// A reply with a short text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reply {
    pub status: Status,
    pub text: &'static str,
}

impl Reply {
    pub const NOT_FOUND: Reply = Reply { status: Status::NotFound, text: "no such path" };
}

/// Reads a request, as far as it has come; `None`: more of it is to come.
///
/// # Errors
/// What is wrong with it, as a reply.
pub(crate) fn read(input: &[u8]) -> Result<Option<Ask>, Reply> {
    let mut fields = [EMPTY_HEADER; MONITOR_FIELDS];
    let mut request = Request::new(&mut fields);
    let refuse = |status, text| Err(Reply { status, text });
    match request.parse(input) {
        Ok(Parsed::Complete(_)) => {}
        Ok(Parsed::Partial) if input.len() > MONITOR_HEAD => {
            return refuse(Status::HeadTooLarge, "the head is too long");
        }
        Ok(Parsed::Partial) => return Ok(None),
        Err(Error::TooManyHeaders) => {
            return refuse(Status::HeadTooLarge, "the head has too many fields");
        }
        Err(Error::Version) => return refuse(Status::VersionNotSupported, "this is HTTP/1"),
        Err(_) => return refuse(Status::BadRequest, "this is no request"),
    }
    let hosts = request.headers.iter().filter(|field| field.name.eq_ignore_ascii_case("host"));
    let (hosts, is_new) = (hosts.count(), request.version == Some(1));
    if hosts > 1 || (is_new && hosts == 0) {
        return refuse(Status::BadRequest, "one Host field is to be there"); // RFC 9112, section 3.2
    }
    let head_only = match request.method {
        Some("GET") => false,
        Some("HEAD") => true,
        _ => return refuse(Status::MethodNotAllowed, "GET and HEAD only"),
    };
    let target = request.path.unwrap_or_default();
    Ok(Some(Ask { head_only, path: path_of(target).to_owned() }))
}

/// The path of a target in origin form, or in absolute form as it is sent to a proxy (RFC 9112, section 3.2).
fn path_of(target: &str) -> &str {
    let is_absolute = target.get(..7).is_some_and(|start| start.eq_ignore_ascii_case("http://"));
    let path = match is_absolute {
        true => target[7..].find('/').map_or("/", |at| &target[7 + at..]),
        false => target,
    };
    path.split('?').next().unwrap_or_default()
}

impl Reply {
    /// The whole of it, for a connection that is closed behind it.
    pub fn write(self, head_only: bool, date: &str) -> String {
        let text = format!("{}\n", self.text);
        write(self.status, "text/plain; charset=utf-8", &text, head_only, date)
    }
}

/// The reply to who has asked for numbers.
#[cfg(feature = "metrics")]
pub(crate) fn write_metrics(text: &str, head_only: bool, date: &str) -> String {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    write(Status::Ok, kind, text, head_only, date)
}

fn write(status: Status, kind: &str, text: &str, head_only: bool, date: &str) -> String {
    let mut reply = format!("HTTP/1.1 {}\r\n", status.line());
    let _ = write!(
        reply,
        "Date: {date}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\
         Cache-Control: no-store\r\nConnection: close\r\n",
        text.len(),
    );
    if status == Status::MethodNotAllowed {
        reply.push_str("Allow: GET, HEAD\r\n");
    }
    reply.push_str("\r\n");
    if !head_only {
        reply.push_str(text);
    }
    reply
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ask(head_only: bool, path: &str) -> Result<Option<Ask>, Reply> {
        Ok(Some(Ask { head_only, path: path.to_owned() }))
    }

    fn status(text: &str) -> Option<Status> {
        read(text.as_bytes()).err().map(|reply| reply.status)
    }

    #[test]
    fn get_and_head_of_a_path_are_understood() {
        assert_eq!(read(b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n"), ask(false, "/livez"));
        assert_eq!(read(b"HEAD /readyz?verbose HTTP/1.0\r\n\r\n"), ask(true, "/readyz"));
        assert_eq!(read(b"GET http://a:8/x?y HTTP/1.1\r\nHost: a\r\n\r\nrest"), ask(false, "/x"));
        assert_eq!(read(b"GET HTTP://a HTTP/1.1\r\nhost: a\r\n\r\n"), ask(false, "/"));
    }

    #[test]
    fn what_is_none_is_refused_with_its_status() {
        assert_eq!(
            status("POST /livez HTTP/1.1\r\nHost: a\r\n\r\n"),
            Some(Status::MethodNotAllowed)
        );
        assert_eq!(status("OPTIONS / HTTP/1.0\r\n\r\n"), Some(Status::MethodNotAllowed));
        assert_eq!(status("GET / HTTP/1.1\r\n\r\n"), Some(Status::BadRequest));
        assert_eq!(
            status("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"),
            Some(Status::BadRequest)
        );
        assert_eq!(status("GET / HTTP/2.0\r\n\r\n"), Some(Status::VersionNotSupported));
        assert_eq!(status("\u{16}\u{3}\u{1}\u{0}"), Some(Status::BadRequest));
        let long = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}", "x".repeat(MONITOR_HEAD));
        assert_eq!(status(&long), Some(Status::HeadTooLarge));
        let many = format!("GET / HTTP/1.1\r\n{}\r\n", "X: y\r\n".repeat(MONITOR_FIELDS + 1));
        assert_eq!(status(&many), Some(Status::HeadTooLarge));
    }

    #[test]
    fn a_reply_is_framed_by_its_length_and_closes() {
        let date = "Sun, 06 Nov 1994 08:49:37 GMT";
        let reply = Reply { status: Status::Unavailable, text: "lame duck" };
        let head = "HTTP/1.1 503 Service Unavailable\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\
                    Content-Type: text/plain; charset=utf-8\r\nContent-Length: 10\r\n\
                    Cache-Control: no-store\r\nConnection: close\r\n\r\n";
        assert_eq!(reply.write(true, date), head);
        assert_eq!(reply.write(false, date), format!("{head}lame duck\n"));
    }

    proptest! {
        /// Wherever it is cut there is more to come, and nothing else is ever said of it.
        #[test]
        fn a_cut_request_is_incomplete(at in 0usize..40) {
            let whole = b"GET /readyz HTTP/1.1\r\nHost: balancer\r\n\r\n";
            prop_assert_eq!(read(&whole[..at.min(whole.len() - 1)]), Ok(None));
        }

        #[test]
        fn random_bytes_do_no_harm(input in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = read(&input);
        }
    }
}
