//! An edge tells that clients have come, once; it does not come again because there is room for them.

use std::{
    fs::File,
    io::{ErrorKind, Write},
    net::{TcpListener, TcpStream},
    os::fd::AsRawFd,
};

use mio::Poll;
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::{
    Lesson, Result, Verdict,
    tell::{right, say, wrong},
    wire::{self, Heard, LONG, SHORT},
};

pub const LESSON: Lesson = Lesson {
    name: "emfile",
    title: "descriptors run out for a moment, and clients wait for ever",
    teach,
    places: &[
        (
            "src/net/reactor/accept.rs",
            "accept_failed",
            "pauses accepting, and leaves the listener marked as ready",
        ),
        ("src/net/reactor/close.rs", "make_room", "a connection has ended: accepts again"),
        ("src/net/listen/listener.rs", "register", "one just taken over may have clients"),
    ],
};

const CLIENTS: usize = 10;
/// Descriptors that the server may still open.
const ROOM: u64 = 3;

fn teach() -> Result<Verdict> {
    say(
        "Edge-triggered means: one event when something has changed, and then it is up to you. A loop \
         that accepts until WouldBlock is right, until accept(2) fails with something else: EMFILE, no \
         descriptor left. The queue is as full as before, and nothing in it will change.",
    );
    wrong(format!(
        "{CLIENTS} clients are queued, the server has room for {ROOM}. It accepts, serves and closes \
         what it can, and waits for the next edge."
    ));
    let served = greeted(false)?;
    say(format!(
        "{served} of {CLIENTS} are served. The others are connected and wait, with descriptors \
         to spare, until by chance somebody else connects."
    ));
    right(
        "The server remembers that its queue was not empty. When a descriptor comes back (or after \
         half a second), it accepts again without an event.",
    );
    let served_right = greeted(true)?;
    say(format!("{served_right} of {CLIENTS} are served."));
    Ok(Verdict {
        wrong: format!("left {} of {CLIENTS} clients waiting", CLIENTS - served),
        right: format!("{} of {CLIENTS}", CLIENTS - served_right),
        as_taught: served < CLIENTS && served_right == CLIENTS,
    })
}

/// How many clients does a server greet that has too few descriptors?
fn greeted(remembers: bool) -> Result<usize> {
    let listener = wire::listener()?;
    listener.set_nonblocking(true)?;
    let clients = wire::connect(&listener, CLIENTS)?;
    let mut poll = Poll::new()?;
    wire::watch(&poll, &[listener.as_raw_fd()])?;
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    let next = File::open("/dev/null")?.as_raw_fd() as u64; // the lowest number that is free
    setrlimit(Resource::RLIMIT_NOFILE, next + ROOM, hard)?;
    while !wire::tokens(&mut poll, 1, SHORT)?.is_empty() {
        while greet_all(&listener) && remembers {}
    }
    setrlimit(Resource::RLIMIT_NOFILE, soft, hard)?;
    drop(listener); // whoever still waits is reset by this
    wire::count(&clients, LONG, Heard::Bytes)
}

/// Accepts as long as it works, then greets and closes. Whether the queue may hold more clients.
fn greet_all(listener: &TcpListener) -> bool {
    let mut accepted: Vec<TcpStream> = Vec::new();
    let why = loop {
        match listener.accept() {
            Ok((client, _)) => accepted.push(client),
            Err(why) => break why,
        }
    };
    accepted.iter_mut().for_each(|client| drop(client.write_all(b"welcome\n")));
    why.kind() != ErrorKind::WouldBlock
}
