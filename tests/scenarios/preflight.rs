//! The program's file is replaced, in every way that people do it.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::Path,
    process::Command,
};

use crate::common::{
    Dir, Server, example,
    ops::{Operated, newcomer, restart_to_the_end},
    restart::Engine,
};

/// Another process does it: a file that this one has open for writing could not be run while some
/// other test forks.
fn copy(from: &Path, to: &Path) {
    assert!(Command::new("cp").arg(from).arg(to).status().expect("cp runs").success());
}

/// Asks for an upgrade, which is refused, and answers why.
fn refusal(lab: &Operated) -> String {
    let ran = lab.heirloom(&["restart", "--fork-exec"]);
    assert_eq!(ran.status, Some(1), "{ran:?}");
    assert_eq!(newcomer(lab).generation, 0, "service continues");
    ran.err
}

#[test]
fn scenario_12_binary_replaced_in_every_way() {
    let dir = Dir::new();
    let (path, good) = (dir.path("server"), dir.path("good"));
    copy(&example("lab"), &good);
    copy(&good, &path);
    let lab = Operated::with(30, |setup| setup.program(&path));

    fs::remove_file(&path).expect("a file of ours");
    let cannot = format!("cannot start {}: ", path.display());
    let why = refusal(&lab);
    assert!(why.contains(&cannot) && why.contains("No such file"), "removed: {why}");

    let elf = fs::read(&good).expect("a program");
    let mut foreign = elf[..4096].to_vec();
    foreign[18] ^= 0x55; // e_machine
    for (what, content, mode, why) in [
        ("empty", &b""[..], 0o755, "it is empty"),
        ("text", b"hello", 0o755, "it is neither an ELF program nor a script"),
        ("another machine's", &foreign, 0o755, "it is a program for another kind of machine"),
        ("not executable", &elf, 0o644, "Permission denied"),
        ("no interpreter", b"#!/no/such/shell\n", 0o755, "its interpreter \"/no/such/shell\""),
    ] {
        let next = dir.path("next");
        fs::write(&next, content).expect("a file");
        fs::set_permissions(&next, fs::Permissions::from_mode(mode)).expect("a mode");
        fs::rename(&next, &path).expect("in one directory");
        let said = refusal(&lab);
        assert!(said.contains(&cannot) && said.contains(why), "{what}: {said}");
    }
    assert_eq!(lab.count_lines("restart: generation 1 by"), 0, "something was run");

    // Removed and copied, and moved over.
    fs::remove_file(&path).expect("a file of ours");
    copy(&good, &path);
    assert_eq!(restart_to_the_end(&lab, Engine::ForkExec).generation, 1);
    copy(&good, &dir.path("next"));
    fs::rename(dir.path("next"), &path).expect("in one directory");
    let new = restart_to_the_end(&lab, Engine::ForkExec);
    assert_eq!(exe(new.pid), path);
}

/// What a process runs.
fn exe(pid: i32) -> std::path::PathBuf {
    fs::read_link(format!("/proc/{pid}/exe")).expect("it lives")
}

#[test]
fn a_link_that_is_flipped_leads_to_the_new_program() {
    let dir = Dir::new();
    let (one, two, link) = (dir.path("one"), dir.path("two"), dir.path("current"));
    copy(&example("lab"), &one);
    copy(&one, &two);
    symlink(&one, &link).expect("a link");
    let lab = Operated::with(30, |setup| setup.program(&link));
    for target in [&two, &one] {
        symlink(target, dir.path("next")).expect("a link");
        fs::rename(dir.path("next"), &link).expect("in one directory");
        assert_eq!(&exe(restart_to_the_end(&lab, Engine::ForkExec).pid), target);
    }
}

/// A name that was relative at the start is found from there, and if that is gone, it is said.
#[test]
fn a_relative_path_and_a_directory_that_is_deleted() {
    let dir = Dir::new();
    let (home, kept) = (dir.path("home"), dir.path("kept"));
    fs::create_dir(&home).expect("a directory");
    copy(&example("lab"), &home.join("server"));
    let server =
        Server::of("lab").program("./server").env("LAB_PROBATION", 30).start_as(|mut command| {
            command.current_dir(&home);
            command
        });
    server.restart(Engine::ForkExec.signal());
    fs::rename(&home, &kept).expect("in one directory"); // its own directory has another name now
    server.signal(Engine::ForkExec.signal());
    server.wait_line("No such file or directory");
    fs::rename(&kept, &home).expect("in one directory");
    server.restart(Engine::ForkExec.signal());
    fs::remove_dir_all(&home).expect("a directory of ours");
    let failures = server.count_lines("ERROR");
    server.signal(Engine::ForkExec.signal());
    let why = server.wait_lines("ERROR", failures + 1).pop().unwrap_or_default();
    assert!(why.contains("restart: cannot start ") && why.contains("No such file"), "{why}");
    assert_eq!(server.connect().who().generation, 2);
}

/// The program is asked before it is run for real, and its reason reaches the one who has asked.
#[test]
fn a_program_that_fails_its_check_is_not_started() {
    let lab = Operated::with(30, |setup| setup.env("LAB_CHECKED", 1));
    lab.break_programs("check");
    let why = refusal(&lab);
    assert!(why.contains("restart: the program failed its check: exit status 4"), "{why}");
    assert!(why.contains("its stderr ends: lab: line 7 of the configuration is wrong"), "{why}");
    lab.listen_also("unix:/no/such/directory/socket");
    lab.break_programs("nothing");
    let why = refusal(&lab);
    assert!(why.contains("failed its check") && why.contains("/no/such/directory/socket"), "{why}");
    assert_eq!(lab.count_lines("failed its check"), 2);
    lab.listen_also("");
    assert_eq!(restart_to_the_end(&lab, Engine::ForkExec).generation, 1);
    // A fork is the code that runs already.
    lab.break_programs("check");
    assert_eq!(restart_to_the_end(&lab, Engine::Fork).generation, 2);
}

/// It hangs in its check: nobody waits for it longer than for a new side.
#[test]
fn a_check_that_hangs_is_ended() {
    let dir = Dir::new();
    let path = dir.path("server");
    copy(&example("lab"), &path);
    let lab = Operated::with(30, |setup| {
        setup.program(&path).env("LAB_CHECKED", 1).env("LAB_READY", 500)
    });
    let next = dir.path("next");
    fs::write(&next, "#!/bin/sh\necho I think >&2\nexec sleep 60\n").expect("a file");
    fs::set_permissions(&next, fs::Permissions::from_mode(0o755)).expect("a mode");
    fs::rename(&next, &path).expect("in one directory");
    let why = refusal(&lab);
    assert!(why.contains(" 500ms") && why.contains("I think"), "{why}");
    assert_eq!(lab.generations(), [lab.pid()]);
}
