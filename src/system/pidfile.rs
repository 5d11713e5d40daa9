//! The file that tells others which process serves. Written whole or not at all, and held as long as a
//! process lives that has written it.
//!
//! Each write makes a new file, which is locked before it gets its name (`holders`). So whoever serves
//! holds what is at the path, a number that was left behind by a crash is held by nobody, and successors
//! need no permission: they replace the file together with its lock.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    os::{
        fd::{AsRawFd, RawFd},
        unix::fs::OpenOptionsExt,
    },
    path::{Path, PathBuf},
    process,
};

use super::{
    holders,
    regular_file::{self, FileId, Links},
    seed::fresh_seed,
};
use crate::{
    error::{Error, Result},
    log_target::SYSTEM,
};

/// Everybody may read it; whoever could write it could hold it, too.
const MODE: u32 = 0o644;

/// No process id has more bytes, with its newline.
const NUMBER_MAX: u64 = 16;

/// A path that holds the process id of the generation that serves, or of its supervisor.
#[derive(Debug)]
pub(crate) struct PidFile {
    path: PathBuf,
    /// The file that this process has written or has found to say the right thing.
    held: Option<File>,
    /// Another generation's number in it, where there was no room for the right one.
    kept: Option<u32>,
}

impl PidFile {
    /// Makes sure that the file can be written when the time comes.
    pub fn new(path: PathBuf) -> Result<PidFile> {
        // The process may change its directory, and the file must not move with it.
        let path = std::path::absolute(&path)
            .map_err(|e| Error::io("write pid file", path.display(), e))?;
        let file = PidFile { path, held: None, kept: None };
        let probe = file.temporary();
        let probed = create(&probe).and_then(|_| fs::remove_file(&probe));
        probed.map_err(|e| file.failed(e))?;
        Ok(file)
    }

    /// Makes sure that nobody holds it but this process and `relatives`.
    ///
    /// # Errors
    /// When another process does: the same server was started before, or another one has this pid file.
    pub fn check(&self, relatives: &[u32]) -> Result {
        let holders = self.current().map_or(Vec::new(), holders::of);
        let is_ours = |pid: &u32| *pid == process::id() || relatives.contains(pid);
        match holders.first() {
            Some(first) if !holders.iter().any(is_ours) => Err(self.is_held_by(*first)),
            _ => Ok(()),
        }
    }

    /// Puts `pid` there for a server that is nobody's successor. That the disk is full is only logged: a server is
    /// worth more than its pid file.
    ///
    /// # Errors
    /// When another process holds it, also if that came at the same moment.
    pub fn claim(&mut self, pid: u32) -> Result {
        let claimed = self.make(pid, PidFile::put_first);
        match claimed {
            Ok(None) => Ok(()),
            Ok(Some(holder)) => Err(self.is_held_by(holder)),
            Err(e) => {
                log::error!(target: SYSTEM, "{}", self.failed(e));
                Ok(())
            }
        }
    }

    /// Gives `new` the name if nobody holds what has it, or answers who does.
    fn put_first(&self, new: &Path) -> io::Result<Option<u32>> {
        let replace = || fs::rename(new, &self.path).map(|()| None);
        loop {
            let current = match self.look() {
                Ok(current) => current,
                Err(e) if e.kind() == io::ErrorKind::NotFound => {
                    // Not by rename: another may be there by now, and would be lost.
                    match fs::hard_link(new, &self.path) {
                        Ok(()) => return fs::remove_file(new).map(|()| None),
                        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => continue,
                        Err(_) => return replace(), // a file system without hard links
                    }
                }
                Err(_) => return replace(), // a link, a FIFO, somebody's secret: nothing that is held
            };
            // Where the claim fails and nobody holds it, some reader is in the way, and none of us.
            holders::claim(&current);
            if let Some(holder) = holders::of(&current).into_iter().next() {
                return Ok(Some(holder));
            }
            if self.is_at_path(&current) {
                return replace();
            }
        }
    }

