//! Bytes of any length as a descriptor: a sealed memfd, which travels over the link at the same cost
//! whatever is in it (`memfd_create(2)`).

use std::{
    fs::File,
    io::{self, BufReader, BufWriter, Seek, Write},
    os::{fd::OwnedFd, unix::fs::FileExt},
};

use nix::{
    fcntl::{FcntlArg, SealFlag, fcntl},
    sys::memfd::{MFdFlags, memfd_create},
};

use super::stream::PIECE;

/// Nobody can change the contents any more.
const SEALS: SealFlag = SealFlag::F_SEAL_WRITE
    .union(SealFlag::F_SEAL_SHRINK)
    .union(SealFlag::F_SEAL_GROW)
    .union(SealFlag::F_SEAL_SEAL);

/// A descriptor that holds `bytes`, for ever.
pub(crate) fn seal(bytes: &[u8]) -> io::Result<OwnedFd> {
    let mut unsealed = Unsealed::new()?;
    unsealed.0.write_all(bytes)?;
    unsealed.seal()
}

/// What is written to it goes straight into the descriptor that holds it.
pub(crate) struct Unsealed(pub BufWriter<File>);

impl Unsealed {
    pub fn new() -> io::Result<Unsealed> {
        let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
        let file = File::from(memfd_create("heirloom", flags)?);
        Ok(Unsealed(BufWriter::with_capacity(PIECE, file)))
    }

    /// That was all.
    pub fn seal(self) -> io::Result<OwnedFd> {
        let file = self.0.into_inner().map_err(io::IntoInnerError::into_error)?;
        fcntl(&file, FcntlArg::F_ADD_SEALS(SEALS))?;
        Ok(file.into())
    }

    /// How many bytes it holds.
    pub fn len(&mut self) -> io::Result<u64> {
        self.0.stream_position()
    }
}

fn invalid(why: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

/// The file, which nobody can change meanwhile.
fn sealed(fd: OwnedFd) -> io::Result<File> {
    let seals = fcntl(&fd, FcntlArg::F_GET_SEALS)?;
    if !SealFlag::from_bits_truncate(seals).contains(SEALS.difference(SealFlag::F_SEAL_SEAL)) {
        return Err(invalid("a memfd that is not sealed".into()));
    }
    Ok(File::from(fd))
}

/// Reads what a sealed descriptor holds, piece by piece.
///
/// # Errors
/// When it is not sealed.
pub(crate) fn read(fd: OwnedFd) -> io::Result<BufReader<File>> {
    let mut file = sealed(fd)?;
    file.rewind()?; // the offset is shared with the one who wrote it, and stands at the end
    Ok(BufReader::with_capacity(PIECE, file))
}

/// The bytes that a sealed descriptor holds.
///
/// # Errors
/// When it is not sealed, so that somebody might change it meanwhile, or holds more than `limit`.
pub(crate) fn open(fd: OwnedFd, limit: usize) -> io::Result<Vec<u8>> {
    let file = sealed(fd)?;
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
    use std::io::Read;

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
    fn what_is_written_in_pieces_is_read_in_pieces() {
        let bytes: Vec<u8> = (0..3 * PIECE + 5).map(|at| at as u8).collect();
        let mut unsealed = Unsealed::new().unwrap();
        bytes.chunks(1000).for_each(|piece| unsealed.0.write_all(piece).unwrap());
        assert_eq!(unsealed.len().unwrap(), bytes.len() as u64);
        let mut back = Vec::new();
        read(unsealed.seal().unwrap()).unwrap().read_to_end(&mut back).unwrap();
        assert_eq!(back, bytes);
    }

    #[test]
    fn what_is_not_sealed_is_refused() {
        let mut file = tempfile();
        file.write_all(b"x").unwrap();
        assert!(open(file.try_clone().unwrap().into(), 10).is_err());
        assert!(read(file.into()).is_err());
    }

    fn tempfile() -> File {
        File::from(memfd_create("open", MFdFlags::MFD_ALLOW_SEALING).unwrap())
    }
}
