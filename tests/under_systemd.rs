//! Servers under a real systemd: the one that this machine has, and a newer one. The unit is the guide's, word for word.

mod common;
#[path = "common/booted.rs"]
mod booted;

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use booted::{Booted, Version};
use common::{example, wait_gone};

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
    let program: PathBuf = example(program);
    let tool = example("../heirloom");
    let booted = Booted::start(version, &[("echo", &program), ("heirloom", &tool)]);
    booted.unit("echo.service", &unit(version));
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
    assert_eq!(booted.service_log().matches("restart: done").count(), 1, "{}", booted.all_logs());
    assert_ne!(main_pid(&booted), first);
    assert_eq!(booted.show("echo.service", "SubState"), "running");
    assert_eq!(booted.show("echo.service", "StatusText"), "generation 1 serves");
    assert!(booted.connect().ask("who").starts_with("1 "));
    assert!(client.ask("who").starts_with("0 "), "who had come before is still there");
}
