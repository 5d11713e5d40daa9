//! A connection is more than its descriptor: bytes of it are in the buffers of whoever served it.

use std::{
    io::{Read, Write},
    net::TcpStream,
};

use crate::{
    Lesson, Result, Verdict, process,
    tell::{right, say, wrong},
    wire::{self, Heard, LONG},
};

pub const LESSON: Lesson = Lesson {
    name: "lost-bytes",
    title: "a connection moves, and half a request stays behind",
    teach,
    places: &[
        ("src/restart/transfer/pack.rs", "pack", "a connection that moves takes its buffers along"),
        (
            "src/restart/transfer/pack.rs",
            "unpack",
            "unread input, unsent output, timers with the time that is left, flags",
        ),
        ("src/turn/restart/moving.rs", "freeze", "and nobody reads it while it is on its way"),
    ],
};

const CLIENTS: usize = 20;
const REQUEST: &[u8] = b"GET /report\n";

fn teach() -> Result<Verdict> {
    say(
        "A descriptor can be given to another process, and what the kernel has not delivered yet goes \
         with it. What was read already does not: the kernel has forgotten it, and it lies in a buffer \
         of the old process, together with output that the socket has not taken yet.",
    );
    wrong(format!(
        "{CLIENTS} clients are in the middle of a request. The server has read the first half, gives \
         the sockets to a new process, and is content."
    ));
    let lost = refused(|_read| Vec::new())?;
    say(format!(
        "The new process reads the second half, which is no request. {lost} of {CLIENTS} clients are \
         told that they have made a mistake."
    ));
    right("With each socket goes what was read from it and not used, and what is not sent yet.");
    let lost_right = refused(|read| read.to_vec())?;
    say(format!(
        "{lost_right} of {CLIENTS} are refused. And both processes must not read at a time: \
         they would take bytes from each other."
    ));
    Ok(Verdict {
        wrong: format!("refused {lost} of {CLIENTS} requests"),
        right: format!("refused {lost_right} of {CLIENTS}"),
        as_taught: lost == CLIENTS && lost_right == 0,
    })
}

/// Connections move to another process in the middle of a request. How many requests are refused?
fn refused(hand_over: impl Fn(&[u8]) -> Vec<u8>) -> Result<usize> {
    let (clients, served) = wire::pairs(CLIENTS)?;
    let (first, second) = REQUEST.split_at(REQUEST.len() / 2);
    let mut handed = Vec::new();
    for (mut client, mut stream) in clients.iter().zip(&served) {
        client.write_all(first)?;
        let mut half = vec![0; first.len()];
        stream.read_exact(&mut half)?;
        handed.push(hand_over(&half));
    }
    let _new = process::fork(|| {
        for (stream, input) in served.iter().zip(handed) {
            let _ = answer(stream, input);
        }
        0
    })?;
    clients.iter().try_for_each(|mut client| client.write_all(second))?;
    drop(served);
    Ok(CLIENTS - wire::count(&clients, LONG, Heard::Bytes)?)
}

/// Reads on from `input` to the end of the line: a good request is answered, another is cut off.
fn answer(mut stream: &TcpStream, mut input: Vec<u8>) -> std::io::Result<()> {
    while !input.ends_with(b"\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        input.extend(byte);
    }
    if input == REQUEST { stream.write_all(b"200 here it is\n") } else { Ok(()) }
}
