//! `close` is about a number, `shutdown` is about the socket.

use std::net::{Shutdown, TcpStream};

use crate::{
    Lesson, Result, Verdict, process,
    tell::{right, say, wrong},
    wire::{self, Heard, LONG},
};

pub const LESSON: Lesson = Lesson {
    name: "shutdown",
    title: "a child says goodbye to clients that are not its own",
    teach,
    places: &[
        ("src/restart/engine/fork.rs", "close_all", "the child closes; it shuts nothing down"),
        (
            "src/net/reactor/accept.rs",
            "stop_accepting",
            "the old side only stops asking its listener, which the new side has as well",
        ),
    ],
};

const CLIENTS: usize = 10;

fn teach() -> Result<Verdict> {
    say(
        "shutdown(2) ends a connection, whoever holds it; close(2) gives up one process's hold. The \
         same goes for SO_LINGER, O_NONBLOCK and every other option: they belong to the socket, which \
         parent and child share.",
    );
    wrong("A child does not need its parent's connections, and shuts each of them down.");
    let cut = cut_off_when(|served| {
        for stream in served {
            let _ = stream.shutdown(Shutdown::Both);
        }
    })?;
    say(format!(
        "The parent goes on serving: it writes an answer to each client. {cut} of {CLIENTS} get a FIN \
         instead. A listener fares no better: one process that shuts it down ends it for both."
    ));
    right("The child closes its copies.");
    let cut_right = cut_off_when(|served| process::close_all(wire::numbers(served)))?;
    say(format!("The parent answers, and {cut_right} of {CLIENTS} clients are cut off."));
    Ok(Verdict {
        wrong: format!("cut off {cut} of {CLIENTS} clients"),
        right: format!("cut off {cut_right} of {CLIENTS}"),
        as_taught: cut == CLIENTS && cut_right == 0,
    })
}

/// A child leaves the connections in its way; then the parent writes to each. How many clients get
/// anything but that?
fn cut_off_when(leave: impl FnOnce(&[TcpStream])) -> Result<usize> {
    let (clients, served) = wire::pairs(CLIENTS)?;
    let _child = process::fork_and_stay(|| leave(&served))?;
    wire::speak(&served); // Rust ignores SIGPIPE, so a write that fails is only an error
    Ok(CLIENTS - wire::count(&clients, LONG, Heard::Bytes)?)
}
