//! One question on a connection of its own, waited for: whether the server answers, and who it is that does.

use std::{
    io::{Read, Write},
    net::TcpStream,
    os::unix::net::UnixStream,
    time::{Duration, Instant},
};

use super::{
    protocol::{Dialogue, Verdict},
    socket::Address,
};
use crate::ask::dial;

/// The answer: of HTTP its body, of others all of it.
///
/// # Errors
/// When nobody listens, or does not answer in time, or with something else than expected.
pub fn ask(address: &Address, dialogue: &Dialogue, limit: Duration) -> Result<Vec<u8>, String> {
    let until = Instant::now() + limit;
    match address {
        Address::Tcp(tcp) => {
            let stream = TcpStream::connect_timeout(tcp, limit).map_err(|e| told("connect", &e))?;
            let limits = |left| {
                stream.set_read_timeout(Some(left)).and(stream.set_write_timeout(Some(left)))
            };
            converse(&mut &stream, limits, dialogue, until)
        }
        Address::Unix(path) => {
            let stream: UnixStream = dial(path, Some(limit)).map_err(|e| told("connect", &e))?;
            let limits = |left| {
                stream.set_read_timeout(Some(left)).and(stream.set_write_timeout(Some(left)))
            };
            converse(&mut &stream, limits, dialogue, until)
        }
    }
}

fn told(what: &str, e: &std::io::Error) -> String {
    match e.kind() {
        std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut => {
            format!("{what}: not in time")
        }
        _ => format!("{what}: {e}"),
    }
}

fn converse(
    stream: &mut (impl Read + Write),
    limits: impl Fn(Duration) -> std::io::Result<()>,
    dialogue: &Dialogue,
    until: Instant,
) -> Result<Vec<u8>, String> {
    let left = || until.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
    limits(left()).map_err(|e| told("set a time", &e))?;
    stream.write_all(&dialogue.request).map_err(|e| told("ask", &e))?;
    let (mut input, mut buffer) = (Vec::new(), [0; 16 * 1024]);
    loop {
        match dialogue.judge(&input) {
            Verdict::Right(_, payload) => return Ok(input[payload].to_vec()),
            Verdict::Wrong(why) => return Err(why),
            Verdict::Partial if Instant::now() > until => {
                return Err("no answer in time".to_owned());
            }
            Verdict::Partial => {}
        }
        limits(left()).map_err(|e| told("set a time", &e))?;
        match stream.read(&mut buffer).map_err(|e| told("read", &e))? {
            0 => {
                return Err(format!(
                    "the connection ended after {} bytes of the answer",
                    input.len()
                ));
            }
            count => input.extend_from_slice(&buffer[..count]),
        }
    }
}
