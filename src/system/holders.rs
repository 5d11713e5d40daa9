//! Which processes hold a file: each has a byte of it locked, the one at the offset of its process id.
//!
//! Such a lock belongs to an open description (`F_OFD_SETLK`, `fcntl_locking(2)`): it goes when the last
//! process that has it ends, however that ends, so a number that was left behind holds nothing. It takes a
//! descriptor that may write, so nobody who may only read the file can hold it; `flock(2)` lacks that.

use std::{fs::File, os::fd::AsFd};

use nix::fcntl::{FcntlArg, fcntl};

/// Locked by a process that is about to replace the file: no process has this number.
const CLAIM: u32 = 0;

/// A range of bytes that is to be locked, or is asked about; no length: to the end.
fn range(kind: libc::c_int, start: u32, length: libc::off_t) -> libc::flock {
    libc::flock {
        l_type: kind as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: libc::off_t::from(start),
        l_len: length,
        l_pid: 0,
    }
}

fn lock(file: &File, byte: u32) -> bool {
    fcntl(file, FcntlArg::F_OFD_SETLK(&range(libc::F_WRLCK, byte, 1))).is_ok()
}

/// From now on `pid` is one of those who hold the file. Where a file system has no locks, nobody does.
pub(crate) fn hold(file: &File, pid: u32) -> bool {
    lock(file, pid)
}

/// Keeps others who would replace the file from doing it at the same time; tells whether it could. Goes
/// with `file`.
pub(crate) fn claim(file: &File) -> bool {
    lock(file, CLAIM)
}

/// All other open descriptions that hold the file, by process id.
pub(crate) fn of(file: impl AsFd) -> Vec<u32> {
    let mut found = Vec::new();
    let mut from = CLAIM;
    loop {
        let mut lock = range(libc::F_RDLCK, from, 0); // a reader is in nobody's way
        let asked = fcntl(&file, FcntlArg::F_OFD_GETLK(&mut lock));
        if asked.is_err() || i32::from(lock.l_type) == libc::F_UNLCK {
            return found;
        }
        found.push(u32::try_from(lock.l_start).unwrap_or(CLAIM));
        match u32::try_from(lock.l_start + lock.l_len) {
            Ok(next) if next > from => from = next,
            _ => return found, // a lock up to the end: somebody's who knows nothing of this
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, OpenOptions};

    use super::*;

    #[test]
    fn holders_are_known_by_number_until_they_close_and_readers_are_none() {
        let path = std::env::temp_dir().join(format!("heirloom-holders-{}", std::process::id()));
        fs::write(&path, "").unwrap();
        let open = || OpenOptions::new().read(true).write(true).open(&path).unwrap();
        let (first, second, asking) = (open(), open(), open());
        assert_eq!(of(&asking), [0; 0]);
        assert!(hold(&first, 7) && hold(&second, 4_000_000));
        assert!(!hold(&asking, 7));
        assert_eq!(of(&asking), [7, 4_000_000]);
        assert_eq!(of(&first), [4_000_000]);
        drop(first);
        assert_eq!(of(&asking), [4_000_000]);
        // Who may only read cannot take part, whatever it locks.
        let reader = File::open(&path).unwrap();
        assert!(!hold(&reader, 9) && !claim(&reader));
        fcntl(&reader, FcntlArg::F_OFD_SETLK(&range(libc::F_RDLCK, 0, 0))).unwrap_err();
        drop(second);
        fcntl(&reader, FcntlArg::F_OFD_SETLK(&range(libc::F_RDLCK, 0, 0))).unwrap();
        assert_eq!(of(&asking), [0; 0]);
        drop(reader);
        assert!(claim(&asking) && !claim(&open()));
        fs::remove_file(&path).unwrap();
    }
}
