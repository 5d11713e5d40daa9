//! Sockets for the lessons: pairs of connected ones, what their clients hear, what an epoll set tells.

use std::{
    collections::BTreeSet,
    io::{ErrorKind, Read, Write},
    net::{TcpListener, TcpStream},
    os::fd::{AsRawFd, RawFd},
    time::{Duration, Instant},
};

use mio::{Events, Interest, Poll, Token, unix::SourceFd};

use crate::Result;

/// For what is not going to come.
pub const SHORT: Duration = Duration::from_millis(200);
/// For what comes, also on a busy machine.
pub const LONG: Duration = Duration::from_secs(10);

/// What a client finds when it reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    Bytes,
    Fin,
    Reset,
    Silence,
}

/// A listener on a free port of this machine.
pub fn listener() -> Result<TcpListener> {
    Ok(TcpListener::bind("127.0.0.1:0")?)
}

/// `count` clients of a listener.
pub fn connect(listener: &TcpListener, count: usize) -> Result<Vec<TcpStream>> {
    let address = listener.local_addr()?;
    Ok((0..count).map(|_| TcpStream::connect(address)).collect::<std::io::Result<_>>()?)
}

/// Connections over loopback: the clients' ends, and the server's.
pub fn pairs(count: usize) -> Result<(Vec<TcpStream>, Vec<TcpStream>)> {
    let listener = listener()?;
    let clients = connect(&listener, count)?;
    let served = (0..count).map(|_| listener.accept().map(|(stream, _)| stream));
    Ok((clients, served.collect::<std::io::Result<_>>()?))
}

/// The numbers of descriptors.
pub fn numbers(sockets: &[impl AsRawFd]) -> impl Iterator<Item = RawFd> {
    sockets.iter().map(AsRawFd::as_raw_fd)
}

/// Every client says something. Some may be cut off, and do not notice yet.
pub fn speak(clients: &[TcpStream]) {
    for mut client in clients {
        let _ = client.write_all(b"hello\n");
    }
}

/// How many clients hear `what`, within `time` for all of them together.
pub fn count(clients: &[TcpStream], time: Duration, what: Heard) -> Result<usize> {
    let until = Instant::now() + time;
    let mut found = 0;
    for mut client in clients {
        let left = until.saturating_duration_since(Instant::now());
        client.set_read_timeout(Some(left.max(Duration::from_millis(1))))?;
        let heard = match client.read(&mut [0; 64]) {
            Ok(0) => Heard::Fin,
            Ok(_) => Heard::Bytes,
            Err(e) if e.kind() == ErrorKind::WouldBlock => Heard::Silence,
            Err(_) => Heard::Reset,
        };
        found += usize::from(heard == what);
    }
    Ok(found)
}

/// Waits for input on all of them; the token is the place in the list.
pub fn watch(poll: &Poll, sockets: &[impl AsRawFd]) -> Result {
    for (place, fd) in numbers(sockets).enumerate() {
        poll.registry().register(&mut SourceFd(&fd), Token(place), Interest::READABLE)?;
    }
    Ok(())
}

/// Which tokens an epoll set tells of, until there are `enough` or the time is over.
pub fn tokens(poll: &mut Poll, enough: usize, time: Duration) -> Result<BTreeSet<usize>> {
    let (until, mut events) = (Instant::now() + time, Events::with_capacity(64));
    let mut heard = BTreeSet::new();
    while heard.len() < enough {
        let left = until.saturating_duration_since(Instant::now());
        poll.poll(&mut events, Some(left))?;
        if events.is_empty() && left.is_zero() {
            break;
        }
        heard.extend(events.iter().map(|event| event.token().0));
    }
    Ok(heard)
}
