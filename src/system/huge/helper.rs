//! A process that shares this one's memory and makes nothing but system calls.
//!
//! It is made by `clone(2)` with `CLONE_VM` and without `CLONE_THREAD`: a process of its own, so the kernel goes on
//! calling this one one-threaded, with a stack of its own. What is this thread's alone in C (`errno`, the
//! allocator's caches) it has in common with this process, so it must call no function of libc: the calls
//! are made here, by instruction.
//!
//! - It shares the descriptors as well (`CLONE_FILES`): with copies of them it would hold clients' sockets open.
//! - It blocks all signals, since a handler would run in this process's memory; `SIGKILL` ends it.
//! - It is no child that `wait(2)` finds unless asked for (`__WALL`), and its end sends no `SIGCHLD`: whoever
//!   reaps the children of this process does not meet it.
//! - It ends with this process (`PR_SET_PDEATHSIG`): the memory would be kept by it otherwise.
#![allow(unsafe_code)] // clone with a shared memory, and system calls without libc

use std::{
    ffi::{c_int, c_long, c_void},
    io,
    os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd},
    process, ptr,
    time::Duration,
};

use nix::{
    errno::Errno,
    sys::{
        signal::{SigSet, SigmaskHow, Signal, kill, pthread_sigmask},
        wait::{WaitPidFlag, WaitStatus, waitpid},
    },
    unistd::Pid,
};

/// Far more than the few frames of a worker, in bytes.
const STACK: usize = 64 * 1024;

/// How the process is called in a list of processes, where it has the program's name otherwise.
const NAME: &[u8; 16] = b"heirloom-huge\0\0\0";

/// What the process is given.
struct Order<J> {
    job: J,
    work: fn(&J),
    parent: u32,
}

/// Such a process, with all that it uses: none of it goes before it has ended.
pub(super) struct Helper<J: Sync> {
    order: Box<Order<J>>,
    _stack: Box<[u128]>,
    pid: Pid,
    pidfd: OwnedFd,
    /// How it ended, once it was reaped.
    status: Option<nix::Result<WaitStatus>>,
}

impl<J: Sync> Helper<J> {
    /// Starts the process; it does `work` and ends. `work` may make the calls of this file and touch atomics
    /// of the job: it must not allocate, panic, or call libc.
    pub fn start(job: J, work: fn(&J)) -> io::Result<Helper<J>> {
        let order = Box::new(Order { job, work, parent: process::id() });
        let mut stack = vec![0_u128; STACK / size_of::<u128>()].into_boxed_slice();
        let (flags, mut pidfd) =
            (libc::CLONE_VM | libc::CLONE_FS | libc::CLONE_FILES | libc::CLONE_PIDFD, -1);
        let mut before = SigSet::empty();
        pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::all()), Some(&mut before))?;
        // SAFETY: the child runs `begin` on a stack that is its own and aligned, with an order that it only
        // reads (`J: Sync`). Both are owned by the `Helper`, which gives them up when the child has ended. It
        // shares this thread's local storage, which the calls of this file leave alone.
        let pid = unsafe {
            let top = stack.as_mut_ptr_range().end.cast();
            let order = ptr::from_ref(&*order).cast_mut().cast();
            libc::clone(begin::<J>, top, flags, order, &mut pidfd)
        };
        let made = Errno::result(pid);
        let _ = pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(&before), None);
        let pid = Pid::from_raw(made?);
        // SAFETY: with `CLONE_PIDFD` the call has made this descriptor, that only we know of.
        let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
        Ok(Helper { order, _stack: stack, pid, pidfd, status: None })
    }

    /// What it was started with, and has told since.
    pub fn job(&self) -> &J {
        &self.order.job
    }

    pub fn kill(&self) {
        if self.status.is_none() {
            let _ = kill(self.pid, Signal::SIGKILL); // it was not reaped, so the number is its own
        }
    }

    /// Reaps it if it has ended, and tells whether it has.
    pub fn has_ended(&mut self) -> bool {
        self.reap(WaitPidFlag::WNOHANG)
    }

    fn reap(&mut self, how: WaitPidFlag) -> bool {
        while self.status.is_none() {
            match waitpid(self.pid, Some(how | WaitPidFlag::__WALL)) {
                Ok(WaitStatus::StillAlive) => return false,
                Err(Errno::EINTR) => {}
                status => self.status = Some(status),
            }
        }
        true
    }
}

impl<J: Sync> Drop for Helper<J> {
    /// What it uses is freed after this, so it is waited for. A forked child has copies that nobody uses.
    fn drop(&mut self) {
        if self.order.parent == process::id() {
            self.kill();
            self.reap(WaitPidFlag::empty());
        }
    }
}

impl<J: Sync> AsFd for Helper<J> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }
}

/// The process: `clone(3)` ends it with what this answers.
extern "C" fn begin<J: Sync>(order: *mut c_void) -> c_int {
    // SAFETY: `start` has given a pointer to an order that is there until this process has ended.
    let order = unsafe { &*order.cast::<Order<J>>() };
    call(libc::SYS_prctl, [libc::PR_SET_PDEATHSIG as usize, libc::SIGKILL as usize, 0, 0, 0, 0]);
    call(libc::SYS_prctl, [libc::PR_SET_NAME as usize, NAME.as_ptr() as usize, 0, 0, 0, 0]);
    if call(libc::SYS_getppid, [0; 6]) as u32 == order.parent {
        (order.work)(&order.job);
    }
    0
}

