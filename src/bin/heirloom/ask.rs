//! One request to a server and its reply. Neither is waited for without an end, and neither is without a
//! bound. Knows no command.
//!
//! A server that hangs is silent, and so is one whose restart takes its time: it is asked for a heartbeat
//! first. One that knows none says that this is no request, and does the next one all the same.

use std::{
    io::{self, BufRead, BufReader, ErrorKind, Read, Write},
    os::{
        fd::AsRawFd,
        unix::{ffi::OsStrExt, net::UnixStream},
    },
    path::Path,
    time::Duration,
};

use nix::sys::{
    socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, setsockopt, socket, sockopt},
    time::TimeVal,
};

use crate::Failure;

/// The longest reply that is read: a status of thousands of generations, or the last words of a new program.
const REPLY_MAX: u64 = 1024 * 1024;

/// So many heartbeats fit into the time that the server may be silent: one or two may be late.
const BEATS: u32 = 4;

/// Asks on a connection of its own; the lines of the reply, the first without its `ok: `. `None` as the
/// patience: for ever.
pub fn ask(
    control: &Path,
    patience: Option<Duration>,
    request: &str,
) -> Result<Vec<String>, Failure> {
    let at = control.display();
    let failed = |e: io::Error| match (e.kind(), patience) {
        // Which one it is depends on the call (`SO_RCVTIMEO` in `socket(7)`).
        (ErrorKind::WouldBlock | ErrorKind::TimedOut, Some(patience)) => {
            Failure::silent(format!("ask {at}: the server says nothing for {patience:?}"))
        }
        _ => Failure::unasked(format!("ask {at}: {e}")),
    };
    let mut socket = dial(control, patience).map_err(failed)?;
    let heartbeat =
        patience.map(|patience| format!("heartbeat {:.3}\n", (patience / BEATS).as_secs_f64()));
    let requests = format!("{}{request}\n", heartbeat.as_deref().unwrap_or_default());
    // A server that refuses us may have closed already, and what it has said is there to be read.
    let sent = socket.write_all(requests.as_bytes());
    sent.or_else(|e| if e.kind() == ErrorKind::BrokenPipe { Ok(()) } else { Err(e) })
        .map_err(failed)?;
    let mut input = BufReader::new(socket.take(REPLY_MAX));
    let mut replies = Vec::new();
    for _ in 0..1 + usize::from(heartbeat.is_some()) {
        match read_reply(&mut input).map_err(failed)? {
            Some(reply) => replies.push(reply),
            None if input.get_ref().limit() == 0 => {
                return Err(Failure::unasked(format!("ask {at}: the reply is too long")));
            }
            None => break,
        }
    }
    let is_asked = replies.len() > usize::from(heartbeat.is_some());
    match replies.pop() {
        Some(reply) if is_asked || !is_ok(&reply) => judge(reply),
        _ => Err(Failure::unasked(format!("ask {at}: the server ended before it had answered"))),
    }
}

/// Connects, and waits no longer than that for anything. The queue of a server that hangs may be full.
pub fn dial(control: &Path, patience: Option<Duration>) -> io::Result<UnixStream> {
    let kind = SockType::Stream;
    let fd = socket(AddressFamily::Unix, kind, SockFlag::SOCK_CLOEXEC, None)?;
    if let Some(patience) = patience {
        let patience = TimeVal::new(patience.as_secs() as i64, patience.subsec_micros().into());
        setsockopt(&fd, sockopt::SendTimeout, &patience)?;
        setsockopt(&fd, sockopt::ReceiveTimeout, &patience)?;
    }
    // `@name` is in no file system (see `unix(7)`).
    let address = match control.as_os_str().as_bytes().strip_prefix(b"@") {
        Some(name) => UnixAddr::new_abstract(name)?,
        None => UnixAddr::new(control)?,
    };
    connect(fd.as_raw_fd(), &address)?;
    Ok(fd.into())
}

/// The lines up to the empty one; `None` if it does not come.
fn read_reply(input: &mut impl BufRead) -> io::Result<Option<Vec<String>>> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        input.read_line(&mut line)?;
        let Some(text) = line.strip_suffix('\n') else { return Ok(None) };
        match text {
            "" => return Ok(Some(lines)),
            "#" if lines.is_empty() => {} // a heartbeat
            text => lines.push(text.to_owned()),
        }
    }
}

fn is_ok(lines: &[String]) -> bool {
    lines.first().is_some_and(|first| first.starts_with("ok: "))
}

fn judge(mut lines: Vec<String>) -> Result<Vec<String>, Failure> {
    let is_ok = is_ok(&lines);
    let Some(first) = lines.first_mut() else {
        return Err(Failure::unasked("an empty answer".to_owned()));
    };
    let text = first.strip_prefix("ok: ").unwrap_or(first.trim_start_matches("error: "));
    *first = text.to_owned();
    if is_ok { Ok(lines) } else { Err(Failure::refused(lines.join("\n"))) }
}
