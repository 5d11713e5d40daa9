//! The broker over real sockets, through restarts by both engines: each message comes as often as it was promised
//! and in its order, and whoever is gone is gone for the right reason.

use std::{
    io::Write,
    time::{Duration, Instant},
};

use crate::common::{
    self, Dir, Server,
    mqtt::{Mqtt, clean, lasting, pid, publish, retained, with_will},
    ops::Control,
    restart::Engine,
};
use mqtt_proto::{
    Pid, QoS, QosPid, TopicFilter,
    v3::{
        Connack, Connect, ConnectReturnCode, Packet, Subscribe, SubscribeReturnCode, Unsubscribe,
    },
};

for_both_engines!(
    a_message_of_qos_2_comes_once_over_restarts_between_all_its_packets,
    what_is_not_acknowledged_comes_again_and_in_order,
    a_session_outlives_its_connection_and_the_process,
    retained_messages_go_along,
    a_client_that_is_somewhere_else_now_is_ended_where_it_was,
    a_will_is_due_when_a_client_is_gone_and_not_when_it_has_said_so,
    who_falls_silent_is_gone_in_time_however_often_it_moves,
    a_roll_back_is_not_noticed,
);

fn start() -> Server {
    Server::of("mqtt").start()
}

fn restart(server: &Server, engine: Engine) {
    server.restart(engine.signal());
}

/// The packet id of a message.
fn id_of(packet: &Packet) -> Pid {
    match packet {
        Packet::Publish(message) => message.qos_pid.pid().expect("not QoS 0"),
        other => panic!("no message: {other:?}"),
    }
}

/// One restart between each two packets of the two handshakes. The client that sends does so twice.
fn a_message_of_qos_2_comes_once_over_restarts_between_all_its_packets(engine: Engine) {
    let server = start();
    let (mut from, mut to) = (Mqtt::connect(&server, "from"), Mqtt::connect(&server, "to"));
    to.subscribe("t", 2);
    let message = publish("t", "once", 2, 5);
    assert_eq!(from.ask(message.clone()), Packet::Pubrec(pid(5)));
    restart(&server, engine);
    let again = mqtt_proto::v3::Publish { dup: true, ..message };
    assert_eq!(from.ask(again), Packet::Pubrec(pid(5)));
    restart(&server, engine);
    assert_eq!(from.ask(Packet::Pubrel(pid(5))), Packet::Pubcomp(pid(5)));
    let id = id_of(&to.receive());
    restart(&server, engine);
    assert_eq!(to.ask(Packet::Pubrec(id)), Packet::Pubrel(id));
    restart(&server, engine);
    to.send(Packet::Pubcomp(id));
    // The packet id is free again, and what comes next is another message.
    from.publish(publish("t", "another", 2, 5));
    assert_eq!(to.text(), "another");
    to.ping();
}

