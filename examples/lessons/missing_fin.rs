//! A connection ends when its last descriptor is closed, in whatever process that is.

use crate::{
    Lesson, Result, Verdict, process,
    tell::{right, say, wrong},
    wire::{self, Heard, LONG, SHORT},
};

pub const LESSON: Lesson = Lesson {
    name: "missing-fin",
    title: "the server closes, and its clients wait for ever",
    teach,
    places: &[
        (
            "src/turn/restart/child.rs",
            "leave_to_parent",
            "the first thing that a forked child does: it closes its copies of the parent's connections",
        ),
        (
            "src/net/reactor/close.rs",
            "close_socket",
            "while a child may still have copies, the parent sends its FIN by shutdown, which needs no last close",
        ),
    ],
};

const CLIENTS: usize = 10;

fn teach() -> Result<Verdict> {
    say("close(2) takes one number from one process. The FIN, by which a client learns that the \
         conversation is over, is sent when the last number for that socket is closed. After a fork \
         there are two.");
    wrong(
        "A forked child accepts new clients and leaves the old connections alone: they are its \
         parent's. Later the parent has answered, and closes them.",
    );
    let told = finned(false)?;
    say(format!(
        "{told} of {CLIENTS} clients see the end. The others wait for a server that has forgotten \
         them, as long as the child lives: it does not even know that it holds them open."
    ));
    right("The child closes its copies first of all, before anything that takes time.");
    let told_right = finned(true)?;
    say(format!("The parent closes, and {told_right} of {CLIENTS} clients see it at once."));
    Ok(Verdict {
        wrong: format!("showed the end to {told} of {CLIENTS} clients"),
        right: format!("to {told_right} of {CLIENTS}"),
        as_taught: told == 0 && told_right == CLIENTS,
    })
}

/// A child stays; the parent closes its connections. How many clients see a FIN?
fn finned(child_closes: bool) -> Result<usize> {
    let (clients, served) = wire::pairs(CLIENTS)?;
    let _child = process::fork_and_stay(|| {
        if child_closes {
            process::close_all(wire::numbers(&served));
        }
    })?;
    drop(served);
    wire::count(&clients, if child_closes { LONG } else { SHORT }, Heard::Fin)
}
