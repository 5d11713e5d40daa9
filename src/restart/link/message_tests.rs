//! Messages as bytes: there and back, cut short, and made of anything.

use super::{super::rollback::REASON_MAX, *};
use crate::{
    system::regular_file::FileId,
    tasks::{Batch, Heard},
    workers::Worker,
};
use proptest::prelude::*;

fn any_engine() -> impl Strategy<Value = Engine> {
    prop_oneof![Just(Engine::Fork), Just(Engine::ForkExec)]
}

fn any_identity() -> impl Strategy<Value = Identity> {
    let engine = proptest::option::of(any_engine());
    let identity = (any::<u64>(), any::<u32>(), engine, any::<bool>());
    identity.prop_map(|(generation, pid, engine, words)| Identity {
        generation,
        pid,
        engine,
        words,
    })
}

fn any_time() -> impl Strategy<Value = Duration> {
    (0u64..1 << 50).prop_map(Duration::from_micros)
}

fn any_file() -> impl Strategy<Value = Option<FileId>> {
    let file = (any::<u64>(), any::<u64>());
    proptest::option::of(file.prop_map(|(device, inode)| FileId { device, inode }))
}

fn any_report() -> impl Strategy<Value = Report> {
    let oldest = proptest::option::of(any_time());
    let held = proptest::collection::vec(".{0,20}", 0..4);
    let inventory = (proptest::option::of(any::<u64>()), held.clone());
    (".{0,20}", any_time(), any::<u64>(), oldest, any::<u64>(), held, inventory).prop_map(
        |(phase, age, connections, oldest, holds, held, (unknown, findings))| Report {
            phase,
            age,
            connections,
            oldest,
            holds,
            held,
            unknown,
            findings,
        },
    )
}

fn any_forwarded() -> impl Strategy<Value = Forwarded> {
    let bytes = || proptest::collection::vec(any::<u8>(), 0..20);
    (".{0,20}", bytes(), bytes()).prop_map(|(socket, from, bytes)| Forwarded {
        socket,
        from,
        bytes,
    })
}

fn any_alarm() -> impl Strategy<Value = AlarmWord> {
    let every = proptest::option::of(any_time());
    let times = proptest::option::of((any_time(), every));
    (any::<u64>(), times).prop_map(|(key, times)| AlarmWord { key, times })
}

fn any_way_back() -> impl Strategy<Value = Option<WayBack>> {
    let way = (any::<bool>(), any_time(), any::<u64>(), any::<u64>());
    proptest::option::of(way.prop_map(|(moves, max_downtime, max_moved, records)| WayBack {
        moves,
        max_downtime,
        max_moved,
        records,
    }))
}

fn any_rollback() -> impl Strategy<Value = Rollback> {
    prop_oneof![
        (any::<Option<u64>>(), any::<u64>())
            .prop_map(|(piece, last_serial)| Rollback::State { piece, last_serial }),
        (".{0,200}", any::<Option<u64>>())
            .prop_map(|(reason, number)| Rollback::TakeBack { reason, number }),
        (any::<u64>(), proptest::collection::vec(any::<u64>(), 0..9))
            .prop_map(|(number, refused)| Rollback::CanTakeBack { number, refused }),
        (any::<u64>(), ".{0,200}")
            .prop_map(|(number, reason)| Rollback::CannotTakeBack { number, reason }),
        Just(Rollback::HandedBack),
        Just(Rollback::Kept),
    ]
}

fn any_notice() -> impl Strategy<Value = Notice> {
    prop_oneof![
        (any_identity(), proptest::option::of(any::<u32>()))
            .prop_map(|(who, maker)| Notice::Main { who, maker }),
        any::<u32>().prop_map(|pid| Notice::Retired { pid }),
        any::<u32>().prop_map(|pid| Notice::LameDuck { pid }),
        any::<u32>().prop_map(|pid| Notice::Turns { pid }),
        any::<u32>().prop_map(|pid| Notice::Leaving { pid }),
        (any::<u32>(), any::<u8>()).prop_map(|(pid, code)| Notice::Ended { pid, code }),
    ]
}

fn any_talk() -> impl Strategy<Value = Talk> {
    let word = proptest::collection::vec(any::<u8>(), 0..20);
    let words = proptest::collection::vec(word, 0..5);
    let numbers = (any::<u64>(), any::<u64>(), any::<u64>());
    prop_oneof![
        (numbers, words).prop_map(|((from, to, number), words)| {
            Talk::Words(Batch { from, to, number, words })
        }),
        numbers.prop_map(|(by, to, number)| Talk::Heard(Heard { by, to, number })),
        (any::<u64>(), proptest::collection::vec(any::<u64>(), 0..9))
            .prop_map(|(serves, others)| Talk::Speakers { serves, others }),
    ]
}

