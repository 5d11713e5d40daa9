//! The requests that do something to one connection, or to the descriptors of the process. Knows no
//! restart.

use heirloom::{Alarm, ConnId, Connection, Result, Timer};
use nix::sys::{
    resource::{Resource, getrlimit, setrlimit},
    socket::{AddressFamily, ControlMessage, MsgFlags, SockFlag, SockType, sendmsg, socketpair},
};
use std::{
    fs,
    io::IoSlice,
    os::fd::{AsRawFd, OwnedFd, RawFd},
    time::Duration,
};

use crate::{ALARM, pattern, requests::number, session::Session};

/// What `arm` arms where it is told no number.
const UNNAMED: Timer = Timer(1);

/// Ends a `pause`.
const PAUSE: Timer = Timer(u64::MAX);

/// Does a request whose answer comes later, or is more than a line, or is none.
pub fn handle(
    conn: &mut Connection<'_>,
    session: &mut Session,
    verb: &str,
    rest: &str,
) -> Result<Option<String>> {
    match verb {
        "id" => return Ok(Some(conn.id().to_bits().to_string())),
        "peer" => return Ok(Some(conn.peer().to_string())),
        "arm" => {
            let (millis, timer) = match rest.split_once(' ') {
                Some((millis, key)) => (millis, Timer(number(key)?)),
                None => (rest, UNNAMED),
            };
            conn.set_timer(timer, Duration::from_millis(number(millis)?));
        }
        "disarm" => conn.cancel_timer(Timer(number(rest)?)),
        "unalarm" => conn.net.cancel_alarm(Alarm(ALARM)),
        "pause" => pause(conn, Duration::from_millis(number(rest)?)),
        "close" => conn.close(),
        "abort" => conn.abort(),
        "finish" => conn.shutdown_write(),
        "kill" => {
            if let Some(mut other) = conn.other(ConnId::from_bits(number(rest)?)) {
                other.abort();
            }
        }
        "flood" => {
            session.left = number(rest)?;
            (session.of, session.seed) = (session.left, None);
            pour(conn, session);
        }
        "reply" => {
            let (count, seed) = rest.split_once(' ').ok_or("reply COUNT SEED")?;
            session.left = number(count)?;
            (session.of, session.seed) = (session.left, Some(number(seed)?));
            pour(conn, session);
        }
        "burst" => conn.send(&vec![b'x'; number(rest)?]), // all at once, whatever the marks say
        _ => return Ok(Some(format!("unknown: {verb}"))),
    }
    Ok(None)
}

/// Hears nothing for so long, and says so then.
pub fn pause(conn: &mut Connection<'_>, time: Duration) {
    conn.pause();
    conn.set_timer(PAUSE, time);
}

/// Sends of a flood what the marks allow.
pub fn pour(conn: &mut Connection<'_>, session: &mut Session) {
    let mut piece = [b'x'; 16 * 1024];
    while session.left > 0 && !conn.is_congested() {
        let count = session.left.min(piece.len() as u64) as usize;
        if let Some(seed) = session.seed {
            pattern::fill(seed, session.of - session.left, &mut piece[..count]);
        }
        conn.send(&piece[..count]);
        session.left -= count as u64;
    }
}

/// A timer that a request has armed ran out.
pub fn timer(conn: &mut Connection<'_>, timer: Timer) {
    match timer {
        UNNAMED => conn.send(b"timer\n"),
        PAUSE => {
            conn.send(b"resumed\n");
            conn.resume();
        }
        Timer(number) => conn.send(format!("timer {number}\n").as_bytes()),
    }
}

/// Lets the process have `spare` descriptors more than it has now; `None`: as many as ever.
pub fn limit_descriptors(spare: Option<usize>) -> Result {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).map_err(std::io::Error::from)?;
    let is_free = |fd: &u64| fs::symlink_metadata(format!("/proc/self/fd/{fd}")).is_err();
    // The limit is the first number that may not be given out.
    let soft = spare.and_then(|spare| (0..hard).filter(is_free).nth(spare)).unwrap_or(hard);
    Ok(setrlimit(Resource::RLIMIT_NOFILE, soft, hard).map_err(std::io::Error::from)?)
}

/// A second descriptor of every socket of the process, as a forked child would have it: they are on
/// their way through a socket that nobody reads.
pub struct Copies {
    _both_ends: [OwnedFd; 2],
}

impl Copies {
    pub fn make() -> Result<Copies> {
        let conn = std::io::Error::from;
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let (here, there) =
            socketpair(AddressFamily::Unix, SockType::SeqPacket, None, flags).map_err(conn)?;
        let own = [here.as_raw_fd(), there.as_raw_fd()];
        let mut sockets = Vec::new();
        for entry in fs::read_dir("/proc/self/fd")? {
            let entry = entry?;
            let fd: RawFd = number(&entry.file_name().to_string_lossy())?;
            let is_socket = fs::read_link(entry.path())
                .is_ok_and(|target| target.to_string_lossy().starts_with("socket:"));
            if is_socket && !own.contains(&fd) {
                sockets.push(fd);
            }
        }
        let rights = [ControlMessage::ScmRights(&sockets)];
        let data = [IoSlice::new(b"!")];
        sendmsg::<()>(here.as_raw_fd(), &data, &rights, MsgFlags::empty(), None).map_err(conn)?;
        Ok(Copies { _both_ends: [here, there] })
    }
}
