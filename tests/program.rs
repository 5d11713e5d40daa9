//! Fork-exec runs the program that is at its path now, wherever the process has gone meanwhile, and
//! says by name what is wrong if there is none.

use std::{
    fs,
    os::unix::{
        fs::{MetadataExt, PermissionsExt, symlink},
        net::UnixListener,
    },
    path::Path,
    process::Command,
};

use crate::common::{
    self, Dir, Server, copy, example, in_session,
    ops::Control,
    place,
    restart::{Engine, Lab},
    run_to_end, wait_gone,
};
use nix::{
    sys::{signal::Signal, stat::Mode},
    unistd::{geteuid, mkfifo},
};

/// Puts a copy of an example at `path`.
fn install(name: &str, path: &Path) {
    copy(&example(name), path);
}

fn restart(lab: &Lab) -> i32 {
    let new = lab.restart_by(Engine::ForkExec);
    assert_eq!(lab.connect().who().pid, new);
    new
}

#[test]
fn a_program_replaced_by_rename_is_what_runs_next() {
    let dir = Dir::new();
    let (path, next) = (dir.path("server"), dir.path("next"));
    install("echo", &path);
    let server = Server::of("echo").program(&path).start();
    let mut early = server.connect();
    assert_eq!(early.ask("who"), "who");
    install("lab", &next);
    fs::rename(&next, &path).expect("in one directory");
    server.restart(Signal::SIGHUP); // a fork is the same code
    assert_eq!(server.connect().ask("who"), "who");
    let new = server.restart(Signal::SIGUSR2);
    let who = server.connect().who();
    assert_eq!((who.generation, who.pid, &*who.engine), (2, new, "fork-exec"));
    assert_eq!(early.ask("who"), "who");
}

#[test]
fn a_link_that_was_turned_leads_to_the_new_program() {
    let dir = Dir::new();
    let (link, next) = (dir.path("current"), dir.path("next"));
    symlink(example("echo"), &link).expect("a link");
    let server = Server::of("echo").program(&link).start();
    symlink(example("lab"), &next).expect("a link");
    fs::rename(&next, &link).expect("in one directory");
    server.restart(Signal::SIGUSR2);
    assert_eq!(server.connect().who().generation, 1);
}

/// What was relative at the start means the same file for ever.
#[test]
fn a_relative_name_leads_to_the_same_program_after_chdir() {
    let dir = Dir::new();
    install("lab", &dir.path("server"));
    let lab = Lab::started(|setup| {
        setup.program("./server").start_as(|mut command| {
            command.current_dir(dir.path(""));
            command
        })
    });
    for _ in 0..2 {
        lab.connect().ask("chdir /");
        restart(&lab);
        // And it begins where the first one began.
        let here = fs::canonicalize(dir.path("")).expect("a directory");
        assert_eq!(lab.connect().ask("run pwd -P"), here.display().to_string());
    }
}

#[test]
fn a_bare_name_is_looked_up_in_the_path_each_time() {
    let dir = Dir::new();
    let (first, second) = (dir.path("first"), dir.path("second"));
    fs::create_dir(&first).expect("a directory");
    fs::create_dir(&second).expect("a directory");
    install("echo", &second.join("heirloom-server"));
    let path = format!("{}:{}:/usr/bin:/bin", first.display(), second.display());
    let server = Server::of("echo").program("heirloom-server").env("PATH", path).start();
    server.restart(Signal::SIGUSR2);
    assert_eq!(server.connect().ask("who"), "who");
    // A directory of that name and a file that may not be run are passed over, as a shell does.
    fs::write(first.join("heirloom-server"), "").expect("a file");
    server.restart(Signal::SIGUSR2);
    fs::remove_file(first.join("heirloom-server")).expect("a file of ours");
    install("lab", &first.join("heirloom-server"));
    server.restart(Signal::SIGUSR2);
    assert_eq!(server.connect().who().generation, 3);
}

