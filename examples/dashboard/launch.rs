//! The server as the observer starts and ends it: a process of this very program, with the same command line.

use std::{
    env,
    io::Write,
    os::unix::net::UnixStream,
    path::Path,
    process::{Child, Command},
};

use heirloom::Result;

use super::{options::Options, tls, tls_options::TlsOptions};

pub fn start(options: &Options, dir: &Path) -> Result<Child> {
    let program = env::current_exe().map_err(|e| format!("this program's path: {e}"))?;
    let mut command = Command::new(program);
    command.arg("--serve").arg(dir);
    for (option, addresses) in
        [("--listen", &options.listen), ("--listen-tls", &options.tls.listen)]
    {
        command.args(addresses.iter().flat_map(|address| [option, address]));
    }
    let TlsOptions { certificate, key, self_signed, .. } = options.tls.clone();
    // A new program is to show the one that the browser has been told to take.
    let (certificate, key) = match self_signed {
        true => tls::write_self_signed(dir).map(|(chain, key)| (Some(chain), Some(key)))?,
        false => (certificate, key),
    };
    for (option, path) in [("--tls-cert", certificate), ("--tls-key", key)] {
        if let Some(path) = path {
            command.arg(option).arg(path);
        }
    }
    command.arg("--probation").arg(options.probation.as_secs_f64().to_string());
    command.arg("--state").arg(options.state.to_string());
    if options.workers > 1 {
        command.arg("--workers").arg(options.workers.to_string());
    }
    if let Some(path) = &options.pid_file {
        command.arg("--pid-file").arg(path);
    }
    Ok(command.spawn().map_err(|e| format!("cannot start the server: {e}"))?)
}

/// Whoever serves by now ends with the observer.
pub fn end(first: &mut Child, dir: &Path) {
    if let Ok(mut control) = UnixStream::connect(dir.join("control")) {
        // If it cannot be told, it is ending already.
        let _ = control.write_all(b"drain\n");
    }
    let _ = first.wait();
}
