//! Descriptors that this program was started with: its link to an old side, sockets of a service manager,
//! and whatever else somebody has passed to it, which is left alone and passed on.
//!
//! The environment tells numbers, and a number proves nothing: it may lead nowhere, or to something that
//! this process has opened itself. What came through `execve(2)` is open and does not close on exec, while
//! all that a Rust program opens does. So each number is looked at before anybody owns it.
#![allow(unsafe_code)] // numbers become descriptors here, and the environment is changed

use std::{
    env,
    ffi::OsStr,
    os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd},
};

use nix::{
    fcntl::{FcntlArg, FdFlag, fcntl},
    sys::socket::{
        AddressFamily, SockType, SockaddrLike, SockaddrStorage, getsockname, getsockopt, sockopt,
    },
};

use crate::{
    error::{Error, Result},
    log_target::RESTART,
    restart::link::Link,
    system::{
        descriptors::{FIRST, flags},
        signal_set::SignalSet,
    },
};

/// Tells a new program that it is a successor, and where its link is.
pub(super) const LINK_VARIABLE: &str = "HEIRLOOM_LINK";

/// Tells it which signals wait for it that servers do not hear by themselves.
pub(super) const HELD_VARIABLE: &str = "HEIRLOOM_HELD";

/// What the service manager has told this process about descriptors, and no other (`sd_listen_fds(3)`).
const ACTIVATION: [&str; 4] = ["LISTEN_PID", "LISTEN_PIDFDID", "LISTEN_FDS", "LISTEN_FDNAMES"];

/// Whether a variable is about descriptors of this very process, and no news for another program.
pub(super) fn is_for_us_alone(variable: &OsStr) -> bool {
    let own = [LINK_VARIABLE, HELD_VARIABLE];
    own.iter().chain(&ACTIVATION).any(|name| variable == *name)
}

/// The lowest number that a program which this process starts does not inherit: it is closed here, or
/// will be by `execve(2)`. What was passed to this program under the others goes on to the next one.
pub(super) fn free_number() -> RawFd {
    let is_free = |number: &RawFd| flags(*number).is_none_or(|it| it.contains(FdFlag::FD_CLOEXEC));
    (FIRST..).find(is_free).unwrap_or(RawFd::MAX)
}

/// Looks whether this program was started with `number`, and with a socket there.
fn look_at(number: RawFd) -> std::result::Result<BorrowedFd<'static>, &'static str> {
    let fd = find(number)?;
    getsockopt(&fd, sockopt::SockType).map(|_| fd).map_err(|_| "not a socket")
}

/// Looks whether this program was started with `number`.
fn find(number: RawFd) -> std::result::Result<BorrowedFd<'static>, &'static str> {
    match flags(number) {
        None => Err("no such descriptor"),
        _ if number < FIRST => Err("a standard stream"),
        Some(flags) if flags.contains(FdFlag::FD_CLOEXEC) => Err("it was opened by this process"),
        Some(_) => {
            // SAFETY: it is open, and is no number that this process has made. Until somebody takes
            // it, which happens once, nobody closes it.
            Ok(unsafe { BorrowedFd::borrow_raw(number) })
        }
    }
}

/// Owns what [`look_at`] has found to be passed to this program. From now on no other inherits it.
fn take(found: BorrowedFd<'static>) -> std::result::Result<OwnedFd, &'static str> {
    fcntl(found, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC)).map_err(|_| "no such descriptor")?;
    // SAFETY: whoever has started this program left it this descriptor under this number, and said so
    // in a variable that is gone by now. It closes on exec from here on, so a second look refuses it.
    Ok(unsafe { OwnedFd::from_raw_fd(found.as_raw_fd()) })
}

/// Takes variables out of the environment: a program that the server starts must not take them for its own.
fn forget(variables: &[&str]) {
    // SAFETY: no other thread may use the environment meanwhile. `Server::new` asks to be called before
    // threads are started, and `main` has only just begun.
    variables.iter().for_each(|name| unsafe { env::remove_var(name) });
}

/// Finds the link that the old side has given to this program. `None`: it was started by hand.
///
/// # Errors
/// When the marker leads to no link.
pub(crate) fn claim_link() -> Result<Option<Link>> {
    let Some(number) = env::var_os(LINK_VARIABLE) else { return Ok(None) };
    forget(&[LINK_VARIABLE]);
    let parsed = number.to_str().and_then(|number| number.parse().ok()).ok_or("not a number");
    let link = parsed.and_then(look_at).and_then(|found| {
        let bound = getsockname::<SockaddrStorage>(found.as_raw_fd());
        let family = bound.ok().and_then(|it| it.family());
        let kind = getsockopt(&found, sockopt::SockType);
        match (family, kind) {
            (Some(AddressFamily::Unix), Ok(SockType::SeqPacket)) => take(found),
            _ => Err("not a link"),
        }
    });
    let target = || format!("{LINK_VARIABLE}={}", number.display());
    link.map(|it| Some(Link::of(it))).map_err(|why| Error::invalid("take over from", target(), why))
}

/// The signals that the old side has held back for this program, beside those that every server does.
pub(crate) fn claim_held() -> SignalSet {
    let Some(numbers) = env::var_os(HELD_VARIABLE) else { return SignalSet::EMPTY };
    forget(&[HELD_VARIABLE]);
    SignalSet::read(&numbers.to_string_lossy())
}

/// Takes the sockets that the service manager has opened for this process, and what it has kept for the service, which may be
/// anything, with its names for them; and the variables that say so out of the environment.
///
/// # Errors
/// When the variables contradict each other, or lead to no sockets where there is no store.
pub(crate) fn claim_activated(has_store: bool) -> Result<Vec<(String, OwnedFd)>> {
    let [pid, _, count, names] = ACTIVATION.map(env::var_os);
    forget(&ACTIVATION);
    let Some(pid) = pid else { return Ok(Vec::new()) };
    if pid != *std::process::id().to_string() {
        // Often a shell between the manager and this program, without `exec`.
        log::warn!(
            target: RESTART,
            "the sockets for process {} are not for this one (pid {})",
            pid.display(),
            std::process::id()
        );
        return Ok(Vec::new());
    }
    let invalid = |why: String| Error::invalid("take over", "activated sockets", why);
    let Some(count) = count else { return Ok(Vec::new()) };
    let count = count.to_str().and_then(|count| count.parse::<u16>().ok());
    let count = count.ok_or_else(|| invalid("invalid LISTEN_FDS".to_owned()))?;
    let numbers = FIRST..FIRST + RawFd::from(count);
    let names = match names.filter(|_| count > 0) {
        Some(names) => names.to_string_lossy().split(':').map(str::to_owned).collect(),
        None => vec!["unknown".to_owned(); usize::from(count)],
    };
    if names.len() != usize::from(count) {
        return Err(invalid("invalid LISTEN_FDNAMES".to_owned()));
    }
    let look = if has_store { find } else { look_at };
    let found = numbers
        .map(|number| look(number).map_err(|why| invalid(format!("descriptor {number}: {why}"))));
    let found = found.collect::<Result<Vec<_>>>()?; // all, before any of them is owned
    let taken = found.into_iter().map(|it| take(it).map_err(|why| invalid(why.to_owned())));
    Ok(names.into_iter().zip(taken.collect::<Result<Vec<_>>>()?).collect())
}
