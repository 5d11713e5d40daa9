//! What restarts use, and what they do where there is little of it.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::Path,
    process::Command,
};

use crate::common::{
    Server, open_fds,
    ops::{Operated, restart_to_the_end},
    restart::{Engine, wait_for_events, zombies_of},
    wait_for,
};

for_both_engines!(scenario_22_few_descriptors_or_no_processes);

/// What the descriptors of a process lead to: how many of each kind.
fn kinds(pid: i32) -> BTreeMap<String, usize> {
    let mut kinds = BTreeMap::new();
    for fd in fs::read_dir(format!("/proc/{pid}/fd")).expect("it lives").flatten() {
        let Ok(target) = fs::read_link(fd.path()) else { continue };
        let target = target.display().to_string();
        let kind = target.split(":[").next().unwrap_or_default().to_owned();
        *kinds.entry(kind).or_default() += 1;
    }
    kinds
}

/// Descriptors, but for the three that everyone has, without close-on-exec.
fn unprotected(pid: i32) -> Vec<i32> {
    let infos = fs::read_dir(format!("/proc/{pid}/fdinfo")).expect("it lives").flatten();
    let open = |number: &i32, text: &str| {
        let flags = text.lines().find_map(|line| line.strip_prefix("flags:\t")).expect("flags");
        let flags = i32::from_str_radix(flags, 8).expect("octal flags");
        *number > 2 && flags & libc::O_CLOEXEC == 0
    };
    let number = |entry: &fs::DirEntry| entry.file_name().to_str().and_then(|n| n.parse().ok());
    let mut found: Vec<i32> = infos
        .filter_map(|info| Some((number(&info)?, fs::read_to_string(info.path()).ok()?)))
        .filter(|(number, text)| open(number, text))
        .map(|(number, _)| number)
        .collect();
    found.sort_unstable();
    found
}

/// Sockets in the system's table of Unix sockets that have to do with this path.
fn unix_sockets(path: &Path) -> usize {
    let table = fs::read_to_string("/proc/net/unix").expect("proc");
    table.lines().filter(|row| row.ends_with(&path.display().to_string())).count()
}

#[test]
fn scenario_15_fd_leak_soak() {
    const RESTARTS: usize = 100;
    let lab = Operated::with(5, |setup| setup);
    // What the tests themselves were started with is handed on by everyone.
    let handed_on = unprotected(lab.pid());
    let measure = |pid| {
        wait_for_events(pid); // it may be about to close its link
        let of_helper = lab.connect().ask("run ls /proc/self/fd");
        wait_for("the client to be gone", || lab.status()[0].get("connections") == "0");
        wait_for("the operator to be gone", || unix_sockets(&lab.control()) == 1);
        wait_for_events(pid);
        (kinds(pid), of_helper)
    };
    let at_first = measure(restart_to_the_end(&lab, Engine::Fork).pid);
    for engine in Engine::alternating().skip(1).take(RESTARTS - 2) {
        let new = lab.restart_by(engine);
        assert_eq!(unprotected(new), handed_on, "these would be handed on by an exec");
    }
    let at_last = measure(restart_to_the_end(&lab, Engine::ForkExec).pid);
    assert_eq!(lab.count_lines("restart: done"), RESTARTS);
    assert_eq!(at_last, at_first);
    let seen = at_first.1.split(' ').map(|number| number.parse::<i32>().expect("a number"));
    // Its own three, and the one that it reads the directory with.
    let more: Vec<_> = seen.filter(|number| *number > 2 && !handed_on.contains(number)).collect();
    assert!(more.len() <= 1, "a helper sees {more:?}");
}

/// Leaves a process this many descriptors to spare (`prlimit(1)`). The limit is on their numbers, which
/// have gaps.
fn spare(pid: i32, count: usize) {
    let fds = fs::read_dir(format!("/proc/{pid}/fd")).expect("it lives").flatten();
    let number = |fd: fs::DirEntry| fd.file_name().to_str().and_then(|n| n.parse::<usize>().ok());
    let used: Vec<_> = fds.filter_map(number).collect();
    let free = (0..).filter(|number| !used.contains(number));
    limit(pid, &format!("{}:", free.take(count + 1).last().expect("endless")));
}

fn limit(pid: i32, soft: &str) {
    let args = [format!("--pid={pid}"), format!("--nofile={soft}")];
    assert!(Command::new("prlimit").args(args).status().expect("prlimit runs").success());
}

/// The restart fails for want of something, and nothing else does.
fn assert_fails_cleanly(lab: &Operated, engine: Engine, why: &str) {
    let mut client = lab.connect();
    let old = client.who().pid;
    let fds = open_fds(old);
    for _ in 0..2 {
        let answer = client.ask(&format!("restart {}", engine.name()));
        assert!(answer.contains(why), "{answer}");
        wait_for("what it used to be given back", || open_fds(old) == fds);
        assert_eq!(zombies_of(old), [0; 0]);
        assert_eq!(client.who().pid, old);
    }
}

fn scenario_22_few_descriptors_or_no_processes(engine: Engine) {
    let lab = Operated::with(30, |setup| setup);
    let (old, mut client) = (lab.pid(), lab.connect());
    let turns = client.stat("turns");
    // A limit below all that it keeps for this: it fails cleanly, and never spins.
    limit(old, "3:");
    let answer = client.ask(&format!("restart {}", engine.name()));
    assert!(answer.contains("Too many open files") || answer.contains("no room"), "{answer}");
    assert!(client.stat("turns") - turns < 1000, "it spins");
    // None to spare but what it keeps: it works.
    limit(old, "1000:");
    client.who(); // what it keeps is there again
    spare(old, 0);
    let answer = client.ask(&format!("restart {}", engine.name()));
    assert!(answer.starts_with("ok"), "{answer}");
    drop(client);

    let Some(lab) = without_processes() else {
        return println!("skipped: only root can start a server as somebody who has no process");
    };
    assert_fails_cleanly(&lab, engine, "Resource temporarily unavailable");
}

/// A server whose user may make no process: `fork` and `posix_spawn` answer EAGAIN. Root may make any
/// number, so it is somebody else.
fn without_processes() -> Option<Operated> {
    const NOBODY: u32 = 59_174;
    if !nix::unistd::geteuid().is_root() {
        return None;
    }
    let lab = Operated::started(30, |setup| {
        setup.start_as(|command| {
            let args = command.get_args().skip(1); // the program is not ours
            for dir in args.filter_map(|arg| Path::new(arg).parent()).filter(|dir| dir.is_dir()) {
                fs::set_permissions(dir, fs::Permissions::from_mode(0o777)).expect("a mode");
            }
            let mut limited = Command::new("prlimit");
            limited.arg("--nproc=1:1").arg(command.get_program()).args(command.get_args());
            limited.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
            limited.uid(NOBODY).gid(NOBODY);
            limited
        })
    });
    Some(lab)
}

/// The limit does not keep a server from accepting that has none to spare: it waits, and says so once.
#[test]
fn a_server_without_a_descriptor_to_spare_waits_for_one() {
    let server = Server::of("lab").start();
    let pid = server.pid();
    let mut first = server.connect();
    first.who();
    spare(pid, 0);
    let mut second = server.connect();
    second.send("who\n");
    server.wait_line("new clients wait until a connection ends");
    let turns = first.stat("turns");
    assert!(first.stat("turns") - turns < 10, "it spins");
    drop(first);
    assert!(second.line().starts_with("0 "));
}
