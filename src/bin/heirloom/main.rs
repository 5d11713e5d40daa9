//! The operator's end of the control socket: asks, waits for the answer, and prints it. And a trial of anybody's
//! server, which needs none (`trial`).
//!
//! ```text
//! heirloom [--control PATH] [--timeout SECONDS] status [--json]
//! heirloom [--control PATH] [--timeout SECONDS] check [--json]
//! heirloom [--control PATH] [--timeout SECONDS] metrics
//! heirloom [--control PATH] [--timeout SECONDS] log [--json] [--follow]
//! heirloom [--control PATH] [--timeout SECONDS] restart [--fork | --fork-exec] [--move]
//! heirloom [--control PATH] [--timeout SECONDS] rollback | drain | stop
//! heirloom [--control PATH] [--timeout SECONDS] top [--every SECONDS] [--count N]
//! heirloom trial --address ADDR ...
//! ```
//!
//! `HEIRLOOM_CONTROL` stands in for `--control`; `@name` is a socket in no file system. The timeout is for silence: a server that waits for a
//! restart says so now and then. The exit status is 0 when the server did what it was asked, 1 when it did
//! not (the reason is on stderr), 2 when it could not be asked or its answer could not be shown.

mod ask;
mod check;
mod finding;
mod log;
mod output;
mod show;
mod trial;

use std::{env, fmt, io::IsTerminal, path::PathBuf, process::ExitCode, thread, time::Duration};

use check::Check;
use lexopt::{Arg, Parser, ValueExt};
use log::Entry;
use output::{complain, say};
use show::{Generation, Json, Table};

const USAGE: &str = "usage: heirloom [OPTIONS] status [--json]
       heirloom [OPTIONS] check [--json]
       heirloom [OPTIONS] metrics
       heirloom [OPTIONS] log [--json] [--follow]
       heirloom [OPTIONS] restart [--fork | --fork-exec] [--move]
       heirloom [OPTIONS] rollback | drain | stop
       heirloom [OPTIONS] top [--every SECONDS] [--count N]
       heirloom trial --address ADDR ...  (trial --help: its own options)
options:
       --control PATH     the server's control socket; HEIRLOOM_CONTROL stands in for it
       --timeout SECONDS  how long the server may be silent (10); 0: for ever
";

const COMMANDS: [&str; 10] =
    ["status", "check", "metrics", "log", "restart", "rollback", "drain", "stop", "top", "trial"];

/// It asks no control socket, and has options of its own.
const TRIAL: &str = "trial";

/// The server was asked and refused, or failed.
const EXIT_REFUSED: u8 = 1;

/// The server could not be asked.
const EXIT_USAGE: u8 = 2;

/// How often a question that does no harm is asked again when it was not answered.
const ASK_AGAIN: usize = 3;

/// A server whose loop turns answers within milliseconds, and stands still for no longer than connections
/// are frozen (2 s unless its author has said otherwise).
const PATIENCE: Duration = Duration::from_secs(10);

struct Options {
    control: PathBuf,
    /// How long the server may be silent.
    patience: Option<Duration>,
    command: String,
    json: bool,
    follow: bool,
    every: Duration,
    count: u64,
}

/// What went wrong, and the exit status that says so.
struct Failure {
    status: u8,
    why: String,
    /// The server has not said a word in time.
    is_silent: bool,
}

impl Failure {
    fn refused(why: String) -> Failure {
        Failure { status: EXIT_REFUSED, why, is_silent: false }
    }

    fn unasked(why: String) -> Failure {
        Failure { status: EXIT_USAGE, why, is_silent: false }
    }

    fn silent(why: String) -> Failure {
        Failure { is_silent: true, ..Failure::unasked(why) }
    }
}

impl<E: fmt::Display> From<E> for Failure {
    fn from(why: E) -> Failure {
        Failure::unasked(why.to_string())
    }
}

fn main() -> ExitCode {
    let mut args = env::args_os().skip(1);
    if args.next().is_some_and(|first| first == TRIAL) {
        return trial::main(args);
    }
    match parse().and_then(|options| options.as_ref().map_or(Ok(()), run)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure { status, why, .. }) => {
            complain(&why);
            ExitCode::from(status)
        }
    }
}

