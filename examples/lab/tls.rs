//! TLS, with the feature `tls`: what `LAB_TLS=FILE` says, each time that it is asked for, and requests about it.
//!
//! - `certificate CERT KEY` (files) for whoever asks for no other, `name NAME CERT KEY` for who asks for this name;
//!   `clients CA`: they have to show a certificate by this one; `alpn A,B`; `tls12`: nothing newer; `tickets SECONDS`.
//! - Of dials: `trust CA`, `show CERT KEY`.
//!
//! `tls` tells what was agreed on, `export LABEL CONTEXT` a secret of both sides; `starttls` answers `ok` and puts TLS on
//! the connection, `starttls-dialed NAME` on the one that was dialed last. `dial_tls ADDRESS NAME` and `dial_host_tls`
//! answer as `dial_host` does. `renew LISTENER` reads the file again, `handshake MS` is how long one on this connection may take.

use std::{
    collections::BTreeMap,
    env, fs,
    sync::{Arc, OnceLock},
    time::Duration,
};

use heirloom::{
    ConnId, Connection, Error, Listen, Net, Result, Server, Service, Timeouts,
    tls::Ticketer,
    tls::rustls::{
        ClientConfig, RootCertStore, ServerConfig,
        crypto::ring::{default_provider, sign::any_supported_type},
        pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
        server::{ClientHello, ResolvesServerCert, WebPkiClientVerifier},
        sign::CertifiedKey,
        version::{TLS12, TLS13},
    },
};

use crate::{requests::number, settings::millis};

/// By name, and for whoever asks for none of them.
#[derive(Debug, Default)]
struct Certificates {
    named: BTreeMap<String, Arc<CertifiedKey>>,
    other: Option<Arc<CertifiedKey>>,
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let named = hello.server_name().and_then(|name| self.named.get(name));
        named.or(self.other.as_ref()).cloned()
    }
}

/// One for all configurations.
static TICKETS: OnceLock<Ticketer> = OnceLock::new();

/// Once it listens.
pub fn tune<S: Service>(server: Server<S>) -> Server<S> {
    match TICKETS.get() {
        Some(tickets) => server.tickets(tickets),
        None => server,
    }
}

fn lines() -> Result<Vec<Vec<String>>> {
    let path = env::var("LAB_TLS").map_err(|_| "there is no LAB_TLS")?;
    let text = fs::read_to_string(path)?;
    Ok(text.lines().map(|line| line.split(' ').map(str::to_owned).collect()).collect())
}

fn chain(path: &str) -> Result<Vec<CertificateDer<'static>>> {
    let chain = CertificateDer::pem_file_iter(path).map_err(Error::other)?;
    chain.collect::<std::result::Result<_, _>>().map_err(Error::other)
}

fn private_key(path: &str) -> Result<PrivateKeyDer<'static>> {
    PrivateKeyDer::from_pem_file(path).map_err(Error::other)
}

fn certified(certificate: &str, key: &str) -> Result<Arc<CertifiedKey>> {
    let key = any_supported_type(&private_key(key)?).map_err(Error::other)?;
    Ok(Arc::new(CertifiedKey::new(chain(certificate)?, key)))
}

fn roots(path: &str) -> Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    for root in chain(path)? {
        roots.add(root).map_err(Error::other)?;
    }
    Ok(roots)
}

fn server() -> Result<Arc<ServerConfig>> {
    let (mut certificates, mut clients) = (Certificates::default(), None);
    let (mut protocols, mut versions) = (Vec::new(), vec![&TLS13, &TLS12]);
    let mut tickets = None;
    for line in lines()? {
        match line.iter().map(String::as_str).collect::<Vec<_>>()[..] {
            ["certificate", certificate, key] => {
                certificates.other = Some(certified(certificate, key)?);
            }
            ["name", name, certificate, key] => {
                certificates.named.insert(name.to_owned(), certified(certificate, key)?);
            }
            ["clients", authority] => clients = Some(roots(authority)?),
            ["alpn", list] => {
                protocols = list.split(',').map(|it| it.as_bytes().to_vec()).collect()
            }
            ["tls12"] => versions = vec![&TLS12],
            ["tickets", seconds] => {
                let lifetime = Duration::from_secs(number(seconds)?);
                tickets = Some(TICKETS.get_or_init(|| Ticketer::new(lifetime)).clone());
            }
            _ => {}
        }
    }
    let provider = Arc::new(default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider));
    let builder = builder.with_protocol_versions(&versions).map_err(Error::other)?;
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(roots) => {
            let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider);
            builder.with_client_cert_verifier(verifier.build().map_err(Error::other)?)
        }
    };
    let mut config = builder.with_cert_resolver(Arc::new(certificates));
    config.alpn_protocols = protocols;
    if let Some(tickets) = tickets {
        config.ticketer = Arc::new(tickets);
    }
    Ok(config.into())
}

