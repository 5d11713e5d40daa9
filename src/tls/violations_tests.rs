//! What a peer may not do, and what it is told then. The records are authentic: a peer that holds the keys has made them.

use super::{
    Alert, Direction, End, Records, Suite,
    cipher::Cipher,
    peer_tests::{SUITES, shaken},
    seal::{ALERT, CHANGE_CIPHER_SPEC, DATA, HANDSHAKE, aad_len, additional_data},
};

const LIMIT: usize = 1 << 14;

/// The other end of a connection, which makes records of anything.
struct Forger {
    suite: Suite,
    keys: Direction,
}

impl Forger {
    fn pair(suite: u16, ours_is_client: bool) -> (Records, Forger) {
        let shaken = shaken(suite, ours_is_client);
        let secret = shaken.secret(!ours_is_client);
        let keys = Direction::of_extracted(shaken.suite, &shaken.extracted.rx, &secret);
        let forger = Forger { suite: shaken.suite, keys: keys.expect("its keys") };
        (Records::new(shaken.secrets()), forger)
    }

    /// A record with this inside, type and padding included where there are any.
    fn raw(&mut self, outer: u8, version: [u8; 2], inner: &[u8]) -> Vec<u8> {
        let explicit = self.suite.explicit_nonce();
        let nonce = self.keys.nonce();
        let length = ((explicit + inner.len() + 16) as u16).to_be_bytes();
        let header = [outer, version[0], version[1], length[0], length[1]];
        let aad = additional_data(self.suite, self.keys.number, header, inner.len());
        let mut text = inner.to_vec();
        let cipher = Cipher::new(self.suite.cipher(), self.keys.key.bytes());
        let tag = cipher.seal(nonce, &aad[..aad_len(self.suite)], &mut text).expect("sealed");
        self.keys.number += 1;
        [&header, &nonce[12 - explicit..], &text, &tag].concat()
    }

    fn record(&mut self, kind: u8, text: &[u8]) -> Vec<u8> {
        match self.suite.is_tls13() {
            true => self.raw(DATA, [3, 3], &[text, &[kind]].concat()),
            false => self.raw(kind, [3, 3], text),
        }
    }
}

/// What comes of these records: how much plain text, and the end.
fn outcome(records: &mut Records, sealed: &[u8]) -> (usize, Option<End>) {
    let mut input = sealed.to_vec();
    let opened = records.open(&mut input);
    (opened.plain, opened.end)
}

/// What comes of what `forge` makes, for each suite of this version.
fn each(is_tls13: bool, forge: impl Fn(&mut Forger) -> Vec<u8>) -> (usize, Option<End>) {
    let of_version = |suite: &u16| Suite::of(*suite).is_some_and(|it| it.is_tls13() == is_tls13);
    let outcomes = SUITES.into_iter().filter(of_version).map(|suite| {
        let (mut records, mut forger) = Forger::pair(suite, false);
        outcome(&mut records, &forge(&mut forger))
    });
    let outcomes: Vec<_> = outcomes.collect();
    assert!(outcomes.windows(2).all(|pair| pair[0] == pair[1]), "{outcomes:?}");
    outcomes[0]
}

fn violated(alert: Alert) -> (usize, Option<End>) {
    (0, Some(End::Violated(alert)))
}

#[test]
fn a_record_has_its_limits_to_the_byte() {
    for is_tls13 in [true, false] {
        assert_eq!(each(is_tls13, |it| it.record(DATA, &[1; LIMIT])), (LIMIT, None));
        let longer = each(is_tls13, |it| it.record(DATA, &[1; LIMIT + 1]));
        assert_eq!(longer, violated(Alert::RECORD_OVERFLOW));
        // The header alone says so, and nothing is waited for.
        let room = if is_tls13 { 256 } else { 2048 };
        let header = |length: usize| {
            let [high, low] = (length as u16).to_be_bytes();
            vec![DATA, 3, 3, high, low]
        };
        assert_eq!(each(is_tls13, |_| header(LIMIT + room)), (0, None));
        let longer = each(is_tls13, |_| header(LIMIT + room + 1));
        assert_eq!(longer, violated(Alert::RECORD_OVERFLOW));
    }
}