/// `None`: help was asked for, and given.
fn parse() -> Result<Option<Options>, Failure> {
    let mut options = Options {
        control: env::var_os("HEIRLOOM_CONTROL").map(PathBuf::from).unwrap_or_default(),
        patience: Some(PATIENCE),
        command: String::new(),
        json: false,
        follow: false,
        every: Duration::from_secs(1),
        count: u64::MAX,
    };
    let (mut engine, mut moves) = (None, None);
    let mut parser = Parser::from_env();
    while let Some(arg) = parser.next()? {
        match arg {
            Arg::Long("control") => options.control = parser.value()?.into(),
            Arg::Long("timeout") => {
                let limit = Duration::try_from_secs_f64(parser.value()?.parse()?)?;
                options.patience = Some(limit).filter(|limit| !limit.is_zero());
            }
            Arg::Long("json") => options.json = true,
            Arg::Long("follow") => options.follow = true,
            Arg::Long("fork") if engine.is_none() => engine = Some("fork"),
            Arg::Long("fork-exec") if engine.is_none() => engine = Some("fork-exec"),
            Arg::Long("move") => moves = Some("move"),
            Arg::Long("every") => {
                options.every = Duration::try_from_secs_f64(parser.value()?.parse()?)?;
            }
            Arg::Long("count") => options.count = parser.value()?.parse()?,
            Arg::Long("help") | Arg::Short('h') => {
                say(USAGE)?;
                return Ok(None);
            }
            Arg::Value(word) if options.command.is_empty() => options.command = word.string()?,
            other => return Err(other.unexpected().into()),
        }
    }
    let command = options.command.as_str();
    if command.is_empty() {
        return Err(format!("no command is given\n{}", USAGE.trim_end()).into());
    }
    if !COMMANDS.contains(&command) {
        return Err(format!("{command:?} is no command\n{}", USAGE.trim_end()).into());
    }
    if command == TRIAL {
        return Err("trial comes first: heirloom trial --address ADDR ...".into());
    }
    if (engine.is_some() || moves.is_some()) && command != "restart" {
        return Err("--fork, --fork-exec and --move go with restart".into());
    }
    if options.control.as_os_str().is_empty() {
        return Err("which server? Say --control PATH, or set HEIRLOOM_CONTROL".into());
    }
    options.command =
        [command].into_iter().chain(engine).chain(moves).collect::<Vec<_>>().join(" ");
    Ok(Some(options))
}

fn run(options: &Options) -> Result<(), Failure> {
    match options.command.as_str() {
        "top" => top(options),
        "check" => check(options),
        "log" => log(options),
        "metrics" => Ok(say(&format!("{}\n", ask_again(options, "metrics")?[1..].join("\n")))?),
        "status" if options.json => Ok(say(&format!("{}\n", Json(&status(options)?)))?),
        "status" => Ok(say(&Table(&status(options)?).to_string())?),
        command => Ok(say(&format!("{}\n", ask(options, command)?.join("\n")))?),
    }
}

/// What a restart would come to. One that would be refused fails the check, after it was told.
fn check(options: &Options) -> Result<(), Failure> {
    let check = Check::read(&ask_again(options, "check")?);
    match options.json {
        true => say(&format!("{}\n", check::Json(&check)))?,
        false => say(&check.to_string())?,
    }
    let refused = || Failure::refused("a restart would be refused".to_owned());
    if check.is_refused() { Err(refused()) } else { Ok(()) }
}

/// The journal: what there is, or that and what comes. With `--follow` each object stands on a line of its own, and
/// a server that does not answer is asked again, since it may just be starting.
fn log(options: &Options) -> Result<(), Failure> {
    let mut next = 0;
    let mut lines = ask_again(options, "log")?;
    loop {
        let entries = lines.iter().skip(1).map(|line| Entry::read(line));
        let news: Vec<_> = entries.filter(|entry| entry.number() >= next).collect();
        next = news.last().map_or(next, |last| last.number() + 1);
        let objects = news.iter().map(|entry| log::Json(entry).to_string());
        match (options.json, options.follow) {
            (true, false) => say(&format!("[{}]\n", objects.collect::<Vec<_>>().join(",")))?,
            (true, true) => objects.into_iter().try_for_each(|it| say(&format!("{it}\n")))?,
            (false, _) => news.iter().try_for_each(|it| say(&format!("{it}\n")))?,
        }
        if !options.follow {
            return Ok(());
        }
        thread::sleep(options.every);
        lines = ask(options, "log").unwrap_or_default();
    }
}

/// The status, again and again.
fn top(options: &Options) -> Result<(), Failure> {
    let clear = if std::io::stdout().is_terminal() { "\x1b[H\x1b[2J" } else { "" };
    for turn in 0..options.count {
        if turn > 0 {
            thread::sleep(options.every);
        }
        say(&format!("{clear}{}", Table(&status(options)?)))?;
    }
    Ok(())
}

fn ask(options: &Options, request: &str) -> Result<Vec<String>, Failure> {
    ask::ask(&options.control, options.patience, request)
}

/// Asks again if the generation that was asked has just been replaced: nothing was done, and the next one
/// is reached by the same path. One that hangs would hang again.
fn ask_again(options: &Options, request: &str) -> Result<Vec<String>, Failure> {
    let mut answer = ask(options, request);
    for _ in 0..ASK_AGAIN {
        match answer {
            Err(Failure { status: EXIT_USAGE, is_silent: false, .. }) => {
                answer = ask(options, request);
            }
            _ => break,
        }
    }
    answer
}

fn status(options: &Options) -> Result<Vec<Generation>, Failure> {
    Ok(ask_again(options, "status")?.iter().skip(1).map(|line| Generation::read(line)).collect())
}
