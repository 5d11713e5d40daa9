//! A server whose clients have every descriptor that there is can still be asked, restarted and stopped, again
//! and again: a few are kept for that.

use std::{io::ErrorKind, process::Command, time::Duration};

use crate::common::{
    self, Client,
    ops::{Control, Operated},
    restart::Engine,
    wait_gone,
};
use heirloom::limits::RESERVE_FOR_OPERATORS;

for_both_engines!(
    a_restart_is_made_and_made_again,
    connections_move_although_there_is_no_room_for_one_more,
    many_listeners_are_handed_over_a_few_at_a_time,
);

/// So many descriptors has each process.
const LIMIT: usize = 64;

/// The same command in a shell that has set a limit, which nobody can raise again.
fn limited(command: Command) -> Command {
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("ulimit -n {LIMIT} && exec \"$0\" \"$@\"")]);
    shell.arg(command.get_program()).args(command.get_args());
    shell.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    shell
}

fn lab() -> Operated {
    Operated::started(50, |setup| setup.start_as(limited))
}

/// Clients, each of which was answered, until one is not: it waits for a descriptor.
fn use_up(lab: &Operated) -> Vec<Client> {
    let mut clients = Vec::new();
    loop {
        let mut client = lab.connect();
        client.send("who\n");
        client.stream.set_read_timeout(Some(Duration::from_millis(300))).expect("an option");
        let answer = client.read_line().map_err(|e| e.kind());
        client.stream.set_read_timeout(Some(common::DEADLINE)).expect("an option");
        match answer {
            Ok(line) => assert!(line.ends_with(b"\n"), "{line:?}"),
            Err(e) => {
                assert_eq!(e, ErrorKind::WouldBlock);
                clients.push(client);
                return clients;
            }
        }
        clients.push(client);
        assert!(clients.len() < LIMIT, "there is no end");
    }
}

/// That they are still there: a client that waits is not asked.
fn assert_served(clients: &mut [Client], generation: u64) {
    let (_waits, served) = clients.split_last_mut().expect("some");
    assert!(served.len() > LIMIT / 3);
    served.iter_mut().for_each(|client| assert_eq!(client.who().generation, generation));
}

fn restart(lab: &Operated, args: &[&str]) {
    let ran = lab.heirloom(&[&["restart"], args].concat());
    assert_eq!(ran.status, Some(0), "{ran:?}");
}

fn flag(engine: Engine) -> String {
    format!("--{}", engine.name())
}

/// Each generation is filled anew; its clients stay.
fn a_restart_is_made_and_made_again(engine: Engine) {
    let lab = lab();
    let mut all = Vec::new();
    for generation in 0..3 {
        let mut clients = use_up(&lab);
        assert_eq!(lab.status()[0].get("generation"), generation.to_string());
        assert_served(&mut clients, generation);
        all.push(clients);
        restart(&lab, &[&flag(engine)]);
    }
    for (generation, clients) in all.iter_mut().enumerate() {
        // The one that waited was accepted by the next generation.
        assert!(
            clients.last_mut().expect("one").line().starts_with(&format!("{} ", generation + 1))
        );
        assert_served(clients, generation as u64);
    }
}

/// Every new generation is as full as the one before.
fn connections_move_although_there_is_no_room_for_one_more(engine: Engine) {
    let lab = lab();
    let mut clients = use_up(&lab);
    for generation in 1..=4 {
        let old = lab.pid();
        restart(&lab, &[&flag(engine), "--move"]);
        assert_served(&mut clients, generation);
        wait_gone(old);
        assert_eq!(lab.status().len(), 1);
    }
}

/// Of thirty listeners there is room for few copies.
fn many_listeners_are_handed_over_a_few_at_a_time(engine: Engine) {
    let lab = Operated::started(50, |mut setup| {
        for _ in 0..30 {
            setup = setup.arg("--listen").arg("127.0.0.1:0");
        }
        setup.start_as(limited)
    });
    let clients = use_up(&lab);
    assert!(clients.len() > 1, "there are nothing but listeners");
    for _ in 0..2 {
        restart(&lab, &[&flag(engine), "--move"]);
    }
    drop(clients);
}

/// Operators have a part of the reserve, and one more has the place of the one that was silent longest; a
/// restart has its own.
#[test]
fn operators_come_in_one_after_the_other() {
    let lab = lab();
    let mut clients = use_up(&lab);
    let mut operators: Vec<_> = (0..3 * RESERVE_FOR_OPERATORS)
        .map(|_| {
            let mut operator = Control::connect(&lab.control()).expect("it is there");
            assert_eq!(operator.ask("help").len(), 1);
            operator
        })
        .collect();
    assert_eq!(operators[0].read_to_end(), "", "it has made room");
    assert_eq!(operators.last_mut().expect("one").ask("help").len(), 1);
    restart(&lab, &["--fork"]);
    assert_served(&mut clients, 0);
}

/// It waits, and does not turn for nothing.
#[test]
fn who_has_no_place_to_give_sleeps() {
    let lab = lab();
    let mut clients = use_up(&lab);
    assert_eq!(lab.status().len(), 1);
    let before = clients[0].stat("turns");
    let begun = std::time::Instant::now();
    lab.wait_line("new clients wait until a connection ends");
    // Turns come of the question, of the pause that ends twice a second, and of little else.
    clients[1].stream.set_read_timeout(Some(Duration::from_millis(700))).expect("an option");
    assert!(clients[1].read_line().is_err(), "nobody has said anything");
    let turns = clients[0].stat("turns") - before;
    let seconds = begun.elapsed().as_secs();
    assert!(turns < 40 * (seconds + 1), "{turns} turns in {seconds} s");
}

/// And it can be told to end.
#[test]
fn it_can_be_stopped() {
    let lab = lab();
    let clients = use_up(&lab);
    assert_eq!(lab.heirloom(&["stop"]).status, Some(0));
    wait_gone(lab.child.id() as i32);
    drop(clients);
}
