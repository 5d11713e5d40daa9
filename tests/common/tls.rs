//! Certificates that nobody else vouches for, a lab that shows them, and clients and servers of rustls that talk to it.

use std::{
    fs,
    io::{self, BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::Path,
    sync::Arc,
    thread,
};

use heirloom::tls::rustls::{
    CipherSuite, ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection,
    StreamOwned, SupportedProtocolVersion,
    crypto::{CryptoProvider, ring::default_provider},
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
    version::{TLS12, TLS13},
};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
};

use super::{Client, DEADLINE, Dir, Server, Setup, sealed::Sealed};

pub const BOTH: &[&SupportedProtocolVersion] = &[&TLS13, &TLS12];

/// An authority of our own, with a certificate for each name that is asked for; all in files.
pub struct Pki {
    pub dir: Dir,
    issuer: Issuer<'static, KeyPair>,
}

impl Pki {
    pub fn new() -> Pki {
        let dir = Dir::new();
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.distinguished_name.push(DnType::CommonName, "an authority of tests");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).expect("a certificate");
        fs::write(dir.path("ca.pem"), certificate.pem()).expect("a file");
        Pki { dir, issuer: Issuer::new(params, key) }
    }

    /// Makes `NAME.pem` and `NAME.key`, for a server or a client.
    pub fn make(&self, name: &str) {
        let key = KeyPair::generate().expect("a key");
        let names = vec![name.to_owned(), "127.0.0.1".to_owned()];
        let mut params = CertificateParams::new(names).expect("names");
        params.distinguished_name.push(DnType::CommonName, name); // or it would be taken for the authority
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        fs::write(self.path(&format!("{name}.pem")), certificate.pem()).expect("a file");
        fs::write(self.path(&format!("{name}.key")), key.serialize_pem()).expect("a file");
    }

    pub fn path(&self, file: &str) -> String {
        self.dir.path(file).display().to_string()
    }

    pub fn pair(&self, name: &str) -> String {
        format!("{} {}", self.path(&format!("{name}.pem")), self.path(&format!("{name}.key")))
    }

    pub fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(certificate(&self.dir.path("ca.pem"))).expect("an authority");
        roots
    }

    /// A client that trusts this authority.
    pub fn client(&self, versions: &[&'static SupportedProtocolVersion]) -> ClientConfig {
        self.client_by(default_provider(), versions)
    }

    /// The same with this suite alone.
    pub fn client_with(&self, suite: CipherSuite) -> ClientConfig {
        self.client_by(only(suite), BOTH)
    }

    fn client_by(
        &self,
        provider: CryptoProvider,
        versions: &[&'static SupportedProtocolVersion],
    ) -> ClientConfig {
        ClientConfig::builder_with_provider(provider.into())
            .with_protocol_versions(versions)
            .expect("versions that go with the suites")
            .with_root_certificates(self.roots())
            .with_no_client_auth()
    }

    /// A server with the certificate of `name`.
    pub fn server(&self, name: &str) -> ServerConfig {
        let (chain, key) = (
            vec![certificate(&self.dir.path(&format!("{name}.pem")))],
            private_key(&self.dir.path(&format!("{name}.key"))),
        );
        ServerConfig::builder_with_provider(default_provider().into())
            .with_protocol_versions(BOTH)
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .expect("a pair")
    }
}

/// The provider with one suite; of both versions' suites that are left only the versions that have one.
fn only(suite: CipherSuite) -> CryptoProvider {
    let mut provider = default_provider();
    provider.cipher_suites.retain(|it| it.suite() == suite);
    provider
}

pub fn certificate(path: &Path) -> CertificateDer<'static> {
    CertificateDer::from_pem_file(path).expect("a certificate")
}

pub fn private_key(path: &Path) -> PrivateKeyDer<'static> {
    PrivateKeyDer::from_pem_file(path).expect("a key")
}

/// A lab with a listener that has TLS, beside the plain one. Whatever a test does with it, it seals nothing twice by one
/// nonce.
pub struct Secured {
    pub server: Server,
    /// Of the listener with TLS.
    pub address: String,
    pub pki: Pki,
    pub sealed: Sealed,
}

impl Secured {
    /// With a certificate for `localhost`.
    pub fn start() -> Secured {
        Secured::with("tls", "", |setup| setup)
    }

    /// `words` are those of the listener (see lab's `sockets`), `lines` what its file says beside (see lab's `tls`).
    pub fn with(words: &str, lines: &str, adjust: impl FnOnce(Setup) -> Setup) -> Secured {
        let pki = Pki::new();
        pki.make("localhost");
        Secured::of(pki, words, lines, adjust)
    }

