//! Programs that others have written, as clients. A test talks to one through pipes.

use std::{
    io::{BufRead, BufReader, Write},
    process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio},
    sync::mpsc::{self, RecvTimeoutError},
    thread,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use super::{DEADLINE, wait_for};

/// A client program; it ends with the test, and before where it hangs: who reads what it says waits for it then.
pub struct Tool {
    child: Child,
    /// Its end is seen by whoever would kill it otherwise.
    lives: Option<mpsc::Sender<()>>,
}

impl Tool {
    pub fn start(program: &str, args: &[&str]) -> Tool {
        Tool::of(Command::new(program).args(args))
    }

    pub fn of(command: &mut Command) -> Tool {
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let spawned = command.spawn();
        let child = spawned.unwrap_or_else(|e| panic!("{:?}: {e}", command.get_program()));
        let (lives, ended) = mpsc::channel::<()>();
        let pid = Pid::from_raw(child.id() as i32);
        thread::spawn(move || {
            if ended.recv_timeout(3 * DEADLINE) == Err(RecvTimeoutError::Timeout) {
                let _ = kill(pid, Signal::SIGKILL);
            }
        });
        Tool { child, lives: Some(lives) }
    }

    pub fn pid(&self) -> i32 {
        self.child.id() as i32
    }

    /// What it says, from here on the caller's.
    pub fn lines(&mut self) -> BufReader<ChildStdout> {
        BufReader::new(self.child.stdout.take().expect("a pipe"))
    }

    /// What it reads, from here on the caller's.
    pub fn input(&mut self) -> ChildStdin {
        self.child.stdin.take().expect("a pipe")
    }

    pub fn say(&mut self, text: &str) {
        self.child.stdin.as_mut().expect("a pipe").write_all(text.as_bytes()).expect("it reads");
    }

    pub fn runs(&mut self) -> bool {
        self.status().is_none()
    }

    fn status(&mut self) -> Option<ExitStatus> {
        let status = self.child.try_wait().expect("our child");
        if status.is_some() {
            self.lives = None; // its pid may be another's
        }
        status
    }

    pub fn succeeds(&mut self) {
        let mut status = None;
        wait_for("the tool to end", || {
            status = self.status();
            status.is_some()
        });
        assert!(status.is_some_and(|status| status.success()), "{status:?}");
    }
}

impl Drop for Tool {
    fn drop(&mut self) {
        self.lives = None;
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Reads up to a line that has `text`, and answers it.
pub fn wait_line(lines: &mut impl BufRead, text: &str) -> String {
    let mut line = String::new();
    loop {
        line.clear();
        assert!(lines.read_line(&mut line).expect("text") > 0, "it has ended before {text:?}");
        if line.contains(text) {
            return line;
        }
    }
}