/// A client that loses its connection has each message again, as a copy, and goes on where it was.
fn what_is_not_acknowledged_comes_again_and_in_order(engine: Engine) {
    let server = start();
    let mut from = Mqtt::connect(&server, "from");
    let (mut to, _) = Mqtt::join(&server, lasting("to"));
    to.subscribe("t", 2);
    // More than may be on the way to one client.
    for number in 1..=200 {
        from.publish(publish("t", &number.to_string(), 2 - (number % 2) as u8, number));
    }
    assert_eq!(to.text(), "1");
    let second = id_of(&to.receive());
    to.send(Packet::Pubrec(second));
    while to.receive() != Packet::Pubrel(second) {} // the others are lost with the connection
    restart(&server, engine);
    drop(to);
    let (mut to, is_known) = Mqtt::join(&server, lasting("to"));
    assert!(is_known);
    restart(&server, engine);
    to.expect(Packet::Pubrel(second));
    to.send(Packet::Pubcomp(second));
    let (mut texts, mut copies) = (Vec::new(), 0);
    while texts.len() < 198 {
        match to.receive() {
            Packet::Publish(message) => {
                copies += usize::from(message.dup);
                texts.push(String::from_utf8(message.payload.to_vec()).expect("text"));
                match message.qos_pid {
                    QosPid::Level1(pid) => to.send(Packet::Puback(pid)),
                    QosPid::Level2(pid) => to.send(Packet::Pubrec(pid)),
                    QosPid::Level0 => panic!("not what was sent"),
                }
            }
            Packet::Pubrel(pid) => to.send(Packet::Pubcomp(pid)),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(texts, (3..=200).map(|number: u16| number.to_string()).collect::<Vec<_>>());
    assert!((50..=64).contains(&copies), "{copies}");
}

fn a_session_outlives_its_connection_and_the_process(engine: Engine) {
    let server = start();
    let (mut away, _) = Mqtt::join(&server, lasting("away"));
    away.subscribe("a/+", 2);
    away.subscribe("b/#", 1);
    away.send(Packet::Disconnect);
    away.is_over();
    let mut from = Mqtt::connect(&server, "from");
    from.publish(publish("a/1", "0", 0, 0)); // waits for nobody
    for round in 0..10 {
        from.publish(publish("a/1", &format!("{round}"), 2, 1));
        from.publish(publish("b", &format!("{round}"), 2, 2));
        restart(&server, engine);
    }
    let (mut back, is_known) = Mqtt::join(&server, lasting("away"));
    assert!(is_known);
    for round in 0..10 {
        for (topic, level) in [("a/1", QoS::Level2), ("b", QoS::Level1)] {
            let message = back.take();
            assert_eq!((&*message.topic_name, message.qos_pid.qos()), (topic, level));
            assert_eq!(message.payload, format!("{round}"));
        }
    }
    // Its subscriptions go on, and one that it gives up is over.
    let filter = TopicFilter::try_from("a/+").expect("a filter");
    let answer = back.ask(Unsubscribe::new(pid(3), vec![filter]));
    assert_eq!(answer, Packet::Unsuback(pid(3)));
    restart(&server, engine);
    from.publish(publish("a/1", "nobody", 1, 1));
    from.publish(publish("b/c", "somebody", 1, 1));
    assert_eq!(back.text(), "somebody");
    // Who wants no session has none, and has none later.
    drop(back);
    assert!(!Mqtt::join(&server, clean("away")).1);
    assert!(!Mqtt::join(&server, lasting("away")).1);
}

fn retained_messages_go_along(engine: Engine) {
    let server = start();
    let mut from = Mqtt::connect(&server, "from");
    for (topic, level) in [("r/0", 0), ("r/1", 1), ("r/2", 2), ("$r/3", 1), ("other", 1)] {
        from.publish(retained(topic, topic, level, 1));
    }
    from.publish(retained("r/1", "newer", 2, 1));
    from.publish(retained("other", "", 1, 1));
    restart(&server, engine);
    let mut to = Mqtt::connect(&server, "to");
    to.subscribe("#", 1);
    let got: Vec<_> = (0..3).map(|_| to.take()).collect();
    let expected = [("r/0", "r/0", 0), ("r/1", "newer", 1), ("r/2", "r/2", 1)];
    for (message, (topic, text, level)) in got.iter().zip(expected) {
        assert_eq!(*message, retained(topic, text, level, message_id(message)));
    }
    to.ping(); // no more
    to.subscribe("$r/3", 0);
    assert_eq!(to.text(), "$r/3");
    // Who is subscribed already gets it as any other message.
    from.publish(retained("r/0", "now", 0, 0));
    to.expect(publish("r/0", "now", 0, 0));
}

fn message_id(message: &mqtt_proto::v3::Publish) -> u16 {
    message.qos_pid.pid().map_or(0, Pid::value)
}

fn a_client_that_is_somewhere_else_now_is_ended_where_it_was(engine: Engine) {
    let server = start();
    let mut watcher = Mqtt::connect(&server, "watcher");
    watcher.subscribe("wills", 1);
    let (mut here, _) = Mqtt::join(&server, with_will(lasting("roamer"), "wills", "first"));
    here.subscribe("t", 1);
    restart(&server, engine);
    let (mut there, is_known) =
        Mqtt::join(&server, with_will(lasting("roamer"), "wills", "second"));
    assert!(is_known);
    here.is_over();
    assert_eq!(watcher.text(), "first");
    restart(&server, engine);
    watcher.publish(publish("t", "found", 1, 1));
    assert_eq!(there.text(), "found");
    // And to the next one, which wants no session.
    let (mut third, is_known) = Mqtt::join(&server, clean("roamer"));
    assert!(!is_known);
    there.is_over();
    assert_eq!(watcher.text(), "second");
    watcher.publish(publish("t", "not subscribed", 1, 1));
    third.ping();
}

fn a_will_is_due_when_a_client_is_gone_and_not_when_it_has_said_so(engine: Engine) {
    let server = start();
    let mut watcher = Mqtt::connect(&server, "watcher");
    watcher.subscribe("wills", 1);
    let join = |name: &str| Mqtt::join(&server, with_will(clean(name), "wills", name)).0;
    let (lost, mut polite, mut rude) = (join("lost"), join("polite"), join("rude"));
    restart(&server, engine);
    polite.send(Packet::Disconnect);
    polite.is_over();
    drop(lost);
    assert_eq!(watcher.text(), "lost");
    restart(&server, engine);
    rude.send(Packet::Pingresp); // which only a server says
    rude.is_over();
    assert_eq!(watcher.text(), "rude");
    watcher.ping(); // nobody else
}

/// Its network is dead: nothing comes, and no end either. Others, who say something now and then, stay.
fn who_falls_silent_is_gone_in_time_however_often_it_moves(engine: Engine) {
    let server = start();
    let mut watcher = Mqtt::connect(&server, "watcher");
    watcher.subscribe("wills", 1);
    let promise = |name, keep_alive| {
        let connect = Connect { keep_alive, ..with_will(clean(name), "wills", name) };
        Mqtt::join(&server, connect).0
    };
    let mut alive = promise("alive", 2);
    let begun = Instant::now();
    let _silent = promise("silent", 3);
    let mut moves = 0;
    watcher.stream.set_nonblocking(true).expect("an option");
    while watcher.stream.peek(&mut [0]).is_err() {
        restart(&server, engine);
        alive.ping();
        moves += 1;
        assert!(begun.elapsed() < common::DEADLINE, "it is still there after {moves} moves");
    }
    watcher.stream.set_nonblocking(false).expect("an option");
    assert_eq!(watcher.text(), "silent");
    assert!(begun.elapsed() >= Duration::from_millis(4500), "{:?}", begun.elapsed());
    assert!(moves >= 2, "nothing has moved");
    alive.ping();
}

/// What was begun with the new process goes on with the old one.
fn a_roll_back_is_not_noticed(engine: Engine) {
    let files = Dir::new();
    let control = files.path("control");
    let server = Server::of("mqtt")
        .arg("--probation")
        .arg("60")
        .arg("--control")
        .arg(control.display().to_string())
        .start();
    let (mut from, mut to) = (Mqtt::connect(&server, "from"), Mqtt::connect(&server, "to"));
    let (away, _) = Mqtt::join(&server, lasting("away"));
    to.subscribe("#", 2);
    let old = server.pid();
    server.signal(engine.signal());
    server.wait_line("ready: generation 1");
    assert_eq!(from.ask(publish("t", "half", 2, 5)), Packet::Pubrec(pid(5)));
    let id = id_of(&to.receive());
    drop(away);
    let (mut away, is_known) = Mqtt::join(&server, lasting("away"));
    assert!(is_known);
    away.subscribe("late", 1);
    from.publish(retained("kept", "kept", 1, 6));
    assert_eq!(to.text(), "kept");
    let said = Control::connect(&control).expect("the control socket is there").ask("rollback");
    assert!(said[0].starts_with("ok"), "{said:?}");
    assert_eq!(server.pid(), old);
    assert_eq!(from.ask(publish("t", "half", 2, 5)), Packet::Pubrec(pid(5)));
    assert_eq!(from.ask(Packet::Pubrel(pid(5))), Packet::Pubcomp(pid(5)));
    assert_eq!(to.ask(Packet::Pubrec(id)), Packet::Pubrel(id));
    to.send(Packet::Pubcomp(id));
    from.publish(publish("late", "late", 1, 7));
    assert_eq!((away.text(), to.text()), ("late".to_owned(), "late".to_owned()));
    let mut newcomer = Mqtt::connect(&server, "newcomer");
    newcomer.subscribe("kept", 0);
    assert_eq!(newcomer.text(), "kept");
}

/// Nobody is left there who could say that they are alive.
#[test]
fn who_is_lost_with_a_new_process_has_left_a_will() {
    for engine in [Engine::Fork, Engine::ForkExec] {
        let server = Server::of("mqtt").arg("--probation").arg("60").start();
        let (mut heir, _) = Mqtt::join(&server, lasting("heir"));
        heir.subscribe("wills", 1);
        let _lost = Mqtt::join(&server, with_will(clean("lost"), "wills", "lost"));
        let mut polite = Mqtt::join(&server, with_will(clean("polite"), "wills", "polite")).0;
        polite.send(Packet::Disconnect);
        polite.is_over();
        server.signal(engine.signal());
        server.wait_line("ready: generation 1");
        heir.ping();
        common::restart::slay(server.pid());
        assert_eq!(heir.receive_or_end(), None);
        let (mut heir, is_known) = Mqtt::join(&server, lasting("heir"));
        assert!(is_known);
        assert_eq!(heir.text(), "lost");
        heir.ping();
    }
}

#[test]
fn what_is_no_mqtt_ends_its_connection_and_no_other() {
    let server = start();
    let mut bystander = Mqtt::connect(&server, "bystander");
    let hello = Packet::from(clean("x")).encode().expect("a packet").as_ref().to_vec();
    for (what, bytes) in [
        ("HTTP", b"GET / HTTP/1.1\r\n\r\n".to_vec()),
        ("a packet before CONNECT", b"\xc0\x00".to_vec()),
        ("another protocol", b"\x10\x0c\x00\x04MQTX\x04\x02\x00\x00\x00\x00".to_vec()),
        ("a length that has no end", b"\x10\xff\xff\xff\xff".to_vec()),
        ("a packet that is too long", b"\x10\xff\xff\xff\x7f".to_vec()),
    ] {
        let mut client = Mqtt::silent(&server);
        client.stream.write_all(&bytes).expect("it is read");
        assert_eq!(client.receive_or_end(), None, "{what}");
        client = Mqtt::connect(&server, "x");
        client.stream.write_all(&bytes).expect("it is read");
        assert!(matches!(client.receive_or_end(), None | Some(Packet::Pingresp)), "{what}");
        bystander.ping();
    }
    let mut twice = Mqtt::connect(&server, "x");
    twice.stream.write_all(&hello).expect("it is read");
    twice.is_over();
    bystander.ping();
}

#[test]
fn who_cannot_be_accepted_is_told_why() {
    let server = start();
    let refused = |code| Some(Packet::from(Connack::new(false, code)));
    for (bytes, code) in [
        (
            b"\x10\x0c\x00\x04MQTT\x05\x02\x00\x00\x00\x00".to_vec(),
            ConnectReturnCode::UnacceptableProtocolVersion,
        ),
        (
            Packet::from(lasting("")).encode().expect("a packet").as_ref().to_vec(),
            ConnectReturnCode::IdentifierRejected,
        ),
    ] {
        let mut client = Mqtt::silent(&server);
        client.stream.write_all(&bytes).expect("it is read");
        assert_eq!(client.receive_or_end(), refused(code));
        client.is_over();
    }
    // Two without a name are two.
    let (mut one, mut other) = (Mqtt::connect(&server, ""), Mqtt::connect(&server, ""));
    one.ping();
    other.ping();
}

#[test]
fn a_subscription_that_cannot_be_is_refused_by_itself() {
    let server = Server::of("mqtt").env("MQTT_REFUSE", "no/entry").start();
    let mut client = Mqtt::connect(&server, "client");
    let filter = |text: &str| TopicFilter::try_from(text).expect("a filter");
    let (yes, deep, no) = (filter("yes"), filter(&"/".repeat(201)), filter("no/entry"));
    let topics = [yes, deep, no].map(|filter| (filter, QoS::Level1)).to_vec();
    let answer = client.ask(Subscribe::new(pid(1), topics));
    let Packet::Suback(suback) = answer else { panic!("{answer:?}") };
    let failure = SubscribeReturnCode::Failure;
    assert_eq!(suback.topics, [SubscribeReturnCode::MaxLevel1, failure, failure]);
    for topic in ["no/entry", "yes"] {
        client.publish(publish(topic, topic, 0, 0));
    }
    assert_eq!(client.text(), "yes");
}

/// Every client has every message, in order, and the same bytes.
#[test]
fn a_message_for_a_thousand_goes_to_each_of_them_through_restarts() {
    let server = start();
    let mut clients: Vec<_> = (0..1000).map(|n| Mqtt::connect(&server, &n.to_string())).collect();
    for (number, client) in clients.iter_mut().enumerate() {
        client.subscribe("t", (number % 3) as u8);
    }
    let mut from = Mqtt::connect(&server, "from");
    let long = "x".repeat(5000);
    for (round, engine) in Engine::alternating().take(4).enumerate() {
        for level in 0..3 {
            from.publish(publish("t", &format!("{round} {level} {long}"), level, 1));
        }
        restart(&server, engine);
        for client in &mut clients {
            for level in 0..3 {
                assert_eq!(client.text(), format!("{round} {level} {long}"));
            }
        }
    }
}
