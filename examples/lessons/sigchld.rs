//! Signals are not counted: five deaths may be one SIGCHLD.

use nix::{
    sys::{
        signal::{SigSet, Signal},
        signalfd::{SfdFlags, SignalFd},
        wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid},
    },
    unistd::Pid,
};

use crate::{
    Lesson, Result, Verdict,
    process::{self, Child},
    tell::{right, say, wrong},
};

pub const LESSON: Lesson = Lesson {
    name: "sigchld",
    title: "five children die, and one is missed",
    teach,
    places: &[
        ("src/restart/engine/child.rs", "new", "watches each child by a pidfd of its own"),
        ("src/restart/engine/child.rs", "has_ended", "asks for that child, without waiting"),
        ("src/turn/report/supervised.rs", "reap_children", "asks all of them, whoever it was"),
    ],
};

const CHILDREN: usize = 5;

fn teach() -> Result<Verdict> {
    say(
        "A signal that is already waiting is not queued a second time (signal(7)). So a process is told \
         that children have died, never how many. Those that nobody has waited for stay as zombies: \
         they hold their pid and their place in the process table, and how they ended is never known.",
    );
    wrong("A server reads its signals, and for each SIGCHLD it reaps one child.");
    let zombies = unreaped(|| usize::from(reap_one()))?;
    say(format!("{CHILDREN} children have died, and {zombies} of them are still zombies."));
    right("For each SIGCHLD the server reaps until there is nobody left to reap.");
    let zombies_right = unreaped(|| std::iter::repeat_with(reap_one).take_while(|&it| it).count())?;
    say(format!(
        "{zombies_right} are zombies. Better still is a descriptor for each child, a pidfd: it is \
         readable when that child has died, and says so as long as nobody has reaped it."
    ));
    Ok(Verdict {
        wrong: format!("left {zombies} of {CHILDREN} children as zombies"),
        right: format!("{zombies_right} of {CHILDREN}"),
        as_taught: zombies > 0 && zombies_right == 0,
    })
}

/// Reaps whichever child has died, if one has.
fn reap_one() -> bool {
    let status = waitpid(None, Some(WaitPidFlag::WNOHANG));
    status.is_ok_and(|status| status != WaitStatus::StillAlive)
}

/// Lets children die while nobody looks, then does `reap` for each SIGCHLD. How many are left?
fn unreaped(mut reap: impl FnMut() -> usize) -> Result<usize> {
    let mut wanted = SigSet::empty();
    wanted.add(Signal::SIGCHLD);
    wanted.thread_block()?; // or it would be thrown away, instead of waiting to be read
    let signals = SignalFd::with_flags(&wanted, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?;
    let children: Vec<_> =
        (0..CHILDREN).map(|_| process::fork(|| 0)).collect::<Result<Vec<Child>>>()?;
    for child in &children {
        // Waits for its death and leaves it for others to reap.
        waitid(Id::Pid(child.pid), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT)?;
    }
    while signals.read_signal()?.is_some() {
        reap();
    }
    let zombies = children.iter().filter(|child| is_zombie(child.pid)).count();
    while reap_one() {}
    children.into_iter().for_each(Child::forget);
    Ok(zombies)
}

/// `/proc/<pid>/stat` has the state behind the name.
fn is_zombie(pid: Pid) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('Z'))
}
