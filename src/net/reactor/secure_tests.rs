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
