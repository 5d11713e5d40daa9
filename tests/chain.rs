//! A long chain of restarts: each generation has the memory of the first.

use std::fs;

use crate::common::{
    Client, load,
    restart::{Engine, Lab, wait_for_events},
    wait_gone,
};

/// Clients of each generation. Their parent's slab has a slot for each, of some two hundred bytes.
const CLIENTS: usize = 1000;

const RESTARTS: usize = 12;

/// What the heap and all that is like it have of a process, in KiB.
fn data(pid: i32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("the process is there");
    let line = status.lines().find(|line| line.starts_with("VmData:")).expect("a line of it");
    let number = line.split_whitespace().nth(1);
    number.and_then(|number| number.parse().ok()).expect("a number")
}

/// Clients of the generation that serves, which has read from each.
fn crowd(lab: &Lab) -> Vec<Client> {
    let mut clients: Vec<_> = (0..CLIENTS).map(|_| lab.connect()).collect();
    clients.iter_mut().for_each(|client| client.send("echo hello\n"));
    clients.iter_mut().for_each(|client| assert_eq!(client.line(), "hello"));
    clients
}

/// Fails where each generation has more than the one before: what was forgotten of the clients of one is 200 KiB.
/// What the allocator keeps differs by some hundreds from one to the next, and grows until the largest has been.
fn assert_no_growth(sizes: &[u64]) {
    let (first, rest) = sizes.split_at(RESTARTS / 2);
    let most = first.iter().max().expect("the first half");
    let least = rest.iter().rev().take(3).min().expect("the last ones");
    assert!(*least < most + 400, "KiB of each generation: {sizes:?}");
}

/// A forked child has the memory of its parent's connections, which it has no use for.
#[test]
fn what_forked_children_inherit_is_given_back() {
    load::raise_file_limit().expect("room for the clients");
    let lab = Lab::start();
    let mut sizes = Vec::new();
    for _ in 0..RESTARTS {
        let clients = crowd(&lab);
        let old = lab.pid();
        let new = lab.restart_by(Engine::Fork);
        drop(clients);
        wait_gone(old);
        wait_for_events(new);
        sizes.push(data(new));
    }
    assert_no_growth(&sizes);
}

#[test]
fn connections_that_move_leave_nothing_behind() {
    load::raise_file_limit().expect("room for the clients");
    let lab = Lab::with(|setup| setup.env("LAB_MOVE", 1));
    let mut clients = crowd(&lab);
    let mut sizes = Vec::new();
    for _ in 0..RESTARTS {
        let old = lab.pid();
        let new = lab.restart_by(Engine::Fork);
        wait_gone(old);
        clients.iter_mut().for_each(|client| assert_eq!(client.ask("echo hello"), "hello"));
        wait_for_events(new);
        sizes.push(data(new));
    }
    assert_no_growth(&sizes);
}

/// Neither does one that comes to nothing, in the process that goes on.
#[test]
fn restarts_that_fail_leave_nothing_behind() {
    let lab = Lab::start();
    let pid = lab.pid();
    lab.break_programs("exit");
    let mut sizes = Vec::new();
    for _ in 0..RESTARTS {
        for _ in 0..5 {
            let failed = lab.count_lines("the new side ended");
            lab.signal(Engine::ForkExec.signal());
            lab.wait_lines("the new side ended", failed + 1);
        }
        wait_for_events(pid);
        sizes.push(data(pid));
    }
    assert_no_growth(&sizes);
}