    /// Puts a number there, ours or our supervisor's, by rename: a reader sees the old one or the new
    /// one, never half of one. Nothing is written if it is there already.
    ///
    /// # Errors
    /// When it could not be written, or belongs to somebody by now who is no relative. Then the file that
    /// was there is there, and nothing else.
    pub fn write(&mut self, pid: u32, relatives: &[u32]) -> Result {
        if let Some(current) = self.current()
            && number(&current) == Some(pid)
        {
            if self.held.as_ref().is_some_and(|held| are_same(held, &current)) {
                self.hold();
                return Ok(());
            }
            if holders::hold(&current, process::id()) && self.is_at_path(&current) {
                self.held = Some(current);
                return Ok(());
            }
        }
        self.check(relatives)?;
        let put = |file: &PidFile, new: &Path| fs::rename(new, &file.path).map(|()| None);
        self.make(pid, put).map(drop).map_err(|e| {
            self.keep();
            self.failed(e)
        })
    }

    /// The old file stays, with a number that is not ours: it is held all the same.
    fn keep(&mut self) {
        let Some(current) = self.current() else { return };
        self.kept = number(&current);
        if !self.held.as_ref().is_some_and(|held| are_same(held, &current)) {
            self.held = Some(current);
        }
        self.hold();
    }

    /// With our own number, too: the others of a description that is shared may be of processes that are gone.
    fn hold(&self) {
        if let Some(held) = &self.held {
            holders::hold(held, process::id());
        }
    }

    /// The number of the file that is held.
    pub fn descriptor(&self) -> Option<RawFd> {
        self.held.as_ref().map(AsRawFd::as_raw_fd)
    }

    /// Another generation is the one to be signalled.
    pub fn let_go(&mut self) {
        self.held = None;
    }

    /// Removes the file if it is still ours, with our number; or with another generation's that there was no
    /// room to replace, and nobody else holds it.
    pub fn remove(&self) {
        let (Some(held), Some(current)) = (&self.held, self.current()) else { return };
        let found = number(&current);
        let is_last = || holders::hold(held, process::id()) && holders::of(held).is_empty();
        let is_kept = || found.is_some() && found == self.kept && is_last();
        if are_same(held, &current) && (found == Some(process::id()) || is_kept()) {
            let _ = fs::remove_file(&self.path);
        }
    }

    /// Removes what a process that was killed while it wrote has left.
    pub fn clear_up_after(&self, pid: u32) {
        let Some(directory) = self.path.parent() else { return };
        let Some(prefix) = self.prefix(pid).file_name().map(|it| it.to_owned()) else { return };
        for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
            let name = entry.file_name();
            if name.as_encoded_bytes().starts_with(prefix.as_encoded_bytes()) {
                let _ = fs::remove_file(entry.path());
            }
        }
    }

    /// Makes a file with `pid` in it, held by this process, which `put` gives its name, or answers who
    /// is in the way. Whatever fails, nothing of it is left.
    fn make(
        &mut self,
        pid: u32,
        put: impl FnOnce(&PidFile, &Path) -> io::Result<Option<u32>>,
    ) -> io::Result<Option<u32>> {
        let new = self.temporary();
        let done = create(&new).and_then(|mut file| {
            file.write_all(format!("{pid}\n").as_bytes())?;
            holders::hold(&file, process::id());
            Ok((put(self, &new)?, file))
        });
        match done {
            Ok((None, file)) => {
                (self.held, self.kept) = (Some(file), None);
                Ok(None)
            }
            other => {
                let _ = fs::remove_file(&new);
                other.map(|(holder, _)| holder)
            }
        }
    }

    /// What is at the path, if it is a regular file: to hold it, if it may be written.
    fn look(&self) -> io::Result<File> {
        let open = |write| {
            let mut how = OpenOptions::new();
            regular_file::open(&self.path, Links::Refuse, how.read(true).write(write))
        };
        match open(true) {
            Err(e) if e.kind() == io::ErrorKind::PermissionDenied => open(false),
            opened => opened,
        }
    }

    fn current(&self) -> Option<File> {
        self.look().ok()
    }

    fn is_at_path(&self, file: &File) -> bool {
        self.current().is_some_and(|current| are_same(file, &current))
    }

    /// In the same directory, so that the rename stays in one file system. Nobody can know the name
    /// before, and put a file of theirs there.
    fn temporary(&self) -> PathBuf {
        let mut name = self.prefix(process::id()).into_os_string();
        name.push(format!("{:016x}", fresh_seed()));
        PathBuf::from(name)
    }

    /// With the number of the process, so that another one knows what to clear up after it.
    fn prefix(&self, pid: u32) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(format!(".{pid}-"));
        PathBuf::from(name)
    }

    fn failed(&self, e: io::Error) -> Error {
        Error::io("write pid file", self.path.display(), e)
    }

    fn is_held_by(&self, pid: u32) -> Error {
        let why = match pid {
            0 => "another process writes it at this moment".to_owned(),
            pid => format!("it is held by process {pid}, which lives"),
        };
        Error::invalid("write pid file", self.path.display(), why)
    }
}