fn client() -> Result<Arc<ClientConfig>> {
    let (mut trusted, mut shown, mut protocols) = (RootCertStore::empty(), None, Vec::new());
    for line in lines()? {
        match line.iter().map(String::as_str).collect::<Vec<_>>()[..] {
            ["trust", authority] => trusted = roots(authority)?,
            ["show", certificate, key] => shown = Some((chain(certificate)?, private_key(key)?)),
            ["alpn", list] => {
                protocols = list.split(',').map(|it| it.as_bytes().to_vec()).collect()
            }
            _ => {}
        }
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()));
    let builder = builder.with_protocol_versions(&[&TLS13, &TLS12]).map_err(Error::other)?;
    let builder = builder.with_root_certificates(trusted);
    let mut config = match shown {
        None => builder.with_no_client_auth(),
        Some((chain, key)) => builder.with_client_auth_cert(chain, key).map_err(Error::other)?,
    };
    config.alpn_protocols = protocols;
    Ok(config.into())
}

fn name(text: &str) -> Result<ServerName<'static>> {
    ServerName::try_from(text.to_owned()).map_err(Error::other)
}

/// `LAB_HANDSHAKE`, in milliseconds.
pub fn timeouts(timeouts: Timeouts) -> Timeouts {
    millis("HANDSHAKE").map_or(timeouts, |limit| timeouts.handshake(limit))
}

pub fn listen(listen: Listen) -> Result<Listen> {
    Ok(listen.tls(server()?))
}

pub fn dial(net: &mut Net, verb: &str, rest: &str, tag: u64) -> Result {
    let (address, host) = rest.split_once(' ').ok_or("an address and a name")?;
    match verb {
        #[cfg(feature = "names")]
        "dial_host_tls" => net.dial_host_tls(address, name(host)?, client()?, tag),
        _ => net.dial_tls(address, name(host)?, client()?, tag),
    }
}

pub fn upgrade(conn: &mut Connection<'_>) -> Result {
    conn.start_tls(&server()?)
}

/// Requests about TLS; `None` for any other.
pub fn handle(
    conn: &mut Connection<'_>,
    dialed: &Option<ConnId>,
    verb: &str,
    rest: &str,
) -> Result<Option<String>> {
    Ok(Some(match verb {
        "tls" => conn.tls().map_or("none".to_owned(), |tls| {
            let alpn = tls.alpn().map(String::from_utf8_lossy);
            let certificates = tls.certificates().len();
            let resumed = if tls.is_resumed() { " resumed" } else { "" };
            let (version, suite, sni) = (tls.version(), tls.suite(), tls.sni());
            format!("{version:?} {suite:?} {alpn:?} {sni:?} {certificates}{resumed}")
        }),
        "export" => {
            let (label, context) = rest.split_once(' ').unwrap_or((rest, ""));
            let mut secret = [0; 32];
            conn.export_keying_material(label.as_bytes(), Some(context.as_bytes()), &mut secret)?;
            secret.iter().map(|byte| format!("{byte:02x}")).collect()
        }
        "starttls-dialed" => {
            let id = dialed.ok_or("nobody was dialed")?;
            let mut dialed = conn.other(id).ok_or("it is gone")?;
            crate::say(&mut dialed, "starttls");
            dialed.start_tls_as_client(name(rest)?, &client()?)?;
            crate::say(&mut dialed, "tls"); // waits for its keys
            "ok".to_owned()
        }
        "handshake" => {
            let limit = Duration::from_millis(number(rest)?);
            conn.set_timeouts(conn.timeouts().handshake(limit));
            "ok".to_owned()
        }
        "renew" => {
            conn.net.set_tls(number(rest)?, server()?)?;
            "ok".to_owned()
        }
        _ => return Ok(None),
    }))
}
