//! An epoll set remembers a socket for as long as any process has it open.

use mio::{Poll, unix::SourceFd};

use crate::{
    Lesson, Result, Verdict, process,
    tell::{right, say, wrong},
    wire::{self, SHORT},
};

pub const LESSON: Lesson = Lesson {
    name: "ghost-events",
    title: "a process is woken for connections that it has closed",
    teach,
    places: &[
        (
            "src/net/reactor/close.rs",
            "take_dead",
            "deregisters each connection before it closes it",
        ),
        (
            "src/net/reactor/flow.rs",
            "note_stream",
            "an event whose connection is gone finds nobody: a slot that is used again has another serial",
        ),
    ],
};

const CLIENTS: usize = 10;

fn teach() -> Result<Verdict> {
    say(
        "epoll(7) promises that a socket leaves the set when it is closed. Read on there: when all \
         descriptors for it are closed. A child that has a copy keeps it in its parent's set, under \
         the parent's old token, and the parent has no number left by which to take it out.",
    );
    wrong("A forked child has copies. The parent closes its connections as it has always done.");
    let (ghosts, removable) = woken_for(false)?;
    say(format!(
        "Their clients, who know nothing of it, send a line each. The parent is woken for {ghosts} of \
         {CLIENTS} connections that it has not got; it could take {removable} of them out now. A loop \
         that looks its tokens up in a slab serves a stranger who has the same slot meanwhile; with \
         a level-triggered set it never sleeps again."
    ));
    right("The parent deregisters each connection, then closes it.");
    let (silent, _) = woken_for(true)?;
    say(format!("The same lines arrive, and the parent is woken {silent} times."));
    Ok(Verdict {
        wrong: format!("was woken for {ghosts} of {CLIENTS} closed connections"),
        right: format!("for {silent} of {CLIENTS}"),
        as_taught: ghosts == CLIENTS && silent == 0,
    })
}

/// A child stays with copies of connections that the parent closes, and their clients speak. How many
/// does the parent hear of, and how many can it deregister afterwards?
fn woken_for(deregister: bool) -> Result<(usize, usize)> {
    let (clients, served) = wire::pairs(CLIENTS)?;
    let mut poll = Poll::new()?;
    wire::watch(&poll, &served)?;
    let _child = process::fork_and_stay(|| {})?;
    let numbers: Vec<_> = wire::numbers(&served).collect();
    let leave = |poll: &Poll, fd: &i32| poll.registry().deregister(&mut SourceFd(fd)).is_ok();
    if deregister {
        numbers.iter().for_each(|fd| assert!(leave(&poll, fd), "it is registered"));
    }
    drop(served);
    wire::speak(&clients);
    let heard = wire::tokens(&mut poll, CLIENTS, SHORT)?.len();
    Ok((heard, numbers.iter().filter(|fd| leave(&poll, fd)).count()))
}
