//! System calls: what one request costs, as `strace` counts it.

use std::{
    fs,
    process::{Command, Stdio},
};

use crate::common::{Server, wait_for};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

const REQUESTS: u64 = 1000;

/// The calls of each name in a table of `strace -c`.
fn calls(table: &str, names: &[&str]) -> u64 {
    let mut sum = 0;
    for line in table.lines() {
        let words: Vec<_> = line.split_whitespace().collect();
        if words.last().is_some_and(|last| names.contains(last)) {
            sum += words[3].parse::<u64>().expect("the column of calls");
        }
    }
    sum
}

#[test]
#[ignore = "needs strace"]
fn a_request_is_one_read_one_write_and_one_wait() {
    let server = Server::of("echo").start();
    let mut client = server.connect();
    assert_eq!(client.ask("the first one"), "the first one");
    let pid = server.pid();
    let file = server.dir.path("strace");
    let mut strace = Command::new("strace")
        .args(["-q", "-c", "-p", &pid.to_string(), "-o"])
        .arg(&file)
        .stderr(Stdio::null())
        .spawn()
        .expect("strace is installed");
    wait_for("strace to attach", || {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        status.contains(&format!("TracerPid:\t{}", strace.id()))
    });
    for n in 0..REQUESTS {
        let request = format!("request {n}");
        assert_eq!(client.ask(&request), request);
    }
    kill(Pid::from_raw(strace.id() as i32), Signal::SIGINT).unwrap();
    strace.wait().unwrap();
    let table = fs::read_to_string(&file).unwrap();
    println!("{table}");
    // The call that strace was attached in, or detached from, may be counted too.
    let most = REQUESTS + 2;
    assert!((1..=most).contains(&calls(&table, &["read", "readv", "recvfrom", "recvmsg"])));
    assert!((1..=most).contains(&calls(&table, &["write", "writev", "sendto", "sendmsg"])));
    assert!((1..=most).contains(&calls(&table, &["epoll_wait", "epoll_pwait", "epoll_pwait2"])));
    assert_eq!(calls(&table, &["epoll_ctl"]), 0);
    assert!(calls(&table, &["total"]) <= 3 * REQUESTS + 10, "and nothing else");
}
