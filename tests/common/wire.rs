//! A client that speaks the Redis protocol and shows every byte of the replies. It is no load: it takes replies whose
//! length only their parser knows, over either kind of socket, and fails the test where something is wrong.

use std::{
    io::{ErrorKind, Read, Write},
    net::{Shutdown, TcpStream},
    os::unix::net::UnixStream,
};

use super::{DEADLINE, reply::reply, resp};

/// A connection of either kind, with deadlines.
pub enum Wire {
    Tcp(TcpStream, Vec<u8>),
    Unix(UnixStream, Vec<u8>),
}

impl Wire {
    /// To `ip:port` or `unix:/path`.
    pub fn connect(address: &str) -> Wire {
        match address.strip_prefix("unix:") {
            Some(path) => {
                let stream = UnixStream::connect(path).expect("the server accepts");
                stream.set_read_timeout(Some(DEADLINE)).expect("a timeout");
                stream.set_write_timeout(Some(DEADLINE)).expect("a timeout");
                Wire::Unix(stream, Vec::new())
            }
            None => {
                let stream = TcpStream::connect(address).expect("the server accepts");
                stream.set_read_timeout(Some(DEADLINE)).expect("a timeout");
                stream.set_write_timeout(Some(DEADLINE)).expect("a timeout");
                stream.set_nodelay(true).expect("an option");
                Wire::Tcp(stream, Vec::new())
            }
        }
    }

    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let result = match self {
            Wire::Tcp(stream, _) => stream.write_all(bytes.as_ref()),
            Wire::Unix(stream, _) => stream.write_all(bytes.as_ref()),
        };
        result.expect("the server takes it");
    }

    /// The bytes of the next reply.
    pub fn reply(&mut self) -> Vec<u8> {
        loop {
            let input = self.input();
            if let Some((_, taken)) = reply(input).expect("a reply") {
                return input.drain(..taken).collect();
            }
            let got = self.read();
            assert!(got > 0, "the connection ended after {:?}", shown(self.input()));
        }
    }

    /// Sends a command as an array of bulks, and answers its reply.
    pub fn call(&mut self, words: &[&[u8]]) -> Vec<u8> {
        self.send(command(words));
        self.reply()
    }

    /// Sends a line, which is an inline command, and answers its reply as text.
    pub fn ask(&mut self, line: &str) -> String {
        self.send(format!("{line}\r\n"));
        shown(&self.reply())
    }

    /// The payload of a bulk that the line asks for.
    pub fn text(&mut self, line: &str) -> String {
        let reply = self.ask(line);
        let body = reply.split_once("\r\n").map(|(_, body)| body.trim_end_matches("\r\n"));
        body.unwrap_or_else(|| panic!("{line}: no bulk but {reply:?}")).to_owned()
    }

    /// Everything up to the server's FIN.
    pub fn read_to_end(&mut self) -> Vec<u8> {
        while self.read() > 0 {}
        std::mem::take(self.input())
    }

    /// Sends our FIN.
    pub fn finish(&mut self) {
        let result = match self {
            Wire::Tcp(stream, _) => stream.shutdown(Shutdown::Write),
            Wire::Unix(stream, _) => stream.shutdown(Shutdown::Write),
        };
        result.expect("still connected");
    }

    fn input(&mut self) -> &mut Vec<u8> {
        match self {
            Wire::Tcp(_, input) | Wire::Unix(_, input) => input,
        }
    }

    /// One read; 0 at the end, and where the server's end was a reset.
    fn read(&mut self) -> usize {
        let mut piece = [0; 64 * 1024];
        let (result, input) = match self {
            Wire::Tcp(stream, input) => (stream.read(&mut piece), input),
            Wire::Unix(stream, input) => (stream.read(&mut piece), input),
        };
        let got = match result {
            Err(e) if e.kind() == ErrorKind::ConnectionReset => 0,
            result => result.expect("input in time"),
        };
        input.extend_from_slice(&piece[..got]);
        got
    }
}

/// A command on the wire.
pub fn command(words: &[&[u8]]) -> Vec<u8> {
    let mut bytes = Vec::new();
    resp::array(&mut bytes, words.len());
    for word in words {
        resp::bulk(&mut bytes, word);
    }
    bytes
}

/// Bytes for a message or a comparison; line ends stay as they are.
pub fn shown(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
