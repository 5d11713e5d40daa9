//! The end of a pipe says that nobody writes to it any more, not that somebody has died.

use std::io::{self, Write};

use crate::{
    Lesson, Result, Verdict,
    process::{self, is_readable},
    tell::{right, say, wrong},
    wire::{LONG, SHORT},
};

pub const LESSON: Lesson = Lesson {
    name: "late-eof",
    title: "a process is dead, and its pipe says that it lives",
    teach,
    places: &[
        (
            "src/restart/engine/fork.rs",
            "pidfd_open",
            "a descriptor for a process, and for nothing else",
        ),
        (
            "src/restart/engine/child.rs",
            "new",
            "watches a new generation by it, and not by a pipe's end",
        ),
    ],
};

const CHILDREN: usize = 3;

fn teach() -> Result<Verdict> {
    say(
        "An old trick to notice that a process has died: give it one end of a pipe and wait for the \
         end of file. It comes when the last copy of that end is closed, and whatever the process \
         has started may have inherited one.",
    );
    let (mut by_pipe, mut by_pidfd) = (0, 0);
    for _ in 0..CHILDREN {
        let (alive, held) = io::pipe()?;
        let (waits, stop) = io::pipe()?; // its end, when this process drops `stop`, ends the grandchild
        let (ready, told) = io::pipe()?;
        let child = process::fork(|| {
            let grandchild = process::fork(|| {
                process::close_all([std::os::fd::AsRawFd::as_raw_fd(&stop)]);
                let _ = (&told).write_all(b".");
                process::wait_for(&waits);
                0
            });
            grandchild.map(process::Child::forget).is_err().into()
        })?;
        drop((held, told));
        process::wait_for(&ready);
        by_pidfd += usize::from(is_readable(&child.pidfd()?, LONG)?);
        by_pipe += usize::from(is_readable(&alive, SHORT)?);
        drop(stop);
        assert!(is_readable(&alive, LONG)?, "the grandchild has ended, and with it the pipe");
    }
    wrong("A server watches over each child by a pipe. The child starts a helper, and crashes.");
    say(format!(
        "It hears of {by_pipe} of {CHILDREN} deaths. The helper, which knows nothing of it, has \
         a copy of the pipe; the end of file comes when the helper ends."
    ));
    right("The server watches a pidfd (pidfd_open(2)), which stands for one process.");
    say(format!("It hears of {by_pidfd} of {CHILDREN} at once."));
    Ok(Verdict {
        wrong: format!("heard of {by_pipe} of {CHILDREN} deaths"),
        right: format!("of {by_pidfd} of {CHILDREN}"),
        as_taught: by_pipe == 0 && by_pidfd == CHILDREN,
    })
}
