//! A guard that cleans up when it is dropped is copied too, and cleans up twice.

use std::{fs, path::PathBuf, process as std_process};

use crate::{
    Lesson, Result, Verdict, process,
    tell::{right, say, wrong},
};

pub const LESSON: Lesson = Lesson {
    name: "drop-guards",
    title: "a child that fails removes its parent's files",
    teach,
    places: &[
        (
            "src/restart/engine/fork.rs",
            "drop",
            "until it is ready, an error or a panic ends the child by `_exit`, not in its parent's frames",
        ),
        (
            "src/system/pidfile.rs",
            "remove",
            "removes the file only while it holds our own process id",
        ),
        (
            "src/net/listen/listener.rs",
            "unlink",
            "and a Unix socket's path only while it is the same inode",
        ),
    ],
};

/// A file that is there for as long as the server runs.
struct PidFile {
    path: PathBuf,
    /// Looks whose it is before it removes it.
    careful: bool,
}

impl Drop for PidFile {
    fn drop(&mut self) {
        let own = std_process::id().to_string();
        if !self.careful || fs::read_to_string(&self.path).is_ok_and(|text| text == own) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn teach() -> Result<Verdict> {
    say(
        "After a fork the child stands in the middle of its parent's program. If it fails there, by a \
         `?` or a panic, it runs on into its parent's frames, up to the end of main, and drops what \
         they own: guards that remove a pid file, a socket's path, a lock file, a directory.",
    );
    wrong("A server has a guard for its pid file, and its forked child returns with an error.");
    let left = files_left(false)?;
    say(format!(
        "The server is alive and well, and {left} of 1 pid files are left. The next reload \
         finds nobody to signal, and a monitor starts a second server."
    ));
    right(
        "The guard looks before it removes: the file has to hold the number of the process that runs. \
         And a child that is not ready leaves by _exit(2), so that nothing of its parent's runs in it.",
    );
    let left_right = files_left(true)?;
    say(format!("{left_right} of 1 pid files are left after the child, 0 after the parent."));
    Ok(Verdict {
        wrong: format!("left {left} of 1 pid files to a server that runs"),
        right: format!("{left_right} of 1"),
        as_taught: left == 0 && left_right == 1,
    })
}

/// How many pid files are left after a child has dropped what it has inherited?
fn files_left(careful: bool) -> Result<usize> {
    let name = format!("heirloom-lesson-{}.pid", std_process::id());
    let path = std::env::temp_dir().join(name);
    fs::write(&path, std_process::id().to_string())?;
    let mut guard = Some(PidFile { path: path.clone(), careful });
    let mut child = process::fork(|| {
        guard.take(); // the child's way out of main
        0
    })?;
    child.wait()?;
    let left = path.exists().into();
    drop(guard);
    assert!(!path.exists(), "the parent has removed it");
    Ok(left)
}
