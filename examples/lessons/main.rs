//! The traps that whoever writes a restart meets: each lesson falls into one with real processes and
//! sockets, shows what breaks, does it right, and names the lines of `src` that do so too.
//!
//! ```sh
//! cargo run --example lessons                    # what there is
//! cargo run --example lessons -- shared-epoll    # one of them
//! cargo run --example lessons -- all             # an evening's reading, in less than a minute
//! ```

mod copy_on_write;
mod crossed_answers;
mod deleted_exe;
mod deleted_wal;
mod doubled_stdout;
mod drop_guards;
mod emfile;
mod equal_ids;
mod fork_cost;
mod ghost_events;
mod huge_pages;
mod late_eof;
mod lost_bytes;
mod lost_lock;
mod missing_fin;
mod process;
mod reuseport;
mod rewrap;
#[cfg(feature = "postgres")]
mod rolled_back;
mod services;
mod shared_epoll;
mod short_read;
mod shutdown;
mod sigchld;
mod silent_end;
mod stale_fd;
#[cfg(feature = "postgres")]
mod table;
mod tell;
mod truncated_fds;
mod wire;

use std::{
    error::Error,
    process::{Command, ExitCode},
};

type Result<T = ()> = std::result::Result<T, Box<dyn Error>>;

/// One trap.
struct Lesson {
    name: &'static str,
    /// What goes wrong, in one line.
    title: &'static str,
    /// Does it wrong, then right, and tells what happened.
    teach: fn() -> Result<Verdict>,
    /// Where the library does it right: file, function, and how.
    places: &'static [(&'static str, &'static str, &'static str)],
}

/// What both ways have led to.
struct Verdict {
    wrong: String,
    right: String,
    /// Whether the trap has snapped, and the right way was out of it.
    as_taught: bool,
}

/// In the order in which they are best read.
const LESSONS: &[Lesson] = &[
    // What a fork shares.
    shared_epoll::LESSON,
    missing_fin::LESSON,
    ghost_events::LESSON,
    shutdown::LESSON,
    // What a fork copies.
    stale_fd::LESSON,
    rewrap::LESSON,
    doubled_stdout::LESSON,
    drop_guards::LESSON,
    lost_lock::LESSON,
    // What a fork does to what the service holds.
    equal_ids::LESSON,
    deleted_wal::LESSON,
    crossed_answers::LESSON,
    #[cfg(feature = "postgres")]
    rolled_back::LESSON,
    silent_end::LESSON,
    // What a fork costs.
    fork_cost::LESSON,
    huge_pages::LESSON,
    copy_on_write::LESSON,
    // What comes in while one process follows another.
    reuseport::LESSON,
    emfile::LESSON,
    short_read::LESSON,
    // What goes along.
    lost_bytes::LESSON,
    truncated_fds::LESSON,
    // Which program, and is it alive?
    deleted_exe::LESSON,
    sigchld::LESSON,
    late_eof::LESSON,
];

fn main() -> ExitCode {
    let result = match std::env::args().nth(1).as_deref() {
        None | Some("--help" | "-h") => {
            tell::line("Lessons about restarts. Give the name of one, or `all`:\n");
            LESSONS
                .iter()
                .for_each(|lesson| tell::line(format!("  {:16}{}", lesson.name, lesson.title)));
            return ExitCode::SUCCESS;
        }
        Some("all") => teach_all(),
        Some(name) => match LESSONS.iter().find(|lesson| lesson.name == name) {
            Some(lesson) => teach(lesson),
            None if name == "rolled-back" => {
                eprintln!("lessons: {name} needs the client: cargo run --features postgres ...");
                return ExitCode::from(2);
            }
            None => {
                eprintln!("lessons: there is none about {name:?}; without a name, all are listed");
                return ExitCode::from(2);
            }
        },
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(why) => {
            eprintln!("lessons: {why}");
            ExitCode::FAILURE
        }
    }
}

/// Each in a process of its own: what one does to its process must not reach the next.
fn teach_all() -> Result<bool> {
    let mut all = true;
    for lesson in LESSONS {
        all &= Command::new(process::program()).arg(lesson.name).status()?.success();
    }
    Ok(all)
}

fn teach(lesson: &Lesson) -> Result<bool> {
    process::limit_time();
    tell::line(format!("\n# {}: {}\n", lesson.name, lesson.title));
    let Verdict { wrong, right, as_taught } = (lesson.teach)()?;
    tell::line("\nin src:");
    for (file, function, how) in lesson.places {
        tell::place(file, function, how);
    }
    tell::line(format!("\nverdict: wrong way {wrong}; right way {right}"));
    if !as_taught {
        tell::line("(this machine has not shown what the lesson says)");
    }
    Ok(as_taught)
}
