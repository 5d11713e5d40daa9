//! Opens a file where somebody else may have put something else: a FIFO, a device, a link. Never waits.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, ErrorKind},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::Path,
};

/// How [`open`] treats a symbolic link at the end of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Links {
    Follow,
    /// A link is not a regular file.
    Refuse,
}

/// Device and inode: which file it is, whatever it is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FileId {
    pub device: u64,
    pub inode: u64,
}

impl From<&fs::Metadata> for FileId {
    fn from(of: &fs::Metadata) -> FileId {
        FileId { device: of.dev(), inode: of.ino() }
    }
}

/// Opens a regular file as `how` says, and nothing else: what it is is asked before, since to open a
/// device may do something, and after, since it may have been replaced. An open that would have to wait
/// fails instead (`O_NONBLOCK`).
///
/// # Errors
/// When there is no file, it is not a regular one, or may not be opened.
pub(crate) fn open(path: &Path, links: Links, how: &mut OpenOptions) -> io::Result<File> {
    let metadata = match links {
        Links::Follow => fs::metadata(path)?,
        Links::Refuse => fs::symlink_metadata(path)?,
    };
    check(&metadata)?;
    let no_link = if links == Links::Refuse { libc::O_NOFOLLOW } else { 0 };
    let file = how.custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY | no_link).open(path)?;
    check(&file.metadata()?)?;
    Ok(file)
}

fn check(metadata: &fs::Metadata) -> io::Result<()> {
    match metadata.is_file() {
        true => Ok(()),
        false => Err(io::Error::new(ErrorKind::InvalidData, "it is not a regular file")),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use nix::{sys::stat::Mode, unistd::mkfifo};

    use super::*;

    fn complaint(path: &Path, links: Links) -> String {
        let opened = open(path, links, OpenOptions::new().read(true));
        opened.map_or_else(|e| e.to_string(), |_| "opened".to_owned())
    }

    /// Without the look before and the flag this test would never end.
    #[test]
    fn what_is_no_regular_file_is_refused_at_once() {
        let dir = std::env::temp_dir().join(format!("heirloom-regular-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let (fifo, file, link) = (dir.join("fifo"), dir.join("file"), dir.join("link"));
        mkfifo(&fifo, Mode::S_IRWXU).unwrap();
        fs::write(&file, "").unwrap();
        symlink(&file, &link).unwrap();
        let odd = "it is not a regular file";
        for links in [Links::Follow, Links::Refuse] {
            assert_eq!(complaint(&fifo, links), odd);
            assert_eq!(complaint(&dir, links), odd);
            assert_eq!(complaint(Path::new("/dev/zero"), links), odd);
            assert_eq!(complaint(&file, links), "opened");
        }
        assert_eq!(complaint(&link, Links::Follow), "opened");
        assert_eq!(complaint(&link, Links::Refuse), odd);
        fs::remove_dir_all(&dir).unwrap();
    }
}