#[test]
fn what_is_no_program_is_refused_by_name_and_the_old_one_serves_on() {
    let dir = Dir::new();
    let (path, good) = (dir.path("server"), dir.path("good"));
    install("lab", &path);
    let lab = Lab::with(|setup| setup.program(&path));
    let old = lab.pid();
    fs::rename(&path, &good).expect("in one directory");
    let mut client = lab.connect();
    let mut assert_refused = |what: &str, why: &str| {
        let answer = client.ask("restart fork-exec");
        let expected = format!("error restart: cannot start {}: ", path.display());
        assert!(answer.starts_with(&expected) && answer.contains(why), "{what}: {answer}");
        assert_eq!(lab.connect().who().pid, old, "{what}");
    };
    assert_refused("a missing file", "No such file");
    fs::create_dir(&path).expect("a directory");
    assert_refused("a directory", "it is not a regular file");
    fs::remove_dir(&path).expect("a directory of ours");
    // To open one of these for reading waits for a writer, or does whatever the device does.
    mkfifo(&path, Mode::S_IRWXU).expect("a FIFO");
    assert_refused("a FIFO", "it is not a regular file");
    fs::remove_file(&path).expect("a FIFO of ours");
    let socket = UnixListener::bind(&path).expect("a socket");
    assert_refused("a socket", "it is not a regular file");
    drop(socket);
    for odd in ["/dev/zero", "/dev/tty", &dir.path("nothing").display().to_string()] {
        fs::remove_file(&path).expect("a file of ours");
        symlink(odd, &path).expect("a link");
        let why = if odd.starts_with("/dev") { "not a regular file" } else { "No such file" };
        assert_refused(odd, why);
    }
    fs::remove_file(&path).expect("a link of ours");
    let foreign = fs::read(&good).map(|mut elf| {
        elf.truncate(4096);
        elf[18] = 0xff; // e_machine: no processor that exists
        elf
    });
    for (what, mode, content, why) in [
        ("an empty file", 0o755, Vec::new(), "it is empty"),
        ("garbage", 0o755, b"\x01\x02 no program\n".repeat(99), "neither an ELF program"),
        ("another machine's", 0o755, foreign.expect("a program"), "another kind of machine"),
        ("no right to run it", 0o644, b"#!/bin/sh\n".to_vec(), "Permission denied"),
    ] {
        place(content, mode, &path);
        assert_refused(what, why);
    }
    fs::rename(&good, &path).expect("in one directory");
    restart(&lab);
    drop(client);
    wait_gone(old);
}

/// A script whose interpreter knows no handover is a program, and no heir: it ends without a word.
#[test]
fn a_program_that_is_no_server_is_found_out() {
    let dir = Dir::new();
    let (path, good) = (dir.path("server"), dir.path("good"));
    install("lab", &path);
    let lab = Lab::with(|setup| setup.program(&path));
    fs::rename(&path, &good).expect("in one directory");
    symlink("/bin/true", &path).expect("a link");
    let answer = lab.connect().ask("restart fork-exec");
    assert!(answer.contains("ended before it was ready: exit status 0"), "{answer}");
    fs::rename(&good, &path).expect("in one directory");
    restart(&lab);
}

/// It closes its link first, as a `main` does that drops its server before it reports why.
#[test]
fn a_program_that_lets_go_of_its_link_has_a_moment_to_say_why() {
    let dir = Dir::new();
    let path = dir.path("server");
    install("lab", &path);
    let lab = Lab::with(|setup| setup.program(&path));
    for (end, how) in [("exit 7", "exit status 7"), ("exec sleep 60", "killed by SIGKILL")] {
        let script = format!("#!/bin/sh\nexec 3>&-\nsleep 0.1\necho not me >&2\n{end}\n");
        place(script, 0o755, &path);
        let answer = lab.connect().ask("restart fork-exec");
        assert!(answer.contains(&format!("{how}; its stderr ends: not me")), "{answer}");
        assert_eq!(lab.connect().who().generation, 0);
    }
}

/// Its end is seen although a program that it started has the link as well.
#[test]
fn a_program_that_leaves_its_link_to_another_is_found_dead() {
    let dir = Dir::new();
    let path = dir.path("server");
    install("lab", &path);
    let lab = Lab::with(|setup| setup.program(&path));
    place("#!/bin/sh\nsleep 60 &\nexit 7\n", 0o755, &path);
    let answer = lab.connect().ask("restart fork-exec");
    assert!(answer.contains("ended before it was ready: exit status 7"), "{answer}");
    assert_eq!(lab.connect().who().generation, 0);
}

