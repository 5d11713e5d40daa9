//! Without the feature `tls` nobody listens with it.

use heirloom::{Net, Result, Server, Service};

use super::TlsOptions;

pub fn listen<S: Service>(
    server: Server<S>,
    plain: &[String],
    options: &TlsOptions,
) -> Result<Server<S>> {
    let TlsOptions { certificate, key, self_signed, listen } = options;
    if certificate.is_some() || key.is_some() || *self_signed || !listen.is_empty() {
        return Err("it is built without the feature tls".into());
    }
    plain.iter().try_fold(server, |server, address| server.listen(address))
}

#[allow(dead_code)] // each example uses its part of this
pub fn renew(_net: &mut Net) -> Result {
    Ok(())
}
