//! Fork is for a process with one thread: with more it is refused by name, or replaced if so told.

use crate::common::restart::{Engine, Lab};

#[test]
fn with_a_second_thread_fork_is_refused_with_the_count() {
    let lab = Lab::start();
    let mut client = lab.connect();
    for threads in [1, 5] {
        client.ask(&format!("threads {threads}"));
        let answer = client.ask("restart fork");
        let count = format!("the process has {} threads", threads + 1);
        assert!(answer.starts_with("error fork refused: "), "{answer}");
        assert!(answer.contains(&count), "{answer}");
    }
    assert_eq!(client.ask("events"), "Fresh,error,error");
    assert_eq!(lab.connect().who().generation, 0);
    // Once they are gone, it is as safe as ever.
    client.ask("threads 0");
    assert!(client.ask("restart fork").starts_with("ok 1 "));
    assert_eq!(lab.connect().who().engine, "fork");
}

#[test]
fn fork_exec_has_no_such_limit() {
    let lab = Lab::start();
    let mut client = lab.connect();
    client.ask("threads 3");
    assert!(client.ask("restart fork-exec").starts_with("ok 1 "));
    assert_eq!(lab.connect().who().engine, "fork-exec");
}

#[test]
fn fork_falls_back_to_fork_exec_when_told_so() {
    let lab = Lab::with(|setup| setup.env("LAB_OR_FORK_EXEC", 1));
    let mut client = lab.connect();
    client.ask("threads 1");
    assert!(client.ask("restart fork").starts_with("ok 1 "));
    lab.wait_line("2 threads: fork-exec instead of fork");
    let mut late = lab.connect();
    assert_eq!(late.who().engine, "fork-exec");
    // The new program has one thread: it may fork.
    assert!(late.ask("restart fork").starts_with("ok 2 "));
    assert_eq!(lab.connect().who().engine, "fork");
}

/// Who connects a client by a host's name before there is a server has such a thread, and does not know it.
#[test]
fn a_thread_that_is_older_than_the_server_is_told_of() {
    const TOLD: &str = "1 of this program's threads are older than its server";
    let lab = Lab::with(|setup| setup.env("LAB_EARLY_THREAD", 1));
    assert!(lab.log().contains(TOLD), "{}", lab.log());
    let lab = Lab::start();
    lab.connect().ask("threads 1"); // which has its signals from the server's
    lab.restart_by(Engine::ForkExec);
    assert!(!lab.log().contains("of this program's threads"), "{}", lab.log());
}