    pub fn of(pki: Pki, words: &str, lines: &str, adjust: impl FnOnce(Setup) -> Setup) -> Secured {
        let certificate = pki.pair("localhost");
        let trust = pki.path("ca.pem");
        pki.tell(&format!("certificate {certificate}\ntrust {trust}\n{lines}"));
        let listen = pki.path("listen");
        fs::write(&listen, format!("127.0.0.1:0 {words}")).expect("a file");
        let setup = Server::of("lab").env("LAB_LISTEN_ON", &listen).env("LAB_TLS", pki.path("tls"));
        let sealed = Sealed::new();
        let server = adjust(sealed.adjust(setup)).start();
        let ready = server.wait_line("ready: generation 0");
        let address = ready.trim_end().rsplit(", ").next().expect("two addresses").to_owned();
        Secured { server, address, pki, sealed }
    }

    /// A client that trusts it, and asks for `localhost`.
    pub fn connect(&self) -> TlsClient {
        self.connect_by(self.pki.client(BOTH))
    }

    pub fn connect_by(&self, config: ClientConfig) -> TlsClient {
        TlsClient::connect(&self.address, config.into(), "localhost")
    }

    /// Only TCP so far.
    pub fn connect_plain(&self) -> Client {
        Client::connect(&self.address)
    }
}

impl Drop for Secured {
    fn drop(&mut self) {
        if !thread::panicking() {
            self.sealed.check();
        }
    }
}

impl Pki {
    /// Writes what lab's `LAB_TLS` says.
    pub fn tell(&self, lines: &str) {
        fs::write(self.dir.path("tls"), lines).expect("a file");
    }
}

/// A blocking client with deadlines.
pub struct TlsClient {
    pub stream: BufReader<StreamOwned<ClientConnection, TcpStream>>,
}

impl TlsClient {
    /// Nothing is said before the first line.
    pub fn connect(address: &str, config: Arc<ClientConfig>, name: &str) -> TlsClient {
        TlsClient::on(Client::connect(address).stream, config, name)
    }

    /// On a connection that is there already.
    pub fn on(stream: TcpStream, config: Arc<ClientConfig>, name: &str) -> TlsClient {
        let name = ServerName::try_from(name.to_owned()).expect("a name");
        let client = ClientConnection::new(config, name).expect("a config");
        TlsClient { stream: BufReader::new(StreamOwned::new(client, stream)) }
    }

    pub fn tls(&mut self) -> &mut ClientConnection {
        &mut self.stream.get_mut().conn
    }

    /// Below TLS.
    pub fn wire(&mut self) -> &mut TcpStream {
        &mut self.stream.get_mut().sock
    }

    /// Shakes hands.
    pub fn shake(&mut self) -> io::Result<()> {
        let stream = self.stream.get_mut();
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock)?;
        }
        Ok(())
    }

    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let stream = self.stream.get_mut();
        stream.write_all(bytes.as_ref()).expect("the server takes it");
        stream.flush().expect("the server takes it");
    }

    /// The records of this, which are on their way to nobody yet.
    pub fn seal(&mut self, text: &str) -> Vec<u8> {
        self.tls().writer().write_all(text.as_bytes()).expect("a buffer");
        let mut sealed = Vec::new();
        while self.tls().wants_write() {
            self.tls().write_tls(&mut sealed).expect("a vector takes all");
        }
        sealed
    }

    /// One line, without its end.
    pub fn line(&mut self) -> String {
        let mut line = String::new();
        self.stream.read_line(&mut line).expect("a line in time");
        assert!(line.ends_with('\n'), "the connection ended after {line:?}");
        line.trim_end().to_owned()
    }

    pub fn ask(&mut self, line: &str) -> String {
        self.send(format!("{line}\n"));
        self.line()
    }

    pub fn read_exact(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        self.stream.read_exact(&mut bytes).expect("all bytes in time");
        bytes
    }

    /// Up to the server's `close_notify`; an error where none comes.
    pub fn read_to_end(&mut self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.stream.read_to_end(&mut bytes).map(|_| bytes)
    }

    /// Says that no more will come, and goes on listening.
    pub fn close_notify(&mut self) {
        let stream = self.stream.get_mut();
        stream.conn.send_close_notify();
        while stream.conn.wants_write() {
            stream.conn.write_tls(&mut stream.sock).expect("the server takes it");
        }
    }
}

/// The other side of a lab that dials: shakes hands as a server.
pub fn serve(stream: TcpStream, config: ServerConfig) -> StreamOwned<ServerConnection, TcpStream> {
    stream.set_read_timeout(Some(DEADLINE)).expect("a timeout");
    let conn = ServerConnection::new(config.into()).expect("a config");
    StreamOwned::new(conn, stream)
}
