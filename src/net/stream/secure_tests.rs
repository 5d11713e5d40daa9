//! However little a socket takes and gives at a time: what arrives is what was sent, in order, and then the end.

use std::{
    cell::RefCell,
    collections::VecDeque,
    io::{self, IoSlice, Read, Write},
    rc::Rc,
    sync::{Arc, OnceLock},
};

use proptest::prelude::*;
use rustls::{
    ClientConfig, RootCertStore, ServerConfig,
    crypto::ring::default_provider,
    pki_types::{PrivateKeyDer, ServerName},
    version::{TLS12, TLS13},
};

use super::{Secure, Shaken};
use crate::{
    limits::WRITE_BUDGET,
    tls::{Alert, ClientTerms, ServerTerms, TlsError},
};

/// One end of two queues, of which this much may be used.
struct Wire {
    inbox: Rc<RefCell<VecDeque<u8>>>,
    outbox: Rc<RefCell<VecDeque<u8>>>,
    gives: usize,
    takes: usize,
    /// What a write is answered with, once.
    fails: Option<io::Error>,
    has_ended: bool,
}

impl Read for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut inbox = self.inbox.borrow_mut();
        let count = inbox.len().min(self.gives).min(buffer.len());
        if count == 0 && self.has_ended && inbox.is_empty() {
            return Ok(0);
        }
        if count == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.gives -= count;
        inbox.read(&mut buffer[..count])
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Some(e) = self.fails.take() {
            return Err(e);
        }
        let count = bytes.len().min(self.takes);
        if count == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.takes -= count;
        self.outbox.borrow_mut().extend(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What the reactor is to one connection.
struct End {
    tls: Secure,
    wire: Wire,
    output: Vec<u8>,
    input: Vec<u8>,
}

impl End {
    fn is_shaking(&self) -> bool {
        self.tls.info().is_none()
    }

    fn flush(&mut self, takes: usize) {
        self.wire.takes = takes;
        let flushed = self.tls.flush(&mut self.wire);
        if flushed.is_err() || self.is_shaking() || self.output.is_empty() {
            return;
        }
        let offered = &self.output[..self.output.len().min(WRITE_BUDGET)];
        let (front, back) = offered.split_at(offered.len() / 3);
        let slices = [IoSlice::new(front), IoSlice::new(back)];
        match self.tls.write_vectored(&mut self.wire, &slices) {
            Ok(count) => drop(self.output.drain(..count)),
            Err(e) => assert_eq!(e.kind(), io::ErrorKind::WouldBlock),
        }
    }

    /// The end, once it has come.
    fn read(&mut self, gives: usize) -> Option<Result<(), TlsError>> {
        self.wire.gives = gives;
        let mut buffer = vec![0; 32 * 1024];
        if self.is_shaking() {
            let shaken = self.tls.shake(&mut self.wire, &mut buffer);
            assert!(
                matches!(shaken, Ok(Shaken::Waits | Shaken::HeardNothing | Shaken::Done)),
                "{shaken:?}"
            );
            return None;
        }
        loop {
            match self.tls.read(&mut self.wire, &mut buffer) {
                Ok(0) => return Some(Ok(())),
                Ok(count) => self.input.extend(&buffer[..count]),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return None,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Some(Err(e.downcast().expect("of TLS"))),
            }
        }
    }
}

fn terms() -> &'static [(ServerTerms, ClientTerms); 2] {
    static TERMS: OnceLock<[(ServerTerms, ClientTerms); 2]> = OnceLock::new();
    TERMS.get_or_init(|| {
        let own = rcgen::generate_simple_self_signed(["x".to_owned()]).expect("a certificate");
        [&TLS13, &TLS12].map(|version| {
            let (certificate, key) = (own.cert.der().clone(), own.signing_key.serialize_der());
            let mut roots = RootCertStore::empty();
            roots.add(certificate.clone()).expect("a root");
            let provider = Arc::new(default_provider());
            let server = ServerConfig::builder_with_provider(Arc::clone(&provider))
                .with_protocol_versions(&[version])
                .expect("a version")
                .with_no_client_auth()
                .with_single_cert(vec![certificate], PrivateKeyDer::Pkcs8(key.into()))
                .expect("a pair");
            let client = ClientConfig::builder_with_provider(provider)
                .with_protocol_versions(&[version])
                .expect("a version")
                .with_root_certificates(roots)
                .with_no_client_auth();
            (ServerTerms::of(&server), ClientTerms::of(&client))
        })
    })
}