/// A file that was not there before, through no link.
fn create(path: &Path) -> io::Result<File> {
    let mut how = OpenOptions::new();
    how.read(true).write(true).create_new(true).mode(MODE).custom_flags(libc::O_NOFOLLOW);
    how.open(path)
}

/// The number in a pid file.
fn number(file: &File) -> Option<u32> {
    let mut text = String::new();
    file.take(NUMBER_MAX).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

fn are_same(one: &File, other: &File) -> bool {
    let id = |file: &File| file.metadata().map(|it| FileId::from(&it)).ok();
    id(one).is_some() && id(one) == id(other)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    struct Directory(PathBuf);

    impl Directory {
        fn new(name: &str) -> Directory {
            let path = std::env::temp_dir().join(format!("heirloom-{name}-{}", process::id()));
            fs::create_dir_all(&path).unwrap();
            Directory(path)
        }

        fn names(&self) -> Vec<String> {
            let entries = fs::read_dir(&self.0).unwrap().flatten();
            let mut names: Vec<_> =
                entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
            names.sort();
            names
        }
    }

    impl Drop for Directory {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn what_a_killed_process_has_left_is_cleared_up_and_nothing_else() {
        let dir = Directory::new("clear");
        let file = PidFile::new(dir.0.join("pid")).unwrap();
        for name in ["pid", "pid.7-0123", "pid.7", "pid.77-0123", "other.7-0123"] {
            fs::write(dir.0.join(name), "").unwrap();
        }
        symlink("pid.7", dir.0.join("pid.7-link")).unwrap();
        file.clear_up_after(7);
        assert_eq!(dir.names(), ["other.7-0123", "pid", "pid.7", "pid.77-0123"]);
    }

    #[test]
    fn the_first_has_it_until_it_ends_and_relatives_are_welcome() {
        let dir = Directory::new("first");
        let file = || PidFile::new(dir.0.join("pid")).unwrap();
        file().check(&[]).unwrap();
        // As another process has it.
        fs::write(dir.0.join("pid"), "7\n").unwrap();
        let first = File::options().write(true).open(dir.0.join("pid")).unwrap();
        assert!(holders::hold(&first, 7));
        let why = file().check(&[]).unwrap_err().to_string();
        assert!(why.ends_with("it is held by process 7, which lives"), "{why}");
        assert_eq!(file().claim(5).unwrap_err().to_string(), why);
        assert_eq!(file().write(5, &[6]).unwrap_err().to_string(), why);
        assert_eq!(fs::read_to_string(dir.0.join("pid")).unwrap(), "7\n");
        // A successor replaces it, and holds what is there from then on.
        let mut second = file();
        second.write(5, &[6, 7]).unwrap();
        drop(first);
        let held = second.current().map(holders::of).unwrap();
        assert_eq!(held, [process::id()]);
        drop(second);
        file().claim(6).unwrap();
        assert_eq!(fs::read_to_string(dir.0.join("pid")).unwrap(), "6\n");
        assert_eq!(dir.names(), ["pid"]);
    }

    #[test]
    fn a_file_that_was_replaced_is_not_removed_even_with_our_number() {
        let dir = Directory::new("replaced");
        let path = dir.0.join("pid");
        let mut file = PidFile::new(path.clone()).unwrap();
        file.claim(process::id()).unwrap();
        fs::copy(&path, dir.0.join("copy")).unwrap();
        fs::rename(dir.0.join("copy"), &path).unwrap();
        file.remove();
        assert_eq!(dir.names(), ["pid"]);
        file.write(process::id(), &[]).unwrap(); // which makes it ours again
        file.remove();
        assert_eq!(dir.names(), [""; 0]);
    }
}
