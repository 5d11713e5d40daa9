//! TLS at the client's end, and certificates. All servers show the same one and are asked for the same suite, so that the
//! records cost what the server makes of them.

use std::{
    fs,
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream as Blocking},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Arc,
    time::Duration,
};

use mio::net::TcpStream;
use tokio_rustls::rustls::{
    CipherSuite, ClientConfig, ClientConnection, HandshakeKind, RootCertStore,
    client::Resumption,
    crypto::{CryptoProvider, ring::default_provider},
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
    server::ServerConfig,
    version::TLS13,
};

/// Whether there is TLS, and with which key the server signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cover {
    Plain,
    /// On the curve P-256.
    Ecdsa,
    /// Of 2048 bits.
    Rsa,
}

impl Cover {
    pub fn is_tls(self) -> bool {
        self != Cover::Plain
    }
}

/// The one suite that clients offer.
const SUITE: CipherSuite = CipherSuite::TLS13_AES_128_GCM_SHA256;

/// More than a client has unread of what was opened, which rustls has a limit for.
const PIECE: usize = 16 << 10;

/// A certificate that nobody vouches for, and its key, in files.
#[derive(Clone, Debug)]
pub struct Pair {
    pub certificate: PathBuf,
    pub key: PathBuf,
    /// Both, as haproxy wants it.
    pub both: PathBuf,
}

impl Pair {
    /// Makes one. `None`: one of RSA is made by `openssl`, and that is not there.
    pub fn make(folder: &Path, cover: Cover) -> io::Result<Option<Pair>> {
        let file = |end: &str| folder.join(format!("{cover:?}.{end}").to_lowercase());
        let pair = Pair { certificate: file("cert"), key: file("key"), both: file("pem") };
        if cover == Cover::Rsa {
            let mut command = Command::new("openssl");
            command.args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30"]);
            command.args(["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]);
            command.args(["-addext", "basicConstraints=critical,CA:FALSE"]); // or it is an authority's
            command.arg("-out").arg(&pair.certificate).arg("-keyout").arg(&pair.key);
            let made = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
            if !made.is_ok_and(|status| status.success()) {
                return Ok(None);
            }
        } else {
            let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]);
            let made = made.map_err(io::Error::other)?;
            fs::write(&pair.certificate, made.cert.pem())?;
            fs::write(&pair.key, made.signing_key.serialize_pem())?;
        }
        let both = [fs::read(&pair.certificate)?, fs::read(&pair.key)?].concat();
        fs::write(&pair.both, both)?;
        Ok(Some(pair))
    }

    /// One that is there already.
    pub fn of(certificate: &str, key: &str) -> Pair {
        Pair { certificate: certificate.into(), key: key.into(), both: PathBuf::new() }
    }

    fn chain(&self) -> io::Result<CertificateDer<'static>> {
        CertificateDer::from_pem_file(&self.certificate).map_err(io::Error::other)
    }

    /// How a client shakes hands that trusts this certificate.
    pub fn client(&self, resumes: bool) -> io::Result<Arc<ClientConfig>> {
        let mut roots = RootCertStore::empty();
        roots.add(self.chain()?).map_err(io::Error::other)?;
        let mut provider = default_provider();
        provider.cipher_suites.retain(|suite| suite.suite() == SUITE);
        let mut config = ClientConfig::builder_with_provider(provider.into())
            .with_protocol_versions(&[&TLS13])
            .map_err(io::Error::other)?
            .with_root_certificates(roots)
            .with_no_client_auth();
        if !resumes {
            config.resumption = Resumption::disabled();
        }
        Ok(config.into())
    }

    /// How a server of rustls does.
    pub fn server(&self) -> io::Result<Arc<ServerConfig>> {
        let key = PrivateKeyDer::from_pem_file(&self.key).map_err(io::Error::other)?;
        let provider: Arc<CryptoProvider> = default_provider().into();
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?
            .with_no_client_auth()
            .with_single_cert(vec![self.chain()?], key);
        config.map(Arc::new).map_err(io::Error::other)
    }
}

/// One client's connection.
pub struct Wire {
    pub socket: TcpStream,
    tls: Option<Box<ClientConnection>>,
}

