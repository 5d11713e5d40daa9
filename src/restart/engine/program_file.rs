//! Is this file a program that could run here? Looks at it as `execve(2)` would, and says what is
//! wrong in words.

use std::{
    env,
    fs::{self, Metadata, OpenOptions},
    io::{self, ErrorKind, Read},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::Duration,
};

use nix::unistd::{AccessFlags, access};

use super::build_id;
use crate::{
    system::regular_file::{self, FileId, Links},
    verdict::Program,
};

/// The first bytes of an ELF file, up to the machine it is for (`elf(5)`).
const ELF_HEADER: usize = 20;

/// # Errors
/// When the file is missing, no regular file, not executable, empty, neither an ELF program for this
/// machine nor a script, or a script whose interpreter is missing. Where it may be run and not read,
/// what is in it is the kernel's to judge.
pub(super) fn check(path: &Path) -> io::Result<()> {
    let wrong = |why: &str| Err(io::Error::new(ErrorKind::InvalidData, why.to_owned()));
    let opened = regular_file::open(path, Links::Follow, OpenOptions::new().read(true));
    if let Err(e) = &opened
        && e.kind() != ErrorKind::PermissionDenied
    {
        return opened.map(drop);
    }
    access(path, AccessFlags::X_OK)?;
    let Ok(mut file) = opened else { return Ok(()) };
    let mut head = Vec::new();
    file.by_ref().take(256).read_to_end(&mut head)?;
    if head.starts_with(b"#!") {
        let line = head[2..].split(|&byte| byte == b'\n').next().unwrap_or_default();
        let line = String::from_utf8_lossy(line);
        let interpreter = line.split_whitespace().next().unwrap_or_default();
        return match access(Path::new(interpreter), AccessFlags::X_OK) {
            Ok(()) => Ok(()),
            Err(e) => wrong(&format!("its interpreter {interpreter:?}: {}", e.desc())),
        };
    }
    if head.is_empty() {
        return wrong("it is empty");
    }
    if head.len() < ELF_HEADER || !head.starts_with(b"\x7fELF") {
        return wrong("it is neither an ELF program nor a script");
    }
    if !is_for_this_machine(&head) {
        return wrong("it is a program for another kind of machine");
    }
    Ok(())
}

/// Word size, byte order and processor, as this program was compiled for: it runs here. It is not asked of
/// `/proc`, which a container may not have.
fn is_for_this_machine(head: &[u8]) -> bool {
    let class = if cfg!(target_pointer_width = "64") { 2 } else { 1 };
    let (order, machine) = match cfg!(target_endian = "little") {
        true => (1, u16::from_le_bytes([head[18], head[19]])),
        false => (2, u16::from_be_bytes([head[18], head[19]])),
    };
    // `EM_*` of elf.h. One that is not listed here is left to the kernel.
    let own = match env::consts::ARCH {
        "x86" => Some(3),
        "powerpc64" => Some(21),
        "s390x" => Some(22),
        "arm" => Some(40),
        "x86_64" => Some(62),
        "aarch64" => Some(183),
        "riscv64" => Some(243),
        "loongarch64" => Some(258),
        _ => None,
    };
    head[4] == class && head[5] == order && own.is_none_or(|own| own == machine)
}

/// Which file `path` leads to now, and whether it is the one that this process runs.
///
/// # Errors
/// When it leads to none.
pub(super) fn identify(path: &Path) -> io::Result<Program> {
    let metadata = fs::metadata(path)?;
    // Also where that file was removed or replaced meanwhile. Without /proc nobody knows.
    let own = fs::metadata(OWN).ok();
    let runs_already = own.is_some_and(|own| FileId::from(&own) == FileId::from(&metadata));
    Ok(describe(path, fs::canonicalize(path)?, &metadata, runs_already))
}

/// The file that this process runs.
///
/// # Errors
/// Where `/proc` tells none.
pub(crate) fn own() -> io::Result<Program> {
    Ok(describe(Path::new(OWN), fs::read_link(OWN)?, &fs::metadata(OWN)?, true))
}

/// What this process runs, also where that file is gone by now.
const OWN: &str = "/proc/self/exe";

fn describe(file: &Path, path: PathBuf, metadata: &Metadata, runs_already: bool) -> Program {
    let FileId { device, inode } = FileId::from(metadata);
    let seconds = u64::try_from(metadata.mtime()).unwrap_or(0);
    let modified = Duration::new(seconds, metadata.mtime_nsec() as u32);
    let build_id = build_id::read(file);
    Program { path, device, inode, modified, build_id, runs_already }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn verdict(content: &[u8], mode: u32) -> String {
        let directory = std::env::temp_dir();
        let number = std::thread::current().id();
        let path = directory.join(format!("heirloom-{}-{number:?}", std::process::id()));
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let result = check(&path);
        fs::remove_file(&path).unwrap();
        result.map_or_else(|e| e.to_string(), |()| "good".to_owned())
    }

    #[test]
    fn what_is_no_program_is_told_apart() {
        let own = fs::read("/proc/self/exe").unwrap();
        assert_eq!(verdict(&own, 0o755), "good");
        assert_eq!(verdict(b"#!/bin/sh\nexit 0\n", 0o755), "good");
        assert_eq!(verdict(b"", 0o755), "it is empty");
        assert_eq!(verdict(b"hello", 0o755), "it is neither an ELF program nor a script");
        assert!(verdict(b"#!/no/such/shell\n", 0o755).starts_with("its interpreter \"/no/such/"));
        assert!(
            verdict(&own, 0o644).contains("ermission denied") || nix::unistd::getuid().is_root()
        );
        let mut other = own[..64].to_vec();
        other[18] ^= 0x55;
        assert_eq!(verdict(&other, 0o755), "it is a program for another kind of machine");
        assert_eq!(verdict(&own, 0o711), "good");
        assert!(check(Path::new("/no/such/program")).is_err());
        assert_eq!(check(Path::new("/")).unwrap_err().to_string(), "it is not a regular file");
    }
}
