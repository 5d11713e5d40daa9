//! What a restart uses it gives back: descriptors and processes. And it asks for more than there is
//! without harm.

use std::{
    fs,
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::Path,
    process::Command,
};

use crate::common::{
    open_fds,
    restart::{Engine, Lab, fds_at_rest, zombies_of},
    wait_for, wait_gone,
};

for_both_engines!(
    without_room_for_descriptors_a_restart_fails_cleanly,
    without_leave_to_make_processes_a_restart_fails_cleanly,
);

#[test]
fn fifty_restarts_leave_as_many_descriptors_as_one() {
    let lab = Lab::start();
    // What the tests themselves were started with is handed on by everyone.
    let inherited = unprotected(lab.pid());
    let count = fds_at_rest(lab.pid());
    for engine in Engine::alternating().take(50) {
        let old = lab.pid();
        let new = lab.restart_by(engine);
        wait_gone(old); // until then there is a link to it
        assert_eq!(unprotected(new), inherited, "these would be handed on by an exec");
        wait_for("the link to close and nothing to be left over", || open_fds(new) == count);
    }
}

/// Descriptors, but for the three that everyone has, without close-on-exec.
fn unprotected(pid: i32) -> Vec<i32> {
    let infos = fs::read_dir(format!("/proc/{pid}/fdinfo")).expect("it lives").flatten();
    let mut found = Vec::new();
    for info in infos {
        let number: i32 = info.file_name().to_str().and_then(|name| name.parse().ok()).unwrap();
        let Ok(text) = fs::read_to_string(info.path()) else { continue }; // closed meanwhile
        let flags = text.lines().find_map(|line| line.strip_prefix("flags:\t")).expect("flags");
        let flags = i32::from_str_radix(flags, 8).expect("octal flags");
        if number > 2 && flags & libc::O_CLOEXEC == 0 {
            found.push(number);
        }
    }
    found
}

/// Each generation reaps its successor, also when it only waits for its last client.
#[test]
fn no_zombie_is_left() {
    let lab = Lab::start();
    let mut clients = Vec::new();
    for engine in Engine::alternating().take(6) {
        let mut client = lab.connect();
        clients.push((client.who().pid, client));
        lab.restart_by(engine);
    }
    // The ones in between end first, each a child of one that lives.
    let (first, _client) = clients.remove(0);
    for (pid, client) in clients {
        drop(client);
        wait_gone(pid);
        wait_for("the dead to be reaped", || zombies_of(first).is_empty());
    }
    assert_eq!(lab.generations(), [first, lab.pid()]);
}

/// The same command in a shell that has set a limit.
fn limited(limit: &str) -> impl FnOnce(Command) -> Command {
    move |command| {
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("{limit} && exec \"$0\" \"$@\"")]);
        shell.arg(command.get_program()).args(command.get_args());
        let env = command.get_envs().filter_map(|(name, value)| Some((name, value?)));
        shell.envs(env);
        shell
    }
}

/// Sets the limit on the numbers of descriptors that a process is given from here on.
fn limit_of(pid: i32, limit: usize) {
    let args = [format!("--pid={pid}"), format!("--nofile={limit}:")];
    assert!(Command::new("prlimit").args(args).status().expect("prlimit runs").success());
}

/// A limit that was set below what a server has in reserve: with any number of descriptors a restart works or
/// fails; if it fails, nothing is lost.
fn without_room_for_descriptors_a_restart_fails_cleanly(engine: Engine) {
    let lab = Lab::start();
    let old = lab.pid();
    let mut clients: Vec<_> = (0..3).map(|_| lab.connect()).collect();
    clients.iter_mut().for_each(|client| assert_eq!(client.who().pid, old));
    let used = open_fds(old);
    let mut failures = 0;
    for limit in 3.. {
        limit_of(old, limit);
        let answer = clients[0].ask(&format!("restart {}", engine.name()));
        if answer.starts_with("ok") {
            break;
        }
        failures += 1;
        assert!(answer.contains("Too many open files") || answer.contains("no room"), "{answer}");
        // Fewer, where the limit leaves no room for what was in reserve.
        wait_for("what it used to be given back", || open_fds(old) <= used);
        assert_eq!(zombies_of(old), [0; 0]);
        clients.iter_mut().for_each(|client| assert_eq!(client.who().pid, old));
    }
    assert!((2..30).contains(&failures), "{failures} failures");
    clients.iter_mut().for_each(|client| assert_eq!(client.who().pid, old));
    limit_of(lab.pid(), 1000); // a forked child has its parent's
    assert_eq!(lab.connect().who().generation, 1);
}

/// `fork` and `posix_spawn` answer EAGAIN.
fn without_leave_to_make_processes_a_restart_fails_cleanly(engine: Engine) {
    // Root may make any number, so the server is somebody who has no other process.
    const NOBODY: u32 = 59_173;
    let lab = Lab::started(|setup| {
        setup.start_as(|command| {
            let mut args = command.get_args().skip_while(|arg| *arg != "--pid-file");
            let pid_file = Path::new(args.nth(1).expect("a pid file"));
            let dir = pid_file.parent().expect("a directory of ours");
            fs::set_permissions(dir, fs::Permissions::from_mode(0o777)).expect("a mode");
            let mut shell = limited("{ ulimit -u 1 || ulimit -p 1; } 2>/dev/null")(command);
            if nix::unistd::geteuid().is_root() {
                shell.uid(NOBODY).gid(NOBODY);
            }
            shell
        })
    });
    let old = lab.pid();
    let mut stays = lab.connect();
    assert_eq!(stays.who().pid, old); // so it is through with its start, and has what it needs
    let fds = open_fds(old);
    for _ in 0..2 {
        let answer = lab.connect().ask(&format!("restart {}", engine.name()));
        assert!(answer.starts_with("error restart: cannot start "), "{answer}");
        assert!(answer.contains("Resource temporarily unavailable"), "{answer}");
        wait_for("what it used to be given back", || open_fds(old) == fds);
        assert_eq!(lab.connect().who().pid, old);
    }
}