#[test]
fn padding_counts_and_a_record_of_padding_alone_has_no_type() {
    let padded = |text: usize, padding: usize| {
        move |it: &mut Forger| {
            let inner = [&vec![1; text][..], &[DATA], &vec![0; padding][..]].concat();
            it.raw(DATA, [3, 3], &inner)
        }
    };
    assert_eq!(each(true, padded(5, 0)), (5, None));
    assert_eq!(each(true, padded(5, LIMIT - 5)), (5, None));
    assert_eq!(each(true, padded(0, LIMIT)), (0, None));
    assert_eq!(each(true, padded(5, LIMIT - 4)), violated(Alert::RECORD_OVERFLOW));
    for zeros in [0, 1, 300] {
        let outcome = each(true, |it| it.raw(DATA, [3, 3], &vec![0; zeros]));
        assert_eq!(outcome, violated(Alert::UNEXPECTED_MESSAGE));
    }
}

#[test]
fn what_is_not_authentic_ends_it_behind_what_is() {
    for is_tls13 in [true, false] {
        for at in [5, 12, 20] {
            let outcome = each(is_tls13, |it| {
                let mut sealed = it.record(DATA, b"right");
                let mut spoilt = it.record(DATA, b"wrong");
                spoilt[at] ^= 1;
                sealed.extend(spoilt);
                sealed
            });
            assert_eq!(outcome, (5, Some(End::Violated(Alert::BAD_RECORD_MAC))));
        }
        for length in [0, 1, 15] {
            let short = [&[DATA, 3, 3, 0, length][..], &vec![1; length.into()]].concat();
            assert_eq!(each(is_tls13, |_| short.clone()), violated(Alert::BAD_RECORD_MAC));
        }
        // The same record once more.
        let outcome = each(is_tls13, |it| it.record(DATA, b"once").repeat(2));
        assert_eq!(outcome, (4, Some(End::Violated(Alert::BAD_RECORD_MAC))));
    }
}

#[test]
fn a_record_of_another_type_is_unexpected() {
    for is_tls13 in [true, false] {
        for kind in [0, 19, 24, 71, 255] {
            let outcome = each(is_tls13, |_| vec![kind, 3, 3, 0, 1, 1]);
            assert_eq!(outcome, violated(Alert::UNEXPECTED_MESSAGE), "{kind}");
        }
        let ccs = each(is_tls13, |it| it.record(CHANGE_CIPHER_SPEC, &[1]));
        assert_eq!(ccs, violated(Alert::UNEXPECTED_MESSAGE));
    }
    for kind in [CHANGE_CIPHER_SPEC, ALERT, HANDSHAKE] {
        let in_plain = each(true, |_| vec![kind, 3, 3, 0, 2, 2, 40]);
        assert_eq!(in_plain, violated(Alert::UNEXPECTED_MESSAGE));
    }
}

#[test]
fn the_version_of_a_record_counts_in_tls_1_2_only() {
    let old = |it: &mut Forger| {
        let inner = if it.suite.is_tls13() { &b"text\x17"[..] } else { b"text" };
        it.raw(DATA, [3, 1], inner)
    };
    assert_eq!(each(true, old), (4, None));
    assert_eq!(each(false, old), violated(Alert::PROTOCOL_VERSION));
}

#[test]
fn an_alert_is_two_bytes() {
    for is_tls13 in [true, false] {
        let alert = |body: &'static [u8]| each(is_tls13, move |it| it.record(ALERT, body));
        assert_eq!(alert(&[]), violated(Alert::UNEXPECTED_MESSAGE));
        for body in [&[1][..], &[1, 0, 0], &[2, 20, 2, 20]] {
            assert_eq!(alert(body), violated(Alert::DECODE_ERROR));
        }
        for level in [1, 2] {
            let close = each(is_tls13, |it| it.record(ALERT, &[level, 0]));
            assert_eq!(close, (0, Some(End::Closed)));
        }
        let fatal = (0, Some(End::Received(Alert::HANDSHAKE_FAILURE)));
        assert_eq!(alert(&[2, 40]), fatal);
        assert_eq!(alert(&[1, 40]), if is_tls13 { fatal } else { (0, None) });
        assert_eq!(alert(&[1, 90]), (0, None), "user_canceled comes before the end, and is none");
        let unknown = each(is_tls13, |it| it.record(ALERT, &[3, 40]));
        assert_eq!(unknown, if is_tls13 { fatal } else { violated(Alert::ILLEGAL_PARAMETER) });
    }
}

