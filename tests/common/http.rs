//! An HTTP client for tests, over [`Client`] or another one that [`Talks`]: one reply at a time, and nothing taken on trust.

use std::time::{Duration, SystemTime};

use super::{Client, Server};

pub const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

/// What `/bytes/N` repeats.
pub const LINE: &[u8] = b"abcdefghijklmnopqrstuvwxyz-ABCDEFGHIJKLMNOPQRSTUVWXYZ-123456789\n";

pub fn start() -> Server {
    Server::of("http").start()
}

/// Connections stay with their process, which drains.
pub fn start_staying() -> Server {
    Server::of("http").arg("--no-move").start()
}

/// A transcript without its lines `Date`, of which each final reply must have one that is right.
#[track_caller]
pub fn without_dates(answer: &str) -> String {
    let is_final = |line: &&str| line.starts_with("HTTP/1.1 ") && !line.starts_with("HTTP/1.1 1");
    let replies = answer.lines().filter(is_final).count();
    let mut dates = 0;
    let mut rest = String::new();
    for line in answer.split_inclusive("\r\n") {
        let Some(date) = line.strip_prefix("Date: ") else {
            rest += line;
            continue;
        };
        let date = httpdate::parse_http_date(date.trim_end()).expect("a date");
        let off = SystemTime::now().duration_since(date).expect("a date that has come");
        assert!(off < Duration::from_secs(30), "{line} is {off:?} old");
        dates += 1;
    }
    assert_eq!(dates, replies, "{answer}");
    rest
}

/// Head and body of one reply; the body by its `Content-Length`.
#[derive(Debug)]
pub struct Reply {
    pub head: String,
    pub body: Vec<u8>,
}

impl Reply {
    pub fn field(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }

    pub fn generation(&self) -> u64 {
        self.field("X-Generation").and_then(|text| text.parse().ok()).expect("X-Generation")
    }

    pub fn closes(&self) -> bool {
        self.field("Connection") == Some("close")
    }
}

/// A client of any kind.
pub trait Talks {
    fn says(&mut self, text: &str);
    /// One line, without its end.
    fn hears_line(&mut self) -> String;
    fn hears(&mut self, count: usize) -> Vec<u8>;
}

impl Talks for Client {
    fn says(&mut self, text: &str) {
        self.send(text);
    }

    fn hears_line(&mut self) -> String {
        self.line()
    }

    fn hears(&mut self, count: usize) -> Vec<u8> {
        self.read_exact(count)
    }
}

pub fn read_head(client: &mut impl Talks) -> Reply {
    let mut head = String::new();
    loop {
        match client.hears_line().as_str() {
            "" => return Reply { head, body: Vec::new() },
            line => head += &format!("{line}\n"),
        }
    }
}

pub fn read_reply(client: &mut impl Talks) -> Reply {
    let mut reply = read_head(client);
    let length = reply.field("Content-Length").and_then(|text| text.parse().ok());
    reply.body = client.hears(length.expect("Content-Length"));
    reply
}

pub fn ask(client: &mut impl Talks, request: &str) -> Reply {
    client.says(request);
    read_reply(client)
}

/// `bytes` are those of `/bytes/N` from `from` on.
#[track_caller]
pub fn check_bytes(bytes: &[u8], from: usize) {
    let offset = from % LINE.len();
    let rotated = [&LINE[offset..], &LINE[..offset]].concat();
    assert!(bytes.chunks(LINE.len()).all(|piece| rotated.starts_with(piece)), "wrong bytes");
}
