//! The service without sockets and without waiting. What real clients see is in `tests/mqtt.rs` and
//! `tests/mqtt_tools.rs`.

use std::{collections::HashSet, rc::Rc};

use heirloom::testing::{Harness, Peer, every_split, every_split_restarted};
use mqtt_proto::{
    Pid, QoS, QosPid, TopicFilter, TopicName,
    v3::{Connack, Connect, LastWill, Publish, Suback, Subscribe, Unsubscribe},
};

use super::*;

fn bytes(packets: &[Packet]) -> Vec<u8> {
    packets.iter().flat_map(|packet| packet.encode().expect("short").as_ref().to_vec()).collect()
}

fn pid(number: u16) -> Pid {
    Pid::try_from(number).expect("not 0")
}

fn connect(name: &str, keep_alive: u16) -> Connect {
    Connect::new(name.into(), keep_alive)
}

fn publish(topic: &str, qos_pid: QosPid, payload: &str) -> Publish {
    let topic = TopicName::try_from(topic).expect("a topic");
    Publish::new(qos_pid, topic, payload.as_bytes().to_vec().into())
}

fn subscribe(filter: &str, qos: QoS) -> Packet {
    let filter = TopicFilter::try_from(filter).expect("a filter");
    Subscribe::new(pid(1), vec![(filter, qos)]).into()
}

fn accepted(present: bool) -> Packet {
    Connack::new(present, ConnectReturnCode::Accepted).into()
}

/// Sends packets, and answers what comes back.
fn say(harness: &mut Harness<Broker>, peer: Peer, packets: &[Packet]) -> Vec<Packet> {
    harness.feed(peer, &bytes(packets));
    heard(harness, peer)
}

fn heard(harness: &mut Harness<Broker>, peer: Peer) -> Vec<Packet> {
    let (mut packets, all) = (Vec::new(), harness.take(peer));
    let mut rest = &all[..];
    while !rest.is_empty() {
        let packet = Packet::decode(rest).expect("what is sent is valid").expect("and whole");
        rest = &rest[packet.encode_len().expect("it has a length")..];
        packets.push(packet);
    }
    packets
}

fn join(harness: &mut Harness<Broker>, connect: Connect) -> Peer {
    let peer = harness.connect();
    assert_eq!(say(harness, peer, &[connect.into()]), [accepted(false)]);
    peer
}

/// A client that talks to itself, through each kind of packet.
fn conversation() -> (Vec<u8>, Vec<u8>) {
    let filter = || TopicFilter::try_from("t/+").expect("a filter");
    let steps: Vec<(Packet, Vec<Packet>)> = vec![
        (Connect { clean_session: false, ..connect("me", 60) }.into(), vec![accepted(false)]),
        (subscribe("t/+", QoS::Level2), vec![Suback::new(pid(1), vec![QoS::Level2.into()]).into()]),
        (
            publish("t/0", QosPid::Level0, "zero").into(),
            vec![publish("t/0", QosPid::Level0, "zero").into()],
        ),
        (
            publish("t/1", QosPid::Level1(pid(7)), "one").into(),
            vec![Packet::Puback(pid(7)), publish("t/1", QosPid::Level1(pid(1)), "one").into()],
        ),
        (Packet::Puback(pid(1)), vec![]),
        (
            publish("t/2", QosPid::Level2(pid(8)), "two").into(),
            vec![Packet::Pubrec(pid(8)), publish("t/2", QosPid::Level2(pid(2)), "two").into()],
        ),
        (publish("t/2", QosPid::Level2(pid(8)), "two").into(), vec![Packet::Pubrec(pid(8))]),
        (Packet::Pubrel(pid(8)), vec![Packet::Pubcomp(pid(8))]),
        (Packet::Pubrec(pid(2)), vec![Packet::Pubrel(pid(2))]),
        (Packet::Pubcomp(pid(2)), vec![]),
        (Packet::Pingreq, vec![Packet::Pingresp]),
        (Unsubscribe::new(pid(9), vec![filter()]).into(), vec![Packet::Unsuback(pid(9))]),
        (publish("t/0", QosPid::Level0, "nobody hears").into(), vec![]),
        (Packet::Disconnect, vec![]),
    ];
    let (said, heard): (Vec<_>, Vec<_>) = steps.into_iter().unzip();
    (bytes(&said), bytes(&heard.concat()))
}

#[test]
fn a_conversation_does_not_depend_on_how_it_arrives() {
    let (input, output) = conversation();
    every_split(Broker::default, &input, &output);
}

#[test]
fn a_restart_between_any_two_bytes_is_not_noticed() {
    let (input, output) = conversation();
    every_split_restarted(Broker::default, &input, &output);
}

#[test]
fn who_says_nothing_for_one_and_a_half_times_its_word_is_gone() {
    let mut harness = Harness::new(Broker::default());
    let (patient, hasty) =
        (join(&mut harness, connect("patient", 0)), join(&mut harness, connect("hasty", 10)));
    harness.advance(Duration::from_millis(14_900));
    assert_eq!(say(&mut harness, hasty, &[Packet::Pingreq]), [Packet::Pingresp]);
    harness.advance(Duration::from_millis(14_900));
    assert!(!harness.is_closed(hasty));
    harness.advance(Duration::from_millis(200));
    assert!(harness.is_closed(hasty));
    harness.advance(Duration::from_secs(20));
    assert!(!harness.is_closed(patient));
    assert_eq!(harness.service().clients.len(), 1);
}

