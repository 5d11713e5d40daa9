//! Secrets on their way to another program: a memfd of their own, which its reader wipes.
//!
//! What else goes along is in memfds that nobody can change any more ([`memfd`](super::memfd)): that is why they cannot be
//! wiped either. Nobody maps this one, so no core dump has it. Swap may: a system that swaps to a disk in plain text
//! has the keys of every server there.

use std::{
    fs::File,
    io,
    os::{fd::OwnedFd, unix::fs::FileExt},
};

use nix::{
    errno::Errno,
    fcntl::{FcntlArg, SealFlag, fcntl},
    sys::memfd::{MFdFlags, memfd_create},
};

use crate::tls::Wiped;

/// `MFD_NOEXEC_SEAL`, which libc has for other systems only.
const NOEXEC_SEAL: libc::c_uint = 0x0008;

/// Its length is fixed, so that it is read whole and wiped whole.
const SEALS: SealFlag =
    SealFlag::F_SEAL_SHRINK.union(SealFlag::F_SEAL_GROW).union(SealFlag::F_SEAL_SEAL);

/// A descriptor that holds `secrets` until it is [emptied](empty), or nobody has it any more.
pub(crate) fn fill(secrets: &Wiped) -> io::Result<OwnedFd> {
    let file = File::from(create()?);
    file.write_all_at(secrets.bytes(), 0)?;
    fcntl(&file, FcntlArg::F_ADD_SEALS(SEALS))?;
    Ok(file.into())
}

/// Never to be executed, where the kernel knows of that (Linux 6.3, `memfd_create(2)`).
fn create() -> io::Result<OwnedFd> {
    let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
    let no_exec = MFdFlags::from_bits_retain(NOEXEC_SEAL);
    match memfd_create("heirloom-secrets", flags | no_exec) {
        Err(Errno::EINVAL) => Ok(memfd_create("heirloom-secrets", flags)?),
        created => Ok(created?),
    }
}

/// What it holds, which is nowhere else from here on.
///
/// # Errors
/// When it holds more than `limit`, or its length could change.
pub(crate) fn empty(fd: OwnedFd, limit: usize) -> io::Result<Wiped> {
    let invalid = |why: String| io::Error::new(io::ErrorKind::InvalidData, why);
    let seals = fcntl(&fd, FcntlArg::F_GET_SEALS)?;
    if !SealFlag::from_bits_truncate(seals).contains(SEALS.difference(SealFlag::F_SEAL_SEAL)) {
        return Err(invalid("a vessel whose length may change".into()));
    }
    let file = File::from(fd);
    let length = file.metadata()?.len();
    if length > limit as u64 {
        return Err(invalid(format!("{length} bytes, more than {limit}")));
    }
    let mut secrets = Wiped::of_zeros(length as usize);
    let read = file.read_exact_at(secrets.bytes_mut(), 0);
    file.write_all_at(&vec![0; length as usize], 0)?;
    read.map(|()| secrets)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_reads_it_wipes_it() {
        let mut secrets = Wiped::default();
        secrets.extend(b"a secret");
        let fd = fill(&secrets).expect("a memfd");
        let copy = File::from(fd.try_clone().expect("a copy"));
        assert!(copy.set_len(3).is_err(), "nobody cuts it");
        assert_eq!(empty(fd, 8).expect("what was written").bytes(), b"a secret");
        let mut left = [1; 8];
        copy.read_exact_at(&mut left, 0).expect("it is as long as it was");
        assert_eq!(left, [0; 8]);
    }

    #[test]
    fn what_is_too_long_or_could_be_cut_is_refused() {
        let mut secrets = Wiped::default();
        secrets.extend(&[1; 100]);
        let fd = fill(&secrets).expect("a memfd");
        let why = empty(fd, 99).expect_err("more").to_string();
        assert_eq!(why, "100 bytes, more than 99");
        assert!(empty(create().expect("a memfd"), 8).is_err());
    }
}
