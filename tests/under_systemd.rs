//! Servers under a real systemd: the one that this machine has, and a newer one. The unit is the guide's, word for word.

use std::{
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

use crate::common::{
    self,
    booted::{Booted, Version},
    example,
};

const VERSIONS: [Version; 2] = [Version::Installed, Version::Newer];

/// The unit that the guide has, for a server that listens on a free port.
fn unit(version: Version) -> String {
    let guide = include_str!("../src/guide/systemd_and_containers.rs");
    let lines = guide.lines().map(|line| line.strip_prefix("//! ").or(line.strip_prefix("//!")));
    let lines = lines.skip_while(|line| *line != Some("```ini")).skip(1);
    let unit: Vec<_> = lines.map_while(|line| line.filter(|line| *line != "```")).collect();
    let unit = unit.join("\n").replace("0.0.0.0:7777", "127.0.0.1:0");
    match version {
        // As the unit says it.
        Version::Installed => {
            unit.replace("Type=notify-reload", "Type=notify\nExecReload=kill -HUP $MAINPID")
        }
        Version::Newer => unit,
    }
}

/// A server by that unit, with `more` behind its section `[Service]`.
fn start(version: Version, program: &str, more: &str) -> Booted {
    start_as(version, program, more, "")
}

/// The same, with more on its command line.
fn start_as(version: Version, program: &str, more: &str, flags: &str) -> Booted {
    let program: PathBuf = example(program);
    let tool = example("../heirloom");
    let booted = Booted::start(version, &[("echo", &program), ("heirloom", &tool)]);
    let control = "--control /run/echo/control";
    booted.unit("echo.service", &unit(version).replace(control, &format!("{control} {flags}")));
    let log = "StandardError=append:/srv/log\nEnvironment=LAB_PROBATION=200";
    booted.unit("echo.service.d/test.conf", &format!("[Service]\n{log}\n{more}\n"));
    booted.must(&["start", "echo.service"]);
    booted
}

fn main_pid(booted: &Booted) -> String {
    booted.show("echo.service", "MainPID")
}

/// New code by `USR2`, and what systemd thinks of it when it is over.
fn upgrade(booted: &Booted, count: usize) {
    let before = main_pid(booted);
    booted.must(&["kill", "--kill-whom=main", "--signal=USR2", "echo.service"]);
    booted.wait_lines("restart: done", count);
    wait_until_main_is_not(booted, &before);
}

fn wait_until_main_is_not(booted: &Booted, before: &str) {
    common::wait_for("another main process", || main_pid(booted) != before);
}

#[test]
#[ignore = "needs systemd"]
fn a_reload_is_over_when_the_new_generation_stays() {
    let booted = start(Version::Newer, "lab", "");
    let mut client = booted.connect();
    assert!(client.ask("who").starts_with("0 "));
    let first = main_pid(&booted);
    booted.must(&["reload", "echo.service"]);
    assert_eq!(booted.service_log().matches("restart: done").count(), 1);
    assert_ne!(main_pid(&booted), first);
    assert_eq!(booted.show("echo.service", "SubState"), "running");
    assert_eq!(booted.show("echo.service", "StatusText"), "generation 1 serves");
    assert!(booted.connect().ask("who").starts_with("1 "));
    assert!(client.ask("who").starts_with("0 "), "who had come before is still there");
}

/// `ReloadSignal=` says which engine a reload takes.
#[test]
#[ignore = "needs systemd"]
fn a_reload_by_another_signal_brings_new_code() {
    let booted = start(Version::Newer, "lab", "ReloadSignal=SIGUSR2");
    let first = main_pid(&booted);
    booted.must(&["reload", "echo.service"]);
    assert_ne!(main_pid(&booted), first);
    assert!(booted.connect().ask("who").ends_with("fork-exec"));
}

/// The one that fails is over as well, and says so in the status.
#[test]
#[ignore = "needs systemd"]
fn a_reload_that_fails_leaves_the_old_generation() {
    let booted = start(Version::Newer, "lab", "");
    let first = main_pid(&booted);
    assert_eq!(booted.connect().ask("threads 2"), "ok");
    booted.must(&["reload", "echo.service"]);
    assert_eq!(main_pid(&booted), first);
    let status = booted.show("echo.service", "StatusText");
    assert!(status.contains("fork refused"), "{status}");
}

/// With everything taken from it that the unit takes, and what is said of that looked at by systemd itself.
#[test]
#[ignore = "needs systemd"]
fn the_unit_is_good_and_restarts_of_every_kind_work_under_it() {
    for version in VERSIONS {
        let booted = start(version, "lab", "");
        let verified = booted.run("systemd-analyze", &["verify", "echo.service"]);
        assert!(verified.status.success() && verified.stderr.is_empty(), "{verified:?}");
        let judged = booted.run("systemd-analyze", &["security", "--no-pager", "echo.service"]);
        let judged = String::from_utf8_lossy(&judged.stdout).into_owned();
        let overall = judged.lines().find(|line| line.contains("Overall exposure level"));
        let level = overall.and_then(|line| line.rsplit(": ").next()?.split(' ').next());
        let level: f64 = level.and_then(|it| it.parse().ok()).unwrap_or_else(|| panic!("{judged}"));
        assert!(level < 2.0, "{judged}");

        let mut client = booted.connect();
        assert_eq!(client.ask("put a 1"), "ok");
        assert_eq!(client.ask("heap 300"), "ok"); // enough for it to be prepared before a fork
        let before = main_pid(&booted);
        booted.must(&["reload", "echo.service"]);
        booted.wait_lines("restart: done", 1);
        wait_until_main_is_not(&booted, &before);
        upgrade(&booted, 2);
        assert_eq!(booted.connect().ask("get a"), "1", "the state came along");
        let heirloom = ["--control", "/run/echo/control", "restart", "--fork-exec"];
        let asked = booted.run("heirloom", &heirloom);
        assert!(asked.status.success(), "{asked:?}");
        assert_eq!(booted.show("echo.service", "NRestarts"), "0");
        drop(client);
        let same = "is the very file that already runs"; // as it is
        let log = booted.service_log();
        let log: String = log.lines().filter(|line| !line.contains(same)).collect();
        for word in ["ERROR", "WARN", "ermitted"] {
            assert!(!log.contains(word), "{version:?}: {log}");
        }
    }
}

#[test]
#[ignore = "needs systemd"]
fn an_idle_server_is_stopped_in_a_moment() {
    for version in VERSIONS {
        let booted = start(version, "kv", "");
        let mut subscriber = booted.connect();
        subscriber.send("SUBSCRIBE news\r\n");
        let told = subscriber.line();
        assert!(told.starts_with('*'), "{told}");
        let hung_up = thread::spawn(move || subscriber.read_to_end()); // it goes when it hears of it
        let begun = Instant::now();
        booted.must(&["stop", "echo.service"]);
        let took = begun.elapsed();
        hung_up.join().expect("a reader").expect("the end of the stream");
        assert!(took < Duration::from_secs(4), "{took:?}");
        println!("{version:?}: systemctl stop took {took:?}");
        assert_eq!(booted.show("echo.service", "Result"), "success");
    }
}

/// What a unit says for its service to be given back what it has stored.
const STORE: &str = "FileDescriptorStoreMax=16\nRuntimeDirectoryPreserve=restart\nEnvironment=FDSTORE=16 RUST_LOG=debug";

/// Every process of it at once, so that nobody has a last word.
fn crash(booted: &Booted) {
    booted.must(&["kill", "--kill-whom=all", "--signal=KILL", "echo.service"]);
}

#[test]
#[ignore = "needs systemd"]
fn who_waits_in_the_queue_and_a_checkpoint_outlive_a_crash_of_everything() {
    for version in VERSIONS {
        let booted = start(version, "lab", STORE);
        let address = booted.address();
        let mut client = booted.connect();
        assert_eq!(client.ask("put a 1"), "ok");
        assert_eq!(client.ask("checkpoint"), "ok");
        assert_eq!(client.ask("put a 2"), "ok", "which is after it");
        for round in 1..=3 {
            booted.must(&["kill", "--kill-whom=main", "--signal=STOP", "echo.service"]);
            let mut waiting = booted.connect();
            waiting.send("get a\n");
            crash(&booted);
            let expected = if round == 3 { "7" } else { "1" };
            assert_eq!(waiting.line(), expected, "{version:?}");
            booted.wait_lines("ready: generation 0", 1 + round);
            assert_eq!(booted.address(), address, "it was port 0");
            // The descriptors are there for the next one as well, whichever engine has brought this one.
            let mut client = booted.connect();
            if round == 1 {
                let before = main_pid(&booted);
                booted.must(&["reload", "echo.service"]);
                booted.wait_lines("restart: done", 1);
                wait_until_main_is_not(&booted, &before);
            } else if round == 2 {
                upgrade(&booted, 2);
                assert_eq!(booted.connect().ask("put a 7"), "ok");
                assert_eq!(booted.connect().ask("checkpoint"), "ok");
                booted.wait_lines("a checkpoint is kept", 2); // when the manager believes this process
            }
            client.finish();
        }
        assert_eq!(booted.connect().ask("get a"), "7");
        let kept = booted.show("echo.service", "NFileDescriptorStore");
        assert_eq!(kept, "3", "a listener, the control socket, and a state");
        if version == Version::Newer {
            let listed = booted.run("systemd-analyze", &["fdstore", "--no-pager", "echo.service"]);
            let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
            assert_eq!(listed.matches("heirloom.").count(), 3, "{listed}");
        }
        booted.must(&["stop", "echo.service"]);
        assert_eq!(booted.show("echo.service", "NFileDescriptorStore"), "0");
    }
}

/// One that the service cannot read costs one more start, and not the service.
#[test]
#[ignore = "needs systemd"]
fn a_checkpoint_that_cannot_be_read_is_dropped() {
    for version in VERSIONS {
        let booted = start(version, "lab", STORE);
        let mut client = booted.connect();
        assert_eq!(client.ask("no-load"), "ok");
        assert_eq!(client.ask("checkpoint"), "ok");
        crash(&booted);
        booted.wait_lines("the next start will be a fresh one", 1);
        booted.wait_lines("ready: generation 0", 2);
        let mut client = booted.connect();
        assert_eq!(client.ask("load"), "ok");
        assert_eq!(booted.show("echo.service", "NFileDescriptorStore"), "2");
    }
}

/// Of several workers each has its own sockets and its own state, and the supervisor has them kept.
#[test]
#[ignore = "needs systemd"]
fn what_workers_have_outlives_a_crash_of_everything() {
    for version in VERSIONS {
        let more = format!("{STORE}\nNotifyAccess=all");
        let booted = start_as(version, "lab", &more, "--workers 2");
        booted.wait_lines("ready: generation 0", 2);
        let address = booted.address();
        for mut client in (0..16).map(|_| booted.connect()) {
            assert_eq!(client.ask("put a 1"), "ok"); // whichever worker it is
            assert_eq!(client.ask("checkpoint"), "ok");
        }
        booted.wait_lines("a checkpoint is kept", 16);
        common::wait_for("two sockets and two states in the store", || {
            booted.show("echo.service", "NFileDescriptorStore") == "4"
        });
        booted.must(&["kill", "--kill-whom=all", "--signal=STOP", "echo.service"]);
        let mut waiting: Vec<_> = (0..16).map(|_| booted.connect()).collect();
        waiting.iter_mut().for_each(|client| client.send("get a\n"));
        crash(&booted);
        for client in &mut waiting {
            assert_eq!(client.line(), "1", "{version:?}");
        }
        assert_eq!(booted.address(), address);
    }
}

/// Killed by its supervisor, made anew, and the service stays as it is.
#[test]
#[ignore = "needs systemd"]
fn a_worker_that_hangs_is_replaced_and_the_service_stays() {
    let more = "NotifyAccess=all\nWatchdogSec=5";
    let booted = start_as(Version::Newer, "lab", more, "--workers 2");
    booted.wait_lines("ready: generation 0", 2);
    let supervisor = main_pid(&booted);
    let mut client = booted.connect();
    let who = client.ask("who");
    let hung = who.split(' ').nth(1).expect("a pid").to_owned();
    let stopped = booted.run("sh", &["-c", &format!("kill -STOP {hung}")]);
    assert!(stopped.status.success(), "{stopped:?}");
    booted.wait_lines("has not turned for 5s", 1);
    booted.wait_lines("ready: generation 1", 1);
    assert_eq!(main_pid(&booted), supervisor);
    assert_eq!(booted.show("echo.service", "NRestarts"), "0");

    // One that watches nobody is the manager's.
    booted.must(&["kill", "--kill-whom=main", "--signal=STOP", "echo.service"]);
    booted.wait("echo.service", "NRestarts", "1");
}