/// It is written to, and what it says is not read before it has taken that.
#[test]
fn who_is_behind_is_not_silent() {
    let mut harness = Harness::new(Broker::default());
    let slow = join(&mut harness, connect("slow", 10));
    say(&mut harness, slow, &[subscribe("t", QoS::Level0)]);
    let fast = join(&mut harness, connect("fast", 0));
    harness.set_window(slow, 1000);
    for _ in 0..100 {
        say(&mut harness, fast, &[publish("t", QosPid::Level0, &"x".repeat(1000)).into()]);
    }
    for _ in 0..4 {
        harness.feed(slow, &bytes(&[Packet::Pingreq]));
        harness.advance(Duration::from_secs(9));
        harness.take(slow); // so it makes progress, and is congested all the same
    }
    assert!(!harness.is_closed(slow));
}

#[test]
fn who_reads_nothing_gets_no_more_of_qos_0_and_hurts_nobody() {
    let mut harness = Harness::new(Broker::default());
    let (deaf, well) =
        (join(&mut harness, connect("deaf", 0)), join(&mut harness, connect("well", 0)));
    for peer in [deaf, well] {
        say(&mut harness, peer, &[subscribe("t", QoS::Level0)]);
    }
    let speaker = join(&mut harness, connect("speaker", 0));
    harness.set_window(deaf, 0);
    let long = "x".repeat(MAX_PACKET - 100);
    let id = harness.id(deaf);
    for _ in 0..100 {
        let message: Packet = publish("t", QosPid::Level0, &long).into();
        say(&mut harness, speaker, std::slice::from_ref(&message));
        assert_eq!(heard(&mut harness, well), [message]);
        let queued = harness.net().get(id).expect("it is not closed").queued();
        assert!(queued < MAX_BACKLOG + MAX_PACKET);
    }
}

/// Two that are away wait for the same messages: they are there once, also in the next program, until nobody waits.
#[test]
fn what_many_wait_for_is_there_once_and_goes_with_the_last_of_them() {
    let mut harness = Harness::new(Broker::default());
    for name in ["here", "there"] {
        let away = join(&mut harness, Connect { clean_session: false, ..connect(name, 0) });
        say(&mut harness, away, &[subscribe("t", QoS::Level1), Packet::Disconnect]);
        harness.finish(away);
    }
    let speaker = join(&mut harness, connect("speaker", 0));
    for number in 1..=20_000 {
        say(&mut harness, speaker, &[publish("t", QosPid::Level1(pid(number)), "m").into()]);
    }
    let waiting = |harness: &mut Harness<Broker>| {
        let clients = harness.service().clients.values();
        let payloads = clients.flat_map(|client| {
            client.letters.iter().map(|letter| Rc::as_ptr(&letter.message.payload))
        });
        let all: Vec<_> = payloads.collect();
        (all.len(), all.iter().collect::<HashSet<_>>().len())
    };
    // The first ones wait; the others found no room.
    assert_eq!(waiting(&mut harness), (20_000, 10_000));
    let mut harness = harness.restart(Broker::default()).expect("it is taken over");
    assert_eq!(waiting(&mut harness), (20_000, 10_000));
    for (name, left) in [("here", 10_000), ("there", 0)] {
        join(&mut harness, connect(name, 0)); // clean: it wants nothing of before
        assert_eq!(waiting(&mut harness), (left, left));
    }
}

/// What a program does not know it does not read as something else.
#[test]
fn another_format_is_refused() {
    let mut saved = Vec::new();
    Broker::default().save(&mut saved).expect("it is written");
    assert!(Broker::default().load(&mut &saved[..]).is_ok());
    saved[0] += 1;
    assert!(
        Broker::default().load(&mut &saved[..]).is_err_and(|e| e.to_string().contains("version 2"))
    );
    assert!(Broker::default().load(&mut &saved[..1]).is_err());
}

/// The new process ends with those that were with it: for the others they are gone.
#[test]
fn wills_are_due_for_those_who_are_lost_with_a_new_process() {
    let mut harness = Harness::new(Broker::default());
    let mut mortal = connect("mortal", 0);
    let topic = TopicName::try_from("wills").expect("a topic");
    mortal.last_will = Some(LastWill::new(QoS::Level1, topic, b"gone".to_vec().into()));
    let _mortal = join(&mut harness, mortal);
    let heir = Connect { clean_session: false, ..connect("heir", 0) };
    let peer = join(&mut harness, heir);
    say(&mut harness, peer, &[subscribe("wills", QoS::Level1)]);
    let mut broker = std::mem::take(harness.service());
    // Nobody of them is here any more.
    let mut empty = Harness::new(Broker::default());
    broker.on_start(empty.net(), Start::Resumed { gone: Vec::new() });
    let waiting: Vec<_> =
        broker.clients.iter().map(|(name, client)| (&**name, client.letters.len())).collect();
    assert_eq!(waiting, [("heir", 1)]); // the will
}
