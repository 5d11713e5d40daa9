//! With which certificate clients shake hands, where the command line asks for TLS.

use std::sync::{Arc, OnceLock};

use heirloom::{
    Error, Net, Result, Server, Service,
    tls::{
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
    with_tls.iter().try_fold(server, |server, address| server.listen_tls(address, config.clone()))
}

/// In a forked child: reads the certificate anew. If it is bad, the old process serves on.
#[allow(dead_code)] // each example uses its part of this
pub fn renew(net: &mut Net) -> Result {
    let Some((options, listeners)) = SAID.get() else { return Ok(()) };
    let Some(config) = config(options)?.filter(|_| !options.self_signed) else { return Ok(()) };
    listeners.iter().try_for_each(|&listener| net.set_tls(listener, config.clone()))
}

fn config(options: &TlsOptions) -> Result<Option<Arc<ServerConfig>>> {
    match (&options.certificate, &options.key) {
        (Some(certificate), Some(key)) => Ok(Some(server_config(certificate, key)?.into())),
        (None, None) if options.self_signed => self_signed().map(Some),
        (None, None) => Ok(None),
        _ => Err("--tls-cert and --tls-key belong together".into()),
    }
}

/// A certificate of our own, by nobody, to try it: clients have to be told to take it.
fn self_signed() -> Result<Arc<ServerConfig>> {
    let names = ["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
    let made = rcgen::generate_simple_self_signed(names).map_err(Error::other)?;
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(Error::other)?
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .map_err(Error::other)?;
    Ok(config.into())
}