/// The working directory is part of how the program was started.
#[test]
fn a_working_directory_that_is_gone_is_named() {
    let dir = Dir::new();
    let gone = dir.path("gone");
    fs::create_dir(&gone).expect("a directory");
    let lab = Lab::started(|setup| {
        setup.start_as(|mut command| {
            command.current_dir(&gone);
            command
        })
    });
    fs::remove_dir(&gone).expect("a directory of ours");
    let answer = lab.connect().ask("restart fork-exec");
    assert!(answer.starts_with("error restart: ") && answer.contains("gone"), "{answer}");
    assert_eq!(lab.connect().who().generation, 0);
    fs::create_dir(&gone).expect("a directory");
    restart(&lab);
}

/// Paths on the command line are relative to where the program was started, in each generation.
#[test]
fn relative_paths_outlive_chdir() {
    let dir = Dir::new();
    let lab = Lab::started(|setup| {
        setup.listen("unix:lab.sock").arg("--listen").arg("127.0.0.1:0").start_as(|mut command| {
            command.arg("--pid-file").arg("lab.pid").current_dir(dir.path(""));
            command
        })
    });
    let ready = lab.wait_line("ready: generation 0");
    let address = ready.rsplit(", ").next().expect("a second address").to_owned();
    let connect = || common::Client::connect(&address);
    let pid = || fs::read_to_string(dir.path("lab.pid")).unwrap_or_default().trim().to_owned();
    connect().ask("chdir /");
    assert_eq!(pid(), lab.child.id().to_string());
    for engine in [Engine::Fork, Engine::ForkExec, Engine::Fork] {
        let done = lab.count_lines("restart: done");
        connect().ask("chdir /");
        connect().send(format!("restart {}\n", engine.name()));
        lab.wait_lines("restart: done", done + 1);
        assert_eq!(pid(), connect().who().pid.to_string());
    }
    connect().ask("chdir /");
    connect().send("drain\n");
    common::wait_for("the last one to clear up", || {
        pid().is_empty() && !dir.path("lab.sock").exists()
    });
}

/// For `start_as`: the same program and arguments by way of a shell, which does `before` first.
fn by_shell(before: &str, runner: &[&str], command: Command) -> Command {
    let mut shell = in_session(runner.first().unwrap_or(&"sh"));
    shell.args(runner.iter().skip(1)).args(if runner.is_empty() { &[][..] } else { &["sh"] });
    shell.arg("-c").arg(format!("{before} && exec \"$0\" \"$@\"")).args(command.get_args());
    shell.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    shell
}

/// Points the link at another directory, as a deployment does: by rename, so that it is never missing.
fn turn(link: &Path, to: &Path) {
    let next = link.with_extension("next");
    symlink(to, &next).expect("a link");
    fs::rename(&next, link).expect("in one directory");
}

