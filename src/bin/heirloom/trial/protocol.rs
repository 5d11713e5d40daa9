//! What is sent, where the answer ends, and whether it is right. Pure: knows no socket.

use std::{fmt, ops::Range};

use clap::ValueEnum;

use super::framing::{self, Frame};

/// An answer that is longer is none.
pub const ANSWER_MAX: usize = 16 * 1024 * 1024;

/// How one sees where an answer ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Protocol {
    /// By its length: the bytes are known.
    Raw,
    /// By a line feed.
    Line,
    /// By what HTTP/1.1 says (RFC 9112, section 6). Only a status of 200 to 299 is right.
    Http,
    /// By what RESP says. An error is not right, unless it is what is expected.
    Redis,
}

impl Protocol {
    /// What is sent where nobody says what.
    pub fn request(self, host: &dyn fmt::Display) -> Option<Vec<u8>> {
        match self {
            Protocol::Raw => None,
            Protocol::Line => Some(b"ping\n".to_vec()),
            Protocol::Http => Some(get("/", host)),
            Protocol::Redis => Some(b"PING\r\n".to_vec()),
        }
    }
}

/// A request of HTTP for a path.
pub fn get(path: &str, host: &dyn fmt::Display) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: heirloom-trial\r\n\r\n")
        .into_bytes()
}

/// What an answer has to be: the line without its end, the body of HTTP, the whole reply of redis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expected {
    Anything,
    Exactly(Vec<u8>),
    Prefix(Vec<u8>),
}

impl Expected {
    fn check(&self, answer: &[u8]) -> Result<(), String> {
        let (text, is_whole) = match self {
            Expected::Anything => return Ok(()),
            Expected::Exactly(text) => (text, true),
            Expected::Prefix(text) => (text, false),
        };
        let wrong = text.iter().zip(answer).position(|(expected, got)| expected != got);
        match (wrong, answer.len()) {
            (Some(at), _) => Err(format!("byte {at} of the answer is wrong")),
            (None, length) if length < text.len() => {
                Err(format!("the answer ends after {length} bytes"))
            }
            (None, length) if is_whole && length > text.len() => {
                Err(format!("the answer has {} bytes too many", length - text.len()))
            }
            _ => Ok(()),
        }
    }
}

/// A request and what its answer must be.
#[derive(Clone, Debug)]
pub struct Dialogue {
    pub protocol: Protocol,
    pub request: Vec<u8>,
    pub expected: Expected,
}

/// What the input begins with.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// An answer that is not at its end.
    Partial,
    /// A right one of so many bytes, and where in it the part is that was compared.
    Right(usize, Range<usize>),
    Wrong(String),
}

impl Dialogue {
    pub fn judge(&self, input: &[u8]) -> Verdict {
        let frame = match self.protocol {
            Protocol::Raw => self.raw(input),
            Protocol::Line => framing::line(input),
            Protocol::Http => framing::http(input),
            Protocol::Redis => framing::redis(input),
        };
        match frame {
            Frame::Partial if input.len() > ANSWER_MAX => {
                Verdict::Wrong(format!("the answer does not end within {ANSWER_MAX} bytes"))
            }
            Frame::Partial => Verdict::Partial,
            Frame::Whole { length, payload, bad } => {
                let is_meant = matches!(self.expected, Expected::Exactly(_));
                match (self.expected.check(&input[payload.clone()]), bad) {
                    (_, Some(why)) if !is_meant || self.protocol == Protocol::Http => {
                        Verdict::Wrong(why)
                    }
                    (Ok(()), _) => Verdict::Right(length, payload),
                    (Err(why), _) => Verdict::Wrong(why),
                }
            }
            Frame::Broken(why) => Verdict::Wrong(why.to_owned()),
        }
    }

    /// So many bytes as are expected; the first wrong one ends it. Where anything will do, what is there.
    fn raw(&self, input: &[u8]) -> Frame {
        let (Expected::Exactly(text) | Expected::Prefix(text)) = &self.expected else {
            return if input.is_empty() { Frame::Partial } else { Frame::good(input.len()) };
        };
        match input.len() < text.len() && text.starts_with(input) {
            true => Frame::Partial,
            false => Frame::good(text.len().min(input.len())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(protocol: Protocol, expected: Expected, input: &[u8]) -> Verdict {
        Dialogue { protocol, request: Vec::new(), expected }.judge(input)
    }

    #[test]
    fn a_raw_answer_is_wrong_from_its_first_wrong_byte_on() {
        let expected = Expected::Exactly(b"pong".to_vec());
        let judge = |input| judge(Protocol::Raw, expected.clone(), input);
        assert_eq!(judge(b"po"), Verdict::Partial);
        assert_eq!(judge(b"pongpo"), Verdict::Right(4, 0..4));
        assert_eq!(judge(b"pi"), Verdict::Wrong("byte 1 of the answer is wrong".to_owned()));
    }

    #[test]
    fn a_line_is_compared_without_its_end() {
        let exact = || Expected::Exactly(b"pong".to_vec());
        assert_eq!(judge(Protocol::Line, exact(), b"pong\r\nx"), Verdict::Right(6, 0..4));
        assert_eq!(
            judge(Protocol::Line, Expected::Prefix(b"po".into()), b"pong\n"),
            Verdict::Right(5, 0..4)
        );
        for (input, why) in [
            (&b"pon\n"[..], "the answer ends after 3 bytes"),
            (b"pong!\n", "the answer has 1 bytes too many"),
        ] {
            assert_eq!(judge(Protocol::Line, exact(), input), Verdict::Wrong(why.to_owned()));
        }
    }

    #[test]
    fn an_error_is_right_where_it_is_expected() {
        let error = b"-LOADING wait\r\n";
        let any = judge(Protocol::Redis, Expected::Anything, error);
        assert_eq!(any, Verdict::Wrong("-LOADING wait".to_owned()));
        let meant = Expected::Exactly(b"-LOADING wait".to_vec());
        assert_eq!(judge(Protocol::Redis, meant, error), Verdict::Right(15, 0..13));
        let page = b"HTTP/1.1 503 busy\r\nContent-Length: 2\r\n\r\nhi";
        let meant = Expected::Exactly(b"hi".to_vec());
        assert_eq!(judge(Protocol::Http, meant, page), Verdict::Wrong("status 503".to_owned()));
    }
}
