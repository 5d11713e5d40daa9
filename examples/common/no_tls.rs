//! Without the feature `tls` nobody listens with it.

use std::path::{Path, PathBuf};

use heirloom::{Connection, Net, Result, Server, Service};

use super::TlsOptions;

const MISSING: &str = "it is built without the feature tls";

pub fn listen<S: Service>(
    server: Server<S>,
    plain: &[String],
    options: &TlsOptions,
) -> Result<Server<S>> {
    let TlsOptions { certificate, key, self_signed, listen } = options;
    if certificate.is_some() || key.is_some() || *self_signed || !listen.is_empty() {
        return Err(MISSING.into());
    }
    plain.iter().try_fold(server, |server, address| server.listen(address))
}

#[allow(dead_code)] // each example uses its part of this
pub fn renew(_net: &mut Net) -> Result {
    Ok(())
}

#[allow(dead_code)] // each example uses its part of this
pub fn is_on(_conn: &Connection<'_>) -> bool {
    false
}

#[allow(dead_code)] // each example uses its part of this
pub fn write_self_signed(_dir: &Path) -> Result<(PathBuf, PathBuf)> {
    Err(MISSING.into())
}
