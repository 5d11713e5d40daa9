//! Restart by fork-exec keeps its promises: those of every restart, and its own.

use crate::common::{
    load,
    restart::{Engine, Lab, listening, sockets_of},
    wait_for,
};

promises!(Engine::ForkExec);

/// The heap is fresh; what it was told is with the old process.
#[test]
fn the_new_program_begins_with_nothing() {
    let lab = Lab::start();
    let mut early = lab.connect();
    early.ask("keep this");
    lab.restart_by(Engine::ForkExec);
    assert_eq!(lab.connect().ask("kept"), "");
    assert_eq!(early.ask("kept"), "this");
}

/// The marker says "you are an heir" to one program, and not to those that it starts.
#[test]
fn the_marker_is_not_handed_on() {
    let lab = Lab::start();
    let command = "run echo \"[$HEIRLOOM_LINK]\"; ls /proc/self/fd";
    let before = lab.connect().ask(command);
    assert!(before.starts_with("[]"), "{before}");
    lab.restart_by(Engine::ForkExec);
    lab.restart_by(Engine::Fork);
    let mut late = lab.connect();
    assert_eq!(late.ask("env HEIRLOOM_LINK"), "");
    assert_eq!(late.ask(command), before, "a program that was started sees more than before");
}

/// More than fit into one message.
#[test]
fn three_hundred_listeners_are_handed_on() {
    load::raise_file_limit().expect("room for the clients");
    let lab = Lab::with(|setup| {
        (0..299).fold(setup, |setup, _| setup.arg("--listen").arg("127.0.0.1:0"))
    });
    let before = sockets_of(lab.pid());
    assert_eq!(before.len(), 300);
    let ready = lab.wait_line("ready: generation 0");
    for _ in 0..2 {
        let new = lab.restart_by(Engine::ForkExec);
        wait_for("the link to close and these to stay", || sockets_of(new) == before);
    }
    // In the same order: the addresses come by the same names.
    let addresses = |line: &str| line.rsplit("listening on ").next().map(str::to_owned);
    assert_eq!(addresses(&lab.wait_line("ready: generation 2")), addresses(&ready));
}

#[test]
fn a_listener_no_longer_wanted_is_reported_and_closed() {
    let lab = Lab::start();
    lab.listen_also("127.0.0.1:0");
    lab.restart_by(Engine::ForkExec);
    let ready = lab.wait_line("ready: generation 1");
    let address = ready.rsplit(", ").next().expect("a second address").to_owned();
    assert_eq!(listening(&address).len(), 1);
    // The next program wants another one instead.
    lab.listen_also(&format!("unix:{}", lab.scratch("sock").display()));
    lab.restart_by(Engine::ForkExec);
    lab.wait_line("127.0.0.1:0 was passed on and is not wanted");
    wait_for("the last process to close it", || listening(&address).is_empty());
    assert!(std::os::unix::net::UnixStream::connect(lab.scratch("sock")).is_ok());
    assert_eq!(lab.connect().who().generation, 2);
}
