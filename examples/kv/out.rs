//! Replies to one connection, in the version of the protocol that it speaks. Knows no command.

use heirloom::Connection;
use serde::{Deserialize, Serialize};

use super::resp::{self, Sink};

/// Of the protocol. Every connection begins with the older one and may change (HELLO).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Version {
    #[default]
    Two,
    Three,
}

impl Version {
    pub fn number(self) -> i64 {
        match self {
            Version::Two => 2,
            Version::Three => 3,
        }
    }

    /// The head of what nobody has asked for just now: a message, a confirmation.
    pub fn push(self, out: &mut impl Sink, len: usize) {
        self.either(out, (b'*', len), (b'>', len));
    }

    fn either(self, out: &mut impl Sink, two: (u8, usize), three: (u8, usize)) {
        let (kind, len) = if self == Version::Two { two } else { three };
        resp::head(out, kind, len as i64);
    }
}

/// Where a command writes its reply.
pub struct Out<'a, 'conn> {
    pub conn: &'a mut Connection<'conn>,
    pub version: Version,
    /// The client has asked for no reply.
    pub is_mute: bool,
}

impl Sink for Out<'_, '_> {
    fn put(&mut self, bytes: &[u8]) {
        if !self.is_mute {
            self.conn.send(bytes);
        }
    }
}

impl Out<'_, '_> {
    pub fn ok(&mut self) {
        resp::ok(self);
    }

    /// `text` has no line end in it.
    pub fn simple(&mut self, text: &str) {
        resp::simple(self, text);
    }

    pub fn error(&mut self, text: &[u8]) {
        resp::error(self, text);
    }

    pub fn int(&mut self, value: i64) {
        resp::int(self, value);
    }

    pub fn bulk(&mut self, bytes: &[u8]) {
        resp::bulk(self, bytes);
    }

    pub fn bulk_or_null(&mut self, bytes: Option<&[u8]>) {
        match bytes {
            Some(bytes) => self.bulk(bytes),
            None => self.null(),
        }
    }

    pub fn bulks<T: AsRef<[u8]>>(&mut self, items: &[T]) {
        self.array(items.len());
        items.iter().for_each(|item| self.bulk(item.as_ref()));
    }

    /// What is not there.
    pub fn null(&mut self) {
        self.put(if self.version == Version::Two { b"$-1\r\n" } else { b"_\r\n" });
    }

    /// An array that is not there.
    pub fn null_array(&mut self) {
        self.put(if self.version == Version::Two { b"*-1\r\n" } else { b"_\r\n" });
    }

    /// So many values follow.
    pub fn array(&mut self, len: usize) {
        resp::array(self, len);
    }

    /// So many values follow, each of them once and in no order.
    pub fn set(&mut self, len: usize) {
        self.version.either(self, (b'*', len), (b'~', len));
    }

    /// So many pairs of a key and a value follow.
    pub fn map(&mut self, pairs: usize) {
        self.version.either(self, (b'*', 2 * pairs), (b'%', pairs));
    }

    /// Lines for people.
    pub fn text(&mut self, text: &[u8]) {
        if self.version == Version::Two {
            return self.bulk(text);
        }
        resp::head(self, b'=', (b"txt:".len() + text.len()) as i64);
        self.put(b"txt:");
        self.put(text);
        self.put(resp::CRLF);
    }

    /// Writes what no CLIENT REPLY holds back.
    pub fn push(&mut self, write: impl FnOnce(Version, &mut Self)) {
        let is_mute = std::mem::take(&mut self.is_mute);
        write(self.version, self);
        self.is_mute = is_mute;
    }
}
