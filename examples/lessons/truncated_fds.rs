//! Descriptors that do not fit are closed on the way, and the message looks as if all had come.

use std::{
    fs::File,
    io::{IoSlice, Write},
    net::TcpStream,
    os::{
        fd::{AsRawFd, RawFd},
        unix::net::UnixDatagram,
    },
};

use nix::sys::{
    resource::{Resource, getrlimit, setrlimit},
    socket::{ControlMessage, MsgFlags, sendmsg},
};

use crate::{
    Lesson, Result, Verdict, process,
    tell::{right, say, wrong},
    wire::{self, Heard, LONG},
};

pub const LESSON: Lesson = Lesson {
    name: "truncated-fds",
    title: "ten connections are sent, and three arrive",
    teach,
    places: &[
        (
            "src/restart/link/channel.rs",
            "receive_bytes",
            "a message that has lost descriptors is an error, which ends the restart",
        ),
        ("src/turn/restart/moving.rs", "let_go", "closes its own when the new side has them"),
        ("src/server/mod.rs", "raise_file_limit", "raises the limit as far as it goes"),
    ],
};

const CLIENTS: usize = 10;
/// Descriptors that the new process may still have.
const ROOM: u64 = 3;

fn teach() -> Result<Verdict> {
    say(
        "SCM_RIGHTS (unix(7)) carries descriptors in a message beside its bytes. Where the receiver \
         has no room for them, by its limit on open files or in its buffer, the kernel closes those \
         that do not fit. The bytes are there, recvmsg(2) succeeds, and one flag is set: MSG_CTRUNC.",
    );
    wrong(format!(
        "{CLIENTS} connections go to a new process, which has room for {ROOM}. It serves what has \
         come, and says that all is well; so the old process lets go of its copies."
    ));
    let lost = lost_when(false)?;
    say(format!("{lost} of {CLIENTS} clients are cut off, and nobody knows why."));
    right(
        "The new process looks at the flag and refuses. The old one has its copies still, since nobody \
         has said that they have arrived, and goes on serving.",
    );
    let lost_right = lost_when(true)?;
    say(format!("{lost_right} of {CLIENTS} clients are cut off."));
    Ok(Verdict {
        wrong: format!("lost {lost} of {CLIENTS} clients"),
        right: format!("lost {lost_right} of {CLIENTS}"),
        as_taught: lost > 0 && lost_right == 0,
    })
}

/// Connections are sent to a process with too little room. How many clients are served by neither?
fn lost_when(looks: bool) -> Result<usize> {
    let (old, new) = UnixDatagram::pair()?;
    let mut child = process::fork(|| serve(&new, looks).map_or(2, |taken| (!taken).into()))?;
    let (clients, served) = wire::pairs(CLIENTS)?;
    let numbers: Vec<RawFd> = wire::numbers(&served).collect();
    let rights = [ControlMessage::ScmRights(&numbers)];
    sendmsg::<()>(old.as_raw_fd(), &[IoSlice::new(b"yours")], &rights, MsgFlags::empty(), None)?;
    match child.wait()? {
        0 => {}
        1 => wire::speak(&served), // they are still ours, so we answer
        _ => return Err("the new process has failed".into()),
    }
    drop(served);
    Ok(CLIENTS - wire::count(&clients, LONG, Heard::Bytes)?)
}

/// The new process: whether it has taken the connections over.
fn serve(link: &UnixDatagram, looks: bool) -> Result<bool> {
    let next = File::open("/dev/null")?.as_raw_fd() as u64; // the lowest number that is free
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, next + ROOM, hard)?;
    let (descriptors, truncated) = process::receive(link)?;
    if looks && truncated {
        return Ok(false);
    }
    for descriptor in descriptors {
        TcpStream::from(descriptor).write_all(b"welcome\n")?;
    }
    Ok(true)
}
