//! What the tests of restarts share: the two engines, a lab whose new side can be held at any step,
//! and what `/proc` tells of a process. Knows how a restart goes, not what a test wants of it.

use std::{
    collections::BTreeSet,
    fs,
    ops::{Deref, DerefMut},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::Duration,
};

use nix::{
    sys::{
        ptrace,
        signal::{Signal, kill},
        wait::{WaitPidFlag, WaitStatus, waitpid},
    },
    unistd::Pid,
};

use super::{Client, Dir, Server, Setup, open_fds, wait_for};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    Fork,
    ForkExec,
}

impl Engine {
    /// Both, in turns.
    pub fn alternating() -> impl Iterator<Item = Engine> {
        [Engine::Fork, Engine::ForkExec].into_iter().cycle()
    }

    /// The signal that restarts an example by this engine.
    pub fn signal(self) -> Signal {
        match self {
            Engine::Fork => Signal::SIGHUP,
            Engine::ForkExec => Signal::SIGUSR2,
        }
    }

    /// As the log and the lab's `restart` name it.
    pub fn name(self) -> &'static str {
        match self {
            Engine::Fork => "fork",
            Engine::ForkExec => "fork-exec",
        }
    }

    /// The `Start` that a new generation sees.
    pub fn start(self) -> &'static str {
        match self {
            Engine::Fork => "Forked",
            Engine::ForkExec => "Upgraded",
        }
    }
}

/// For each function that takes an engine, a test with each engine.
macro_rules! for_both_engines {
    ($($promise:ident),* $(,)?) => { $(
        mod $promise {
            use super::Engine;

            #[test]
            fn fork() {
                super::$promise(Engine::Fork);
            }

            #[test]
            fn fork_exec() {
                super::$promise(Engine::ForkExec);
            }
        }
    )* };
}

/// Who answers: the lab's `who`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Who {
    pub generation: u64,
    pub pid: i32,
    pub engine: String,
}

impl Client {
    pub fn who(&mut self) -> Who {
        let answer = self.ask("who");
        let words: Vec<_> = answer.split(' ').collect();
        let [generation, pid, engine] = words[..] else { panic!("who: {answer:?}") };
        Who {
            generation: generation.parse().expect("a generation"),
            pid: pid.parse().expect("a pid"),
            engine: engine.to_owned(),
        }
    }

    /// One number of the lab's `stats`.
    pub fn stat(&mut self, name: &str) -> u64 {
        super::stat(self, name)
    }
}

/// A lab whose new programs can be told to fail.
pub struct Lab {
    server: Server,
    scratch: Dir,
}

impl Deref for Lab {
    type Target = Server;

    fn deref(&self) -> &Server {
        &self.server
    }
}

impl DerefMut for Lab {
    fn deref_mut(&mut self) -> &mut Server {
        &mut self.server
    }
}

impl Lab {
    pub fn start() -> Lab {
        Lab::with(|setup| setup)
    }

    pub fn with(adjust: impl FnOnce(Setup) -> Setup) -> Lab {
        Lab::started(|setup| adjust(setup).start())
    }

    /// The same, where `start` does the starting as well.
    pub fn started(start: impl FnOnce(Setup) -> Server) -> Lab {
        let scratch = Dir::new();
        let setup = Server::of("lab")
            .env("LAB_BROKEN", scratch.path("broken").display())
            .env("LAB_ALSO", scratch.path("also").display())
            .env("LAB_SLOW", scratch.path("slow").display())
            .env("HEIRLOOM_FAULT", scratch.path("fault").display());
        Lab { server: start(setup), scratch }
    }

    /// What a new program does instead of serving.
    pub fn break_programs(&self, how: &str) {
        fs::write(self.scratch.path("broken"), how).expect("a file for the lab");
    }

    pub fn mend_programs(&self) {
        fs::remove_file(self.scratch.path("broken")).expect("a file of ours");
    }

    /// From now on this callback takes so long: `start`, `load` and others.
    pub fn slow_down(&self, callback: &str, time: Duration) {
        let line = format!("{callback} {}\n", time.as_millis());
        fs::write(self.scratch.path("slow"), line).expect("a file for the lab");
    }

