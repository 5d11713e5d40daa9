//! Faults on request: builds with debug assertions can be told to die, hang or talk nonsense after any
//! step of a restart, so that tests can prove what the other side does then. A release build has
//! none of it.

use super::link::Link;
#[cfg(debug_assertions)]
use crate::log_target::RESTART;

/// A step of the protocol, after which something may go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Old: the new process was made.
    OldMade,
    /// Old: the new program has connected, and was offered what it needs first.
    OldOffered,
    /// Old: the new program is up, and the state is about to be written down for it.
    OldSaving,
    /// Old: nobody changes any more what goes along, and what moves is frozen.
    OldStill,
    /// Old: a scribe writes, and the new side has the other end of its pipe.
    OldCopying,
    /// Old: `Loaded` came.
    OldLoaded,
    /// Old: it has sent a piece of changes.
    OldRound,
    /// The scribe: it exists, and has written nothing.
    ScribeMade,
    /// Old: it has sent the state.
    OldSaved,
    /// Old: it has sent state and connections.
    OldHanded,
    /// Old: `Ready` came.
    OldReady,
    /// Old: it has stopped accepting and said `Retiring`.
    OldRetiring,
    /// Old: it has said `Released`.
    OldReleased,
    /// Old: `Committed` came.
    OldCommitted,
    /// Old: it has taken in what the new side hands back, and said whether it could serve.
    OldTakenBack,
    /// Old: it accepts again, and has said so to a new side that hands back.
    OldResumed,
    /// New: it exists.
    NewMade,
    /// New: it has everything it needs.
    NewClaimed,
    /// New: it is about to read the state.
    NewLoading,
    /// New: it has read it, and said so.
    NewLoaded,
    /// New: it has applied a piece of changes, and said so.
    NewApplied,
    /// New: it has taken in what a new program is handed.
    NewTaken,
    /// New: it has said `Ready`.
    NewReady,
    /// New: `Released` came.
    NewReleased,
    /// New: it accepts, and has said `Serving`.
    NewServing,
    /// New: it has said `Committed`.
    NewCommitted,
    /// New: it has sent the state back.
    NewSavedBack,
    /// New: it has sent everything back, and asked the old side to serve again.
    NewHandedBack,
    /// New: the old side could serve; this one has let go of everything and said so.
    NewReturned,
    /// New: it was told to stop, and has told the others so.
    NewStopping,
}

/// The place for a fault after `step`.
pub(crate) fn point(step: Step, link: Option<&mut Link>) {
    point_at(step, || link.into_iter().for_each(garble));
}

#[cfg(not(debug_assertions))]
fn garble(_link: &mut Link) {}

#[cfg(debug_assertions)]
fn garble(link: &mut Link) {
    link.send_garbage();
}

/// The same, where garbage is something else than a message.
#[cfg(not(debug_assertions))]
pub(crate) fn point_at(_step: Step, _garble: impl FnOnce()) {}

/// Does what the file that `HEIRLOOM_FAULT` names says, if it says it of this step, and removes the
/// file: `NewReady die`, `OldReleased hang`, `NewServing garbage`.
#[cfg(debug_assertions)]
pub(crate) fn point_at(step: Step, garble: impl FnOnce()) {
    use nix::{sys::signal, unistd::getpid};

    let Some(path) = std::env::var_os("HEIRLOOM_FAULT") else { return };
    let Ok(text) = std::fs::read_to_string(&path) else { return };
    let Some((at, what)) = text.trim().split_once(' ') else { return };
    if at != format!("{step:?}") || std::fs::remove_file(&path).is_err() {
        return; // another process was first
    }
    log::warn!(target: RESTART, "fault on request after {step:?}: {what}");
    match what {
        "die" => drop(signal::kill(getpid(), signal::SIGKILL)),
        "hang" => drop(signal::kill(getpid(), signal::SIGSTOP)),
        "garbage" => garble(),
        other => panic!("no such fault: {other}"),
    }
}
