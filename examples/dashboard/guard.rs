//! Who may talk to this server: pages of its own, by a name that is its own. Pure.
//!
//! It has no login, and its buttons restart processes. A page of anybody else that the user has open as well can
//! send requests here, too, and a browser lets it, as long as it does not read the reply. It says of which origin the page is;
//! and by what name it has found us, which is somebody else's where that name was made to lead here (DNS rebinding).

use std::net::IpAddr;

use super::{
    reply::{Refusal, Status},
    request::Whence,
};

const NOT_OURS: Refusal =
    Refusal::new(Status::Forbidden, "by this name there is no dashboard here\n");
const FOREIGN: Refusal = Refusal::new(Status::Forbidden, "not at the word of another page\n");

/// Refuses what comes from elsewhere. `listen` are the addresses of the command line. Behind a proxy the page may have
/// TLS though this server has none; where it has, no page without it is ours.
pub fn admit(from: Whence<'_>, listen: &[String], is_tls: bool) -> Result<(), Refusal> {
    let host = std::str::from_utf8(from.host).map_err(|_| NOT_OURS)?.to_ascii_lowercase();
    let name = without_port(&host);
    let is_address = name.trim_matches(['[', ']']).parse::<IpAddr>().is_ok();
    let is_local = name == "localhost" || name.ends_with(".localhost");
    let is_name = |address: &String| name.eq_ignore_ascii_case(without_port(address));
    let is_named = !name.is_empty() && listen.iter().any(is_name);
    if !(is_address || is_local || is_named) {
        return Err(NOT_OURS);
    }
    // A browser names the origin with each POST; who sends none is no browser, and acts for its own user.
    let Some(origin) = from.origin else { return Ok(()) };
    let origin = std::str::from_utf8(origin).map_err(|_| FOREIGN)?.to_ascii_lowercase();
    match origin.split_once("://") {
        Some(("https", origin)) if origin == host => Ok(()),
        Some(("http", origin)) if origin == host && !is_tls => Ok(()),
        _ => Err(FOREIGN),
    }
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(host: &str, origin: Option<&str>) -> Result<(), Refusal> {
        let origin = origin.map(str::as_bytes);
        admit(Whence { host: host.as_bytes(), origin }, &["board.example:8090".to_owned()], false)
    }

    #[test]
    fn its_own_names_are_addresses_and_what_it_was_given() {
        for ours in [
            "127.0.0.1:8090",
            "10.1.2.3",
            "[::1]:8090",
            "[::1]",
            "localhost:8090",
            "LOCALHOST",
            "board.localhost:1",
            "board.example:8090",
            "Board.Example",
        ] {
            assert_eq!(verdict(ours, None), Ok(()), "{ours}");
        }
        for other in [
            "",
            ":8090",
            "evil.example:8090",
            "127.0.0.1.evil.example",
            "localhost.evil.example",
            "\u{e4}",
        ] {
            assert_eq!(verdict(other, None), Err(NOT_OURS), "{other}");
        }
    }

    /// Whoever sits in between can show a page of his own without it.
    #[test]
    fn by_tls_only_a_page_that_came_by_it_is_heard() {
        let verdict = |origin: &str| {
            let origin = Some(origin.as_bytes());
            admit(Whence { host: b"127.0.0.1:8090", origin }, &[], true)
        };
        assert_eq!(verdict("https://127.0.0.1:8090"), Ok(()));
        for other in ["http://127.0.0.1:8090", "https://127.0.0.1", "https://evil.example:8090"] {
            assert_eq!(verdict(other), Err(FOREIGN), "{other}");
        }
    }

    #[test]
    fn only_a_page_of_its_own_is_heard() {
        assert_eq!(verdict("127.0.0.1:8090", Some("http://127.0.0.1:8090")), Ok(()));
        assert_eq!(verdict("board.example", Some("https://BOARD.example")), Ok(()));
        for other in [
            "null",
            "",
            "http://evil.example",
            "http://127.0.0.1",
            "http://127.0.0.1:8091",
            "http://localhost:8090",
            "ftp://127.0.0.1:8090",
            "127.0.0.1:8090",
        ] {
            assert_eq!(verdict("127.0.0.1:8090", Some(other)), Err(FOREIGN), "{other}");
        }
    }
}
