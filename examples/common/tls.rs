//! With which certificate clients shake hands, where the command line asks for TLS.

use std::{
    fs::OpenOptions,
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
    time::Duration,
};

use heirloom::{
    Connection, Error, Net, Result, Server, Service,
    tls::{
        Ticketer,
        rustls::{
            ServerConfig,
            crypto::ring::default_provider,
            pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
        },
        server_config,
    },
};

use super::TlsOptions;

/// What the command line has said, for [`renew`]; and which listeners it is about.
static SAID: OnceLock<(TlsOptions, Vec<usize>)> = OnceLock::new();

/// One for all listeners, which goes along by either engine: who comes again resumes what it has begun before a restart.
static TICKETS: OnceLock<Ticketer> = OnceLock::new();

/// For how long a client may do so.
const RESUMED_WITHIN: Duration = Duration::from_secs(12 * 60 * 60);

/// Listens as the command line says, with TLS and without.
pub fn listen<S: Service>(
    mut server: Server<S>,
    plain: &[String],
    options: &TlsOptions,
) -> Result<Server<S>> {
    let Some(config) = config(options)? else {
        if !options.listen.is_empty() {
            return Err("--listen-tls needs --tls-cert and --tls-key, or --tls-self-signed".into());
        }
        return plain.iter().try_fold(server, |server, address| server.listen(address));
    };
    // Without a listener of its own TLS is for all.
    let (plain, with_tls) = match options.listen.is_empty() {
        true => (&[][..], plain),
        false => (plain, &options.listen[..]),
    };
    let numbers = (plain.len()..plain.len() + with_tls.len()).collect();
    let _ = SAID.set((options.clone(), numbers));
    server = plain.iter().try_fold(server, |server, address| server.listen(address))?;
    server = server.tickets(tickets());
    with_tls.iter().try_fold(server, |server, address| server.listen_tls(address, config.clone()))
}

/// In a forked child: reads the certificate anew. If it is bad, the old process serves on.
#[allow(dead_code)] // each example uses its part of this
pub fn renew(net: &mut Net) -> Result {
    let Some((options, listeners)) = SAID.get() else { return Ok(()) };
    let Some(config) = config(options)?.filter(|_| !options.self_signed) else { return Ok(()) };
    listeners.iter().try_for_each(|&listener| net.set_tls(listener, config.clone()))
}

fn tickets() -> &'static Ticketer {
    TICKETS.get_or_init(|| Ticketer::new(RESUMED_WITHIN))
}

fn config(options: &TlsOptions) -> Result<Option<Arc<ServerConfig>>> {
    let mut config = match (&options.certificate, &options.key) {
        (Some(certificate), Some(key)) => server_config(certificate, key)?,
        (None, None) if options.self_signed => self_signed()?,
        (None, None) => return Ok(None),
        _ => return Err("--tls-cert and --tls-key belong together".into()),
    };
    config.ticketer = Arc::new(tickets().clone());
    Ok(Some(config.into()))
}

/// Of what a certificate of our own is.
const NAMES: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// By nobody, to try it: clients have to be told to take it.
fn self_signed() -> Result<ServerConfig> {
    let made = rcgen::generate_simple_self_signed(NAMES.map(str::to_owned));
    let made = made.map_err(Error::other)?;
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(Error::other)?
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .map_err(Error::other)?;
    Ok(config)
}

/// Whether a connection has it.
#[allow(dead_code)] // each example uses its part of this
pub fn is_on(conn: &Connection<'_>) -> bool {
    conn.tls().is_some()
}

/// The same in files of a directory that is ours alone, so that a new program shows the one that its clients know.
#[allow(dead_code)] // each example uses its part of this
pub fn write_self_signed(dir: &Path) -> Result<(PathBuf, PathBuf)> {
    let made = rcgen::generate_simple_self_signed(NAMES.map(str::to_owned));
    let made = made.map_err(Error::other)?;
    let write = |name: &str, text: String| -> Result<PathBuf> {
        let path = dir.join(name);
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
        file.and_then(|mut file| file.write_all(text.as_bytes()))
            .map_err(|e| format!("write {}: {e}", path.display()))?;
        Ok(path)
    };
    Ok((write("cert.pem", made.cert.pem())?, write("key.pem", made.signing_key.serialize_pem())?))
}
