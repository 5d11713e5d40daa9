//! What no client may do to the server by its bytes, and what is told apart.

use mqtt_proto::{
    TopicFilter, TopicName,
    v3::{LastWill, Publish, Subscribe, Unsubscribe},
};
use proptest::prelude::*;

use super::*;

fn bytes(packet: &Packet) -> Vec<u8> {
    packet.encode().expect("it is short").as_ref().to_vec()
}

fn publish_of(qos_pid: QosPid, topic: &str, payload: &[u8]) -> Packet {
    let topic = TopicName::try_from(topic).expect("a topic");
    Publish::new(qos_pid, topic, payload.to_vec().into()).into()
}

/// One of each kind that a client sends.
fn packets() -> Vec<Packet> {
    let pid = Pid::try_from(0x1234).expect("not 0");
    let filter = |text: &str| TopicFilter::try_from(text).expect("a filter");
    let mut connect = Connect::new("me".into(), 60);
    connect.last_will = Some(LastWill::new(
        QoS::Level1,
        TopicName::try_from("gone").expect("a topic"),
        b"bye".to_vec().into(),
    ));
    connect.username = Some("user".into());
    connect.password = Some(b"secret".to_vec().into());
    vec![
        Connect::new("".into(), 0).into(),
        connect.into(),
        publish_of(QosPid::Level0, "a/b", b"hello"),
        publish_of(QosPid::Level1(pid), "a", b""),
        publish_of(QosPid::Level2(pid), "/", &[b'x'; 1000]),
        Packet::Puback(pid),
        Packet::Pubrec(pid),
        Packet::Pubrel(pid),
        Packet::Pubcomp(pid),
        Subscribe::new(pid, vec![(filter("a/+"), QoS::Level2), (filter("#"), QoS::Level0)]).into(),
        Unsubscribe::new(pid, vec![filter("a/+"), filter("#")]).into(),
        Packet::Pingreq,
        Packet::Disconnect,
    ]
}

#[test]
fn each_packet_is_found_when_all_of_it_is_there() {
    for packet in packets() {
        let whole = bytes(&packet);
        for cut in 0..whole.len() {
            assert_eq!(next(&whole[..cut]).expect("a part is no error"), None, "{packet:?}");
        }
        let followed = [whole.as_slice(), b"\xff\xff"].concat();
        assert_eq!(next(&followed), Ok(Some((packet, whole.len()))));
    }
}

#[test]
fn what_is_not_as_the_standard_has_it_is_refused() {
    let long = [&[0x30, 0x81, 0x80, 0x10, 0, 1, b'a'][..], &[0; MAX_PACKET]].concat();
    let deep = bytes(&publish_of(QosPid::Level0, &"/".repeat(MAX_LEVELS), b""));
    for (what, input) in [
        ("a reserved kind", &b"\x00\x00"[..]),
        ("another reserved kind", b"\xf0\x00"),
        ("what only a server says", b"\x20\x02\x00\x00"),
        ("flags where there are none", b"\x11\x00"),
        ("a SUBSCRIBE with other flags", b"\x80\x06\x00\x01\x00\x01a\x00"),
        ("a QoS of 3", b"\x36\x06\x00\x01a\x00\x01x"),
        ("a copy of QoS 0", b"\x38\x03\x00\x01a"),
        ("no topic", b"\x30\x02\x00\x00"),
        ("a topic with a wildcard", b"\x30\x03\x00\x01#"),
        ("a topic that is no text", b"\x30\x03\x00\x01\xff"),
        ("a topic with a NUL", b"\x30\x03\x00\x01\x00"),
        ("a topic that is longer than its packet", b"\x30\x03\x00\x09a"),
        ("a topic with too many levels", &deep),
        ("a packet id of 0", b"\x40\x02\x00\x00"),
        ("an acknowledgement of three bytes", b"\x40\x03\x00\x01\x00"),
        ("an acknowledgement of one byte", b"\x40\x01\x00"),
        ("a PINGREQ with a body", b"\xc0\x01\x00"),
        ("a SUBSCRIBE to nothing", b"\x82\x02\x00\x01"),
        ("an UNSUBSCRIBE from nothing", b"\xa2\x02\x00\x01"),
        ("a filter that is none", b"\x82\x07\x00\x01\x00\x02a#\x00"),
        ("a filter with a QoS of 3", b"\x82\x06\x00\x01\x00\x01a\x03"),
        ("a length of five bytes", b"\x30\xff\xff\xff\xff\x01"),
        ("a packet that is too long", &long),
        ("another protocol", b"\x10\x0c\x00\x04MQTX\x04\x02\x00\x00\x00\x00"),
        ("the reserved flag", b"\x10\x0c\x00\x04MQTT\x04\x03\x00\x00\x00\x00"),
        ("a will's flag without a will", b"\x10\x0c\x00\x04MQTT\x04\x22\x00\x00\x00\x00"),
        ("a password without a user", b"\x10\x0f\x00\x04MQTT\x04\x42\x00\x00\x00\x00\x00\x01x"),
        ("bytes behind the last field", b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x00\x00\x00x"),
    ] {
        assert!(next(input).is_err_and(|why| !is_other_version(&why)), "{what}");
    }
    for version in [
        b"\x10\x0c\x00\x04MQTT\x05\x02\x00\x00\x00\x00".as_slice(),
        b"\x10\x0e\x00\x06MQIsdp\x03\x02\x00\x00\x00\x00",
    ] {
        assert!(next(version).is_err_and(|why| is_other_version(&why)), "{version:?}");
    }
}

#[test]
fn what_goes_to_many_is_what_the_crate_would_write() {
    for length in
        [0, 1, 100, 119, 120, 121, 122, 123, 16_000, 16_376, 16_377, 16_378, 16_379, 100_000]
    {
        for (level, qos_pid) in [
            (QoS::Level0, QosPid::Level0),
            (QoS::Level1, QosPid::Level1(Pid::try_from(0x1234).expect("not 0"))),
        ] {
            let expected = bytes(&publish_of(qos_pid, "a/b", &vec![7; length]));
            let message = Message::new("a/b", &vec![7; length], level, false);
            let written = [&*message.head(false, 0x1234), &*message.payload].concat();
            assert_eq!(written, expected, "{length}");
        }
    }
    assert_eq!(Message::new("a", b"", QoS::Level2, true).head(true, 1)[0], 0b0011_1101);
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(input in prop::collection::vec(any::<u8>(), 0..400)) {
        if let Ok(Some((_, taken))) = next(&input) {
            prop_assert!((2..=input.len()).contains(&taken));
        }
    }

    #[test]
    fn nor_does_a_packet_that_was_damaged(
        which in 0..13usize,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        cut in any::<prop::sample::Index>(),
        is_cut in any::<bool>(),
    ) {
        let mut input = bytes(&packets()[which]);
        for (at, byte) in changes {
            let at = at.index(input.len());
            input[at] = byte;
        }
        if is_cut {
            input.truncate(cut.index(input.len()));
            // A length that fits what is left leads to the inside.
            if let [_, length, body @ ..] = &mut input[..] && body.len() < 0x80 {
                *length = body.len() as u8;
            }
        }
        if let Ok(Some((packet, taken))) = next(&input) {
            // What is taken for a packet is one: written again it is the same.
            prop_assert_eq!(bytes(&packet).len(), taken);
        }
    }
}
