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
    thread,
    time::{Duration, Instant},
};

use nix::sys::{
    socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, setsockopt, socket, sockopt},
    time::TimeVal,
};

use crate::failure::{Failure, Kind};

/// The longest reply that is read: a status of thousands of generations, or the last words of a new program.
const REPLY_MAX: u64 = 1024 * 1024;

/// So many heartbeats fit into the time that the server may be silent: one or two may be late.
const BEATS: u32 = 4;

/// Who answers nobody is asked no more often than this.
const AGAIN: Duration = Duration::from_millis(20);

/// How the answer to what it does not know ends, whatever the version of the server.
const UNKNOWN: &str = " is no request; try help";

/// How long an answer may take.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// The server may say nothing for so long; `None`: for ever.
    pub silence: Option<Duration>,
    /// Whatever it says, it is too late from then on.
    pub until: Option<Instant>,
}

impl Patience {
    /// How long the next word may take, if there is a limit. None of these is zero, which would mean that there is none.
    fn left(self) -> Option<Duration> {
        let left = self.until.map(|until| until.saturating_duration_since(Instant::now()));
        let shortest = Duration::from_micros(1);
        left.into_iter().chain(self.silence).min().map(|left| left.max(shortest))
    }

    fn is_over(self) -> bool {
        self.until.is_some_and(|until| until <= Instant::now())
    }
}

/// Asks on a connection of its own; the lines of the reply, the first without its `ok: `.
pub fn ask(control: &Path, patience: Patience, request: &str) -> Result<Vec<String>, Failure> {
    let failed = |e| failure(control, patience, &e);
    let mut socket = dial(control, patience.left()).map_err(failed)?;
    let every = patience.silence.map(|silence| (silence / BEATS).as_secs_f64());
    let heartbeat = every.map(|every| format!("heartbeat {every:.3}\n"));
    let requests = format!("{}{request}\n", heartbeat.as_deref().unwrap_or_default());
    // A server that refuses us may have closed already, and what it has said is there to be read.
    let sent = socket.write_all(requests.as_bytes());
    sent.or_else(|e| if e.kind() == ErrorKind::BrokenPipe { Ok(()) } else { Err(e) })
        .map_err(failed)?;
    let mut input = BufReader::new(Timed { socket, patience }.take(REPLY_MAX));
    let mut replies = Vec::new();
    for _ in 0..1 + usize::from(heartbeat.is_some()) {
        match read_reply(&mut input).map_err(failed)? {
            Some(reply) => replies.push(reply),
            None if input.get_ref().limit() == 0 => {
                return Err(format!("ask {}: the reply is too long", control.display()).into());
            }
            None => break,
        }
    }
    let is_asked = replies.len() > usize::from(heartbeat.is_some());
    match replies.pop() {
        Some(reply) if is_asked || !is_ok(&reply) => judge(reply),
        _ => Err(failed(ErrorKind::UnexpectedEof.into())),
    }
}

/// Asks what does no harm. Who is replaced before it has answered has done nothing, so the next one is asked, which is reached
/// at the same path: up to so many times. One that hangs would hang again.
pub fn ask_again(
    control: &Path,
    patience: Patience,
    request: &str,
    times: usize,
) -> Result<Vec<String>, Failure> {
    for _ in 1..times {
        let begun = Instant::now();
        match ask(control, patience, request) {
            Err(Failure { kind: Kind::CutOff, .. }) => {}
            answer => return answer,
        }
        thread::sleep(AGAIN.saturating_sub(begun.elapsed()));
    }
    ask(control, patience, request)
}

/// What is to be told of it, and what there is to do about it.
fn failure(control: &Path, patience: Patience, e: &io::Error) -> Failure {
    let (kind, why) = match e.kind() {
        // Which one it is depends on the call (`SO_RCVTIMEO` in `socket(7)`).
        ErrorKind::WouldBlock | ErrorKind::TimedOut if patience.is_over() => {
            (Kind::Late, "the time is over, and it is not so yet".to_owned())
        }
        ErrorKind::WouldBlock | ErrorKind::TimedOut => {
            let silence = patience.silence.unwrap_or_default();
            (Kind::Silent, format!("the server says nothing for {silence:?}"))
        }
        ErrorKind::NotFound | ErrorKind::ConnectionRefused => {
            (Kind::Nobody, format!("{e}: no server has this control socket"))
        }
        ErrorKind::PermissionDenied => {
            (Kind::Other, format!("{e}: it is for the server's own user, and for root"))
        }
        ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset => {
            (Kind::CutOff, "the server ended before it had answered".to_owned())
        }
        _ => (Kind::Other, e.to_string()),
    };
    Failure::new(kind, format!("ask {}: {why}", control.display()))
}

/// Connects, and waits no longer than that for anything. The queue of a server that hangs may be full.
pub fn dial(control: &Path, limit: Option<Duration>) -> io::Result<UnixStream> {
    let kind = SockType::Stream;
    let fd = socket(AddressFamily::Unix, kind, SockFlag::SOCK_CLOEXEC, None)?;
    if let Some(limit) = limit {
        let limit = TimeVal::new(limit.as_secs() as i64, limit.subsec_micros().into());
        setsockopt(&fd, sockopt::SendTimeout, &limit)?;
    }
    // `@name` is in no file system (see `unix(7)`).
    let address = match control.as_os_str().as_bytes().strip_prefix(b"@") {
        Some(name) => UnixAddr::new_abstract(name)?,
        None => UnixAddr::new(control)?,
    };
    connect(fd.as_raw_fd(), &address)?;
    Ok(fd.into())
}

/// The answer as it comes, each part of it in the time that is left then.
struct Timed {
    socket: UnixStream,
    patience: Patience,
}

impl Read for Timed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.socket.set_read_timeout(self.patience.left())?;
        self.socket.read(buffer)
    }
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
    let Some(first) = lines.first_mut() else { return Err("an empty answer".into()) };
    let text = first.strip_prefix("ok: ").unwrap_or(first.trim_start_matches("error: "));
    *first = match text.strip_suffix(UNKNOWN) {
        Some(request) if !is_ok => {
            format!("the server knows no {request}: it is older than this program")
        }
        _ => text.to_owned(),
    };
    if is_ok { Ok(lines) } else { Err(Failure::new(Kind::Refused, lines.join("\n"))) }
}