    pub fn speed_up(&self) {
        fs::remove_file(self.scratch.path("slow")).expect("a file of ours");
    }

    /// What a new program listens on beside its command line, one address a line.
    pub fn listen_also(&self, addresses: &str) {
        fs::write(self.scratch.path("also"), addresses).expect("a file for the lab");
    }

    /// A path for the test's own use.
    pub fn scratch(&self, name: &str) -> PathBuf {
        self.scratch.path(name)
    }

    /// Restarts and answers the new pid.
    pub fn restart_by(&self, engine: Engine) -> i32 {
        self.restart(engine.signal())
    }

    /// Begins a restart and holds the new side before it is ready. Answers its pid; it is stopped.
    pub fn hold(&self, engine: Engine) -> i32 {
        match engine {
            Engine::Fork => hold_at_birth(self.pid(), || self.signal(engine.signal())),
            Engine::ForkExec => {
                let done = self.count_lines("by fork-exec is pid");
                self.break_programs("stop");
                self.signal(engine.signal());
                let line = self.wait_lines("by fork-exec is pid", done + 1).pop().expect("a line");
                let pid = line.rsplit(' ').next().and_then(|pid| pid.parse().ok());
                let pid = pid.unwrap_or_else(|| panic!("no pid in {line:?}"));
                wait_stopped(pid);
                self.mend_programs();
                pid
            }
        }
    }

    /// Begins a restart and stops the old side when the new one has said `Ready` and nobody has heard
    /// it. Answers the new pid.
    pub fn hold_old(&self, engine: Engine) -> i32 {
        let new = self.hold(engine);
        match engine {
            Engine::Fork => stop(self.pid()),
            // A new program asks for what it needs before it is ready, so the old one stops itself when
            // it has given everything.
            Engine::ForkExec => {
                fs::write(self.scratch.path("fault"), "OldHanded hang").expect("a file");
            }
        }
        resume(new);
        wait_stopped(self.pid());
        wait_for_events(new);
        new
    }

    /// The generations of this server that live.
    pub fn generations(&self) -> Vec<i32> {
        self.living(|name| !name.starts_with("heirloom-"))
    }

    /// The processes that help them and are no generations.
    pub fn scribes(&self) -> Vec<i32> {
        self.living(|name| name == "heirloom-scribe")
    }

    /// The processes of this server that live and are called so.
    fn living(&self, is_called: impl Fn(&str) -> bool) -> Vec<i32> {
        let group = self.child.id().to_string();
        let lives = |stat: &Stat| stat.group == group && !"ZX".contains(stat.state);
        let mine =
            |&pid: &i32| Stat::of(pid).is_some_and(|stat| lives(&stat) && is_called(&stat.name));
        processes().into_iter().filter(mine).collect()
    }
}

/// Stops the next child of `parent` before its first instruction. `trigger` makes `parent` fork.
fn hold_at_birth(parent: i32, trigger: impl FnOnce()) -> i32 {
    let parent = Pid::from_raw(parent);
    ptrace::seize(parent, ptrace::Options::PTRACE_O_TRACEFORK).expect("leave to use ptrace(2)");
    trigger();
    let stopped = waitpid(parent, Some(WaitPidFlag::__WALL)).expect("a traced process");
    assert!(matches!(stopped, WaitStatus::PtraceEvent(..)), "not a fork: {stopped:?}");
    let child = Pid::from_raw(ptrace::getevent(parent).expect("the child's pid") as i32);
    waitpid(child, Some(WaitPidFlag::__WALL)).expect("a traced child");
    // It waits for the tracer; once that lets go, for SIGCONT.
    kill(child, Signal::SIGSTOP).expect("the child is there");
    ptrace::detach(child, None).expect("the child is ours");
    ptrace::detach(parent, None).expect("the parent is ours");
    wait_stopped(child.as_raw());
    child.as_raw()
}

pub fn stop(pid: i32) {
    kill(Pid::from_raw(pid), Signal::SIGSTOP).expect("the process is there");
    wait_stopped(pid);
}

pub fn resume(pid: i32) {
    kill(Pid::from_raw(pid), Signal::SIGCONT).expect("the process is there");
}