#[test]
fn a_key_update_stands_alone_and_may_be_cut() {
    let handshake = |body: &'static [u8]| each(true, move |it| it.record(HANDSHAKE, body));
    assert_eq!(handshake(&[24, 0, 0, 1, 0]), (0, None));
    assert_eq!(handshake(&[24, 0, 0, 1, 2]), violated(Alert::ILLEGAL_PARAMETER));
    assert_eq!(handshake(&[24, 0, 0, 2]), violated(Alert::DECODE_ERROR));
    assert_eq!(handshake(&[24, 0, 0, 0]), violated(Alert::DECODE_ERROR));
    for followed in [&[24, 0, 0, 1, 0, 24][..], &[24, 0, 0, 1, 0, 24, 0, 0, 1, 0]] {
        assert_eq!(handshake(followed), violated(Alert::UNEXPECTED_MESSAGE));
    }
    assert_eq!(handshake(&[]), violated(Alert::UNEXPECTED_MESSAGE));
    let cut = |between: &'static [u8]| {
        move |it: &mut Forger| {
            let mut sealed = it.record(HANDSHAKE, &[24, 0]);
            if !between.is_empty() {
                sealed.extend(it.record(DATA, between));
            }
            sealed.extend(it.record(HANDSHAKE, &[0, 1, 0]));
            let next = it.keys.next(it.suite).expect("TLS 1.3 has one");
            it.keys = next;
            sealed.extend(it.record(DATA, b"after it"));
            sealed
        }
    };
    assert_eq!(each(true, cut(b"")), (8, None));
    assert_eq!(each(true, cut(b"data")), violated(Alert::UNEXPECTED_MESSAGE));
}

#[test]
fn only_a_client_is_sent_tickets_and_nobody_shakes_hands_anew() {
    let ticket = [4, 0, 0, 3, 1, 2, 3];
    let whom = |suite: u16, is_client: bool, body: &[u8]| {
        let (mut records, mut forger) = Forger::pair(suite, is_client);
        let sealed = forger.record(HANDSHAKE, body);
        (outcome(&mut records, &sealed), records.owes())
    };
    let unexpected = (violated(Alert::UNEXPECTED_MESSAGE), false);
    assert_eq!(whom(0x1301, true, &ticket), ((0, None), false));
    assert_eq!(whom(0x1301, true, &ticket.repeat(3)), ((0, None), false));
    assert_eq!(whom(0x1301, false, &ticket), unexpected);
    for kind in [0, 1, 2, 8, 11, 13, 20, 254] {
        assert_eq!(whom(0x1301, true, &[kind]), unexpected);
        assert_eq!(whom(0x1301, false, &[kind]), unexpected);
    }
    // In TLS 1.2 they may ask, and are told no.
    assert_eq!(whom(0xc02b, false, &[1, 0, 0, 40]), ((0, None), true));
    assert_eq!(whom(0xc02b, true, &[0, 0, 0, 0]), ((0, None), true));
    assert_eq!(whom(0xc02b, false, &[0, 0, 0, 0]), unexpected);
    assert_eq!(whom(0xc02b, true, &[24, 0, 0, 1, 0]), unexpected);
}

#[test]
fn who_sends_no_data_for_long_is_asked_to_stop() {
    for is_tls13 in [true, false] {
        let empty = |count: usize| {
            each(is_tls13, move |it| {
                (0..count).flat_map(|_| it.record(DATA, b"")).collect::<Vec<u8>>()
            })
        };
        assert_eq!(empty(32), (0, None));
        assert_eq!(empty(33), violated(Alert::UNEXPECTED_MESSAGE));
        let between = each(is_tls13, |it| {
            let some = |_| [it.record(DATA, b""), it.record(DATA, b"1")].concat();
            (0..100).flat_map(some).collect()
        });
        assert_eq!(between, (100, None));
    }
}

/// A byte of data between them makes no difference: each has cost keys and a cipher.
#[test]
fn who_updates_keys_all_the_time_is_asked_to_stop() {
    let updates = |forger: &mut Forger, count: usize| {
        let mut sealed = Vec::new();
        for _ in 0..count {
            sealed.extend(forger.record(HANDSHAKE, &[24, 0, 0, 1, 0]));
            forger.keys = forger.keys.next(forger.suite).expect("TLS 1.3 has one");
            sealed.extend(forger.record(DATA, b"1"));
        }
        sealed
    };
    let refused = (32, Some(End::Violated(Alert::UNEXPECTED_MESSAGE)));
    assert_eq!(each(true, |it| updates(it, 33)), refused);
    // What comes later is opened later.
    let (mut records, mut forger) = Forger::pair(0x1301, false);
    for _ in 0..3 {
        assert_eq!(outcome(&mut records, &updates(&mut forger, 32)), (32, None));
    }
}
