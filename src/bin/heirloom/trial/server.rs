//! A server that the trial has started, with all that comes of it: what it forks, and what becomes an orphan. All of
//! it ends with the trial, and nothing else does.

use std::{
    ffi::{OsStr, OsString},
    fs,
    io::{self, stderr},
    os::{fd::AsFd, unix::process::CommandExt},
    process::{self, Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use nix::{
    sys::{
        prctl::set_child_subreaper,
        signal::{Signal, kill},
        wait::{WaitPidFlag, waitpid},
    },
    unistd::Pid,
};

/// How often it is looked for what has no event.
pub const LOOK: Duration = Duration::from_millis(1);

/// How long its processes may take to end by themselves.
const GRACE: Duration = Duration::from_secs(5);

/// A command line for sh. What it says goes to stderr: stdout is the report's.
pub fn shell(line: &OsStr) -> io::Result<Command> {
    let mut command = Command::new("sh");
    // A group of its own: a ^C is for the trial, which then ends it.
    command.arg("-c").arg(line).stdin(Stdio::null()).process_group(0);
    command.stdout(stderr().as_fd().try_clone_to_owned()?);
    Ok(command)
}

pub struct Server {
    line: OsString,
    child: Child,
}

impl Server {
    /// By `exec` in a shell, so that the pid is the program's.
    ///
    /// # Errors
    /// When there is no shell.
    pub fn start(line: OsString) -> io::Result<Server> {
        set_child_subreaper(true)?; // generations whose parents have ended are then ours
        let child = spawn(&line)?;
        Ok(Server { line, child })
    }

    pub fn pid(&self) -> i32 {
        self.child.id() as i32
    }

    /// How it ended, if it did. Others may go on.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Takes leave of orphans that have ended, so that nobody takes them for alive; of `but` somebody else does.
    pub fn reap_orphans(&self, but: Option<u32>) {
        let known = [self.child.id(), but.unwrap_or(0)];
        for pid in children(process::id() as i32) {
            if !known.contains(&(pid as u32)) {
                let _ = waitpid(Pid::from_raw(pid), Some(WaitPidFlag::WNOHANG));
            }
        }
    }

    /// Tells all its processes to end, and waits until the last one has.
    ///
    /// # Errors
    /// When they do not, within `limit`.
    pub fn stop(&mut self, signal: Signal, limit: Duration) -> Result<(), String> {
        let until = Instant::now() + limit;
        signal_all(signal);
        while !reap_all() {
            if Instant::now() > until {
                return Err(format!("the server has not ended {limit:?} after {signal}"));
            }
            thread::sleep(LOOK);
        }
        Ok(())
    }

    /// Starts the same again.
    pub fn start_again(&mut self) -> io::Result<()> {
        self.child = spawn(&self.line)?;
        Ok(())
    }
}

fn spawn(line: &OsStr) -> io::Result<Child> {
    let mut by_exec = OsString::from("exec ");
    by_exec.push(line);
    shell(&by_exec)?.spawn()
}

/// Nothing of it is left behind, whatever has happened.
impl Drop for Server {
    fn drop(&mut self) {
        if self.stop(Signal::SIGTERM, GRACE).is_err() {
            let _ = self.stop(Signal::SIGKILL, GRACE);
        }
    }
}

/// The children of a process, by all its threads.
fn children(pid: i32) -> Vec<i32> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let lists = tasks.filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
    lists
        .flat_map(|list| list.split_whitespace().flat_map(str::parse).collect::<Vec<_>>())
        .collect()
}

/// The one that was started last: process ids begin anew some day.
pub fn newest_child(pid: i32) -> Option<i32> {
    let begun = |child: &i32| -> u64 {
        let stat = fs::read_to_string(format!("/proc/{child}/stat")).unwrap_or_default();
        // Its name may have spaces and brackets; behind it the start is the twentieth field (`proc_pid_stat(5)`).
        let rest = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
        rest.split(' ').nth(19).and_then(|field| field.parse().ok()).unwrap_or(0)
    };
    children(pid).into_iter().max_by_key(|child| (begun(child), *child))
}

/// All that comes of this process: it has started nothing else than the server.
fn descendants() -> Vec<i32> {
    let (mut found, mut at) = (children(process::id() as i32), 0);
    while at < found.len() {
        let next = children(found[at]);
        found.extend(next);
        at += 1;
    }
    found
}

fn signal_all(signal: Signal) {
    for pid in descendants() {
        let _ = kill(Pid::from_raw(pid), signal);
    }
}

/// Takes leave of those that have ended; whether nobody is left.
fn reap_all() -> bool {
    for pid in children(process::id() as i32) {
        let _ = waitpid(Pid::from_raw(pid), Some(WaitPidFlag::WNOHANG));
    }
    children(process::id() as i32).is_empty()
}
