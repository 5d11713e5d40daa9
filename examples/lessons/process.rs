//! Processes for the lessons: forked, heard, ended. The only `unsafe` of the examples is in here; it
//! knows no lesson.

use std::{
    env,
    ffi::OsString,
    io::{self, PipeReader, Read, Write},
    mem,
    os::{
        fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd},
        unix::net::UnixDatagram,
    },
    panic::{AssertUnwindSafe, catch_unwind},
    ptr,
    time::Duration,
};

use nix::{
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::{
        signal::{Signal, kill},
        wait::{WaitStatus, waitpid},
    },
    unistd::{ForkResult, Pid, alarm, pause},
};

use crate::Result;

/// No lesson, and no process of one, lives longer than this many seconds.
const LIFETIME: u32 = 30;

/// The status of a child whose work has panicked.
const PANICKED: u8 = 101;

/// Ends this process if it is still here after [`LIFETIME`].
pub fn limit_time() {
    alarm::set(LIFETIME);
}

/// This program as it was started.
pub fn program() -> OsString {
    env::args_os().next().unwrap_or_default()
}

/// A forked child, killed and reaped when it goes out of scope: no lesson leaves a process behind.
pub struct Child {
    pub pid: Pid,
    status: Option<u8>,
}

/// Forks. The child does `work` and exits with what it answers; nothing of the parent's is dropped
/// there, since it leaves by `_exit`.
pub fn fork(work: impl FnOnce() -> u8) -> Result<Child> {
    io::stdout().flush()?;
    // SAFETY: with one thread the child may do what any process may. Where a lesson has a second one
    // (`lost_lock`, which is about just that), its child only waits for a lock and leaves.
    match unsafe { nix::unistd::fork() }? {
        ForkResult::Parent { child } => Ok(Child { pid: child, status: None }),
        ForkResult::Child => {
            limit_time(); // an alarm is not inherited
            let status = catch_unwind(AssertUnwindSafe(work)).unwrap_or(PANICKED);
            // SAFETY: ends the process without running anything else, which is the point.
            unsafe { libc::_exit(status.into()) }
        }
    }
}

/// Forks a child that does `work` and then stays, as a new generation would, until it is dropped here.
/// When this returns, the work is done.
pub fn fork_and_stay(work: impl FnOnce()) -> Result<Child> {
    let (mut done, told) = io::pipe()?;
    let child = fork(|| {
        work();
        let _ = (&told).write_all(b".");
        pause();
        0
    })?;
    drop(told);
    done.read_exact(&mut [0])?;
    Ok(child)
}

/// Asks a forked child for a number.
pub fn ask(work: impl FnOnce() -> u64) -> Result<u64> {
    let (mut answer, told) = io::pipe()?;
    let mut child = fork(|| (&told).write_all(&work().to_ne_bytes()).is_err().into())?;
    drop(told);
    let mut number = [0; 8];
    answer.read_exact(&mut number)?;
    child.wait()?;
    Ok(u64::from_ne_bytes(number))
}

impl Child {
    /// Waits for its end; a signal counts as 128 and its number.
    pub fn wait(&mut self) -> Result<u8> {
        if self.status.is_none() {
            self.status = Some(match waitpid(self.pid, None)? {
                WaitStatus::Exited(_, status) => status as u8,
                WaitStatus::Signaled(_, signal, _) => 128 + signal as u8,
                other => return Err(format!("{other:?}").into()),
            });
        }
        Ok(self.status.unwrap_or_default())
    }

    /// Whether it ends in that time.
    pub fn ends_within(&self, time: Duration) -> Result<bool> {
        is_readable(&self.pidfd()?, time)
    }

    /// A descriptor that is readable when the process has ended (`pidfd_open(2)`).
    pub fn pidfd(&self) -> Result<OwnedFd> {
        // SAFETY: takes two integers and makes a descriptor that nobody else knows.
        unsafe {
            let fd = libc::syscall(libc::SYS_pidfd_open, self.pid.as_raw(), 0);
            if fd < 0 {
                return Err(io::Error::last_os_error().into());
            }
            Ok(OwnedFd::from_raw_fd(fd as RawFd))
        }
    }

    /// Somebody else has reaped it.
    pub fn forget(mut self) {
        self.status = Some(0);
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if self.status.is_none() {
            let _ = kill(self.pid, Signal::SIGKILL);
            let _ = waitpid(self.pid, None);
        }
    }
}

/// Whether there is something to read from a descriptor (an end counts) in that time.
pub fn is_readable(fd: &impl AsFd, time: Duration) -> Result<bool> {
    let mut fds = [PollFd::new(fd.as_fd(), PollFlags::POLLIN)];
    Ok(poll(&mut fds, PollTimeout::try_from(time)?)? > 0)
}

