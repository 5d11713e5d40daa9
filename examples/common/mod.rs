//! The command line that all servers here share. Knows no protocol.
//!
//! `--listen ADDR`, `--datagrams ADDR` (both repeatable), `--pid-file PATH`, `--control PATH`,
//! `--probation SECONDS`; `--health ADDR`, `--metrics ADDR` (repeatable) and `--agent-check ADDR` answer monitors, `--lame-duck SECONDS`: for so long a
//! server that is told to leave accepts before it drains; `--move`: established connections go to the new process at a restart, `--no-move`:
//! they stay with the old one; `--supervised` puts a process with a stable pid in front; `--workers N` has
//! N processes serve behind it, each on a core of its own with `--pinned`, from one queue with `--shared`; `--check` only looks
//! whether the rest makes sense. With `--tls-cert PATH --tls-key PATH`, or `--tls-self-signed` to try it, clients shake hands
//! by TLS: those of `--listen-tls ADDR`, or, where there is none, all. HUP restarts by fork, USR2 by fork-exec, TERM and INT drain and exit, a second one exits
//! now. `RUST_LOG` sets how much is logged (`info`), and `JOURNAL_SOCKET` where a journal of systemd listens, if not where it always does.

#[cfg_attr(not(feature = "tls"), path = "no_tls.rs")]
pub mod tls;
mod tls_options;

use std::{ffi::OsString, io::Write, path::PathBuf, process, process::ExitCode, time::Duration};

use heirloom::{
    Restart, Result, Server, Service, Workers,
    logging::{Journal, Stderr, log_panics},
};
use lexopt::{Arg, Parser, ValueExt};

pub use self::tls_options::TlsOptions;

/// The status of a program whose command line or surroundings are wrong.
const EXIT_USAGE: u8 = 2;

/// What holds where the command line says nothing.
pub struct Defaults {
    pub listen: &'static str,
    /// Established connections go to the new process at a restart.
    pub moves: bool,
    /// Why one process alone can serve, if that is so.
    pub alone: Option<&'static str>,
}

/// What the command line says.
#[derive(Default)]
struct Options {
    listen: Vec<String>,
    datagrams: Vec<String>,
    pid_file: Option<PathBuf>,
    control: Option<PathBuf>,
    moves: bool,
    check: bool,
    probation: Option<Duration>,
    health: Vec<String>,
    metrics: Vec<String>,
    agent_check: Vec<String>,
    lame_duck: Duration,
    supervised: bool,
    workers: Option<u32>,
    pinned: bool,
    shared: bool,
    tls: TlsOptions,
}

/// Serves as the command line says; `tune` has the last word about the server.
pub fn serve<S: Service>(
    defaults: Defaults,
    service: S,
    tune: impl FnOnce(Server<S>) -> Server<S>,
) -> ExitCode {
    start_logging();
    let name = env!("CARGO_CRATE_NAME");
    let mut options = match parse(&defaults, std::env::args_os().skip(1)) {
        Ok(Some(options)) => options,
        Ok(None) => {
            let usage = format!(
                "usage: {name} [--listen HOST:PORT|unix:PATH|unix:@NAME]... \
                 [--datagrams HOST:PORT|unix:PATH|unix:@NAME]... \
                 [--pid-file PATH] [--control PATH] [--probation SECONDS] [--move|--no-move] \
                 [--health ADDRESS]... [--metrics ADDRESS]... [--agent-check ADDRESS]... [--lame-duck SECONDS] \
                 [--listen-tls ADDRESS]... [--tls-cert PATH --tls-key PATH|--tls-self-signed] \
                 [--supervised] [--workers N [--pinned] [--shared]] [--check]"
            );
            let _ = writeln!(std::io::stdout(), "{usage}"); // its reader may have left
            return ExitCode::SUCCESS;
        }
        Err(e) => return fail(EXIT_USAGE, &e),
    };
    if options.listen.is_empty() && options.tls.listen.is_empty() {
        options.listen.push(defaults.listen.to_owned());
    }
    match build(service, options) {
        Err(e) => fail(EXIT_USAGE, &e),
        Ok(server) => match tune(server).run() {
            Err(e) => fail(1, &e),
            Ok(()) => ExitCode::SUCCESS,
        },
    }
}

