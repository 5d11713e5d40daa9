//! What there is to be asked for, and by which methods. Pure: knows no connection.

use serde::{Deserialize, Serialize};

use super::{
    reply::{Refusal, Status},
    request::Method,
};

/// The most bytes that `/bytes/N` gives: enough for any trial of a slow reader.
pub const MAX_BYTES: u64 = 1 << 30;

/// The resources.
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
    /// `/bytes/N`: that many bytes.
    Bytes(u64),
}

impl Route {
    pub fn find(method: Method, path: &str) -> Result<Route, Refusal> {
        if method == Method::Unknown {
            return Err(UNKNOWN_METHOD);
        }
        let (route, methods, refusal): (_, &[Method], _) = match path {
            "/" => (Route::Hello, READ, NOT_READ),
            "/generation" => (Route::Generation, READ, NOT_READ),
            "/echo" => (Route::Echo, &[Method::Post], NOT_POST),
            "/count" => (Route::Count, &[Method::Post, Method::Put], NOT_SENT),
            _ => (bytes(path).ok_or(NOT_FOUND)?, READ, NOT_READ),
        };
        if methods.contains(&method) {
            return Ok(route);
        }
        Err(refusal)
    }

    /// Whether it does anything with a body. Any request may have one.
    pub fn wants_body(self) -> bool {
        matches!(self, Route::Echo | Route::Count)
    }
}

const READ: &[Method] = &[Method::Get, Method::Head];

const UNKNOWN_METHOD: Refusal = Refusal::new(Status::NotImplemented, "unknown method");
const NOT_FOUND: Refusal = Refusal::new(Status::NotFound, "there is nothing here");
const NOT_READ: Refusal = not_by_this_method("GET, HEAD");
const NOT_POST: Refusal = not_by_this_method("POST");
const NOT_SENT: Refusal = not_by_this_method("POST, PUT");

/// All of them. A place in it is written down for other programs, so it never changes.
pub const REFUSALS: [Refusal; 5] = [UNKNOWN_METHOD, NOT_FOUND, NOT_READ, NOT_POST, NOT_SENT];

const fn not_by_this_method(allow: &'static str) -> Refusal {
    let refusal = Refusal::new(Status::MethodNotAllowed, "not by this method");
    Refusal { allow: Some(allow), ..refusal }
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
        check(Method::Head, "/bytes/0", Ok(Route::Bytes(0)));
        check(Method::Get, "/bytes/1073741824", Ok(Route::Bytes(MAX_BYTES)));
        for missing in ["/bytes/1073741825", "/bytes/", "/bytes/+1", "/bytes/1/", "/nothing", "*"] {
            check(Method::Get, missing, Err((Status::NotFound, None)));
        }
        check(Method::Post, "/", Err((Status::MethodNotAllowed, Some("GET, HEAD"))));
        check(Method::Put, "/echo", Err((Status::MethodNotAllowed, Some("POST"))));
        check(Method::Unused, "/count", Err((Status::MethodNotAllowed, Some("POST, PUT"))));
        check(Method::Unknown, "/nothing", Err((Status::NotImplemented, None)));
    }
}
