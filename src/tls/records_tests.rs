//! Our records beside rustls' own: everything it seals is opened, everything that is sealed it opens.

use proptest::prelude::*;

use super::{
    Alert, Direction, End, Records, Suite, Unfit, Unsealed, Wiped,
    peer_tests::{Peer, SUITES, pair, shaken},
};

/// Opens what is here, and answers the plain text.
fn open(records: &mut Records, sealed: &[u8]) -> Vec<u8> {
    let mut input = sealed.to_vec();
    let opened = records.open(&mut input);
    assert_eq!((opened.used, opened.end), (sealed.len(), None));
    input.truncate(opened.plain);
    input
}

/// Seals this, in as many records as it takes.
fn seal(records: &mut Records, plain: &[u8]) -> Vec<u8> {
    let (mut sealed, mut done) = (Vec::new(), 0);
    while done < plain.len() {
        done += records.seal(&[plain], done, &mut sealed).expect("nobody else seals");
    }
    sealed
}

/// The same in another process.
fn again(records: &mut Records) {
    let mut carried = Wiped::default();
    records.encode(&mut carried);
    let there = Records::decode(carried.bytes()).expect("what was written");
    records.give_away();
    *records = there;
    records.take_back();
}

fn both_ways(records: &mut Records, peer: &mut Peer, text: &[u8]) {
    assert_eq!(peer.hears(&seal(records, text)).expect("authentic"), text);
    assert_eq!(open(records, &peer.says(text)), text);
}

/// Runs for both ends of a connection by each suite.
fn with_each(mut test: impl FnMut(&mut Records, &mut Peer)) {
    for suite in SUITES {
        for is_client in [false, true] {
            let (mut records, mut peer) = pair(suite, is_client);
            test(&mut records, &mut peer);
        }
    }
}

#[test]
fn the_keys_are_those_that_rustls_has_and_so_is_what_is_exported() {
    for suite in SUITES {
        for is_client in [false, true] {
            let shaken = shaken(suite, is_client);
            let records = Records::new(shaken.secrets());
            for (label, context) in [(&b"EXPERIMENTAL-1"[..], None), (b"x", Some(&b"context"[..]))]
            {
                let (mut ours, mut theirs) = ([0; 80], [0; 80]);
                assert!(records.export(label, context, &mut ours));
                let peer = &shaken.peer.0;
                peer.export_keying_material(&mut theirs, label, context).expect("material");
                assert_eq!(ours, theirs, "{suite:x}");
            }
        }
    }
}

#[test]
fn a_secret_of_another_connection_is_noticed() {
    let (shaken, other) = (shaken(0x1301, false), shaken(0x1301, false));
    let direction =
        Direction::of_extracted(shaken.suite, &shaken.extracted.tx, &other.secret(false));
    assert_eq!(direction.err(), Some(Unfit::Secret));
    let direction = Direction::of_extracted(shaken.suite, &shaken.extracted.tx, &[]);
    assert!(!direction.expect("it serves").is_complete(shaken.suite), "it stays where it is");
}

#[test]
fn hundreds_of_records_go_both_ways_before_and_after_a_move() {
    with_each(|records, peer| {
        for round in 0..400_usize {
            if round == 100 || round == 101 || round == 250 {
                again(records);
            }
            both_ways(records, peer, &vec![round as u8; round * 97 % 3000 + 1]);
        }
    });
}

#[test]
fn long_output_and_many_small_pieces_are_as_few_records_as_possible() {
    with_each(|records, peer| {
        let long: Vec<u8> = (0..100_000_u32).map(|at| at as u8).collect();
        both_ways(records, peer, &long);
        let mut sealed = Vec::new();
        let pieces = [&b"one "[..], b"", b"two ", b"three"];
        assert_eq!(records.seal(&pieces, 2, &mut sealed), Ok(11));
        assert_eq!(peer.hears(&sealed).expect("authentic"), b"e two three");
        let header = u16::from_be_bytes([sealed[3], sealed[4]]);
        assert_eq!(usize::from(header) + 5, sealed.len(), "one record");
    });
}

