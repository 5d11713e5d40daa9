//! A connection with rustls' own records at its other end, in memory.

use std::{
    collections::HashMap,
    io::{Read, Write},
    sync::{Arc, Mutex},
};

use rustls::{
    ClientConfig, ClientConnection, Connection, ExtractedSecrets, KeyLog, NoKeyLog, RootCertStore,
    ServerConfig, ServerConnection, SupportedCipherSuite,
    crypto::{CryptoProvider, ring},
    pki_types::{PrivateKeyDer, ServerName},
};

use super::{Direction, Exporter, Records, Secrets, Suite};

/// TLS 1.3 and 1.2 with each cipher.
pub const SUITES: [u16; 6] = [0x1301, 0x1302, 0x1303, 0xc02b, 0xc02c, 0xcca9];

/// What a key log was told.
#[derive(Debug, Default)]
struct Caught(Mutex<HashMap<String, Vec<u8>>>);

impl KeyLog for Caught {
    fn log(&self, label: &str, random: &[u8], secret: &[u8]) {
        let mut caught = self.0.lock().expect("no panic");
        caught.insert(label.to_owned(), secret.to_vec());
        caught.insert("random".to_owned(), random.to_vec());
    }
}

/// What one end of a handshake knows when it is over, and the other end.
pub struct Shaken {
    pub suite: Suite,
    pub extracted: ExtractedSecrets,
    pub peer: Peer,
    caught: Arc<Caught>,
    server_random: Vec<u8>,
    is_client: bool,
}

/// The other end: rustls, with its buffers.
pub struct Peer(pub Connection);

/// A server and a client that trusts it, by this suite. Nobody listens.
#[allow(dead_code)] // of the benchmark
pub fn both_configs(number: u16) -> (ServerConfig, ClientConfig) {
    let (mut server, mut client) = configs(of_rustls(number), &Arc::default());
    (server.key_log, client.key_log) = (Arc::new(NoKeyLog), Arc::new(NoKeyLog));
    (server, client)
}

fn of_rustls(number: u16) -> SupportedCipherSuite {
    let mut all = ring::ALL_CIPHER_SUITES.iter();
    *all.find(|it| u16::from(it.suite()) == number).expect("one of ring's")
}

fn configs(suite: SupportedCipherSuite, caught: &Arc<Caught>) -> (ServerConfig, ClientConfig) {
    let own = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let (certificate, key) = (own.cert.der().clone(), own.signing_key.serialize_der());
    let provider = CryptoProvider { cipher_suites: vec![suite], ..ring::default_provider() };
    let provider = Arc::new(provider);
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone()).expect("a root");
    let mut server = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate], PrivateKeyDer::Pkcs8(key.into()))
        .expect("its key");
    let mut client = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    (server.enable_secret_extraction, client.enable_secret_extraction) = (true, true);
    (server.key_log, client.key_log) = (caught.clone(), caught.clone());
    (server, client)
}

/// Takes what `from` has to say to `to`; answers it.
fn carry(from: &mut Connection, to: &mut Connection) -> Vec<u8> {
    let mut bytes = Vec::new();
    while from.wants_write() {
        from.write_tls(&mut bytes).expect("a vector takes all");
    }
    let mut rest = bytes.as_slice();
    while !rest.is_empty() {
        to.read_tls(&mut rest).expect("room");
        to.process_new_packets().expect("right");
    }
    bytes
}

/// A server and a client that have shaken hands by this suite, and what was random about it.
fn shake(number: u16, caught: &Arc<Caught>) -> (Connection, Connection, Vec<u8>) {
    let (server, client) = configs(of_rustls(number), caught);
    let name = ServerName::try_from("localhost").expect("a name");
    let client = ClientConnection::new(Arc::new(client), name).expect("a client");
    let server = ServerConnection::new(Arc::new(server)).expect("a server");
    let (mut client, mut server) = (Connection::from(client), Connection::from(server));
    let mut server_random = Vec::new();
    while client.is_handshaking() || server.is_handshaking() || server.wants_write() {
        carry(&mut client, &mut server);
        let said = carry(&mut server, &mut client);
        if server_random.is_empty() {
            server_random = said[11..43].to_vec(); // behind the headers of record and message, and the version
        }
    }
    client.set_buffer_limit(None);
    server.set_buffer_limit(None);
    (server, client, server_random)
}

