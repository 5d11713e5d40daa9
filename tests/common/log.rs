//! What a server says on stderr, line by line.

use std::{
    fs::File,
    io::{ErrorKind, Read},
    os::fd::{AsFd, OwnedFd},
    process::ChildStderr,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use nix::{
    fcntl::{FcntlArg, OFlag, fcntl},
    poll::{PollFd, PollFlags, PollTimeout, poll},
};

/// Everything so far, and a bell for what comes.
///
/// A thread empties the pipe, so that the server never waits for us; but whoever asks empties it first,
/// so that what was said before an event is there when the event is.
pub struct Log {
    pipe: File,
    text: Mutex<Text>,
    bell: Condvar,
}

#[derive(Default)]
struct Text {
    lines: Vec<String>,
    /// The beginning of the next line.
    rest: Vec<u8>,
    is_over: bool,
}

impl Log {
    pub fn of(stderr: ChildStderr) -> Arc<Log> {
        let pipe = OwnedFd::from(stderr);
        fcntl(&pipe, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).expect("the flag is set");
        let (pipe, text, bell) = (pipe.into(), Mutex::default(), Condvar::new());
        let log = Arc::new(Log { pipe, text, bell });
        thread::spawn({
            let log = Arc::clone(&log);
            move || {
                while !log.catch_up().is_over {
                    let mut fds = [PollFd::new(log.pipe.as_fd(), PollFlags::POLLIN)];
                    let _ = poll(&mut fds, PollTimeout::NONE);
                }
            }
        });
        log
    }

    /// Reads all that is there now.
    fn catch_up(&self) -> MutexGuard<'_, Text> {
        // Whoever has panicked while waiting for a line had the lock; the lines are good.
        let mut text = self.text.lock().unwrap_or_else(PoisonError::into_inner);
        let mut buffer = [0; 16 * 1024];
        while !text.is_over {
            match (&self.pipe).read(&mut buffer) {
                Ok(0) => text.end(),
                Ok(count) => text.add(&buffer[..count]),
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) if e.kind() == ErrorKind::WouldBlock => break,
                Err(e) => panic!("read the server's log: {e}"),
            }
            self.bell.notify_all();
        }
        text
    }

    /// Waits until there are `count` lines with `words`, and answers these.
    pub fn wait(&self, words: &str, count: usize, patience: Duration) -> Vec<String> {
        let until = Instant::now() + patience;
        let mut text = self.catch_up();
        loop {
            let found: Vec<_> = text.lines_with(words).take(count).cloned().collect();
            if found.len() == count {
                return found;
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                panic!("no {count} lines {words:?} in the log:\n{}", text.lines.join("\n"));
            }
            text = self.bell.wait_timeout(text, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    pub fn count(&self, words: &str) -> usize {
        self.catch_up().lines_with(words).count()
    }

    pub fn all(&self) -> String {
        self.catch_up().lines.join("\n")
    }
}

impl Text {
    fn add(&mut self, bytes: &[u8]) {
        for piece in bytes.split_inclusive(|&byte| byte == b'\n') {
            self.rest.extend_from_slice(piece);
            if self.rest.pop_if(|last| *last == b'\n').is_some() {
                self.lines.push(String::from_utf8_lossy(&self.rest).into_owned());
                self.rest.clear();
            }
        }
    }

    /// A last line may lack its end, where the server was killed.
    fn end(&mut self) {
        if !self.rest.is_empty() {
            self.add(b"\n");
        }
        self.is_over = true;
    }

    fn lines_with<'a>(&'a self, words: &'a str) -> impl Iterator<Item = &'a String> {
        self.lines.iter().filter(move |line| line.contains(words))
    }
}
