//! Is this file a program that could run here? Looks at it as `execve(2)` would, and says what is
//! wrong in words.

use std::{
    fs::File,
    io::{self, ErrorKind, Read},
    path::Path,
};

use nix::unistd::{AccessFlags, access};

/// The first bytes of an ELF file, up to the machine it is for (`elf(5)`).
const ELF_HEADER: usize = 20;

/// # Errors
/// When the file is missing, no regular file, not executable, empty, neither an ELF program for this
/// machine nor a script, or a script whose interpreter is missing.
pub(super) fn check(path: &Path) -> io::Result<()> {
    let mut file = File::open(path)?;
    let wrong = |why: &str| Err(io::Error::new(ErrorKind::InvalidData, why.to_owned()));
    if !file.metadata()?.is_file() {
        return wrong("it is not a regular file");
    }
    access(path, AccessFlags::X_OK)?;
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
    if machine(&head) != machine(&own_header()?) {
        return wrong("it is a program for another kind of machine");
    }
    Ok(())
}

/// Word size, byte order and processor.
fn machine(head: &[u8]) -> (&[u8], &[u8]) {
    (&head[4..6], &head[18..20])
}

/// Of the program that runs: `/proc/self/exe` leads to it also when its file was replaced.
fn own_header() -> io::Result<[u8; ELF_HEADER]> {
    let mut head = [0; ELF_HEADER];
    File::open("/proc/self/exe")?.read_exact(&mut head)?;
    Ok(head)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, os::unix::fs::PermissionsExt};

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
        assert!(check(Path::new("/no/such/program")).is_err());
        assert_eq!(check(Path::new("/")).unwrap_err().to_string(), "it is not a regular file");
    }
}