/// A server and a client of rustls.
#[allow(dead_code)] // of the benchmark
pub fn both(number: u16) -> (Peer, Peer) {
    let (server, client, _) = shake(number, &Arc::default());
    (Peer(server), Peer(client))
}

/// One end of rustls, and what the other one has known when the handshake was over.
pub fn shaken(number: u16, is_client: bool) -> Shaken {
    let suite = Suite::of(number).expect("one of ours");
    let caught = Arc::new(Caught::default());
    let (server, client, server_random) = shake(number, &caught);
    let (ours, peer) = if is_client { (client, server) } else { (server, client) };
    let extracted = ours.dangerous_extract_secrets().expect("it is allowed");
    Shaken { suite, extracted, peer: Peer(peer), caught, server_random, is_client }
}

impl Shaken {
    /// The secret of one direction; none in TLS 1.2.
    pub fn secret(&self, of_client: bool) -> Vec<u8> {
        let label = if of_client { "CLIENT_TRAFFIC_SECRET_0" } else { "SERVER_TRAFFIC_SECRET_0" };
        self.caught(label).unwrap_or_default()
    }

    fn caught(&self, label: &str) -> Option<Vec<u8>> {
        self.caught.0.lock().expect("no panic").get(label).cloned()
    }

    pub fn secrets(&self) -> Secrets {
        let exporter = match self.caught("EXPORTER_SECRET") {
            Some(secret) => Exporter::tls13(&secret),
            None => {
                let randoms = [self.caught("random").expect("one"), self.server_random.clone()];
                let master = self.caught("CLIENT_RANDOM").expect("the master secret");
                Exporter::tls12(&master, randoms.concat().try_into().expect("32 bytes each"))
            }
        };
        let direction = |extracted, of_client| {
            let direction = Direction::of_extracted(self.suite, extracted, &self.secret(of_client));
            direction.expect("rustls has the same keys")
        };
        Secrets {
            suite: self.suite,
            is_client: self.is_client,
            sending: direction(&self.extracted.tx, self.is_client),
            receiving: direction(&self.extracted.rx, !self.is_client),
            exporter,
        }
    }
}

/// Our records, and rustls at the other end.
pub fn pair(number: u16, is_client: bool) -> (Records, Peer) {
    let shaken = shaken(number, is_client);
    (Records::new(shaken.secrets()), shaken.peer)
}

impl Peer {
    /// What rustls reads in these records.
    ///
    /// # Errors
    /// What it finds wrong with them.
    pub fn hears(&mut self, mut sealed: &[u8]) -> Result<Vec<u8>, rustls::Error> {
        let mut plain = Vec::new();
        while !sealed.is_empty() {
            self.0.read_tls(&mut sealed).expect("room");
            let plain_bytes = self.0.process_new_packets()?.plaintext_bytes_to_read();
            let start = plain.len();
            plain.resize(start + plain_bytes, 0);
            self.0.reader().read_exact(&mut plain[start..]).expect("as many as it says");
        }
        Ok(plain)
    }

    /// rustls' records of this.
    pub fn says(&mut self, plain: &[u8]) -> Vec<u8> {
        self.0.writer().write_all(plain).expect("a vector takes all");
        self.flushes()
    }

    /// What it has not sent yet.
    pub fn flushes(&mut self) -> Vec<u8> {
        let mut sealed = Vec::new();
        while self.0.wants_write() {
            self.0.write_tls(&mut sealed).expect("a vector takes all");
        }
        sealed
    }
}
