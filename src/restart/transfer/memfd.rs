//! Bytes of any length as a descriptor: a sealed memfd, which travels over the link at the same cost
//! whatever is in it (`memfd_create(2)`).

use std::{
    fs::File,
    io::{self, Write},
    os::{fd::OwnedFd, unix::fs::FileExt},
};

use nix::{
    fcntl::{FcntlArg, SealFlag, fcntl},
    sys::memfd::{MFdFlags, memfd_create},
};

/// Nobody can change the contents any more.
const SEALS: SealFlag = SealFlag::F_SEAL_WRITE
    .union(SealFlag::F_SEAL_SHRINK)
    .union(SealFlag::F_SEAL_GROW)
    .union(SealFlag::F_SEAL_SEAL);

/// A descriptor that holds `bytes`, for ever.
pub(crate) fn seal(bytes: &[u8]) -> io::Result<OwnedFd> {
    let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
    let mut file = File::from(memfd_create("heirloom", flags)?);
    file.write_all(bytes)?;
    fcntl(&file, FcntlArg::F_ADD_SEALS(SEALS))?;
    Ok(file.into())
}

/// The bytes that a sealed descriptor holds.
///
/// # Errors
/// When it is not sealed, so that somebody might change it meanwhile, or holds more than `limit`.
pub(crate) fn open(fd: OwnedFd, limit: usize) -> io::Result<Vec<u8>> {
    let invalid = |why: String| io::Error::new(io::ErrorKind::InvalidData, why);
    let seals = fcntl(&fd, FcntlArg::F_GET_SEALS)?;
    if !SealFlag::from_bits_truncate(seals).contains(SEALS.difference(SealFlag::F_SEAL_SEAL)) {
        return Err(invalid("a memfd that is not sealed".into()));
    }
    let file = File::from(fd);
    let length = file.metadata()?.len();
    if length > limit as u64 {
        return Err(invalid(format!("{length} bytes, more than {limit}")));
    }
    // The offset is shared with the one who wrote it and stands at the end.
    let mut bytes = vec![0; length as usize];
    file.read_exact_at(&mut bytes, 0)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_is_read_and_cannot_be_changed() {
        let bytes = vec![42; 1 << 20];
        let fd = seal(&bytes).unwrap();
        let mut copy = File::from(fd.try_clone().unwrap());
        assert!(copy.write_all(b"x").is_err());
        assert_eq!(open(fd.try_clone().unwrap(), 1 << 20).unwrap(), bytes);
        let why = open(fd, 1000).unwrap_err().to_string();
        assert_eq!(why, "1048576 bytes, more than 1000");
    }

    #[test]
    fn what_is_not_sealed_is_refused() {
        let mut file = tempfile();
        file.write_all(b"x").unwrap();
        assert!(open(file.into(), 10).is_err());
    }

    fn tempfile() -> File {
        File::from(memfd_create("open", MFdFlags::MFD_ALLOW_SEALING).unwrap())
    }
}