fn any_message() -> impl Strategy<Value = Message> {
    prop_oneof![
        (
            any::<u64>(),
            any_engine(),
            any_time(),
            any_time(),
            any_time(),
            any_way_back(),
            any_identity()
        )
            .prop_map(
                |(generation, engine, probation, ready_within, copy_within, back, old)| {
                    Message::Hello {
                        generation,
                        engine,
                        probation,
                        ready_within,
                        copy_within,
                        back,
                        old,
                    }
                }
            ),
        prop_oneof![
            Just(Message::Snapshot),
            Just(Message::Changes),
            Just(Message::TicketKeys),
            Just(Message::Checkpoint),
            Just(Message::Numbers)
        ],
        any::<u64>().prop_map(|bytes| Message::Loaded { bytes }),
        any_time().prop_map(|took| Message::Applied { took }),
        (any::<u32>(), proptest::collection::vec(any::<u64>(), 0..20), any::<u64>())
            .prop_map(|(pid, unwanted, records)| Message::Claim { pid, unwanted, records }),
        prop_oneof![
            Just(Message::Taken),
            Just(Message::TakenOver),
            Just(Message::GivenUp),
            any::<u32>().prop_map(|pid| Message::Connect { pid })
        ],
        any::<u64>().prop_map(|count| Message::Connections { count }),
        any::<u64>().prop_map(|last_serial| Message::Copied { last_serial }),
        (any::<u64>(), any::<u64>())
            .prop_map(|(last_serial, slots)| Message::Handed { last_serial, slots }),
        any_rollback().prop_map(Message::Rollback),
        any_talk().prop_map(Message::Talk),
        proptest::collection::vec((".{0,40}", any_file()), 0..20).prop_map(|sockets| {
            let named = |(name, file)| SocketName { name, file };
            Message::Listeners { sockets: sockets.into_iter().map(named).collect() }
        }),
        any_identity().prop_map(|who| Message::Older { who }),
        Just(Message::Offered),
        any::<u32>().prop_map(|pid| Message::Ready { pid }),
        ".{0,200}".prop_map(|reason| Message::Failed { reason }),
        prop_oneof![Just(Message::Retiring), Just(Message::Released)],
        any_time().prop_map(|after| Message::Serving { after }),
        Just(Message::Committed),
        Just(Message::Resumed),
        (proptest::option::of(any_time()), any::<Option<u64>>(), proptest::option::of(any_time()))
            .prop_map(|(within, serves, after)| Message::Dismissed { within, serves, after }),
        Just(Message::Ask),
        any_report().prop_map(Message::Report),
        (any::<u32>(), proptest::option::of((any::<u32>(), any::<u32>()))).prop_map(
            |(pid, place)| {
                let worker = place.map(|(index, count)| Worker { index, count });
                Message::Supervisor { pid, worker }
            }
        ),
        any_notice().prop_map(Message::Notice),
        proptest::collection::vec(any_alarm(), 0..20).prop_map(Message::Alarms),
        proptest::collection::vec(any_forwarded(), 0..5)
            .prop_map(|forwarded| Message::Datagrams { forwarded }),
    ]
}

#[test]
fn another_version_is_named() {
    let mut bytes = Message::Offered.encode();
    bytes[4] = 9;
    assert_eq!(Message::decode(&bytes), Err(Malformed::Version(9)));
}

#[test]
fn a_long_reason_is_cut_between_characters() {
    let reason = "ö".repeat(REASON_MAX);
    let bytes = Message::Failed { reason }.encode();
    let Ok(Some(Message::Failed { reason })) = Message::decode(&bytes) else { panic!() };
    assert!(reason.len() <= REASON_MAX && reason.ends_with('ö'));
}

/// The first programs said nothing of records.
#[test]
fn a_claim_that_says_nothing_of_records_means_the_first_version() {
    let mut bytes = wire::begin(CLAIM);
    put_number(&mut bytes, PID, 7);
    let claim = Message::Claim { pid: 7, unwanted: Vec::new(), records: 1 };
    assert_eq!(Message::decode(&bytes), Ok(Some(claim)));
}

proptest! {
    #[test]
    fn what_is_encoded_is_decoded(message in any_message()) {
        prop_assert_eq!(Message::decode(&message.encode()), Ok(Some(message)));
    }

    #[test]
    fn unknown_fields_are_skipped(message in any_message(), value in proptest::collection::vec(any::<u8>(), 0..50)) {
        let mut bytes = message.encode();
        put(&mut bytes, 999, &value);
        prop_assert_eq!(Message::decode(&bytes), Ok(Some(message)));
    }

    #[test]
    fn a_cut_message_is_never_another(message in any_message(), cut in 0usize..200) {
        let bytes = message.encode();
        let cut = cut.min(bytes.len().saturating_sub(1));
        if let Ok(Some(other)) = Message::decode(&bytes[..cut]) {
            // What is optional or a list may be lost at a field's border: the link keeps messages
            // whole, and a list is as long as the descriptors that come with it.
            let is_same_kind = other.kind() == message.kind();
            prop_assert!(is_same_kind);
        }
    }

    #[test]
    fn random_bytes_do_no_harm(bytes in proptest::collection::vec(any::<u8>(), 0..300), kind in 0u16..70) {
        let _ = Message::decode(&bytes);
        let mut framed = wire::begin(kind);
        framed.extend(&bytes);
        let _ = Message::decode(&framed);
    }
}
