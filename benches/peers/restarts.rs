//! Restarts under load: new clients at a steady rate, each with one request, while the server is replaced
//! again and again. Counts failures, and how long clients waited in the restart window.
//!
//! The loop is open: a client comes when it is due, however slow the server is, and its time counts from
//! then on.

use std::{
    fs, io, thread,
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

use crate::{
    common::process::{Cores, Running},
    peers::{Ground, Peer, itself},
    visits::{Visit, Visitors},
    work::Work,
};

/// The window of a restart, from the trigger on; longer if the restart itself takes longer.
const WINDOW: Duration = Duration::from_millis(100);

/// A restart that takes longer has failed.
const PATIENCE: Duration = Duration::from_secs(5);

/// A way to restart a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    Fork,
    ForkExec,
    Nginx,
    Haproxy,
    Command,
}

pub const WAYS: [Way; 5] = [Way::Fork, Way::ForkExec, Way::Nginx, Way::Haproxy, Way::Command];

impl Way {
    pub fn name(self) -> &'static str {
        match self {
            Way::Fork => "heirloom, fork",
            Way::ForkExec => "heirloom, fork-exec",
            Way::Nginx => "nginx, USR2 and QUIT",
            Way::Haproxy => "haproxy, reload",
            Way::Command => "std Command with pre_exec",
        }
    }

    pub fn peer(self) -> Peer {
        match self {
            Way::Fork | Way::ForkExec => Peer::Heirloom,
            Way::Nginx => Peer::Nginx,
            Way::Haproxy => Peer::Haproxy,
            Way::Command => Peer::Bare,
        }
    }

    fn signal(self) -> Signal {
        match self {
            Way::Fork | Way::Command => Signal::SIGHUP,
            Way::ForkExec | Way::Nginx | Way::Haproxy => Signal::SIGUSR2,
        }
    }
}

/// How many clients a second, how many restarts, how far apart.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    pub rate: u32,
    pub restarts: u32,
    pub gap: Duration,
}

/// What came of it.
#[derive(Debug, Default)]
pub struct Story {
    pub visits: u64,
    pub failed: u64,
    pub done: u32,
    /// Microseconds, sorted: of visits in a restart's window, and of all others.
    pub inside: Vec<u32>,
    pub outside: Vec<u32>,
}

/// Runs one way to its end. All processes of the server end with it.
pub fn run(ground: &Ground, way: Way, plan: Plan, cores: Option<Cores>) -> io::Result<Story> {
    set_child_subreaper(true)?; // generations whose parents have ended are then ours
    let pid_file = ground.pid_file(way.peer());
    let _ = fs::remove_file(&pid_file);
    let (mut command, address) = ground.restartable(way.peer())?;
    if way == Way::Command {
        command = itself("spawning", &pid_file.to_string_lossy(), &address)?;
    }
    let server = Running::start(command, &address, cores)?;
    let life = plan.gap * (plan.restarts + 1);
    let master = server.pid();
    let restarter = thread::spawn(move || {
        let windows = (0..plan.restarts).map(|_| {
            thread::sleep(plan.gap);
            let begun = Instant::now();
            (begun, restart(way, master, &pid_file).then(Instant::now))
        });
        windows.collect::<Vec<_>>()
    });
    let visits = visit(&address, plan.rate, life);
    let windows = restarter.join().map_err(|_| io::Error::other("the restarter has panicked"))?;
    drop(server);
    end_all();
    Ok(tell(visits?, &windows))
}

fn visit(address: &str, rate: u32, life: Duration) -> io::Result<Vec<Visit>> {
    let mut visitors = Visitors::new(address, Work::Http)?;
    let (begun, step) = (Instant::now(), Duration::from_secs(1) / rate);
    let (mut visits, mut next) = (Vec::new(), begun);
    while next < begun + life || visitors.len() > 0 {
        let now = Instant::now();
        while next <= now && next < begun + life {
            visits.extend(visitors.begin(next));
            next += step;
        }
        // It never sleeps: epoll counts in milliseconds, and a client that begins late waits long.
        visitors.attend(Duration::ZERO, |visit| visits.push(visit))?;
        visitors.give_up(|visit| visits.push(visit));
    }
    Ok(visits)
}

/// Asks for a restart and waits until it is done.
fn restart(way: Way, master: u32, pid_file: &std::path::Path) -> bool {
    let read = || fs::read_to_string(pid_file).unwrap_or_default().trim().parse::<i32>().ok();
    let workers = || {
        let list = fs::read_to_string(format!("/proc/{master}/task/{master}/children"));
        let list = list.unwrap_or_default();
        list.split_whitespace().filter_map(|pid| pid.parse().ok()).max()
    };
    let newest = || if way == Way::Haproxy { workers() } else { read() };
    let Some(before) = newest() else { return false };
    let target = if way == Way::Haproxy { master as i32 } else { before };
    if kill(Pid::from_raw(target), way.signal()).is_err() {
        return false;
    }
    let begun = Instant::now();
    while newest().is_none_or(|pid| pid == before) {
        if begun.elapsed() > PATIENCE {
            return false;
        }
        thread::sleep(Duration::from_millis(1));
    }
    if way == Way::Nginx {
        // As its manual has it: the operator ends the old one when the new one is there.
        thread::sleep(Duration::from_millis(50));
        return kill(Pid::from_raw(before), Signal::SIGQUIT).is_ok();
    }
    true
}

/// Ends all descendants of this process.
fn end_all() {
    let me = std::process::id();
    for _ in 0..100 {
        let tasks = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
        let lists = tasks.map(|task| fs::read_to_string(task.path().join("children")));
        let all: Vec<i32> = lists
            .flat_map(|list| {
                let list = list.unwrap_or_default();
                list.split_whitespace().flat_map(str::parse).collect::<Vec<_>>()
            })
            .collect();
        if all.is_empty() {
            return;
        }
        for pid in all.into_iter().filter(|&pid| pid as u32 != me) {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
            let _ = waitpid(Pid::from_raw(pid), Some(WaitPidFlag::WNOHANG));
        }
        thread::sleep(Duration::from_millis(10));
    }
}

fn tell(visits: Vec<Visit>, windows: &[(Instant, Option<Instant>)]) -> Story {
    let done = windows.iter().filter(|(_, done)| done.is_some()).count() as u32;
    let mut story = Story { done, ..Story::default() };
    for visit in visits {
        story.visits += 1;
        story.failed += u64::from(visit.failed);
        let is_inside = windows.iter().any(|&(begun, done)| {
            let end = done.unwrap_or(begun + PATIENCE).max(begun + WINDOW);
            visit.due + visit.took >= begun && visit.due < end
        });
        let list = if is_inside { &mut story.inside } else { &mut story.outside };
        list.push(visit.took.as_micros() as u32);
    }
    story.inside.sort_unstable();
    story.outside.sort_unstable();
    story
}