#[test]
fn a_deployment_that_turns_a_link_to_the_directory_is_what_runs_next() {
    let dir = Dir::new();
    let (seven, eight, current) = (dir.path("7"), dir.path("8"), dir.path("current"));
    for (release, name) in [(&seven, "echo"), (&eight, "lab")] {
        fs::create_dir(release).expect("a directory");
        install(name, &release.join("server"));
    }
    turn(&current, &seven);
    let control = dir.path("control");
    let cd = format!("cd {}", current.display());
    let server = Server::of("echo").program("./server").arg("--control");
    let server = server.arg(control.display().to_string());
    let server = server.start_as(|command| by_shell(&cd, &[], command));
    assert_eq!(server.connect().ask("who"), "who");
    let restart = || Control::connect(&control).expect("it listens").ask("restart fork-exec");
    let canonical = |release: &Path| fs::canonicalize(release.join("server")).expect("a file");

    // Nothing was deployed yet: that is said.
    let file = canonical(&seven).display().to_string();
    let reply = restart();
    assert!(reply.contains(&format!("program={file}")), "{reply:?}");
    assert!(reply.iter().any(|line| line.starts_with("note=this file ran already")), "{reply:?}");
    server.wait_line(&format!("WARN: restart: {file} is the very file that already runs"));

    turn(&current, &eight);
    let file = canonical(&eight);
    let reply = restart();
    assert!(reply.contains(&format!("program={}", file.display())), "{reply:?}");
    assert!(!reply.iter().any(|line| line.starts_with("note=")), "{reply:?}");
    let inode = fs::metadata(&file).expect("a file").ino();
    server.wait_line(&format!("restart: the program is {} (inode {inode})", file.display()));
    assert_eq!(server.connect().who().generation, 2);
    assert_eq!(server.count_lines("is the very file that already runs"), 1);

    // The old release goes, as releases do; and the new program has kept the name of its directory.
    fs::remove_dir_all(&seven).expect("a directory of ours");
    turn(&current, &seven);
    fs::create_dir(&seven).expect("a directory");
    install("lab", &seven.join("server"));
    server.restart(Signal::SIGUSR2);
    let here = server.connect().ask("run pwd -P");
    assert_eq!(here, fs::canonicalize(&seven).expect("a directory").display().to_string());
}

/// Nor is a relative one believed, or one that is gone.
#[test]
fn a_pwd_that_is_another_directory_is_not_believed() {
    for pwd in ["/", ".", "/no/such/directory", ""] {
        let dir = Dir::new();
        install("lab", &dir.path("server"));
        let cd = format!("cd {} && PWD={pwd}", dir.path("").display());
        let lab = Lab::started(|setup| {
            let setup = setup.program("./server").env("PWD", "exported");
            setup.start_as(|command| by_shell(&cd, &[], command))
        });
        restart(&lab);
    }
}

/// Root may read everything, so it must not be root.
#[test]
fn a_program_that_may_be_run_and_not_read_is_run() {
    let dir = Dir::new();
    let path = dir.path("server");
    install("lab", &path);
    let is_root = geteuid().is_root();
    let nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
    let lab = Lab::started(|setup| {
        setup.program(&path).start_as(|command| {
            let args: Vec<_> = command.get_args().map(|arg| arg.to_owned()).collect();
            let pid_file = args.iter().skip_while(|arg| *arg != "--pid-file").nth(1);
            let home = Path::new(pid_file.expect("a pid file")).parent().expect("a directory");
            fs::set_permissions(home, fs::Permissions::from_mode(0o777)).expect("a mode");
            let runner = if is_root { &nobody[..] } else { &[][..] };
            by_shell("true", runner, command)
        })
    });
    fs::set_permissions(&path, fs::Permissions::from_mode(0o111)).expect("a mode");
    let cat = format!("run cat {} >/dev/null 2>&1 && echo read || echo not", path.display());
    assert_eq!(lab.connect().ask(&cat), "not");
    restart(&lab);
    restart(&lab);
}

/// In a mount namespace of its own; where the system allows none, there is nothing to test.
#[test]
fn without_proc_both_engines_work() {
    let hide = "mount -t tmpfs none /proc";
    let own: &[&str] = match geteuid().is_root() {
        true => &["unshare", "--mount"],
        false => &["unshare", "--user", "--map-root-user", "--mount"],
    };
    let output = run_to_end(Command::new(own[0]).args(&own[1..]).args(["sh", "-c", hide]));
    if !output.status.success() {
        let why = String::from_utf8_lossy(&output.stderr);
        eprintln!("skipped: no mount namespace without /proc here: {why}");
        return;
    }
    let lab = Lab::started(|setup| setup.start_as(|command| by_shell(hide, own, command)));
    assert_eq!(lab.connect().ask("run ls /proc | wc -l"), "0");
    for engine in [Engine::ForkExec, Engine::Fork, Engine::ForkExec] {
        let new = lab.restart_by(engine);
        assert_eq!(lab.connect().who().pid, new);
    }
    // Nobody can look what a fork shares, which is no reason not to, and one to say so.
    lab.wait_line("restart: not all that a fork shares can be seen: /proc: ");
    assert!(!lab.log().contains("heirloom does not know"));
}