/// `None`: help was asked for.
fn parse(
    defaults: &Defaults,
    args: impl Iterator<Item = OsString>,
) -> std::result::Result<Option<Options>, lexopt::Error> {
    let mut options = Options { moves: defaults.moves, ..Options::default() };
    let mut parser = Parser::from_args(args);
    while let Some(arg) = parser.next()? {
        match arg {
            Arg::Long("listen") => options.listen.push(parser.value()?.string()?),
            Arg::Long("datagrams") => options.datagrams.push(parser.value()?.string()?),
            Arg::Long("pid-file") => options.pid_file = Some(parser.value()?.into()),
            Arg::Long("control") => options.control = Some(parser.value()?.into()),
            Arg::Long("probation") => options.probation = Some(parser.value()?.parse_with(time)?),
            Arg::Long("lame-duck") => options.lame_duck = parser.value()?.parse_with(time)?,
            Arg::Long("health") => options.health.push(parser.value()?.string()?),
            Arg::Long("metrics") => options.metrics.push(parser.value()?.string()?),
            Arg::Long("agent-check") => options.agent_check.push(parser.value()?.string()?),
            Arg::Long("listen-tls") => options.tls.listen.push(parser.value()?.string()?),
            Arg::Long("tls-cert") => options.tls.certificate = Some(parser.value()?.into()),
            Arg::Long("tls-key") => options.tls.key = Some(parser.value()?.into()),
            Arg::Long("tls-self-signed") => options.tls.self_signed = true,
            Arg::Long("supervised") => options.supervised = true,
            Arg::Long("workers") => {
                options.workers = Some(parser.value()?.parse_with(|text| match text.parse() {
                    Ok(0) | Err(_) => Err("not a number of processes"),
                    Ok(count) => Ok(count),
                })?);
            }
            Arg::Long("pinned") => options.pinned = true,
            Arg::Long("shared") => options.shared = true,
            Arg::Long("move") => options.moves = true,
            Arg::Long("no-move") => options.moves = false,
            Arg::Long("check") => options.check = true,
            Arg::Long("help") | Arg::Short('h') => return Ok(None),
            other => return Err(other.unexpected()),
        }
    }
    if (options.pinned || options.shared) && options.workers.is_none() {
        return Err("--pinned and --shared go with --workers".into());
    }
    if let (Some(why), Some(2..)) = (defaults.alone, options.workers) {
        return Err(format!("--workers: {why}").into());
    }
    Ok(Some(options))
}

fn time(text: &str) -> std::result::Result<Duration, &'static str> {
    let seconds = text.parse().map_err(|_| "not a number of seconds")?;
    Duration::try_from_secs_f64(seconds).map_err(|_| "not a time")
}

fn build<S: Service>(service: S, options: Options) -> Result<Server<S>> {
    let server = if options.check { Server::dry_run(service)? } else { Server::new(service)? };
    let how = |how: Restart| {
        let how = if options.moves { how.move_connections() } else { how };
        options.probation.map_or(how.clone(), |time| how.probation(time))
    };
    let server = server
        .restart_on(libc::SIGHUP, how(Restart::fork()))
        .restart_on(libc::SIGUSR2, how(Restart::fork_exec().checked("--check")));
    let mut server = tls::listen(server, &options.listen, &options.tls)?;
    for address in &options.datagrams {
        server = server.datagrams(address)?;
    }
    if let Some(path) = options.pid_file {
        server = server.pid_file(path)?;
    }
    if let Some(path) = options.control {
        server = server.control(path)?;
    }
    for address in &options.agent_check {
        server = server.agent_check(address)?;
    }
    let server = answer_monitors(server, &options.health)?.lame_duck(options.lame_duck);
    let server = give_numbers(server, &options.metrics)?;
    let server = if options.supervised { server.supervised() } else { server };
    let Some(count) = options.workers else { return Ok(server) };
    let workers = Workers::new(count);
    let workers = if options.pinned { workers.pinned() } else { workers };
    Ok(server.workers(if options.shared { workers.shared() } else { workers }))
}

#[cfg(feature = "health")]
fn answer_monitors<S: Service>(server: Server<S>, addresses: &[String]) -> Result<Server<S>> {
    addresses.iter().try_fold(server, |server, address| server.health(address))
}

#[cfg(not(feature = "health"))]
fn answer_monitors<S: Service>(server: Server<S>, addresses: &[String]) -> Result<Server<S>> {
    without("health", server, addresses)
}

#[cfg(feature = "metrics")]
fn give_numbers<S: Service>(server: Server<S>, addresses: &[String]) -> Result<Server<S>> {
    addresses.iter().try_fold(server, |server, address| server.metrics(address))
}

#[cfg(not(feature = "metrics"))]
fn give_numbers<S: Service>(server: Server<S>, addresses: &[String]) -> Result<Server<S>> {
    without("metrics", server, addresses)
}

/// Of an option that is called like the feature which it needs.
#[cfg(not(feature = "metrics"))] // which has the other one in it
fn without<S: Service>(
    feature: &str,
    server: Server<S>,
    addresses: &[String],
) -> Result<Server<S>> {
    match addresses {
        [] => Ok(server),
        _ => {
            Err(format!("--{feature}: this program was built without the feature `{feature}`")
                .into())
        }
    }
}

/// Lines that name the process, since several generations share one stderr.
fn start_logging() {
    let level = env_logger::Env::default().default_filter_or("info");
    let logger = env_logger::Builder::from_env(level)
        .target(env_logger::Target::Pipe(Box::new(Stderr::new()))) // which waits for no reader
        .format(|out, record| {
            writeln!(out, "[{}] {}: {}", process::id(), record.level(), record.args())
        })
        .build();
    log::set_max_level(logger.filter());
    // Under systemd the journal gets what a record is made of.
    let journal = match std::env::var_os("JOURNAL_SOCKET") {
        Some(elsewhere) => Journal::at(elsewhere),
        None => Journal::find(),
    };
    let _ = match journal {
        Some(journal) => {
            log::set_boxed_logger(Box::new(journal.filtered(move |record| logger.matches(record))))
        }
        None => log::set_boxed_logger(Box::new(logger)),
    };
    log_panics();
}

fn fail(status: u8, why: &dyn std::fmt::Display) -> ExitCode {
    eprintln!("{}: {why}", env!("CARGO_CRATE_NAME"));
    ExitCode::from(status)
}
