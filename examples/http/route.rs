//! What there is to be asked for, and by which methods. Pure: knows no connection.

use serde::{Deserialize, Serialize};

use super::{
    reply::{Refusal, Status},
    request::Method,
};

/// The most bytes that `/bytes/N` gives: enough for any trial of a slow reader.
pub const MAX_BYTES: u64 = 1 << 30;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Route {
    /// `/`: a greeting.
    Hello,
    /// `/generation`: which process this is.
    Generation,
    /// `/echo`: the body, sent back while it arrives.
    Echo,
    /// `/count`: the length of the body.
    Count,
    /// `/cksum`: what cksum(1) says of the body.
    Cksum,
    /// `/bytes/N`: that many bytes.
    Bytes(u64),
    /// Which methods there are: of one of the others, or of any (`OPTIONS *`).
    Options(Methods),
}

/// The methods of a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Methods {
    Read,
    Post,
    Send,
    /// All that this server knows.
    Any,
}

impl Route {
    pub fn find(method: Method, path: &str) -> Result<Route, Refusal> {
        if method == Method::Unknown {
            return Err(UNKNOWN_METHOD);
        }
        let (route, methods, refusal) = match path {
            "/" => (Route::Hello, Methods::Read, NOT_READ),
            "/generation" => (Route::Generation, Methods::Read, NOT_READ),
            "/echo" => (Route::Echo, Methods::Post, NOT_POST),
            "/count" => (Route::Count, Methods::Send, NOT_SENT),
            "/cksum" => (Route::Cksum, Methods::Send, NOT_SENT),
            "*" => return Ok(Route::Options(Methods::Any)), // which no other method can ask for
            _ => (bytes(path).ok_or(NOT_FOUND)?, Methods::Read, NOT_READ),
        };
        match (method, methods) {
            (Method::Options, methods) => Ok(Route::Options(methods)),
            (Method::Get | Method::Head, Methods::Read)
            | (Method::Post, Methods::Post | Methods::Send)
            | (Method::Put, Methods::Send) => Ok(route),
            _ => Err(refusal),
        }
    }

    /// Whether it does anything with a body. Any request may have one.
    pub fn wants_body(self) -> bool {
        matches!(self, Route::Echo | Route::Count | Route::Cksum)
    }
}

impl Methods {
    /// As `Allow` has them.
    pub const fn list(self) -> &'static str {
        match self {
            Methods::Read => "GET, HEAD, OPTIONS",
            Methods::Post => "POST, OPTIONS",
            Methods::Send => "POST, PUT, OPTIONS",
            Methods::Any => "GET, HEAD, POST, PUT, OPTIONS",
        }
    }
}

const UNKNOWN_METHOD: Refusal = Refusal::new(Status::NotImplemented, "unknown method");
const NOT_FOUND: Refusal = Refusal::new(Status::NotFound, "there is nothing here");
const NOT_READ: Refusal = not_by_this_method(Methods::Read);
const NOT_POST: Refusal = not_by_this_method(Methods::Post);
const NOT_SENT: Refusal = not_by_this_method(Methods::Send);

/// What `Expect` has asked for is not known here.
pub const NOT_MET: Refusal =
    Refusal::new(Status::ExpectationFailed, "no expectation but 100-continue is met");

/// All of them. A place in it is written down for other programs, so it never changes.
pub const REFUSALS: [Refusal; 6] =
    [UNKNOWN_METHOD, NOT_FOUND, NOT_READ, NOT_POST, NOT_SENT, NOT_MET];

const fn not_by_this_method(methods: Methods) -> Refusal {
    let refusal = Refusal::new(Status::MethodNotAllowed, "not by this method");
    Refusal { allow: Some(methods.list()), ..refusal }
}

fn bytes(path: &str) -> Option<Route> {
    let count = path.strip_prefix("/bytes/")?;
    // `parse` would take a sign as well.
    let count = count.bytes().all(|byte| byte.is_ascii_digit()).then_some(count)?;
    count.parse().ok().filter(|&count| count <= MAX_BYTES).map(Route::Bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_has_its_methods() {
        let check = |method, path, expected: Result<Route, (Status, Option<&str>)>| {
            let found = Route::find(method, path).map_err(|no| (no.status, no.allow));
            assert_eq!(found, expected, "{method:?} {path}");
        };
        check(Method::Get, "/", Ok(Route::Hello));
        check(Method::Head, "/generation", Ok(Route::Generation));
        check(Method::Put, "/count", Ok(Route::Count));
        check(Method::Put, "/cksum", Ok(Route::Cksum));
        check(Method::Head, "/bytes/0", Ok(Route::Bytes(0)));
        check(Method::Get, "/bytes/1073741824", Ok(Route::Bytes(MAX_BYTES)));
        for missing in ["/bytes/1073741825", "/bytes/", "/bytes/+1", "/bytes/1/", "/nothing"] {
            check(Method::Get, missing, Err((Status::NotFound, None)));
        }
        check(Method::Post, "/", Err((Status::MethodNotAllowed, Some("GET, HEAD, OPTIONS"))));
        check(Method::Put, "/echo", Err((Status::MethodNotAllowed, Some("POST, OPTIONS"))));
        check(
            Method::Unused,
            "/count",
            Err((Status::MethodNotAllowed, Some("POST, PUT, OPTIONS"))),
        );
        check(Method::Unknown, "/nothing", Err((Status::NotImplemented, None)));
        check(Method::Options, "/bytes/7", Ok(Route::Options(Methods::Read)));
        check(Method::Options, "/count", Ok(Route::Options(Methods::Send)));
        check(Method::Options, "*", Ok(Route::Options(Methods::Any)));
        check(Method::Options, "/nothing", Err((Status::NotFound, None)));
    }
}
