//! An author's configuration, as a handshake needs it here: what both sides agree on can be taken out, and whoever
//! asks for a certificate or a key log is heard.

use std::{cell::RefCell, fmt, sync::Arc};

use rustls::{
    ClientConfig, KeyLog, ServerConfig,
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};

use super::secret::Secret;

/// How clients of a listener shake hands.
#[derive(Clone)]
pub(crate) struct ServerTerms(pub(super) Arc<ServerConfig>);

/// How a dialed connection shakes hands.
#[derive(Clone)]
pub(crate) struct ClientTerms(pub(super) Arc<ClientConfig>);

impl ServerTerms {
    /// Early data stays off: it may come twice.
    pub fn of(config: &ServerConfig) -> ServerTerms {
        let mut config = config.clone();
        config.enable_secret_extraction = true;
        config.max_early_data_size = 0;
        config.key_log = Arc::new(Listening(config.key_log));
        config.cert_resolver = Arc::new(Naming(config.cert_resolver));
        ServerTerms(Arc::new(config))
    }
}

impl ClientTerms {
    pub fn of(config: &ClientConfig) -> ClientTerms {
        let mut config = config.clone();
        config.enable_secret_extraction = true;
        config.enable_early_data = false;
        config.key_log = Arc::new(Listening(config.key_log));
        ClientTerms(Arc::new(config))
    }
}

impl fmt::Debug for ServerTerms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TLS")
    }
}

impl fmt::Debug for ClientTerms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TLS")
    }
}

/// What was said beside the bytes while a handshake went on. A secret is [none](Secret::NONE) until it was told.
#[derive(Default)]
pub(super) struct Heard {
    /// Of TLS 1.3: the secrets of what each side sends.
    pub client: Secret,
    pub server: Secret,
    pub exporter: Secret,
    /// Of TLS 1.2: the master secret, and the client's random number.
    pub master: Secret,
    pub client_random: [u8; 32],
    pub sni: Option<Box<str>>,
}

thread_local! {
    /// One handshake goes on at a time: what is heard meanwhile is its.
    static HEARD: RefCell<Heard> = RefCell::default();
}

impl Heard {
    /// Takes in what was heard since the last call, of which nothing is left where it was heard.
    pub fn catch_up(&mut self) {
        HEARD.with_borrow_mut(|heard| {
            if !heard.master.is_none() {
                self.client_random = heard.client_random;
            }
            let Heard { client, server, exporter, master, sni, .. } = heard;
            for (own, heard) in [
                (&mut self.client, client),
                (&mut self.server, server),
                (&mut self.exporter, exporter),
                (&mut self.master, master),
            ] {
                if !heard.is_none() {
                    own.take_over(heard);
                }
            }
            self.sni = sni.take().or(self.sni.take());
        });
    }
}

/// Hears the secrets from which a connection's keys are made, now and after each update of them (RFC 8446, 7.1).
#[derive(Debug)]
struct Listening(Arc<dyn KeyLog>);

/// The labels of <https://nss-crypto.org/reference/security/nss/legacy/key_log_format/index.html>.
const CLIENT: &str = "CLIENT_TRAFFIC_SECRET_0";
const SERVER: &str = "SERVER_TRAFFIC_SECRET_0";
const EXPORTER: &str = "EXPORTER_SECRET";
const MASTER: &str = "CLIENT_RANDOM";

impl KeyLog for Listening {
    fn log(&self, label: &str, client_random: &[u8], secret: &[u8]) {
        HEARD.with_borrow_mut(|heard| match label {
            CLIENT => heard.client.set(secret),
            SERVER => heard.server.set(secret),
            EXPORTER => heard.exporter.set(secret),
            MASTER => {
                if let Ok(random) = client_random.try_into() {
                    heard.client_random = random;
                    heard.master.set(secret);
                }
            }
            _ => {}
        });
        if self.0.will_log(label) {
            self.0.log(label, client_random, secret);
        }
    }

    fn will_log(&self, label: &str) -> bool {
        [CLIENT, SERVER, EXPORTER, MASTER].contains(&label) || self.0.will_log(label)
    }
}

/// Hears the name that a client asks for: rustls tells it to whom chooses the certificate, and afterwards to nobody.
#[derive(Debug)]
struct Naming(Arc<dyn ResolvesServerCert>);

impl ResolvesServerCert for Naming {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        HEARD.with_borrow_mut(|heard| heard.sni = hello.server_name().map(Box::from));
        self.0.resolve(hello)
    }

    fn only_raw_public_keys(&self) -> bool {
        self.0.only_raw_public_keys()
    }
}
