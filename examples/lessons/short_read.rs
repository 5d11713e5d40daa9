//! A short read means that the socket is drained, unless the FIN came along with the bytes.

use std::{
    io::{ErrorKind, Read},
    net::{Shutdown, TcpStream},
};

use mio::{Events, Poll};

use crate::{
    Lesson, Result, Verdict,
    tell::{right, say, wrong},
    wire::{self, SHORT},
};

pub const LESSON: Lesson = Lesson {
    name: "short-read",
    title: "the last edge is spent on the bytes, and the end is never read",
    teach,
    places: &[
        (
            "src/net/reactor/flow.rs",
            "note",
            "keeps `is_read_closed` of an event as the connection's `fin`",
        ),
        (
            "src/net/reactor/flow.rs",
            "read",
            "a short read has drained the socket, unless `fin` is set",
        ),
        ("src/turn/input/offer.rs", "serve", "reads a second time where the FIN rode along"),
    ],
};

const CLIENTS: usize = 10;

fn teach() -> Result<Verdict> {
    say(
        "A read that returns less than it was asked for has emptied the socket: a second one would only \
         say WouldBlock. Servers save that system call, and wait for the next edge. It is a famous \
         optimisation, with a hole.",
    );
    wrong(
        "Each client sends a line and closes. Line and FIN arrive before the server looks, so they \
         are one edge. The server reads the line, sees that the read was short, and waits.",
    );
    let stuck = unfinished(false)?;
    say(format!(
        "{stuck} of {CLIENTS} connections are never finished: no edge is left to come. In a restart \
         this is a drain that never ends, and an old generation that never exits."
    ));
    right(
        "The server keeps what the event said (EPOLLRDHUP), and reads on where the peer has ended.",
    );
    let stuck_right = unfinished(true)?;
    say(format!("{stuck_right} of {CLIENTS} connections are not finished."));
    Ok(Verdict {
        wrong: format!("never finished {stuck} of {CLIENTS} connections"),
        right: format!("{stuck_right} of {CLIENTS}"),
        as_taught: stuck == CLIENTS && stuck_right == 0,
    })
}

/// On how many connections does the server not see the end?
fn unfinished(keeps_fin: bool) -> Result<usize> {
    let (clients, served) = wire::pairs(CLIENTS)?;
    wire::speak(&clients);
    for client in &clients {
        client.shutdown(Shutdown::Write)?;
    }
    served.iter().try_for_each(|stream| stream.set_nonblocking(true))?;
    let (mut poll, mut events) = (Poll::new()?, Events::with_capacity(64));
    wire::watch(&poll, &served)?;
    let mut ended = 0;
    loop {
        poll.poll(&mut events, Some(SHORT))?;
        if events.is_empty() {
            return Ok(CLIENTS - ended);
        }
        for event in &events {
            let fin = keeps_fin && event.is_read_closed();
            ended += usize::from(read_to_its_end(&served[event.token().0], fin));
        }
    }
}

/// Reads what there is; whether the peer has ended.
fn read_to_its_end(mut stream: &TcpStream, fin: bool) -> bool {
    let mut buffer = [0; 4096];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return true,
            Ok(count) if count < buffer.len() && !fin => return false,
            Ok(_) => {}
            Err(e) => return e.kind() != ErrorKind::WouldBlock,
        }
    }
}
