//! An owner of a descriptor is an owner of a number, whatever it stands for by now.

use std::{
    mem,
    net::TcpStream,
    os::fd::{AsRawFd, IntoRawFd},
    time::Duration,
};

use mio::{Events, Poll};

use crate::{
    Lesson, Result, Verdict, process,
    tell::{right, say, wrong},
    wire,
};

pub const LESSON: Lesson = Lesson {
    name: "stale-fd",
    title: "a value from before the fork closes what came after it",
    teach,
    places: &[
        (
            "src/turn/generation/inherited.rs",
            "free_piece",
            "a stream whose number is closed already is forgotten, never dropped",
        ),
        (
            "src/net/stream/socket.rs",
            "forget",
            "takes the number out of a stream without closing it",
        ),
    ],
};

const CHILDREN: usize = 5;

fn teach() -> Result<Verdict> {
    say(
        "Rust's OwnedFd, and every socket type, closes its number when it is dropped. The kernel hands \
         out the lowest number that is free. A child that closes inherited descriptors by number, \
         which is quick, has owners in its heap that still believe in theirs.",
    );
    wrong(
        "A child closes an inherited connection by number, makes its own epoll set, and later drops \
         the connections that it has inherited.",
    );
    let broken = broken_when(|inherited| {
        process::close_all([inherited.as_raw_fd()]);
        let poll = Poll::new()?; // gets the lowest free number: that one
        drop(inherited); // and this closes it a second time
        Ok(poll)
    })?;
    say(format!(
        "{broken} of {CHILDREN} children have lost their epoll set: the next wait says EBADF. It could \
         as well have been the listener, or somebody's connection, and nothing would have said so."
    ));
    right(
        "The child takes the numbers out of their owners first. Then there is nobody left to close \
         them twice.",
    );
    let broken_right = broken_when(|inherited| {
        let number = inherited.into_raw_fd(); // the owner is gone, the number is not
        process::close_all([number]);
        Ok(Poll::new()?)
    })?;
    say(format!("{broken_right} of {CHILDREN} children have lost it."));
    Ok(Verdict {
        wrong: format!("closed the epoll set of {broken} of {CHILDREN} children"),
        right: format!("of {broken_right} of {CHILDREN}"),
        as_taught: broken == CHILDREN && broken_right == 0,
    })
}

/// How many children cannot use the epoll set that they have made in this way?
fn broken_when(begin: impl Fn(TcpStream) -> Result<Poll>) -> Result<usize> {
    let mut broken = 0;
    for _ in 0..CHILDREN {
        let (_clients, mut served) = wire::pairs(1)?;
        // A copy with the lowest free number, so that the child's next descriptor will have it.
        let inherited = served.remove(0).try_clone()?;
        broken += process::ask(|| {
            let Ok(mut poll) = begin(inherited) else { return 0 };
            let waited = poll.poll(&mut Events::with_capacity(1), Some(Duration::ZERO));
            mem::forget(poll); // it may have been closed, and Rust would notice
            waited.is_err().into()
        })?;
    }
    Ok(broken as usize)
}
