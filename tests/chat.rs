//! The chat where guests stay with their process: the rooms of all generations hear each other, and a name is one guest's
//! in all of them.

use crate::common::{
    Client, Server,
    restart::{Engine, slay},
    wait_for,
};

/// A guest who has come in, whoever else is there.
fn come(server: &Server, name: &str) -> Client {
    let mut guest = server.connect();
    assert_eq!(guest.line(), "What is your name?");
    guest.send(format!("{name}\n"));
    guest
}

/// The next thing that each of them hears.
fn assert_heard(guests: &mut [&mut Client], line: &str) {
    guests.iter_mut().for_each(|guest| assert_eq!(guest.line(), line));
}

fn guests_of_three_rooms_hear_each_other(engine: Engine) {
    let server = Server::of("chat").arg("--no-move").start();
    let mut guests: Vec<Client> = Vec::new();
    for (at, name) in ["ann", "bob", "cid"].into_iter().enumerate() {
        if at > 0 {
            server.restart(engine.signal());
            // Only those of the room that has just been replaced.
            let told = "* there is a new room: call again to be in it";
            assert_eq!(guests[at - 1].line(), told);
        }
        guests.push(come(&server, name));
        let mut others: Vec<_> = guests[..at].iter_mut().collect();
        assert_heard(&mut others, &format!("* {name} is here"));
    }
    for (speaker, name) in ["ann", "bob", "cid"].into_iter().enumerate() {
        for round in 0..20 {
            guests[speaker].send(format!("{round}\n"));
        }
        for (_, guest) in guests.iter_mut().enumerate().filter(|(at, _)| *at != speaker) {
            for round in 0..20 {
                assert_eq!(guest.line(), format!("{name}: {round}"));
            }
        }
    }
    // A name is taken in all rooms, until its guest leaves.
    let mut late = server.connect();
    assert_eq!(late.line(), "What is your name?");
    assert_eq!(late.ask("ann"), "* ann is taken. What is your name?");
    assert_eq!(late.ask("cid"), "* cid is taken. What is your name?");
    drop(guests.remove(0));
    let [bob, cid] = &mut guests[..] else { panic!("two are left") };
    assert_heard(&mut [bob, cid], "* ann left");
    late.send("ann\n");
    assert_heard(&mut [bob, cid], "* ann is here");
}

/// A room that dies gives its names back.
#[test]
fn names_of_a_room_that_is_gone_are_free() {
    let server = Server::of("chat").arg("--no-move").start();
    let old = server.pid();
    let mut ann = come(&server, "ann");
    server.restart(Engine::Fork.signal());
    assert!(ann.line().starts_with("* there is a new room"));
    let mut late = server.connect();
    assert_eq!(late.line(), "What is your name?");
    assert_eq!(late.ask("ann"), "* ann is taken. What is your name?");
    slay(old);
    // The room hears of it in a moment.
    wait_for("the name to be free", || {
        let mut guest = server.connect();
        assert_eq!(guest.line(), "What is your name?");
        guest.send("ann\nis anybody here?\n");
        guest.finish();
        guest.read_to_end().expect("an answer") == b""
    });
}

for_both_engines!(guests_of_three_rooms_hear_each_other);