fn pair(version: usize) -> [End; 2] {
    let (server, client) = &terms()[version];
    let name = ServerName::try_from("x").expect("a name");
    let server = Secure::accept(server).expect("a server");
    let client = Secure::connect(client, name).expect("a client");
    let (one, other) = (Rc::default(), Rc::default());
    let end = |tls, inbox: &Rc<_>, outbox: &Rc<_>| End {
        tls,
        wire: Wire {
            inbox: Rc::clone(inbox),
            outbox: Rc::clone(outbox),
            gives: 0,
            takes: 0,
            fails: None,
            has_ended: false,
        },
        output: Vec::new(),
        input: Vec::new(),
    };
    [end(server, &one, &other), end(client, &other, &one)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_arrives_is_what_was_sent_however_it_is_cut(
        version in 0_usize..2,
        steps in prop::collection::vec((0_usize..6, prop_oneof![1_usize..60, 1_usize..40_000]), 1..80),
    ) {
        let mut ends = pair(version);
        let mut sent = [Vec::new(), Vec::new()];
        let mut next = 0_u8;
        for (step, size) in steps {
            let (side, what) = (step % 2, step / 2);
            match what {
                0 => {
                    let bytes: Vec<u8> = (0..size).map(|_| { next = next.wrapping_mul(5).wrapping_add(3); next }).collect();
                    ends[side].output.extend(&bytes);
                    sent[side].extend(bytes);
                }
                1 => ends[side].flush(size),
                _ => prop_assert_eq!(ends[side].read(size), None),
            }
        }
        for _ in 0..200 {
            ends.iter_mut().for_each(|end| end.flush(usize::MAX));
            for end in &mut ends {
                prop_assert_eq!(end.read(usize::MAX), None);
            }
        }
        prop_assert!(ends[0].input == sent[1] && ends[1].input == sent[0]);
        prop_assert!(ends.iter().all(|end| end.output.is_empty() && !end.tls.owes()));
        // One says that no more will come, the other is cut off.
        prop_assert!(ends[0].tls.close_notify());
        ends[0].flush(usize::MAX);
        prop_assert_eq!(ends[1].read(usize::MAX), Some(Ok(())));
        ends[0].wire.has_ended = true;
        prop_assert_eq!(ends[0].read(usize::MAX), Some(Err(TlsError::Truncated)));
    }
}

/// As far as the client: the server has yet to hear its last word.
fn nearly_shaken(version: usize) -> [End; 2] {
    let mut ends = pair(version);
    while ends[1].is_shaking() {
        ends.iter_mut().for_each(|end| end.flush(usize::MAX));
        if ends[0].is_shaking() {
            ends[0].read(usize::MAX);
        }
        ends[1].read(usize::MAX);
    }
    ends
}

/// A record that came in two pieces left the memory of its first one, and a handshake that of all behind it.
#[test]
fn who_is_idle_keeps_no_memory_for_what_has_come() {
    for version in 0..2 {
        let [mut server, mut client] = nearly_shaken(version);
        let mut buffer = vec![0; 1 << 16];
        client.flush(usize::MAX);
        client.output = vec![1; 60_000];
        client.flush(usize::MAX);
        server.wire.gives = usize::MAX;
        while server.is_shaking() {
            server.tls.shake(&mut server.wire, &mut buffer).expect("all of it");
        }
        let count = server.tls.read(&mut server.wire, &mut buffer).expect("what came with it");
        assert_eq!((count, server.tls.partial.capacity()), (60_000, 0));
        client.output = vec![1; 1 << 14];
        client.flush(usize::MAX);
        assert_eq!(server.read(10_000), None);
        assert!(!server.tls.partial.is_empty());
        server.wire.gives = usize::MAX;
        let count = server.tls.read(&mut server.wire, &mut buffer).expect("the rest");
        assert_eq!((count, server.tls.partial.capacity()), (1 << 14, 0));
    }
}

/// Each byte of it has a record of its own, so that what is kept is six times what is said.
#[test]
fn a_hello_that_takes_too_much_to_keep_is_refused() {
    let [mut server, _] = pair(0);
    let hello = [1, 0, 0xff, 0xff].into_iter().chain(std::iter::repeat_n(0, 0xffff));
    let mut hello = hello.flat_map(|byte| [22, 3, 1, 0, 1, byte]);
    let mut sent = 0;
    let refused = loop {
        server.wire.inbox.borrow_mut().extend(hello.by_ref().take(6000));
        sent += 6000;
        assert!(sent < 100_000);
        server.wire.gives = usize::MAX;
        if let Err(e) = server.tls.shake(&mut server.wire, &mut vec![0; 1 << 14]) {
            break e.downcast::<TlsError>().expect("of TLS");
        }
    };
    assert!(matches!(refused, TlsError::Sent(Alert::DECODE_ERROR, _)), "{refused:?}");
    assert_eq!(server.tls.sealed, [21, 3, 3, 0, 2, 2, Alert::DECODE_ERROR.number()]);
}

/// What was sealed by then was thrown away, with its numbers used: the peer could open nothing that came behind it.
#[test]
fn a_write_that_goes_on_later_loses_no_record() {
    let errors = [libc::EAGAIN, libc::EINTR, libc::EINPROGRESS].map(io::Error::from_raw_os_error);
    let [mut server, mut client] = pair(0);
    for error in errors {
        // Of a handshake that has just begun, or an alert that is due.
        client.wire.takes = usize::MAX;
        client.tls.sealed.splice(0..0, *b"owed");
        client.wire.fails = Some(io::Error::from_raw_os_error(error.raw_os_error().expect("one")));
        let first = client.tls.flush(&mut client.wire);
        assert!(first.is_ok() || first.is_err_and(|e| e.kind() == io::ErrorKind::WouldBlock));
        client.tls.flush(&mut client.wire).expect("room");
        let begins = server.wire.inbox.borrow_mut().drain(..).take(4).eq(*b"owed");
        assert!(begins, "{error}");
        // Of data.
        [server, client] = nearly_shaken(0);
        client.flush(usize::MAX);
        client.output = vec![1; 40_000];
        client.wire.fails = Some(error);
        (0..3).for_each(|_| client.flush(usize::MAX));
        (0..4).for_each(|_| assert_eq!(server.read(usize::MAX), None));
        assert_eq!(server.input, [1; 40_000]);
    }
}
