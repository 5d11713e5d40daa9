//! Handshakes and their timeouts over streams in memory, whose peer is the test.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use rustls::{ClientConfig, RootCertStore, crypto::ring::default_provider};

use super::Net;
use crate::{
    limits::WRITE_STALL,
    net::{
        conn::Phase,
        id::ConnId,
        stream::{Peer, Secure, Stream, memory::Pipe},
    },
    timeouts::Timeouts,
    tls::ClientTerms,
};

/// A client of TLS, which has a hello to send.
fn client(start: Instant, phase: Phase) -> (Net, Pipe, ConnId) {
    let config = ClientConfig::builder_with_provider(Arc::new(default_provider()));
    let config = config.with_safe_default_protocol_versions().expect("some");
    let config = config.with_root_certificates(RootCertStore::empty()).with_no_client_auth();
    let name = "x".try_into().expect("a name");
    let secure = Secure::connect(&ClientTerms::of(&config), name).expect("a client");
    let mut net = Net::new(None, start);
    let pipe = Pipe::new(0);
    let mut stream = Stream::Memory(pipe.clone());
    stream.secure_by(secure);
    let id = net.insert(stream, Peer::Unknown, phase).expect("a place");
    (net, pipe, id)
}

/// It was judged by the time of the last byte before, however long ago that was.
#[test]
fn who_is_owed_a_record_has_its_time_from_then_on() {
    let start = Instant::now();
    let (mut net, pipe, id) = client(start, Phase::Open);
    net.timeouts.of_all = Timeouts::new().first_message(None);
    pipe.set_window(0);
    let later = |net: &mut Net, time: Duration, has_room: bool| {
        net.set_now(start + time);
        net.catch_up();
        if has_room {
            net.note_stream(id, false, true, false);
        }
        net.mark_dirty(id);
        net.flush();
        net.next_expired();
        net.take_ended().is_some()
    };
    assert!(!later(&mut net, 2 * WRITE_STALL, false));
    // That it was tried again is no time more.
    assert!(!later(&mut net, 2 * WRITE_STALL + WRITE_STALL / 2, true));
    assert!(later(&mut net, 3 * WRITE_STALL, false));
}

/// What says that more is behind a short read was taken for something to read, in each turn.
#[test]
fn urgent_data_in_a_handshake_is_looked_for_once() {
    let (mut net, _, id) = client(Instant::now(), Phase::Handshaking);
    net.note_stream(id, true, false, true);
    assert!(net.shake(id, &mut [0; 100]).is_none());
    assert!(!net.conns[id.slot()].needs_reading());
}

/// Under load its turn to shake hands comes late, and a byte is always there by then.
#[test]
fn who_sends_a_byte_a_turn_is_late_all_the_same() {
    let start = Instant::now();
    let (mut net, pipe, id) = client(start, Phase::Handshaking);
    let limit = net.timeouts.of_all.handshake;
    for (time, is_late) in [(limit / 2, false), (limit, true)] {
        net.set_now(start + time);
        net.catch_up();
        pipe.feed(&[22]);
        net.queue_handshake(id);
        net.next_expired();
        assert!(net.take_ended().is_none(), "its byte may be the last one");
        assert_eq!(net.next_handshake(), Some(id));
        assert!(net.shake(id, &mut [0; 100]).is_none());
        assert_eq!(net.take_ended().is_some(), is_late);
        pipe.feed(&[3]);
    }
}