/// A huge page that nobody uses, to be taken and given back.
///
/// The kernel copies a block while nobody may touch its mapping. Where the copy goes to a page that was just
/// given back, it is in the caches, and the host of a virtual machine has memory for it: a third of the time, or
/// less. And if a block has to be made free first, that is done here, where nobody waits for it.
#[derive(Debug)]
pub(super) struct Spare {
    mapping: usize,
    block: usize,
    length: usize,
}

impl Spare {
    /// Of a mapping of its own, for pages of so many bytes.
    pub fn map(length: usize) -> io::Result<Spare> {
        let (protection, flags) =
            (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
        // SAFETY: a new mapping, twice as long as a page, so that a whole page is in it; nobody else knows it.
        unsafe {
            let start = libc::mmap(ptr::null_mut(), 2 * length, protection, flags, -1, 0);
            if start == libc::MAP_FAILED {
                return Err(io::Error::last_os_error());
            }
            let mapping = start as usize;
            let block = mapping.next_multiple_of(length);
            libc::madvise(ptr::with_exposed_provenance_mut(block), length, libc::MADV_HUGEPAGE);
            Ok(Spare { mapping, block, length })
        }
    }

    /// Takes the page and gives it back. It is no error if there is none.
    pub fn warm(&self) {
        for advice in [libc::MADV_POPULATE_WRITE, libc::MADV_DONTNEED] {
            call(libc::SYS_madvise, [self.block, self.length, advice as usize, 0, 0, 0]);
        }
    }
}

impl Drop for Spare {
    fn drop(&mut self) {
        // SAFETY: what `map` has made; there was never a reference into it.
        unsafe { libc::munmap(ptr::with_exposed_provenance_mut(self.mapping), 2 * self.length) };
    }
}

/// `madvise(MADV_COLLAPSE)`: zero, or an error number with a minus. What the memory says does not change, so
/// any address may be asked for.
pub(super) fn collapse(at: usize, length: usize) -> isize {
    call(libc::SYS_madvise, [at, length, libc::MADV_COLLAPSE as usize, 0, 0, 0])
}

/// `pread(2)` of a file of numbers; what is not filled stays as it is.
pub(super) fn read_at(file: &OwnedFd, numbers: &mut [u64; 512], at: usize) -> isize {
    let (to, length) = (numbers.as_mut_ptr() as usize, size_of_val(numbers));
    call(libc::SYS_pread64, [file.as_raw_fd() as usize, to, length, at, 0, 0])
}

/// `PAGEMAP_SCAN` (Linux 6.7, `ioctl(2)` of `/proc/pid/pagemap`): where the first page in `at..end` is that is
/// present, no file's, and not huge. `Ok(None)`: there is none.
pub(super) fn first_small_page(
    pagemap: &OwnedFd,
    at: usize,
    end: usize,
) -> Result<Option<usize>, isize> {
    const PAGEMAP_SCAN: usize = 0xc060_6610;
    const FILE: u64 = 1 << 2;
    const PRESENT: u64 = 1 << 3;
    const HUGE: u64 = 1 << 6;
    let mut region = [0_u64; 3]; // start, end, categories
    let mut arguments: [u64; 12] = [
        96, // the size of this
        0,  // flags
        at as u64,
        end as u64,
        0, // where it came to
        region.as_mut_ptr() as u64,
        1,                     // region
        1,                     // page
        FILE | HUGE,           // the categories that are to be absent,
        FILE | HUGE | PRESENT, // among those that count
        0,
        PRESENT,
    ];
    let argument = arguments.as_mut_ptr() as usize;
    let found =
        call(libc::SYS_ioctl, [pagemap.as_raw_fd() as usize, PAGEMAP_SCAN, argument, 0, 0, 0]);
    match found {
        0 => Ok(None),
        1.. => Ok(Some(region[0] as usize)),
        error => Err(error),
    }
}

/// How much of a processor's time this process has had, in ns.
pub(super) fn cpu_time() -> u64 {
    let mut time = [0_i64; 2];
    let to = time.as_mut_ptr() as usize;
    call(libc::SYS_clock_gettime, [libc::CLOCK_PROCESS_CPUTIME_ID as usize, to, 0, 0, 0, 0]);
    (time[0] as u64).wrapping_mul(1_000_000_000).wrapping_add(time[1] as u64)
}

pub(super) fn sleep(time: Duration) {
    let time = [time.as_secs() as i64, i64::from(time.subsec_nanos())];
    call(libc::SYS_nanosleep, [time.as_ptr() as usize, 0, 0, 0, 0, 0]);
}

/// Whether this file knows how to make a system call on this machine.
pub(super) const IS_SUPPORTED: bool = cfg!(any(target_arch = "x86_64", target_arch = "aarch64"));

/// One system call, which touches neither `errno` nor anything else of libc's.
fn call(number: c_long, [a, b, c, d, e, f]: [usize; 6]) -> isize {
    let result: isize;
    // SAFETY: the callers above pass addresses of buffers of theirs, as long as they say, for what the kernel
    // writes; of the registers it changes those that are named. It is no promise of purity.
    #[cfg(target_arch = "x86_64")]
    unsafe {
        std::arch::asm!(
            "syscall",
            inlateout("rax") number as isize => result,
            in("rdi") a, in("rsi") b, in("rdx") c, in("r10") d, in("r8") e, in("r9") f,
            lateout("rcx") _, lateout("r11") _,
            options(nostack),
        );
    }
    // SAFETY: as above.
    #[cfg(target_arch = "aarch64")]
    unsafe {
        std::arch::asm!(
            "svc 0",
            inlateout("x0") a => result,
            in("x1") b, in("x2") c, in("x3") d, in("x4") e, in("x5") f, in("x8") number,
            options(nostack),
        );
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    {
        let _ = (number, a, b, c, d, e, f);
        result = -(libc::ENOSYS as isize);
    }
    result
}
