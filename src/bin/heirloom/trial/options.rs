//! The command line of a trial: what each option is, by itself. What they mean together is in `words`.

use std::{ffi::OsString, path::PathBuf, time::Duration};

use clap::{Args, ValueEnum, ValueHint};
use nix::sys::signal::Signal;

use super::protocol::Protocol;

/// The most clients, and new ones a second: it is a trial, no attack.
const CLIENTS_MAX: u32 = 20_000;
const RESTARTS_MAX: u32 = 100_000;
const DEPTH_MAX: u32 = 10_000;
const RATE_MAX: f64 = 10_000.0;
/// What takes longer is no restart to wait for.
pub const SECONDS_MAX: f64 = 3600.0;

#[derive(Debug, Args)]
pub struct Options {
    #[command(flatten)]
    pub asking: Asking,
    #[command(flatten)]
    pub restarting: Restarting,
    #[command(flatten)]
    pub clients: Clients,
    #[command(flatten)]
    pub report: Reporting,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "What is asked, and what must come back")]
pub struct Asking {
    /// HOST:PORT, unix:PATH or unix:@NAME
    #[arg(long, value_name = "ADDR")]
    pub address: Option<OsString>,

    /// By what one sees where an answer ends
    #[arg(long, value_name = "NAME", default_value = "raw")]
    pub protocol: Protocol,

    /// With \r, \n, \t, \0, \\ and \xHH (line: ping, http: GET /, redis: PING)
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    pub send: Option<OsString>,

    /// The whole answer; of line without its end, of http the body
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    pub expect: Option<OsString>,

    /// How the answer begins
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    pub expect_prefix: Option<OsString>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "How it is restarted")]
pub struct Restarting {
    /// The process in the pid file, or the one that was started, has this signal
    #[arg(long, value_name = "NAME", value_parser = signal)]
    pub signal: Option<Signal>,

    /// sh runs this
    #[arg(long, value_name = "COMMAND", allow_hyphen_values = true, value_hint = ValueHint::CommandString)]
    pub restart: Option<OsString>,

    /// The server that was started is ended (by --signal, or TERM), and started again
    #[arg(long)]
    pub again: bool,

    /// Where the process that serves is to be found
    #[arg(long, value_name = "PATH", value_hint = ValueHint::FilePath)]
    pub pid_file: Option<PathBuf>,

    /// Start this, one program, and end all that comes of it afterwards
    #[arg(long, value_name = "COMMAND", allow_hyphen_values = true, value_hint = ValueHint::CommandString)]
    pub server: Option<OsString>,

    /// It is over by another pid in the file, another newest child of the process, another answer to --who, or after a time
    #[arg(long, value_name = "pid|worker|who|SECONDS", allow_negative_numbers = true)]
    pub until: Option<String>,

    /// A question whose answer tells who serves; of http it may be a path
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    pub who: Option<OsString>,

    /// How many restarts
    #[arg(long, value_name = "N", default_value = "10", value_parser = at_most(RESTARTS_MAX))]
    pub restarts: u32,

    /// How long before, between and after them
    #[arg(long, value_name = "SECONDS", default_value = "0.5", value_parser = time, allow_negative_numbers = true)]
    pub pause: Duration,

    /// How long a start or a restart may take
    #[arg(long, value_name = "SECONDS", default_value = "30", value_parser = time, allow_negative_numbers = true)]
    pub patience: Duration,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "The clients")]
pub struct Clients {
    /// New ones each second, with one request each
    #[arg(long, value_name = "N", default_value = "200", value_parser = at_most(CLIENTS_MAX))]
    pub new: u32,

    /// Those that stay connected
    #[arg(long, value_name = "N", default_value = "50", value_parser = at_most(CLIENTS_MAX))]
    pub held: u32,

    /// Those that stay and send --depth requests in one go
    #[arg(long, value_name = "N", default_value = "10", value_parser = at_most(CLIENTS_MAX))]
    pub pipelined: u32,

    /// Requests in one go
    #[arg(long, value_name = "N", default_value = "8", value_parser = at_most(DEPTH_MAX))]
    pub depth: u32,

    /// How often each of those that stay asks in a second
    #[arg(long, value_name = "N", default_value = "10", value_parser = rate, allow_negative_numbers = true)]
    pub rate: f64,

    /// An answer that takes longer is late
    #[arg(long, value_name = "SECONDS", default_value = "1", value_parser = time, allow_negative_numbers = true)]
    pub late: Duration,

    /// For an answer that takes longer nobody waits
    #[arg(long, value_name = "SECONDS", default_value = "5", value_parser = time, allow_negative_numbers = true)]
    pub timeout: Duration,

    /// A close between two requests is nothing to notice, as HTTP has it; what crossed with it is asked again
    #[arg(long)]
    pub may_close: bool,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "The report")]
pub struct Reporting {
    /// How it is laid out
    #[arg(long, value_name = "NAME", default_value = "table")]
    pub format: Format,

    /// To this file; stdout has the table then
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub output: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    Table,
    Json,
    Svg,
}

fn at_most(most: u32) -> impl Fn(&str) -> Result<u32, String> + Clone + Send + Sync + 'static {
    move |text| {
        let number = text.parse::<u32>().map_err(|_| format!("{text:?} is no number"))?;
        match number <= most {
            true => Ok(number),
            false => Err(format!("{number} are too many: {most} at most")),
        }
    }
}

fn rate(text: &str) -> Result<f64, String> {
    limited(text, RATE_MAX)
}

fn time(text: &str) -> Result<Duration, String> {
    limited(text, SECONDS_MAX).map(Duration::from_secs_f64)
}

/// A number that is not below zero.
pub fn limited(text: &str, most: f64) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(number) if (0.0..=most).contains(&number) => Ok(number),
        Ok(_) => Err(format!("{text} is not between 0 and {most}")),
        Err(_) => Err(format!("{text:?} is no number")),
    }
}

fn signal(name: &str) -> Result<Signal, String> {
    let upper = name.to_ascii_uppercase();
    let whole = if upper.starts_with("SIG") { upper } else { format!("SIG{upper}") };
    whole.parse().map_err(|_| format!("{name:?} is no signal"))
}
