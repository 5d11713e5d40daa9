//! Panics of an author's code: caught where the turn calls it, and what they have to say as one line.

use std::{
    any::Any,
    cell::{Cell, RefCell},
    panic::{self, AssertUnwindSafe},
};

use super::Quoted;
use crate::log_target::SYSTEM;

thread_local! {
    /// Whoever panics is caught.
    static IS_CAUGHT: Cell<bool> = const { Cell::new(false) };
    /// Where the last one was that is caught, if the hook of [`log_panics`] has seen it.
    static PLACE: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Has a panic say what it has to say in the log, as one line, in place of several on stderr.
///
/// The hook that a program has from the start writes to stderr and waits for its reader, at each panic, also
/// of one that is caught. With this one, a panic that is caught (see [`Service`](crate::Service)) is told
/// where its effect is told, with its place, and any other is a line at level error. Call it behind the logger's
/// own start. It replaces the program's panic hook; a program that has a good one of its own keeps that.
///
/// ```
/// heirloom::logging::log_panics();
/// ```
pub fn log_panics() {
    panic::set_hook(Box::new(|info| {
        let place = info.location().map(ToString::to_string);
        if IS_CAUGHT.get() {
            PLACE.set(place);
            return;
        }
        let place = place.unwrap_or_default();
        log::error!(target: SYSTEM, "panicked at={place} reason={}", Quoted(message(info.payload())));
        log::logger().flush();
    }));
}

/// Calls `call`. A panic in it is answered as what it said and where, if that is known.
///
/// # Unwind safety
/// Whoever is caught may have left what it borrows half changed. Of what an author's callback can reach,
/// the reactor's own is whole at any moment in which the author's code runs: it is changed by calls, each of
/// which ends before the code goes on, and none of which calls the author's code. The service and its
/// sessions are the author's, who is told so.
pub(crate) fn catch<T>(call: impl FnOnce() -> T) -> Result<T, String> {
    let before = IS_CAUGHT.replace(true);
    let result = panic::catch_unwind(AssertUnwindSafe(call));
    IS_CAUGHT.set(before);
    result.map_err(|payload| match PLACE.take() {
        Some(place) => format!("{} ({place})", message(&*payload)),
        None => message(&*payload).to_owned(),
    })
}

/// What `panic!` was told.
fn message(payload: &(dyn Any + Send)) -> &str {
    let text = payload.downcast_ref::<String>().map(String::as_str);
    text.or(payload.downcast_ref::<&str>().copied()).unwrap_or("a value that is no text")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_said_comes_back() {
        let number = 7;
        assert_eq!(catch(|| number), Ok(7));
        assert_eq!(catch(|| -> () { panic!("as told") }), Err("as told".to_owned()));
        assert_eq!(catch(|| -> () { panic!("number {number}") }), Err("number 7".to_owned()));
        let other = catch(|| -> () { panic::panic_any(7) });
        assert_eq!(other, Err("a value that is no text".to_owned()));
        assert!(!IS_CAUGHT.get());
    }
}
