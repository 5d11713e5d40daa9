//! What a service has saved in case all its processes end without a word: a sealed memfd with the time, by which the newest of
//! several is found, and a stream. It is whole or none: a stream has an end.

use std::{
    fs::File,
    io::{self, BufReader, ErrorKind, Read, Write},
    os::fd::OwnedFd,
    time::Duration,
};

use super::{
    memfd::{self, Unsealed},
    stream::{Reader, Writer},
};

const MAGIC: [u8; 8] = *b"hrlcheck";

/// A checkpoint that was found.
pub(crate) struct Checkpoint {
    /// When it was made, since 1970.
    pub at: Duration,
    /// What `save` has written.
    pub saved: Reader<BufReader<File>>,
}

/// Holds what `save` writes, at this time.
///
/// # Errors
/// In the words of `save`, or of the system.
pub(crate) fn write(
    at: Duration,
    save: impl FnOnce(&mut dyn Write) -> Result<(), String>,
) -> Result<OwnedFd, String> {
    let begin = || -> io::Result<Unsealed> {
        let mut memory = Unsealed::new()?;
        memory.0.write_all(&MAGIC)?;
        memory.0.write_all(&(at.as_micros() as u64).to_le_bytes())?; // there is room for 500,000 years
        Ok(memory)
    };
    let mut memory = begin().map_err(|e| e.to_string())?;
    let mut out = Writer::begin(&mut memory.0).map_err(|e| e.to_string())?;
    save(&mut out)?;
    out.finish().map_err(|e| e.to_string())?;
    memory.seal().map_err(|e| e.to_string())
}

/// Opens what [`write`] has made, and has looked whether all of it is there.
///
/// # Errors
/// When it is something else, or of another version, or not whole.
pub(crate) fn open(memory: OwnedFd) -> io::Result<Checkpoint> {
    let whole = memory.try_clone()?;
    let mut saved = begin(whole)?.saved;
    io::copy(&mut saved, &mut io::sink())?;
    saved.finish()?;
    begin(memory)
}

fn begin(memory: OwnedFd) -> io::Result<Checkpoint> {
    let mut input = memfd::read(memory)?;
    let (mut magic, mut at) = ([0; 8], [0; 8]);
    input.read_exact(&mut magic)?;
    input.read_exact(&mut at)?;
    if magic != MAGIC {
        return Err(io::Error::new(ErrorKind::InvalidData, "it is no checkpoint"));
    }
    let at = Duration::from_micros(u64::from_le_bytes(at));
    Ok(Checkpoint { at, saved: Reader::of(input) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn what_is_written_is_read_again_and_the_newest_is_known() {
        let text = "x".repeat(200_000);
        let memory = write(at(7), |out| out.write_all(text.as_bytes()).map_err(|e| e.to_string()));
        let mut found = open(memory.unwrap()).unwrap();
        assert_eq!(found.at, Duration::from_secs(7));
        let mut read = String::new();
        found.saved.read_to_string(&mut read).unwrap();
        assert!(read == text && found.saved.finish().is_ok());
    }

    #[test]
    fn what_cannot_be_saved_makes_none() {
        assert_eq!(write(at(0), |_| Err("no".to_owned())).unwrap_err(), "no");
    }

    #[test]
    fn what_is_cut_off_or_something_else_is_refused() {
        let whole =
            write(at(1), |out| out.write_all(&[7; 1000]).map_err(|e| e.to_string())).unwrap();
        let bytes = memfd::open(whole, 10_000).unwrap();
        for end in [0, 8, 15, 16, 20, 500, bytes.len() - 1] {
            assert!(open(memfd::seal(&bytes[..end]).unwrap()).is_err(), "{end} bytes");
        }
        let mut other = bytes.clone();
        other[0] ^= 1;
        let why = open(memfd::seal(&other).unwrap()).err().unwrap().to_string();
        assert_eq!(why, "it is no checkpoint");
        assert!(open(memfd::seal(&bytes).unwrap()).is_ok());
        assert!(open(File::open("/dev/null").unwrap().into()).is_err());
    }
}
