//! The command line of both roles. Knows nothing of what they do.

use std::{ffi::OsString, path::PathBuf, time::Duration};

use lexopt::{Arg, Error, Parser, ValueExt};

use super::tls_options::TlsOptions;

pub const USAGE: &str = "usage: dashboard [--listen HOST:PORT]... [--pid-file PATH] [--probation SECONDS] [--state MIB] [--workers N] \
     [--listen-tls HOST:PORT]... [--tls-cert PATH --tls-key PATH|--tls-self-signed]";

/// Long enough to see a new generation on probation, and to roll it back by hand.
const PROBATION: Duration = Duration::from_secs(4);

/// Enough state that it is seen to be copied, and little enough for any machine.
const STATE: u16 = 8;

/// More are no picture.
const MOST_WORKERS: u32 = 8;

/// Who this process is to be.
pub enum Role {
    /// Starts the server and watches it.
    Observer,
    /// Serves, with sockets for the observer in `dir`.
    Server { dir: PathBuf },
}

pub struct Options {
    /// For browsers; without TLS, if there is TLS elsewhere.
    pub listen: Vec<String>,
    pub tls: TlsOptions,
    pub pid_file: Option<PathBuf>,
    pub probation: Duration,
    /// In MiB.
    pub state: u16,
    /// How many processes serve at a time.
    pub workers: u32,
}

impl Options {
    /// How many listeners for browsers have no TLS. Where no other has it either, all have it.
    pub fn plain_pages(&self) -> usize {
        let is_for_all = self.tls.is_asked_for() && self.tls.listen.is_empty();
        if is_for_all { 0 } else { self.listen.len() }
    }
}

/// `None`: help was asked for.
pub fn parse(args: impl Iterator<Item = OsString>) -> Result<Option<(Options, Role)>, Error> {
    let mut options = Options {
        listen: Vec::new(),
        tls: TlsOptions::default(),
        pid_file: None,
        probation: PROBATION,
        state: STATE,
        workers: 1,
    };
    let mut role = Role::Observer;
    let mut parser = Parser::from_args(args);
    while let Some(arg) = parser.next()? {
        match arg {
            Arg::Long("listen") => options.listen.push(parser.value()?.string()?),
            Arg::Long("listen-tls") => options.tls.listen.push(parser.value()?.string()?),
            Arg::Long("tls-cert") => options.tls.certificate = Some(parser.value()?.into()),
            Arg::Long("tls-key") => options.tls.key = Some(parser.value()?.into()),
            Arg::Long("tls-self-signed") => options.tls.self_signed = true,
            Arg::Long("pid-file") => options.pid_file = Some(parser.value()?.into()),
            Arg::Long("probation") => {
                options.probation = parser.value()?.parse_with(|text| {
                    let seconds = text.parse().map_err(|_| "not a number of seconds")?;
                    Duration::try_from_secs_f64(seconds).map_err(|_| "not a time")
                })?;
            }
            Arg::Long("state") => options.state = parser.value()?.parse()?,
            Arg::Long("workers") => {
                options.workers = parser.value()?.parse_with(|text| match text.parse() {
                    Ok(count @ 1..=MOST_WORKERS) => Ok(count),
                    _ => Err("not a number of processes that fits the page"),
                })?;
            }
            // For the observer, which starts the server so.
            Arg::Long("serve") => role = Role::Server { dir: parser.value()?.into() },
            Arg::Long("help") | Arg::Short('h') => return Ok(None),
            other => return Err(other.unexpected()),
        }
    }
    if options.listen.is_empty() && options.tls.listen.is_empty() {
        options.listen.push("127.0.0.1:8090".to_owned());
    }
    Ok(Some((options, role)))
}
