//! The file that tells others which process serves. Written whole or not at all.

use std::{fs, io, path::PathBuf, process};

use crate::error::{Error, Result};

/// A path that holds the process id of the generation that serves, or of its supervisor.
#[derive(Clone, Debug)]
pub(crate) struct PidFile {
    path: PathBuf,
}

impl PidFile {
    /// Makes sure that the file can be written when the time comes.
    pub fn new(path: PathBuf) -> Result<PidFile> {
        // The process may change its directory, and the file must not move with it.
        let path = std::path::absolute(&path)
            .map_err(|e| Error::io("write pid file", path.display(), e))?;
        let file = PidFile { path };
        let probe = file.temporary();
        fs::write(&probe, "").and_then(|()| fs::remove_file(&probe)).map_err(|e| file.failed(e))?;
        Ok(file)
    }

    /// Puts a number there, ours or our supervisor's, by rename: a reader sees the old one or the new
    /// one, never half of one.
    pub fn write(&self, pid: u32) -> Result {
        let new = self.temporary();
        fs::write(&new, format!("{pid}\n"))
            .and_then(|()| fs::rename(&new, &self.path))
            .map_err(|e| self.failed(e))
    }

    /// Removes the file if it is still ours.
    pub fn remove(&self) {
        let ours = |text: String| text.trim() == process::id().to_string();
        if fs::read_to_string(&self.path).is_ok_and(ours) {
            let _ = fs::remove_file(&self.path);
        }
    }

    /// Removes what a process that was killed while it wrote has left.
    pub fn clear_up_after(&self, pid: i32) {
        let _ = fs::remove_file(self.temporary_of(pid));
    }

    /// In the same directory, so that the rename stays in one file system; with our number, so that
    /// two generations never write the same one.
    fn temporary(&self) -> PathBuf {
        self.temporary_of(process::id() as i32)
    }

    fn temporary_of(&self, pid: i32) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(format!(".{pid}"));
        PathBuf::from(name)
    }

    fn failed(&self, e: io::Error) -> Error {
        Error::io("write pid file", self.path.display(), e)
    }
}
