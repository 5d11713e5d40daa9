//! What the program says: the answer on stdout, whose reader may leave whenever it likes, and what went
//! wrong on stderr.

use std::{
    io::{self, ErrorKind, Write},
    process,
};

use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, raise, sigaction};

/// What a shell says of a program that `SIGPIPE` has ended.
const EXIT_SIGPIPE: i32 = 128 + Signal::SIGPIPE as i32;

/// Writes all of `text`, now. Where nobody reads it any more (`heirloom top | head -1`) the program ends by
/// `SIGPIPE`, without a word, as others do.
///
/// # Errors
/// When it cannot be written for another reason, such as a full disk.
pub fn say(text: &str) -> Result<(), String> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(e) if e.kind() == ErrorKind::BrokenPipe => end_by_sigpipe(),
        Err(e) => Err(format!("write the answer: {e}; the server was asked, and has answered")),
        Ok(()) => Ok(()),
    }
}

/// One line on stderr. Where it has no reader, the exit status says what there is to say.
pub fn complain(text: &str) {
    let _ = writeln!(io::stderr(), "heirloom: {text}");
}

/// The Rust runtime ignores the signal, so that a write to a socket is an error and not the end; a write to
/// stdout ends the program by it after all (`pipe(7)`).
fn end_by_sigpipe() -> ! {
    let default = SigAction::new(SigHandler::SigDfl, SaFlags::empty(), SigSet::empty());
    // SAFETY: the default action runs no code of ours.
    let _ = unsafe { sigaction(Signal::SIGPIPE, &default) };
    let _ = SigSet::from_iter([Signal::SIGPIPE]).thread_unblock();
    let _ = raise(Signal::SIGPIPE);
    process::exit(EXIT_SIGPIPE)
}
