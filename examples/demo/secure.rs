//! The clients' side of TLS, by rustls: each proves that it speaks with the server of this run, and resumes what another
//! one has begun with it, if it can.

use std::{
    env, fs,
    io::{self, Read, Write},
    net::TcpStream,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    process,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use heirloom::{
    Error, Result,
    tls::rustls::{
        ClientConfig, ClientConnection, HandshakeKind, RootCertStore, StreamOwned,
        crypto::ring::default_provider,
        pki_types::{CertificateDer, ServerName, pem::PemObject},
    },
};

use crate::{load::Wire, options::Certificate, tls};

/// Of whom the certificate is.
const NAME: &str = "localhost";

/// What clients need to know of the server.
#[derive(Clone)]
pub struct Secure {
    config: Arc<ClientConfig>,
    counts: Arc<[AtomicU64; 2]>,
}

/// A certificate of this run alone, in a directory that is gone with it.
pub struct OwnCertificate {
    dir: PathBuf,
    pub files: Certificate,
}

impl OwnCertificate {
    pub fn make() -> Result<OwnCertificate> {
        let dir = env::temp_dir().join(format!("heirloom-demo-{}", process::id()));
        let made = fs::DirBuilder::new().mode(0o700).create(&dir);
        made.map_err(|e| format!("create {}: {e}", dir.display()))?;
        let written = tls::write_self_signed(&dir);
        let mut own = OwnCertificate { dir, files: Certificate::default() };
        let (chain, key) = written?;
        own.files = Certificate { chain, key };
        Ok(own)
    }
}

impl Drop for OwnCertificate {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.dir);
    }
}

impl Secure {
    /// Trusts the certificate in this file, and no other.
    pub fn trusting(path: &Path) -> Result<Secure> {
        let certificate = CertificateDer::from_pem_file(path).map_err(Error::other)?;
        let mut roots = RootCertStore::empty();
        roots.add(certificate).map_err(Error::other)?;
        let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(Error::other)?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Secure { config: config.into(), counts: Arc::default() })
    }

    /// Shakes hands, by the timeouts that the socket has.
    pub fn put_on(&self, mut tcp: TcpStream) -> io::Result<Box<dyn Wire>> {
        let name = ServerName::try_from(NAME).map_err(io::Error::other)?;
        let mut tls =
            ClientConnection::new(Arc::clone(&self.config), name).map_err(io::Error::other)?;
        while tls.is_handshaking() {
            tls.complete_io(&mut tcp)?;
        }
        let is_resumed = tls.handshake_kind() == Some(HandshakeKind::Resumed);
        self.counts[usize::from(is_resumed)].fetch_add(1, Ordering::Relaxed);
        Ok(Box::new(Encrypted(StreamOwned::new(tls, tcp))))
    }

    /// Whole handshakes, and those that have resumed a session.
    pub fn handshakes(&self) -> [u64; 2] {
        [0, 1].map(|at| self.counts[at].load(Ordering::Relaxed))
    }
}

struct Encrypted(StreamOwned<ClientConnection, TcpStream>);

impl Read for Encrypted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Write for Encrypted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl Wire for Encrypted {
    fn tcp(&self) -> &TcpStream {
        &self.0.sock
    }

    fn finish(&mut self) -> io::Result<()> {
        self.0.conn.send_close_notify();
        while self.0.conn.wants_write() {
            self.0.conn.write_tls(&mut self.0.sock)?;
        }
        Ok(())
    }
}