/// Waits for one byte in a pipe, or its end.
pub fn wait_for(mut pipe: &PipeReader) {
    let _ = pipe.read(&mut [0]);
}

/// Closes descriptors by number, in a child, whose copies of their owners are never dropped.
pub fn close_all(fds: impl IntoIterator<Item = RawFd>) {
    for fd in fds {
        // SAFETY: the owner of the number does nothing with it any more, or the lesson is about what
        // happens if it does.
        unsafe { libc::close(fd) };
    }
}

/// Receives one message with descriptors; whether some of those that were sent did not come. (nix would
/// not hand out any in that case.)
pub fn receive(link: &UnixDatagram) -> Result<(Vec<OwnedFd>, bool)> {
    let (mut bytes, mut control) = ([0_u8; 64], [0_usize; 64]);
    // SAFETY: the header leads to both buffers, which are there until the end, and the control buffer
    // is aligned as its own headers have to be. What it says comes from the kernel, which has
    // just made the descriptors for us, and told nobody else.
    unsafe {
        let mut slice = libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: bytes.len() };
        let mut message: libc::msghdr = mem::zeroed();
        (message.msg_iov, message.msg_iovlen) = (&mut slice, 1);
        message.msg_control = control.as_mut_ptr().cast();
        message.msg_controllen = size_of_val(&control);
        if libc::recvmsg(link.as_raw_fd(), &mut message, libc::MSG_CMSG_CLOEXEC) < 0 {
            return Err(io::Error::last_os_error().into());
        }
        let mut descriptors = Vec::new();
        let part = libc::CMSG_FIRSTHDR(&message);
        if !part.is_null() && (*part).cmsg_type == libc::SCM_RIGHTS {
            let count = ((*part).cmsg_len - libc::CMSG_LEN(0) as usize) / size_of::<RawFd>();
            let numbers = libc::CMSG_DATA(part).cast::<RawFd>();
            let number = |at| OwnedFd::from_raw_fd(numbers.add(at).read_unaligned());
            descriptors.extend((0..count).map(number));
        }
        Ok((descriptors, message.msg_flags & libc::MSG_CTRUNC != 0))
    }
}

/// Memory that was touched, so that it is there and has page tables.
pub struct Heap {
    start: *mut libc::c_void,
    length: usize,
}

impl Heap {
    /// On pages of 4 KiB, or on huge ones where the kernel has them.
    pub fn new(length: usize, huge: bool) -> Result<Heap> {
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        let advice = if huge { libc::MADV_HUGEPAGE } else { libc::MADV_NOHUGEPAGE };
        // SAFETY: a new mapping of our own; what is written lies within it.
        unsafe {
            let start = libc::mmap(ptr::null_mut(), length, protection, flags, -1, 0);
            if start == libc::MAP_FAILED {
                return Err(io::Error::last_os_error().into());
            }
            let heap = Heap { start, length };
            libc::madvise(start, length, advice); // a wish, and kernels without it go on
            ptr::write_bytes(start.cast::<u8>(), 1, length);
            Ok(heap)
        }
    }
}

impl Heap {
    /// Brings it into huge pages, block by block; answers how many there are then. (What the mapping begins or
    /// ends with may be no whole block.)
    pub fn collapse(&self) -> usize {
        const BLOCK: usize = 2 << 20;
        const TRIES: usize = 10; // a page may be in use somewhere in the kernel for a moment
        let first = (self.start as usize).next_multiple_of(BLOCK);
        let blocks = (first..)
            .step_by(BLOCK)
            .take_while(|at| at + BLOCK <= self.start as usize + self.length);
        // SAFETY: the mapping is ours, and what it says stays as it is.
        let advise = |at: usize, advice| unsafe {
            libc::madvise(ptr::without_provenance_mut(at), BLOCK, advice)
        };
        blocks
            .filter(|&at| {
                advise(at, libc::MADV_HUGEPAGE); // it was told otherwise before
                (0..TRIES).any(|_| advise(at, libc::MADV_COLLAPSE) == 0)
            })
            .count()
    }

    /// Writes to every `step`th byte of it.
    pub fn touch(&self, step: usize) {
        for at in (0..self.length).step_by(step) {
            // SAFETY: within the mapping, of which nobody has a reference.
            unsafe { self.start.cast::<u8>().add(at).write_volatile(2) };
        }
    }
}

impl Drop for Heap {
    fn drop(&mut self) {
        // SAFETY: the mapping that `new` made, and nobody has a pointer into it.
        unsafe { libc::munmap(self.start, self.length) };
    }
}
