//! The server's processes as the system has them: starts the first one, signals, sees each one end.
//!
//! The driver is a subreaper (`prctl(2)`): a generation whose parent has drained becomes the driver's
//! child, not that of process 1. So it learns how each one ended, and that none is left.

use std::{
    collections::BTreeSet,
    env, fs,
    io::{self, BufRead, BufReader},
    process::{Command, Stdio},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use nix::{
    errno::Errno,
    sys::{
        prctl::set_child_subreaper,
        signal::{Signal, kill},
        wait::{WaitPidFlag, WaitStatus, waitpid},
    },
    unistd::Pid,
};

use crate::{
    generations::{End, Generations},
    journal,
    options::ServerOptions,
    shared::Shared,
};

/// How long a process that was killed may take to be gone.
const KILLED_WITHIN: Duration = Duration::from_secs(5);

/// Starts this program in its server role, on a port that the system picks, and follows its log:
/// all its generations write to the same pipe.
pub fn start(shared: &Arc<Shared>, options: &ServerOptions) -> io::Result<()> {
    set_child_subreaper(true)?;
    let mut command = Command::new(env::current_exe()?);
    if options.moves {
        command.arg("--move");
    }
    if let Some(files) = &options.certificate {
        command.arg("--tls-cert").arg(&files.chain).arg("--tls-key").arg(&files.key);
    }
    command.args(["--serve", "127.0.0.1:0", "--probation"]);
    command.arg(options.probation.as_millis().to_string());
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    // `reap` waits for the process itself, as for its successors.
    let log = command.spawn()?.stderr.take().ok_or(io::ErrorKind::BrokenPipe)?;
    let shared = Arc::clone(shared);
    thread::spawn(move || {
        for line in BufReader::new(log).split(b'\n').map_while(Result::ok) {
            shared.note(journal::parse(&String::from_utf8_lossy(&line)));
        }
        shared.log_closed();
    });
    Ok(())
}

pub fn signal(pid: i32, signal: Signal) -> Result<(), String> {
    kill(Pid::from_raw(pid), signal).map_err(|e| format!("cannot send {signal} to pid {pid}: {e}"))
}

/// Notes which processes have ended, and how. `false` when none is left.
pub fn reap(generations: &mut Generations) -> bool {
    let some_left = loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::Exited(pid, code)) => {
                generations.ended(pid.as_raw(), End::Status(code));
            }
            Ok(WaitStatus::Signaled(pid, signal, _)) => {
                generations.ended(pid.as_raw(), End::Signal(signal.to_string()));
            }
            Ok(WaitStatus::StillAlive) => break true,
            Ok(_) | Err(Errno::EINTR) => {}
            Err(_) => break false, // ECHILD
        }
    };
    let is_gone = |pid: &i32| kill(Pid::from_raw(*pid), None) == Err(Errno::ESRCH);
    let pids: Vec<i32> = generations.living().map(|generation| generation.pid).collect();
    for pid in pids.into_iter().filter(is_gone) {
        generations.ended(pid, End::Unseen);
    }
    some_left
}

/// Kills what is left, and answers how many processes that were.
pub fn end_leftovers(shared: &Shared) -> usize {
    let until = Instant::now() + KILLED_WITHIN;
    let mut killed = BTreeSet::new();
    while reap(&mut shared.lock().generations) && Instant::now() < until {
        // Children of those that are killed become ours, and show up in the next round.
        for pid in children() {
            if killed.insert(pid) {
                shared.lock().generations.ended(pid, End::LeftOver);
                let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
            }
        }
        thread::sleep(Duration::from_millis(1));
    }
    killed.len()
}

/// The processes whose parent we are; only the server's are.
fn children() -> Vec<i32> {
    let threads = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let lists = threads.map(|task| fs::read_to_string(task.path().join("children")));
    lists
        .flatten()
        .flat_map(|list| list.split_whitespace().flat_map(str::parse).collect::<Vec<_>>())
        .collect()
}