/// Ends a process at once, and waits until it is gone.
pub fn slay(pid: i32) {
    kill(Pid::from_raw(pid), Signal::SIGKILL).expect("the process is there");
    super::wait_gone(pid);
}

pub fn tell(pid: i32, signal: Signal) {
    kill(Pid::from_raw(pid), signal).expect("the process is there");
}

pub fn wait_stopped(pid: i32) {
    wait_for("a process to stop", || is_stopped(pid));
}

pub fn is_stopped(pid: i32) -> bool {
    Stat::of(pid).is_some_and(|stat| stat.state == 'T')
}

/// It waits for something: to be told more, or to be rid of what it says.
pub fn is_asleep(pid: i32) -> bool {
    Stat::of(pid).is_some_and(|stat| stat.state == 'S')
}

/// Waits until a process sleeps in its loop, which says that it has done all that it could.
pub fn wait_for_events(pid: i32) {
    wait_for("a process to wait for events", || {
        let call = fs::read_to_string(format!("/proc/{pid}/syscall")).unwrap_or_default();
        let number = call.split(' ').next().and_then(|number| number.parse().ok());
        #[cfg(target_arch = "x86_64")]
        if number == Some(libc::SYS_epoll_wait) {
            return true;
        }
        number == Some(libc::SYS_epoll_pwait)
    });
}

/// How many descriptors a process has between two events: none for a moment, as at its start.
pub fn fds_at_rest(pid: i32) -> usize {
    wait_for_events(pid);
    open_fds(pid)
}

/// What `/proc/PID/stat` says.
struct Stat {
    name: String,
    state: char,
    parent: String,
    group: String,
}

impl Stat {
    fn of(pid: i32) -> Option<Stat> {
        let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let (head, rest) = text.rsplit_once(") ")?;
        let name = head.split_once(" (")?.1.to_owned();
        let mut words = rest.split(' ').map(str::to_owned);
        let state = words.next()?.chars().next()?;
        Some(Stat { name, state, parent: words.next()?, group: words.next()? })
    }
}

fn processes() -> Vec<i32> {
    let entries = fs::read_dir("/proc").expect("proc").flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// Children of `parent` that ended and were not reaped.
pub fn zombies_of(parent: i32) -> Vec<i32> {
    let parent = parent.to_string();
    let dead = |stat: Stat| stat.state == 'Z' && stat.parent == parent;
    processes().into_iter().filter(|&pid| Stat::of(pid).is_some_and(dead)).collect()
}

/// The sockets of a process, by inode.
pub fn sockets_of(pid: i32) -> BTreeSet<u64> {
    let fds = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    fds.filter_map(|fd| {
        let target = fs::read_link(fd.path()).ok()?;
        target.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
    })
    .collect()
}

/// The sockets that listen on `address` (`127.0.0.1:port` or `unix:/path`), by inode.
pub fn listening(address: &str) -> Vec<u64> {
    match address.strip_prefix("unix:") {
        // 00010000: the socket accepts connections (`__SO_ACCEPTCON`).
        Some(path) => inodes("unix", 6, |row| row[3] == "00010000" && row.last() == Some(&path)),
        None => {
            let port: u16 = address.rsplit(':').next().unwrap().parse().expect("a port");
            let end = format!(":{port:04X}");
            // 0A: the state LISTEN.
            inodes("tcp", 9, |row| row[1].ends_with(&end) && row[3] == "0A")
        }
    }
}

/// A column of those rows of a table in `/proc/net` that match.
fn inodes(table: &str, column: usize, matches: impl Fn(&[&str]) -> bool) -> Vec<u64> {
    let table = fs::read_to_string(format!("/proc/net/{table}")).expect("proc");
    let rows = table.lines().skip(1).map(|line| line.split_whitespace().collect::<Vec<_>>());
    rows.filter(|row| matches(row)).map(|row| row[column].parse().expect("an inode")).collect()
}

/// The inode of a path, if something is there.
pub fn inode(path: &Path) -> Option<u64> {
    fs::symlink_metadata(path).ok().map(|meta| meta.ino())
}
