//! Many who ask for a restart at the same time.

use nix::sys::signal::Signal::{SIGHUP, SIGUSR2};

use crate::common::{
    Client,
    ops::{Control, Operated, newcomer, restart_to_the_end},
    restart::{Engine, resume, stop, tell},
    wait_for,
};

const EACH: usize = 20;

/// Requests over the control socket, through the interface, and by signal, all in one turn: one restart
/// is begun, and everybody is told about the own request.
#[test]
fn scenario_17_concurrent_triggers() {
    let lab = Operated::with(50, |setup| setup);
    let old = lab.pid();
    let mut operators: Vec<_> =
        (0..EACH).map(|_| Control::connect(&lab.control()).expect("it is there")).collect();
    let mut clients: Vec<_> = (0..EACH).map(|_| lab.connect()).collect();
    clients.iter_mut().for_each(|client| drop(client.who()));
    operators.iter_mut().for_each(|operator| drop(operator.ask("help")));
    stop(old);
    for (index, (operator, client)) in operators.iter_mut().zip(&mut clients).enumerate() {
        let engine = if index % 2 == 0 { "fork" } else { "fork-exec" };
        operator.send(format!("restart {engine}\n"));
        client.send(format!("restart {engine}\n"));
    }
    (0..EACH / 4).for_each(|_| [SIGHUP, SIGUSR2].into_iter().for_each(|signal| tell(old, signal)));
    resume(old);

    let of_operators = operators.iter_mut().map(|operator| operator.reply().remove(0));
    let of_operators: Vec<_> = of_operators.collect();
    let of_clients: Vec<_> = clients.iter_mut().map(Client::line).collect();
    let refused = "restart refused: another one is in progress";
    let done = |said: &[String]| said.iter().filter(|said| said.starts_with("ok")).count();
    let no = |said: &[String]| said.iter().filter(|said| said.contains(refused)).count();
    let (done, no) = (done(&of_operators) + done(&of_clients), no(&of_operators) + no(&of_clients));
    // The one that is begun may have been asked for by a signal.
    assert_eq!(done + no, 2 * EACH, "{of_operators:?} {of_clients:?}");
    assert!(done <= 1, "{done} restarts");
    lab.wait_line("restart: done");
    assert_eq!(newcomer(&lab).generation, 1);
    assert_eq!(lab.count_lines("restart: generation "), 1, "more than one was begun");
    // Two kinds of signals, each of which is one however often it was sent, and everybody else.
    assert_eq!(lab.count_lines(refused), 2 * EACH + 2 - 1);

    // One that drains is no place to ask, and says so.
    assert_eq!(clients[0].ask("restart fork"), "error restart refused: this process is draining");
    drop(clients);
    restart_to_the_end(&lab, Engine::ForkExec);
}

/// A signal that comes before the new program has looked for any: it waits, and is a request like any
/// other.
#[test]
fn a_request_before_the_new_side_is_ready_is_refused_and_kills_nobody() {
    for engine in [Engine::Fork, Engine::ForkExec] {
        let lab = Operated::with(50, |setup| setup);
        let new = lab.hold(engine);
        [SIGHUP, SIGUSR2].into_iter().for_each(|signal| tell(new, signal));
        resume(new);
        lab.wait_line("restart: done");
        wait_for("both to be refused", || {
            lab.count_lines("restart refused: another one is in progress") == 2
        });
        assert_eq!(newcomer(&lab).pid, new);
    }
}
