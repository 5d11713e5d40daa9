//! Memory that the processes of a service have in common: words of 64 bits, in a memfd that each of them maps
//! (`memfd_create(2)`, `mmap(2)` with `MAP_SHARED`). Knows nothing of what is in them.
//!
//! It outlives each process that has it, whatever ends that, and ends with the last one. A forked child has the
//! same memory at the same place; to a new program the descriptor is given.
#![allow(unsafe_code)] // memory is mapped that others write to

use std::{
    io,
    ops::Deref,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd},
    ptr::{self, NonNull},
    slice,
    sync::atomic::AtomicU64,
};

use nix::{
    fcntl::{FcntlArg, SealFlag, fcntl},
    sys::{
        memfd::{MFdFlags, memfd_create},
        stat::fstat,
    },
    unistd::ftruncate,
};

/// The size stays as it is, and so do the seals: nobody who has it can take a page away from the others, who would
/// be ended by `SIGBUS`.
const SEALS: SealFlag =
    SealFlag::F_SEAL_SHRINK.union(SealFlag::F_SEAL_GROW).union(SealFlag::F_SEAL_SEAL);

/// Words that are shared.
#[derive(Debug)]
pub(crate) struct SharedWords {
    start: NonNull<AtomicU64>,
    count: usize,
    fd: OwnedFd,
}

// SAFETY: it is memory that stays where it is until this value goes, and all that anybody does there is atomic.
unsafe impl Send for SharedWords {}
// SAFETY: as above.
unsafe impl Sync for SharedWords {}

impl SharedWords {
    /// New ones, all zero. A page takes memory once somebody has written to it.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn new(name: &str, count: usize) -> io::Result<SharedWords> {
        let fd = memfd_create(name, MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING)?;
        ftruncate(&fd, (count * size_of::<AtomicU64>()) as libc::off_t)?;
        fcntl(&fd, FcntlArg::F_ADD_SEALS(SEALS))?;
        SharedWords::map(fd, count)
    }

    /// Those that another process has made.
    ///
    /// # Errors
    /// When it has another size, or might get one, or the system refuses.
    pub fn of(fd: OwnedFd, count: usize) -> io::Result<SharedWords> {
        let seals = SealFlag::from_bits_truncate(fcntl(&fd, FcntlArg::F_GET_SEALS)?);
        let size = fstat(&fd)?.st_size;
        if !seals.contains(SEALS) || size != (count * size_of::<AtomicU64>()) as libc::off_t {
            let why = format!("{size} bytes, seals {seals:?}");
            return Err(io::Error::new(io::ErrorKind::InvalidData, why));
        }
        SharedWords::map(fd, count)
    }

    /// The size is sealed.
    fn map(fd: OwnedFd, count: usize) -> io::Result<SharedWords> {
        let access = libc::PROT_READ | libc::PROT_WRITE;
        let size = count * size_of::<AtomicU64>();
        // SAFETY: no address is asked for, so nothing that is mapped already is replaced.
        let start = unsafe {
            libc::mmap(ptr::null_mut(), size, access, libc::MAP_SHARED, fd.as_raw_fd(), 0)
        };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let start = NonNull::new(start.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(SharedWords { start, count, fd })
    }

    pub fn as_raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}

impl Deref for SharedWords {
    type Target = [AtomicU64];

    fn deref(&self) -> &[AtomicU64] {
        // SAFETY: `map` has mapped this many words, a page begins at a multiple of their size, any bits are a
        // number, and they are mapped until `drop`. Nobody can take the pages away, since the size is sealed. What
        // other processes do there is no data race: it is atomic here, and there by the same code.
        unsafe { slice::from_raw_parts(self.start.as_ptr(), self.count) }
    }
}

impl AsFd for SharedWords {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Drop for SharedWords {
    fn drop(&mut self) {
        // SAFETY: `map` has mapped it, and nobody borrows from a value that goes.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.count * size_of::<AtomicU64>()) };
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use super::*;

    #[test]
    fn whoever_has_the_descriptor_has_the_words() {
        let own = SharedWords::new("test", 1024).unwrap();
        let other = SharedWords::of(own.as_fd().try_clone_to_owned().unwrap(), 1024).unwrap();
        assert_ne!(own.start, other.start);
        own[1023].fetch_add(3, Ordering::Relaxed);
        other[1023].fetch_add(4, Ordering::Relaxed);
        assert_eq!((own[1023].load(Ordering::Relaxed), own[0].load(Ordering::Relaxed)), (7, 0));
    }

    #[test]
    fn what_somebody_could_cut_is_refused() {
        let own = SharedWords::new("test", 1024).unwrap();
        assert!(ftruncate(&own, 0).is_err());
        let why = SharedWords::of(own.as_fd().try_clone_to_owned().unwrap(), 2048).unwrap_err();
        assert!(why.to_string().starts_with("8192 bytes"), "{why}");
        let open = memfd_create("open", MFdFlags::MFD_ALLOW_SEALING).unwrap();
        ftruncate(&open, 8192).unwrap();
        assert!(SharedWords::of(open, 1024).is_err());
    }
}
