//! Brokers of several generations beside each other (`--no-move`): a client id is in one place, and whoever is served
//! by one of them hears what is published in any, once and in order.

use crate::common::{
    Server,
    mqtt::{Mqtt, clean, lasting, publish, retained, with_will},
    restart::{Engine, slay},
};
use mqtt_proto::v3::Packet;

for_both_engines!(
    a_client_id_that_is_taken_over_in_a_new_generation_is_ended_in_the_old_one,
    subscribers_of_three_generations_hear_each_message_once_and_in_order,
    what_is_published_meanwhile_is_there_for_who_comes_to_the_new_one,
    a_retained_message_is_kept_in_all_of_them,
);

fn start() -> Server {
    Server::of("mqtt").arg("--no-move").start()
}

/// Its will is due once, and everybody hears of it, wherever they are.
fn a_client_id_that_is_taken_over_in_a_new_generation_is_ended_in_the_old_one(engine: Engine) {
    let server = start();
    let mut old_watcher = Mqtt::connect(&server, "old watcher");
    old_watcher.subscribe("wills", 1);
    let (mut here, _) = Mqtt::join(&server, with_will(lasting("roamer"), "wills", "first"));
    here.subscribe("t", 1);
    let mut stays = Mqtt::connect(&server, "stays");
    server.restart(engine.signal());
    let mut new_watcher = Mqtt::connect(&server, "new watcher");
    new_watcher.subscribe("wills", 1);
    here.ping(); // a restart is no reason to end it
    let (mut there, is_known) =
        Mqtt::join(&server, with_will(lasting("roamer"), "wills", "second"));
    assert!(is_known);
    here.is_over();
    for watcher in [&mut old_watcher, &mut new_watcher] {
        assert_eq!(watcher.text(), "first");
    }
    // What it has subscribed to goes on where it is, whoever publishes.
    stays.publish(publish("t", "from the old one", 1, 1));
    assert_eq!(there.text(), "from the old one");
    new_watcher.publish(publish("t", "from the new one", 1, 1));
    assert_eq!(there.text(), "from the new one");
    there.ping();
    // A session that is clean is ended there, too, and nobody else is.
    let mut third = Mqtt::join(&server, clean("stays")).0;
    stays.is_over();
    third.ping();
    old_watcher.ping();
    drop(there);
    for watcher in [&mut old_watcher, &mut new_watcher] {
        assert_eq!(watcher.text(), "second");
        watcher.ping();
    }
}

/// Each publishes, and each is subscribed, so what went around in a circle would be heard again.
fn subscribers_of_three_generations_hear_each_message_once_and_in_order(engine: Engine) {
    const ROUNDS: usize = 50;
    let server = start();
    let mut clients = Vec::new();
    for generation in 0..3 {
        if generation > 0 {
            server.restart(engine.signal());
        }
        let mut client = Mqtt::connect(&server, &generation.to_string());
        client.subscribe("t", generation);
        clients.push(client);
    }
    for speaker in 0..clients.len() {
        for round in 0..ROUNDS {
            let text = format!("{speaker} {round} {}", "x".repeat(round * 200));
            clients[speaker].publish(publish("t", &text, 2, 1));
            for (level, client) in clients.iter_mut().enumerate() {
                let message = client.take();
                assert_eq!((message.payload.as_ref(), message.dup), (text.as_bytes(), false));
                assert_eq!(message.qos_pid.qos() as usize, level);
            }
        }
        for client in &mut clients {
            client.ping(); // no more
        }
    }
}

/// Its session is with the new process from the restart on, and nothing of it is lost.
fn what_is_published_meanwhile_is_there_for_who_comes_to_the_new_one(engine: Engine) {
    let server = start();
    let (mut here, _) = Mqtt::join(&server, lasting("here"));
    here.subscribe("t", 1);
    let (mut away, _) = Mqtt::join(&server, lasting("away"));
    away.subscribe("t", 1);
    away.send(Packet::Disconnect);
    away.is_over();
    let mut speaker = Mqtt::connect(&server, "speaker");
    speaker.publish(publish("t", "0", 1, 1));
    assert_eq!(here.text(), "0");
    server.restart(engine.signal());
    speaker.publish(publish("t", "1", 1, 2));
    assert_eq!(here.text(), "1");
    Mqtt::connect(&server, "another").publish(publish("t", "2", 1, 3));
    assert_eq!(here.text(), "2");
    here.send(Packet::Disconnect);
    here.is_over();
    speaker.publish(publish("t", "3", 1, 4));
    for (name, first) in [("away", 0), ("here", 1)] {
        let (mut client, is_known) = Mqtt::join(&server, lasting(name));
        assert!(is_known);
        for number in first..4 {
            assert_eq!(client.text(), number.to_string(), "{name}");
        }
        client.ping();
    }
}

fn a_retained_message_is_kept_in_all_of_them(engine: Engine) {
    let server = start();
    let mut old = Mqtt::connect(&server, "old");
    old.publish(retained("r/1", "before", 1, 1));
    server.restart(engine.signal());
    let mut new = Mqtt::connect(&server, "new");
    new.publish(retained("r/1", "", 1, 1));
    new.publish(retained("r/2", "of the new one", 1, 2));
    old.subscribe("to old", 0);
    new.publish(publish("to old", "", 0, 0));
    old.take(); // and all that was told before
    old.publish(retained("r/3", "of the old one", 1, 3));
    new.subscribe("to new", 0);
    old.publish(publish("to new", "", 0, 0));
    new.take();
    for client in [&mut old, &mut new] {
        client.subscribe("r/+", 0);
        assert_eq!(
            (client.text(), client.text()),
            ("of the new one".into(), "of the old one".into())
        );
        client.ping();
    }
}

/// The process before still has what it knew when they moved, and could still take over again.
#[test]
fn where_clients_move_the_process_before_has_no_word_in_it() {
    for engine in [Engine::Fork, Engine::ForkExec] {
        let server = Server::of("mqtt").arg("--probation").arg("60").start();
        let mut watcher = Mqtt::connect(&server, "watcher");
        watcher.subscribe("wills", 1);
        let connect = || with_will(lasting("roamer"), "wills", "gone");
        let (mut roamer, _) = Mqtt::join(&server, connect());
        server.signal(engine.signal());
        server.wait_line("ready: generation 1");
        for _ in 0..3 {
            roamer.send(Packet::Disconnect);
            roamer.is_over();
            roamer = Mqtt::join(&server, connect()).0;
            watcher.ping(); // and no will
        }
        roamer.ping();
        drop(roamer);
        assert_eq!(watcher.text(), "gone");
        watcher.ping();
    }
}

/// It is told nothing more, and those who are left are served.
#[test]
fn a_generation_that_dies_is_missed_by_nobody() {
    for engine in [Engine::Fork, Engine::ForkExec] {
        let server = start();
        let old = server.pid();
        let (mut lost, _) = Mqtt::join(&server, lasting("lost"));
        lost.subscribe("t", 1);
        server.restart(engine.signal());
        let mut speaker = Mqtt::connect(&server, "speaker");
        slay(old);
        assert_eq!(lost.receive_or_end(), None);
        for number in 0..10 {
            speaker.publish(publish("t", &number.to_string(), 1, 1));
        }
        let (mut lost, is_known) = Mqtt::join(&server, lasting("lost"));
        assert!(is_known);
        for number in 0..10 {
            assert_eq!(lost.text(), number.to_string());
        }
        lost.ping();
    }
}
