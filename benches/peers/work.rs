//! What is asked of a server, and which bytes must come back. Knows no socket.

use std::ops::Range;

/// A kind of request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// 64 bytes, which come back.
    Echo,
    /// Keys of 8 and values of 64 bytes.
    Get(Resp),
    Set(Resp),
    /// `GET /`: 13 bytes of text.
    Http,
}

/// Versions of the Redis protocol. What GET and SET are and say is the same in both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resp {
    Two,
    Three,
}

/// Keys that GET and SET are about.
const KEYS: usize = 1000;

const BODY: &[u8] = b"hello, world\n";

impl Work {
    /// The protocol that a server must speak.
    pub fn protocol(self) -> &'static str {
        match self {
            Work::Echo => "echo",
            Work::Get(Resp::Two) | Work::Set(Resp::Two) => "resp",
            Work::Get(Resp::Three) | Work::Set(Resp::Three) => "resp3",
            Work::Http => "http",
        }
    }

    /// The request number `turn` of a client.
    pub fn request(self, client: usize, turn: usize) -> Vec<u8> {
        let key = client % KEYS;
        match self {
            Work::Echo => text(client, turn),
            Work::Get(_) => format!("*2\r\n$3\r\nGET\r\n$8\r\nkey:{key:04}\r\n").into_bytes(),
            Work::Set(_) => {
                let mut all =
                    format!("*3\r\n$3\r\nSET\r\n$8\r\nkey:{key:04}\r\n$64\r\n").into_bytes();
                all.extend(text(key, 0));
                all.extend(b"\r\n");
                all
            }
            Work::Http => b"GET / HTTP/1.1\r\nHost: localhost\r\nUser-Agent: peers\r\n\
                Accept: */*\r\n\r\n"
                .to_vec(),
        }
    }

    /// Its reply. Of HTTP there is a `sample`, since each server has its own headers.
    pub fn reply(self, client: usize, turn: usize, sample: &[u8]) -> Vec<u8> {
        match self {
            Work::Echo => text(client, turn),
            Work::Get(_) => [b"$64\r\n", &text(client % KEYS, 0)[..], b"\r\n"].concat(),
            Work::Set(_) => b"+OK\r\n".to_vec(),
            Work::Http => sample.to_vec(),
        }
    }

    /// What each client says when it has come, and how the answer to that ends.
    pub fn opening(self) -> Option<(&'static [u8], &'static [u8])> {
        match self {
            Work::Get(Resp::Three) | Work::Set(Resp::Three) => {
                Some((b"HELLO 3\r\nPING\r\n", b"+PONG\r\n"))
            }
            _ => None,
        }
    }

    /// What each client asks before anything is measured, so that there is something to GET.
    pub fn first(self) -> Option<Work> {
        match self {
            Work::Get(version) => Some(Work::Set(version)),
            _ => None,
        }
    }

    /// Whether `sample` is a whole reply, and where in it a clock is shown, whose bytes may change.
    pub fn check_sample(self, sample: &[u8]) -> Option<Range<usize>> {
        if self != Work::Http {
            return Some(0..0);
        }
        let is_whole = sample.starts_with(b"HTTP/1.1 200") && sample.ends_with(BODY);
        let head = std::str::from_utf8(sample).ok().filter(|_| is_whole)?.to_ascii_lowercase();
        let start = match head.find("\r\ndate: ") {
            Some(start) => start + 2,
            None => return Some(0..0),
        };
        Some(start..start + head[start..].find('\r')?)
    }
}

/// 64 bytes that no other client and no neighbouring request has.
fn text(client: usize, turn: usize) -> Vec<u8> {
    let mut text = format!("client {client:06} request {turn:02} ").into_bytes();
    text.extend((0..64 - text.len()).map(|at| b'a' + ((client + turn + at) % 26) as u8));
    text
}
