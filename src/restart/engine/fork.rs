//! The fork engine's system calls: is it safe, do it, and close what the child must not keep.
#![allow(unsafe_code)] // fork, close_range and the pidfd calls have no safe wrapper

use std::{
    ffi::CStr,
    io::{self, Write},
    mem::discriminant,
    os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd},
};

use nix::{
    errno::Errno,
    sched::{CloneFlags, unshare},
    sys::{
        prctl::{set_child_subreaper, set_name, set_pdeathsig},
        signal::{
            SaFlags, SigAction, SigHandler, SigSet, SigmaskHow, Signal, pthread_sigmask, sigaction,
        },
    },
    unistd::{ForkResult, Pid, getppid, getuid},
};

use crate::{log_target::RESTART, system::noted};

/// How many threads this process has. More than one, and a fork would leave the others behind,
/// with whatever locks they hold.
pub(crate) fn thread_count() -> usize {
    let count = || match std::fs::read_dir("/proc/self/task") {
        Ok(threads) => threads.count(),
        Err(e) => {
            log::warn!(target: RESTART, "the threads cannot be counted: /proc/self/task: {e}");
            2 // nobody knows how many, but what the kernel says below is that it is not one
        }
    };
    // The kernel's own opinion, for a fraction of the cost: EINVAL iff there is more than one.
    if unshare(CloneFlags::CLONE_THREAD).is_ok() {
        return 1;
    }
    // A thread that was just joined may be counted for some microseconds more: ask twice.
    let first = count();
    if first > 1 { count() } else { first }
}

/// Forks this process. Both sides return.
///
/// The caller has made sure that there is one thread. Buffered standard output is written first:
/// both processes would write it otherwise. Signals wait meanwhile, so that none is taken by a
/// child that does not know its role yet.
pub(crate) fn fork() -> io::Result<Option<Pid>> {
    let _ = io::stdout().flush();
    log::logger().flush();
    let mut before = SigSet::empty();
    pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::all()), Some(&mut before))?;
    // SAFETY: after a fork, the child of a process with several threads may only call
    // async-signal-safe functions, since another thread may have held a lock. This process has one
    // thread (the caller has asked `thread_count`), which is here and holds no lock but its own.
    let forked = unsafe { nix::unistd::fork() };
    // It cannot fail with a valid mask, and an error here would make the child believe it is the parent.
    let _ = pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(&before), None);
    Ok(match forked? {
        ForkResult::Parent { child } => Some(child),
        ForkResult::Child => {
            noted::leave_to_parent();
            None
        }
    })
}

/// Closes descriptors by number, a run of neighbours in one call. Nobody may own them any more,
/// or those who do must be forgotten, not dropped.
///
/// `close`, never `shutdown`: the connections are the parent's. And no deregistering: the epoll
/// set is the parent's too.
pub(crate) fn close_all(mut fds: Vec<RawFd>) {
    fds.sort_unstable();
    for run in fds.chunk_by(|a, b| a + 1 == *b) {
        let (first, last) = (run[0] as libc::c_uint, run[run.len() - 1] as libc::c_uint);
        // SAFETY: closing by number is sound when no owner of the number closes it again; the
        // caller forgets the owners.
        if unsafe { libc::close_range(first, last, 0) } != 0 {
            for &fd in run {
                // SAFETY: as above. Only a kernel before 5.9 has no close_range.
                unsafe { libc::close(fd) };
            }
        }
    }
}

/// In a child that only helps its parent: it is called `name` (`ps -o comm`), ends with that, at once, and keeps
/// no descriptor but `kept` and where it writes what it has to say. Nobody may use the others any more; who owns
/// them is never dropped.
///
/// # Errors
/// When the kernel refuses, or `parent` has ended already.
pub(crate) fn become_helper(name: &CStr, parent: Pid, kept: BorrowedFd<'_>) -> io::Result<()> {
    set_name(name)?;
    set_pdeathsig(Signal::SIGKILL)?;
    if getppid() != parent {
        return Err(io::Error::other("the parent has ended"));
    }
    let mut kept = [libc::STDOUT_FILENO, libc::STDERR_FILENO, kept.as_raw_fd()];
    kept.sort_unstable();
    let mut first = 0;
    for fd in kept {
        close_range(first, fd - 1)?;
        first = fd + 1;
    }
    close_range(first, RawFd::MAX)
}

/// Ends this process at once: no exit handler, no destructor, nothing that is buffered.
pub(crate) fn exit_now(status: i32) -> ! {
    // SAFETY: that nothing else runs is the point.
    unsafe { libc::_exit(status) }
}

