//! The scribe: a fork of the old side that writes down what the service knows, as it was at that moment, while
//! the old side serves. For the price of the page tables nobody stands still.
//!
//! It is no generation. It does one thing, touches no socket and no file of the service, and ends by itself, with
//! its parent, or by it.

use std::{
    ffi::CStr,
    fs::File,
    io::{self, Write},
    os::fd::{AsFd, OwnedFd},
    time::{Duration, Instant},
};

use nix::unistd::Pid;

use super::{
    child::Child,
    fork::{self, Unready, become_helper, exit_now},
};
use crate::{
    restart::transfer::{rounds::Rounds, stream::Writer},
    verdict::CopiedBy,
};

/// What `ps` and `top` call it, in the 15 characters that the kernel keeps.
const NAME: &CStr = c"heirloom-scribe";

/// The status of a scribe that could not go on, and has said why at the end of the stream, as far as somebody
/// was there to read it.
const HAS_SAID_WHY: u8 = 1;

/// Forks, and has the child write a stream of what `save` writes into `pipe`, behind what it does to `begin`.
/// Returns in the parent alone.
///
/// The caller has made sure that there is one thread. Where the system makes no process, the pipe is left.
pub(crate) fn make_scribe(
    pipe: &mut Option<OwnedFd>,
    begin: impl FnOnce(&mut File),
    save: impl FnOnce(&mut dyn Write) -> Result<(), String>,
) -> io::Result<Child> {
    let parent = Pid::this();
    if let Some(pid) = fork::fork()? {
        let child = Child::new(pid)?;
        *pipe = None; // its end is the end of the stream
        return Ok(child);
    }
    let _ends_here = Unready; // whatever happens, nothing runs on into the parent's code
    let written = pipe.take().ok_or(io::ErrorKind::BrokenPipe.into()).and_then(|pipe| {
        become_helper(NAME, parent, pipe.as_fd())?;
        let mut pipe = File::from(pipe);
        begin(&mut pipe);
        write(pipe, save)
    });
    exit_now(if let Ok(true) = written { 0 } else { HAS_SAID_WHY.into() })
}

/// Tells whether all of it was written.
fn write(pipe: File, save: impl FnOnce(&mut dyn Write) -> Result<(), String>) -> io::Result<bool> {
    let mut out = Writer::begin(pipe)?;
    match save(&mut out) {
        Ok(()) => out.finish().map(|_| true),
        Err(why) => out.fail(&why).map(|()| false),
    }
}

/// Whether a scribe that has ended had done its work, or has left word why not; how it has ended otherwise.
pub(crate) fn has_done_its_work(scribe: &mut Child) -> Result<(), String> {
    const SIGPIPE: u8 = 128 + libc::SIGPIPE as u8; // who reads is gone, and that will be told
    match scribe.code() {
        Some(0 | HAS_SAID_WHY | SIGPIPE) => Ok(()),
        _ => Err(format!("the process that wrote down the state has ended: {}", scribe.end())),
    }
}

/// How the state of the service goes to a new program, on the old side.
#[derive(Debug)]
pub(crate) struct Copying {
    pub by: CopiedBy,
    /// Until it was reaped.
    pub scribe: Option<Child>,
    /// The service notes what changes meanwhile.
    pub tracks: bool,
    pub rounds: Rounds,
    /// Bytes that were copied, of the snapshot and of changes.
    pub bytes: u64,
    /// Nobody changes any more what is copied.
    pub is_still: bool,
    /// Another piece of changes may be written.
    pub is_due: bool,
    pub begun: Instant,
    /// From here on there is no time for more rounds.
    pub hurry_at: Instant,
    /// What was left, when it began, of the time that the new side has to be ready. The copy has a time of its own.
    pub left: Duration,
}
