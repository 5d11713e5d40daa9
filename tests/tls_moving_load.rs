//! With TLS not a byte is lost, repeated or swapped either, and no nonce used twice, however often connections move in
//! the middle of a record in both directions.

use std::{
    io::{self, Read, Write},
    sync::Arc,
};

use crate::common::{
    readers::{Load, PIECE, Speak, connect_narrow},
    restart::Engine,
    tls::{BOTH, Secured, TlsClient},
};
use heirloom::tls::rustls::ClientConfig;

/// A client of whose last record the server has a part.
struct Halves {
    client: TlsClient,
    /// The rest of that record.
    rest: Vec<u8>,
    /// Where the next one is cut.
    at: usize,
}

impl Halves {
    fn connect(address: &str, config: &Arc<ClientConfig>, number: usize) -> Halves {
        let mut client = TlsClient::on(connect_narrow(address), Arc::clone(config), "localhost");
        client.shake().expect("a handshake");
        Halves { client, rest: Vec::new(), at: number }
    }
}

impl Read for Halves {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.client.stream.read(buffer)
    }
}

impl Speak for Halves {
    fn say(&mut self, whole: &str, half: &str) {
        let mut records = std::mem::take(&mut self.rest);
        records.extend(self.client.seal(whole));
        let mut last = self.client.seal(half);
        if !last.is_empty() {
            // In the header, in the explicit nonce of TLS 1.2, in the text, in the tag.
            self.at = self.at % (last.len() - 1) + 1;
            self.rest = last.split_off(self.at);
        }
        records.append(&mut last);
        self.client.wire().write_all(&records).expect("the server takes it");
    }
}

#[test]
fn a_thousand_sessions_move_twenty_times_in_mid_record_and_no_byte_is_wrong() {
    let count = 1000;
    let lab = Secured::with("tls", "", |setup| {
        let setup = setup.arg("--move").env("LAB_PROBATION", 0).env("LAB_IDLE", 600_000);
        // Clients wait for each other, on a machine that is busy for long.
        let setup = setup.env("LAB_HANDSHAKE", 600_000).env("LAB_WRITE", 600_000);
        setup.env("LAB_MAX_DOWNTIME", 10_000)
    });
    let configs = BOTH.iter().map(|version| Arc::new(lab.pki.client(&[*version])));
    let configs: Vec<_> = configs.collect();
    let load = Load::by(count, |number| {
        Halves::connect(&lab.address, &configs[number % configs.len()], number)
    });
    load.goes_on(count as u64 * PIECE as u64);
    for engine in Engine::alternating().take(20) {
        lab.server.restart(engine.signal());
        load.goes_on(4 * 1024 * 1024);
    }
    let bytes = load.stop();
    assert!(bytes > 20 * 4 * 1024 * 1024);
    assert_eq!(lab.server.count_lines(&format!("moved: {count} connections, 0 stay")), 20);
    lab.sealed.check_by(2);
}