#[test]
fn both_update_their_keys_in_any_order() {
    for is_client in [false, true] {
        for suite in &SUITES[..3] {
            let (mut records, mut peer) = pair(*suite, is_client);
            for round in 0..50_u8 {
                if round % 2 == 0 {
                    peer.0.refresh_traffic_keys().expect("TLS 1.3 can");
                    assert_eq!(open(&mut records, &peer.flushes()), b"");
                    assert!(records.owes(), "rustls asks for the same");
                }
                if round % 3 == 0 {
                    again(&mut records); // with an answer that is due
                }
                if round % 5 == 0 {
                    let mut sealed = Vec::new();
                    records.update_sending(&mut sealed).expect("TLS 1.3 can");
                    assert_eq!(peer.hears(&sealed).expect("authentic"), b"");
                }
                both_ways(&mut records, &mut peer, &[round; 100]);
                assert!(!records.owes());
            }
        }
    }
}

#[test]
fn an_answer_to_a_key_update_waits_for_no_data() {
    let (mut records, mut peer) = pair(0x1301, false);
    peer.0.refresh_traffic_keys().expect("TLS 1.3 can");
    open(&mut records, &peer.flushes());
    let mut sealed = Vec::new();
    records.seal_owed(&mut sealed).expect("nobody else seals");
    assert!(!sealed.is_empty() && !records.owes());
    assert_eq!(peer.hears(&sealed).expect("authentic"), b"");
    both_ways(&mut records, &mut peer, b"after it");
}

#[test]
fn a_close_notify_goes_both_ways_and_nothing_follows_it() {
    with_each(|records, peer| {
        let mut last = peer.says(b"the last words");
        peer.0.send_close_notify();
        last.extend(peer.flushes());
        let length = last.len();
        last.extend(b"what nobody reads");
        let opened = records.open(&mut last);
        assert_eq!(
            (&last[..opened.plain], opened.end),
            (&b"the last words"[..], Some(End::Closed))
        );
        assert_eq!(opened.used, length + 17);
        // The other direction goes on.
        assert_eq!(peer.hears(&seal(records, b"an answer")).expect("authentic"), b"an answer");
        let mut sealed = Vec::new();
        assert!(records.close_notify(&mut sealed));
        assert!(
            !records.close_notify(&mut sealed) && !records.alert(Alert::DECODE_ERROR, &mut sealed)
        );
        assert_eq!(records.seal(&[&b"more"[..]], 0, &mut sealed), Err(Unsealed::Ended));
        peer.0.read_tls(&mut sealed.as_slice()).expect("room");
        assert!(peer.0.process_new_packets().expect("authentic").peer_has_closed());
    });
}

#[test]
fn an_alert_says_who_has_given_up_and_why() {
    with_each(|records, peer| {
        let mut sealed = Vec::new();
        assert!(records.alert(Alert::RECORD_OVERFLOW, &mut sealed));
        let told = peer.hears(&sealed).expect_err("an alert");
        assert_eq!(told, rustls::Error::AlertReceived(rustls::AlertDescription::RecordOverflow));
    });
    with_each(|records, peer| {
        let mut spoilt = seal(records, b"text");
        *spoilt.last_mut().expect("a tag") ^= 1;
        assert_eq!(peer.hears(&spoilt), Err(rustls::Error::DecryptError));
        let mut answer = peer.flushes();
        let opened = records.open(&mut answer);
        assert_eq!(opened.end, Some(End::Received(Alert::BAD_RECORD_MAC)));
    });
}

#[test]
fn who_has_given_a_connection_away_seals_nothing() {
    with_each(|records, peer| {
        both_ways(records, peer, b"before");
        records.give_away();
        let mut sealed = Vec::new();
        assert_eq!(records.seal(&[&b"text"[..]], 0, &mut sealed), Err(Unsealed::GivenAway));
        assert_eq!(records.seal_owed(&mut sealed), Err(Unsealed::GivenAway));
        assert_eq!(records.update_sending(&mut sealed), Err(Unsealed::GivenAway));
        assert!(
            !records.close_notify(&mut sealed) && !records.alert(Alert::DECODE_ERROR, &mut sealed)
        );
        assert!(sealed.is_empty() && !records.has_ciphers());
        records.take_back();
        both_ways(records, peer, b"after");
    });
}

#[test]
#[should_panic(expected = "a nonce is used twice")]
fn a_second_writer_would_be_noticed() {
    let (mut records, _peer) = pair(0x1301, false);
    let mut carried = Wiped::default();
    records.encode(&mut carried);
    let mut there = Records::decode(carried.bytes()).expect("what was written");
    let sealed = there.seal(&[&b"text"[..]], 0, &mut Vec::new());
    assert_eq!(sealed, Err(Unsealed::GivenAway), "it has not said yet that it writes");
    there.take_back();
    seal(&mut there, b"one writer");
    seal(&mut records, b"another");
}