/// Closes what is open from `first` to `last`.
fn close_range(first: RawFd, last: RawFd) -> io::Result<()> {
    if first > last {
        return Ok(());
    }
    // SAFETY: as in `close_all`.
    match unsafe { libc::close_range(first as libc::c_uint, last as libc::c_uint, 0) } {
        0 => return Ok(()),
        _ if Errno::last() == Errno::ENOSYS => {} // a kernel before 5.9
        _ => return Err(io::Error::last_os_error()),
    }
    let names = std::fs::read_dir("/proc/self/fd")?.flatten().map(|entry| entry.file_name());
    let open: Vec<RawFd> = names.filter_map(|name| name.to_str()?.parse().ok()).collect();
    for fd in open.into_iter().filter(|fd| (first..=last).contains(fd)) {
        // SAFETY: as in `close_all`. One of them is the list's own, and closed by now.
        unsafe { libc::close(fd) };
    }
    Ok(())
}

/// A descriptor that is readable once the process has ended (`pidfd_open(2)`).
pub(crate) fn pidfd_open(pid: Pid) -> io::Result<OwnedFd> {
    // SAFETY: the call takes two integers and makes a new descriptor, close-on-exec, that only
    // we know of.
    unsafe {
        let fd = libc::syscall(libc::SYS_pidfd_open, pid.as_raw(), 0);
        Errno::result(fd)?;
        Ok(OwnedFd::from_raw_fd(fd as RawFd))
    }
}

/// What is told with a signal that carries a word: a `siginfo_t` (`sigaction(2)`), as 64-bit Linux has it.
#[repr(C)]
struct Queued {
    signal: i32,
    errno: i32,
    code: i32,
    padding: i32,
    pid: u32,
    uid: u32,
    word: u64,
    rest: [u64; 12],
}

const _: () = assert!(size_of::<Queued>() == size_of::<libc::siginfo_t>());

/// Signals the process that a pidfd stands for, and never another (`pidfd_send_signal(2)`). With it goes a word, as
/// by `sigqueue(3)`, unless that is zero.
pub(crate) fn pidfd_signal(pidfd: BorrowedFd<'_>, signal: i32, word: u64) -> io::Result<()> {
    let (pid, uid, code) = (std::process::id(), getuid().as_raw(), libc::SI_QUEUE);
    let info = Queued { signal, errno: 0, code, padding: 0, pid, uid, word, rest: [0; 12] };
    let told = if word == 0 { std::ptr::null() } else { &raw const info };
    // SAFETY: the call takes three integers, and a null pointer for "as kill(2) would say it", or what it reads a siginfo_t
    // from, which `info` is as long as.
    let result =
        unsafe { libc::syscall(libc::SYS_pidfd_send_signal, pidfd.as_raw_fd(), signal, told, 0) };
    Errno::result(result).map(drop).map_err(io::Error::from)
}

/// From now on, descendants whose parents have ended are this process's children.
pub(crate) fn become_reaper() -> io::Result<()> {
    Ok(set_child_subreaper(true)?)
}

/// Undoes what whoever has started this program has left for two signals. All others are blocked, caught by
/// the runtime, or meant as they are.
///
/// - `SIGCHLD` that is ignored: how a child ended would be lost (`wait(2)`), and no check of a new program
///   could pass. It takes its default action, which is to do nothing.
/// - `SIGXFSZ` at its default ends a process that writes beyond its limit on the size of files, which a sealed
///   memfd is, too. It is ignored, so that the write fails and can be told.
///
/// A handler that the program has set stays. A new program gets all defaults (`posix_spawn(3)`).
pub(crate) fn take_dispositions() -> io::Result<()> {
    replace(Signal::SIGCHLD, SigHandler::SigIgn, SigHandler::SigDfl)?;
    replace(Signal::SIGXFSZ, SigHandler::SigDfl, SigHandler::SigIgn)
}

/// Sets what is done about a signal, if that is `unwanted`.
fn replace(signal: Signal, unwanted: SigHandler, wanted: SigHandler) -> io::Result<()> {
    let action = SigAction::new(wanted, SaFlags::empty(), SigSet::empty());
    // SAFETY: neither action runs code of ours. What was there is put back as it was.
    unsafe {
        let before = sigaction(signal, &action)?;
        if discriminant(&before.handler()) != discriminant(&unwanted) {
            sigaction(signal, &before)?;
        }
    }
    Ok(())
}

/// In a forked child, until it is ready: an error or a panic must end the child here, and not run
/// on into frames of the parent's program, with its guards and its exit handlers.
#[derive(Debug)]
pub(crate) struct Unready;

impl Unready {
    /// The status of a child that ends before it is ready ("internal software error",
    /// `sysexits.h`).
    const EXIT: i32 = 70;

    /// The child can serve: from here on it is a process like any other.
    pub fn disarm(self) {
        std::mem::forget(self);
    }
}

impl Drop for Unready {
    fn drop(&mut self) {
        exit_now(Unready::EXIT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_process_has_several_threads() {
        let handle = std::thread::spawn(std::thread::park);
        assert!(thread_count() > 1);
        handle.thread().unpark();
        handle.join().unwrap();
    }
}
