//! A fork copies one thread, and every lock as it stands.

use std::{
    fs,
    process::{Command, Stdio},
    sync::{Mutex, mpsc},
    thread,
    time::Duration,
};

use crate::{
    Lesson, Result, Verdict, process,
    process::Child,
    tell::{right, say, wrong},
    wire::{LONG, SHORT},
};

pub const LESSON: Lesson = Lesson {
    name: "lost-lock",
    title: "a child waits for a thread that it does not have",
    teach,
    places: &[
        ("src/restart/engine/fork.rs", "thread_count", "asks the kernel for their number"),
        (
            "src/restart/engine/task.rs",
            "choose_engine",
            "refuses to fork with more than one, or takes fork-exec instead if told so",
        ),
    ],
};

const CHILDREN: usize = 5;

/// Any lock will do: a logger's, the allocator's, the one around the environment, stdout's.
static LOG: Mutex<()> = Mutex::new(());

fn teach() -> Result<Verdict> {
    say(
        "Of all threads only the one that calls fork(2) lives on in the child. The memory of the others \
         is there, with every lock that they held at that moment, and nobody who would unlock it.",
    );
    wrong("A thread is writing to the log, and holds its lock, while another one forks.");
    let (held, wait_held) = mpsc::channel();
    let (release, wait_release) = mpsc::channel::<()>();
    let writer = thread::spawn(move || {
        let _guard = LOG.lock();
        let _ = held.send(());
        let _ = wait_release.recv();
    });
    wait_held.recv()?;
    let hung = CHILDREN - ended(SHORT, &forked()?)?;
    say(format!(
        "{hung} of {CHILDREN} children wait for the lock, and would wait for ever. In a real server \
         the lock is held for microseconds, so it happens once a month."
    ));
    right(
        "The server counts its threads before it forks, and starts a new program if it has several.",
    );
    let threads = fs::read_dir("/proc/self/task")?.count();
    let mut started = 0;
    for _ in 0..CHILDREN {
        // A new program has new memory: whatever was locked, it is not here.
        let mut program = Command::new(process::program());
        started += usize::from(program.arg("--help").stdout(Stdio::null()).status()?.success());
    }
    release.send(())?;
    writer.join().map_err(|_| "the thread has panicked")?;
    let alone = ended(LONG, &forked()?)?;
    say(format!(
        "With {threads} threads it does not fork, and {started} of {CHILDREN} new programs run. When \
         the thread has ended, {alone} of {CHILDREN} forked children get the lock."
    ));
    let hung_right = 2 * CHILDREN - started - alone;
    Ok(Verdict {
        wrong: format!("hung {hung} of {CHILDREN} children"),
        right: format!("{hung_right} of {}", 2 * CHILDREN),
        as_taught: hung == CHILDREN && hung_right == 0 && threads == 2,
    })
}

/// Children that want to write to the log and end.
fn forked() -> Result<Vec<Child>> {
    let child = |_| {
        process::fork(|| {
            drop(LOG.lock());
            0
        })
    };
    (0..CHILDREN).map(child).collect()
}

/// How many end, where each is given that time?
fn ended(time: Duration, children: &[Child]) -> Result<usize> {
    let mut ended = 0;
    for child in children {
        ended += usize::from(child.ends_within(time)?);
    }
    Ok(ended)
}