#[test]
fn a_key_is_changed_before_it_is_worn_or_the_connection_is_closed() {
    let (mut records, _peer) = pair(0x1301, false);
    records.sending.keys.number = (1 << 24) - (1 << 10);
    seal(&mut records, b"text");
    assert_eq!(records.sending.keys.number, 1, "the next key");
    let (mut records, _peer) = pair(0xc02b, false);
    records.sending.keys.number = (1 << 24) - (1 << 10) - 1;
    assert!(!records.is_worn());
    seal(&mut records, b"text");
    assert!(records.is_worn());
    let left = std::iter::repeat_with(|| records.seal(&[&b"text"[..]], 0, &mut Vec::new()));
    assert_eq!(left.take_while(Result::is_ok).count(), (1 << 10) - 1);
    assert!(records.close_notify(&mut Vec::new()), "there is one for this");
    let (mut records, _peer) = pair(0xcca9, false);
    records.sending.keys.number = 1 << 40;
    seal(&mut records, b"text");
    assert!(!records.is_worn(), "this cipher is never worn");
}

#[test]
fn what_was_carried_is_checked_field_by_field() {
    let (records, _peer) = pair(0x1302, false);
    let mut carried = Wiped::default();
    records.encode(&mut carried);
    let whole = carried.bytes();
    for length in 0..whole.len() {
        assert!(Records::decode(&whole[..length]).is_err(), "{length} bytes are none");
    }
    assert!(Records::decode(&[whole, &[0]].concat()).is_err());
    // A suite whose keys have another length.
    let mut other = whole.to_vec();
    other[1..3].copy_from_slice(&0x1301_u16.to_le_bytes());
    assert!(Records::decode(&other).is_err());
    other[1..3].copy_from_slice(&0x1305_u16.to_le_bytes());
    assert!(Records::decode(&other).is_err());
    assert!(Suite::of(0xc013).is_none(), "no AEAD");
}

#[test]
fn nothing_secret_is_shown() {
    let (records, _peer) = pair(0x1301, false);
    let mut carried = Wiped::default();
    records.encode(&mut carried);
    let shown = format!("{records:?} {carried:?} {:?}", shaken(0x1301, false).secrets());
    for byte in records.sending.keys.secret.bytes().windows(3) {
        assert!(!shown.contains(&format!("{}, {}, {}", byte[0], byte[1], byte[2])));
    }
    assert!(shown.contains("a secret") && shown.contains("secret bytes"), "{shown}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn records_may_be_cut_anywhere(
        suite in prop::sample::select(&SUITES[..]),
        texts in prop::collection::vec(1..3000_usize, 1..8),
        cuts in prop::collection::vec(1..4000_usize, 1..30),
        moves in prop::collection::vec(any::<bool>(), 30),
    ) {
        let (mut records, mut peer) = pair(suite, false);
        let mut sent = Vec::new();
        let mut sealed = Vec::new();
        for (at, length) in texts.into_iter().enumerate() {
            let text = vec![at as u8 + 1; length];
            sealed.extend(peer.says(&text));
            sent.extend(text);
            if Suite::of(suite).is_some_and(Suite::is_tls13) && at % 3 == 1 {
                peer.0.refresh_traffic_keys().expect("TLS 1.3 can");
            }
        }
        let (mut kept, mut received) = (Vec::new(), Vec::new());
        let mut rest = sealed.as_slice();
        for (cut, moves) in cuts.into_iter().chain([usize::MAX]).zip(moves.into_iter().cycle()) {
            let (now, later) = rest.split_at(cut.min(rest.len()));
            rest = later;
            kept.extend_from_slice(now);
            let opened = records.open(&mut kept);
            prop_assert_eq!(opened.end, None);
            received.extend_from_slice(&kept[..opened.plain]);
            kept.drain(..opened.used);
            if moves {
                again(&mut records);
            }
        }
        prop_assert!(kept.is_empty());
        prop_assert_eq!(received, sent);
        let answer = seal(&mut records, b"an answer");
        prop_assert_eq!(peer.hears(&answer).expect("authentic"), b"an answer");
    }
}
