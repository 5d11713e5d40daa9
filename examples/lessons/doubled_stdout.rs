//! A buffer that was not flushed before the fork is flushed by both sides after it.

use std::io::{self, BufRead, BufReader, BufWriter, PipeWriter, Write};

use crate::{
    Lesson, Result, Verdict, process,
    tell::{right, say, wrong},
};

pub const LESSON: Lesson = Lesson {
    name: "doubled-stdout",
    title: "what was written once is read twice",
    teach,
    places: &[
        (
            "src/restart/engine/fork.rs",
            "fork",
            "flushes standard output and the logger before it forks",
        ),
        (
            "src/restart/engine/fork.rs",
            "drop",
            "a child that fails leaves by `_exit`, which flushes nothing",
        ),
    ],
};

const LINES: usize = 20;

fn teach() -> Result<Verdict> {
    say(
        "What a program prints often waits in its own memory until there is enough for a write: in a \
         BufWriter, in C's stdout when that is a pipe, in Rust's stdout as half a line. A fork copies \
         memory, so it copies what waits there.",
    );
    wrong(format!(
        "A server has put {LINES} lines into a buffered access log and forks. Later each of the two \
         flushes its buffer, as a process does at its end at the latest."
    ));
    let doubled = lines(|_log| Ok(()))?;
    say(format!("The reader of the log gets {doubled} lines for {LINES} requests."));
    right("The server flushes, then forks: there is nothing to copy.");
    let exact = lines(|log| log.flush())?;
    say(format!(
        "The reader gets {exact}. A child that only does some work and leaves is safe in another way: \
         it ends by _exit(2), which runs no destructor, no exit handler and no flush."
    ));
    Ok(Verdict {
        wrong: format!("wrote {LINES} lines as {doubled}"),
        right: format!("as {exact}"),
        as_taught: doubled == 2 * LINES && exact == LINES,
    })
}

/// How many lines arrive, if `prepare` is all that is done before the fork?
fn lines(prepare: impl FnOnce(&mut BufWriter<PipeWriter>) -> io::Result<()>) -> Result<usize> {
    let (reader, writer) = io::pipe()?;
    let mut log = BufWriter::new(writer);
    for number in 1..=LINES {
        writeln!(log, "GET /{number}")?;
    }
    prepare(&mut log)?;
    let mut child = process::fork(|| log.flush().is_err().into())?;
    child.wait()?;
    drop(log); // flushes, and closes our end: the reader comes to the end of the pipe
    Ok(BufReader::new(reader).lines().count())
}