impl Wire {
    /// Connects and shakes hands, or says something at once and hears how the answer ends; and waits for it.
    pub fn connect(
        address: SocketAddr,
        config: Option<&Arc<ClientConfig>>,
        opening: Option<(&[u8], &[u8])>,
    ) -> io::Result<Wire> {
        let mut stream = Blocking::connect(address)?;
        stream.set_nodelay(true)?;
        let tls = config.map(|config| shake(&mut stream, config)).transpose()?;
        if let Some((words, end)) = opening {
            stream.write_all(words)?;
            hear(&mut stream, end)?;
        }
        stream.set_nonblocking(true)?;
        Ok(Wire { socket: TcpStream::from_std(stream), tls: tls.map(Box::new) })
    }

    /// Answers how many bytes there are, and whether there may be more.
    pub fn read(&mut self, buffer: &mut [u8]) -> io::Result<(usize, bool)> {
        let Some(tls) = &mut self.tls else {
            let count = self.socket.read(buffer)?;
            return Ok((count, count == buffer.len()));
        };
        // Sealed at first; rustls has a buffer of its own for that, so this one can take what is opened.
        let room = buffer.len().min(PIECE);
        let count = self.socket.read(&mut buffer[..room])?;
        if count == 0 {
            return Ok((0, false));
        }
        let mut sealed = &buffer[..count];
        while !sealed.is_empty() {
            tls.read_tls(&mut sealed)?;
            tls.process_new_packets().map_err(io::Error::other)?;
        }
        let more = count == room;
        match tls.reader().read(buffer) {
            // A ticket, or a part of a record.
            Err(e) if e.kind() == io::ErrorKind::WouldBlock && more => self.read(buffer),
            read => Ok((read?, more)),
        }
    }

    /// Takes some of it, with TLS as a record, which is not to say that all of that is sent.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Some(tls) = &mut self.tls else { return self.socket.write(bytes) };
        match tls.writer().write(bytes)? {
            0 => self.flush().and_then(|()| self.write(bytes)), // it has as much as it may
            count => Ok(count),
        }
    }

    /// Sends what was taken; `WouldBlock` where the socket is full.
    pub fn flush(&mut self) -> io::Result<()> {
        let Some(tls) = &mut self.tls else { return Ok(()) };
        while tls.wants_write() {
            tls.write_tls(&mut self.socket)?;
        }
        Ok(())
    }
}

/// Reads until the last bytes are these.
fn hear(stream: &mut Blocking, end: &[u8]) -> io::Result<()> {
    let (mut heard, mut buffer) = (Vec::new(), [0; 4096]);
    while !heard.ends_with(end) {
        match stream.read(&mut buffer)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            count => heard.extend_from_slice(&buffer[..count]),
        }
    }
    Ok(())
}

fn shake(stream: &mut Blocking, config: &Arc<ClientConfig>) -> io::Result<ClientConnection> {
    let name = ServerName::try_from("localhost").map_err(io::Error::other)?;
    let tls = ClientConnection::new(Arc::clone(config), name);
    let mut tls = tls.map_err(io::Error::other)?;
    while tls.is_handshaking() || tls.wants_write() {
        tls.complete_io(stream)?;
    }
    Ok(tls)
}

/// A connection that has had a reply.
pub struct Asked {
    pub reply: Vec<u8>,
    pub stream: Blocking,
    tls: ClientConnection,
}

impl Asked {
    /// Asks on a connection of its own, and waits for `enough` bytes, or what comes in `patience`.
    pub fn at(
        address: &str,
        config: &Arc<ClientConfig>,
        request: &[u8],
        enough: usize,
        patience: Duration,
    ) -> io::Result<Asked> {
        let mut stream = Blocking::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(patience))?;
        let mut tls = shake(&mut stream, config)?;
        let mut reply = Vec::new();
        tls.writer().write_all(request)?;
        while tls.wants_write() {
            tls.write_tls(&mut stream)?;
        }
        while reply.len() < enough {
            match tls.read_tls(&mut stream) {
                Ok(0) => break,
                Ok(_) => {}
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => break,
                Err(e) => return Err(e),
            }
            let state = tls.process_new_packets().map_err(io::Error::other)?;
            let start = reply.len();
            reply.resize(start + state.plaintext_bytes_to_read(), 0);
            tls.reader().read_exact(&mut reply[start..])?;
        }
        if reply.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(Asked { reply, stream, tls })
    }

    /// Whether a ticket has spared the server its signature.
    pub fn is_resumed(&self) -> bool {
        self.tls.handshake_kind() == Some(HandshakeKind::Resumed)
    }

    /// Leaves as one should.
    pub fn leave(mut self) -> io::Result<()> {
        self.tls.send_close_notify();
        while self.tls.wants_write() {
            self.tls.write_tls(&mut self.stream)?;
        }
        Ok(())
    }
}
