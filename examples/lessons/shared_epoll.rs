//! The epoll set is one object, and after a fork two processes hold it.

use std::{net::TcpStream, os::fd::AsRawFd, time::Duration};

use mio::{Poll, unix::SourceFd};

use crate::{
    Lesson, Result, Verdict, process,
    tell::{right, say, wrong},
    wire::{self, LONG, SHORT},
};

pub const LESSON: Lesson = Lesson {
    name: "shared-epoll",
    title: "a child tidies up, and its parent goes deaf",
    teach,
    places: &[
        (
            "src/restart/engine/fork.rs",
            "close_all",
            "closes the child's copies by number, and deregisters nothing",
        ),
        (
            "src/turn/restart/new.rs",
            "try_become_successor",
            "makes an epoll set of its own for the child",
        ),
    ],
};

const CLIENTS: usize = 20;

fn teach() -> Result<Verdict> {
    say(
        "A fork copies descriptors, which are numbers, and shares what they stand for, the open file \
         descriptions. An epoll set is such an object too: the parent and the child have one list of \
         sockets between them. What the child takes off that list is off it for the parent.",
    );
    wrong(
        "A child does not want its parent's connections. It is well brought up, so it takes each of \
         them off the list that it has inherited (epoll_ctl with EPOLL_CTL_DEL), and exits.",
    );
    let deaf = unheard(SHORT, |poll, served| {
        for fd in wire::numbers(served) {
            // epoll_ctl(EPOLL_CTL_DEL): the set is the parent's as well.
            let _ = poll.registry().deregister(&mut SourceFd(&fd));
        }
    })?;
    say(format!(
        "Then all {CLIENTS} clients of the parent speak. Its sockets are open and its loop is \
         waiting, but {deaf} of them are never reported: they are in no set any more."
    ));
    right(
        "The child only closes its copies, the sockets' and the epoll set's. A close takes one number \
         from one process; the set keeps a socket for as long as anybody has it open.",
    );
    let missed = unheard(LONG, |poll, served| {
        process::close_all(wire::numbers(served));
        process::close_all([poll.as_raw_fd()]); // for events of its own it makes a new one
    })?;
    say(format!("The parent misses {missed} of {CLIENTS}."));
    Ok(Verdict {
        wrong: format!("lost {deaf} of {CLIENTS} clients"),
        right: format!("lost {missed} of {CLIENTS}"),
        as_taught: deaf == CLIENTS && missed == 0,
    })
}

/// Lets a child tidy up, then all clients speak. How many does the parent not hear of?
fn unheard(time: Duration, tidy: impl FnOnce(&Poll, &[TcpStream])) -> Result<usize> {
    let (clients, served) = wire::pairs(CLIENTS)?;
    let mut poll = Poll::new()?;
    wire::watch(&poll, &served)?;
    let mut child = process::fork(|| {
        tidy(&poll, &served);
        0
    })?;
    child.wait()?;
    wire::speak(&clients);
    Ok(CLIENTS - wire::tokens(&mut poll, CLIENTS, time)?.len())
}
