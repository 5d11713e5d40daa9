//! What a linker has written into a program to tell one build from another: the note `NT_GNU_BUILD_ID` (`elf(5)`, and
//! `--build-id` of `ld(1)`). Only programs that could run here are read: 64 bits, in this machine's byte order.

use std::{fmt::Write, fs::File, os::unix::fs::FileExt, path::Path};

const HEADER: usize = 64;
/// Of a program header.
const ENTRY: usize = 56;
/// More than any program has of either.
const ENTRIES_MAX: usize = 256;
const NOTES_MAX: u64 = 64 * 1024;

const PT_NOTE: u32 = 4;
const NT_GNU_BUILD_ID: u32 = 3;

/// In hexadecimal digits; `None`: it has none, or cannot be read.
pub(super) fn read(path: &Path) -> Option<String> {
    let file = File::open(path).ok()?;
    let mut header = [0; HEADER];
    file.read_exact_at(&mut header, 0).ok()?;
    let class_64 = 2;
    if !header.starts_with(b"\x7fELF") || header[4] != class_64 {
        return None;
    }
    let (table, size) = (number(&header, 32)?, usize::from(half(&header, 54)?));
    let count = usize::from(half(&header, 56)?).min(ENTRIES_MAX);
    if size != ENTRY {
        return None;
    }
    let mut entries = vec![0; count * ENTRY];
    file.read_exact_at(&mut entries, table).ok()?;
    let notes = entries.chunks(ENTRY).filter(|entry| word(entry, 0) == Some(PT_NOTE));
    notes.filter_map(|entry| notes_of(&file, entry)).find_map(|notes| build_id(&notes))
}

fn notes_of(file: &File, entry: &[u8]) -> Option<Vec<u8>> {
    let (offset, size) = (number(entry, 8)?, number(entry, 32)?);
    let mut notes = vec![0; size.min(NOTES_MAX) as usize];
    file.read_exact_at(&mut notes, offset).ok().map(|()| notes)
}

/// The note among others, each with its lengths, a kind, a name and what it says, padded to four bytes.
fn build_id(mut notes: &[u8]) -> Option<String> {
    loop {
        let (name, said) = (word(notes, 0)? as usize, word(notes, 4)? as usize);
        let kind = word(notes, 8)?;
        let rest = notes.get(12..)?;
        let (name, rest) = rest.split_at_checked(name.checked_next_multiple_of(4)?)?;
        let (padded, rest) = rest.split_at_checked(said.checked_next_multiple_of(4)?)?;
        if kind == NT_GNU_BUILD_ID && name == b"GNU\0" {
            let digits = String::with_capacity(2 * said);
            return Some(padded[..said].iter().fold(digits, |mut all, byte| {
                let _ = write!(all, "{byte:02x}"); // a string takes everything
                all
            }));
        }
        notes = rest;
    }
}

fn half(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn number(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_ne_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(name: &[u8], kind: u32, said: &[u8]) -> Vec<u8> {
        let lengths = [name.len() as u32, said.len() as u32, kind];
        let mut all: Vec<u8> = lengths.iter().flat_map(|number| number.to_ne_bytes()).collect();
        for part in [name, said] {
            all.extend(part);
            all.resize(all.len().next_multiple_of(4), 0);
        }
        all
    }

    #[test]
    fn the_note_is_found_behind_others() {
        let own = note(b"GNU\0", NT_GNU_BUILD_ID, &[0xde, 0xad, 0x0f]);
        let all = [note(b"GNU\0", 5, b"property"), note(b"Linux\0", 3, b"x"), own.clone()].concat();
        assert_eq!(build_id(&all).as_deref(), Some("dead0f"));
        for length in 0..own.len() {
            assert_eq!(build_id(&own[..length]), None, "{length}");
        }
        assert_eq!(build_id(&[0xff; 64]), None);
    }

    #[test]
    fn what_is_no_program_has_none() {
        for path in ["/dev/null", "/etc/hostname", "/no/such/file", "/"] {
            assert_eq!(read(Path::new(path)), None, "{path}");
        }
    }
}
