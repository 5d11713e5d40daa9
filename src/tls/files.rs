//! Certificates and keys in files, as everybody has them.

use std::{fs, path::Path, sync::Arc};

use rustls::{
    ServerConfig,
    crypto::ring::default_provider,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};

use crate::error::{Error, Result};

/// How clients shake hands with a server that has one certificate: read from these files (PEM), with ring's ciphers, TLS 1.3
/// and 1.2, and without certificates of clients.
///
/// `certificate` has the server's own certificate first, then those that vouch for it; `key` its private key, in any of
/// the usual forms (PKCS#8, PKCS#1, SEC1). For anything else there is
/// [`ServerConfig::builder`](rustls::ServerConfig::builder): several certificates by name, those of clients, another provider.
///
/// # Errors
/// When a file cannot be read or has none of what it is to have, and when the key is not the certificate's. The error names
/// the file. Called before [`run`](crate::Server::run), it fails a `--check` and a restart, and not the service.
///
/// ```no_run
/// use heirloom::{Result, Server, Service, tls};
///
/// fn open<S: Service>(server: Server<S>) -> Result<Server<S>> {
///     let config = tls::server_config("/etc/app/cert.pem", "/etc/app/key.pem")?;
///     server.listen_tls("0.0.0.0:7443", config.into())
/// }
/// ```
pub fn server_config(certificate: impl AsRef<Path>, key: impl AsRef<Path>) -> Result<ServerConfig> {
    let (certificate, key) = (certificate.as_ref(), key.as_ref());
    let chain = certificates(certificate)?;
    let private = private_key(key)?;
    let builder = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|e| Error::invalid("configure", "TLS", e))?;
    builder.with_no_client_auth().with_single_cert(chain, private).map_err(|e| {
        let why = match e {
            rustls::Error::InconsistentKeys(_) => {
                format!("it is not the key of the certificate in {}", certificate.display())
            }
            other => other.to_string(),
        };
        Error::invalid("use key", key.display(), why)
    })
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let text = fs::read(path).map_err(|e| Error::io("read certificate", path.display(), e))?;
    let wrong = |why: String| Error::invalid("read certificate", path.display(), why);
    let found: std::result::Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    let found = found.map_err(|e| wrong(e.to_string()))?;
    if found.is_empty() {
        return Err(wrong("it has none in PEM".to_owned()));
    }
    Ok(found)
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>> {
    let text = fs::read(path).map_err(|e| Error::io("read key", path.display(), e))?;
    let text = zeroize::Zeroizing::new(text);
    PrivateKeyDer::from_pem_slice(&text).map_err(|e| {
        let why = match e {
            rustls::pki_types::pem::Error::NoItemsFound => "it has none in PEM".to_owned(),
            other => other.to_string(),
        };
        Error::invalid("read key", path.display(), why)
    })
}
