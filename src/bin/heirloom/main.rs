//! The operator's end of the control socket: asks, waits for the answer, and prints it.
//!
//! ```text
//! heirloom [--control PATH] status [--json]
//! heirloom [--control PATH] restart [--fork | --fork-exec] [--move]
//! heirloom [--control PATH] rollback | drain | stop
//! heirloom [--control PATH] top [--every SECONDS] [--count N]
//! ```
//!
//! `HEIRLOOM_CONTROL` stands in for `--control`; `@name` is a socket in no file system. The exit status is 0 when the server did what it was
//! asked, 1 when it did not (the reason is on stderr), 2 when it could not be asked.

mod show;

use std::{
    env, fmt,
    io::{self, BufRead, BufReader, IsTerminal, Write},
    os::{
        linux::net::SocketAddrExt,
        unix::{
            ffi::OsStrExt,
            net::{SocketAddr, UnixStream},
        },
    },
    path::{Path, PathBuf},
    process::ExitCode,
    thread,
    time::Duration,
};

use lexopt::{Arg, Parser, ValueExt};
use show::{Generation, Json, Table};

const USAGE: &str = "usage: heirloom [--control PATH] status [--json]
       heirloom [--control PATH] restart [--fork | --fork-exec] [--move]
       heirloom [--control PATH] rollback | drain | stop
       heirloom [--control PATH] top [--every SECONDS] [--count N]
HEIRLOOM_CONTROL stands in for --control.";

const COMMANDS: [&str; 6] = ["status", "restart", "rollback", "drain", "stop", "top"];

/// The server was asked and refused, or failed.
const EXIT_REFUSED: u8 = 1;

/// The server could not be asked.
const EXIT_USAGE: u8 = 2;

/// How often a question that does no harm is asked again when it was not answered.
const ASK_AGAIN: usize = 3;

struct Options {
    control: PathBuf,
    command: String,
    json: bool,
    every: Duration,
    count: u64,
}

/// What went wrong, and the exit status that says so.
struct Failure(u8, String);

impl<E: fmt::Display> From<E> for Failure {
    fn from(why: E) -> Failure {
        Failure(EXIT_USAGE, why.to_string())
    }
}

fn main() -> ExitCode {
    match parse().and_then(|options| options.as_ref().map_or(Ok(()), run)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure(status, why)) => {
            eprintln!("heirloom: {why}");
            ExitCode::from(status)
        }
    }
}

/// `None`: help was asked for, and given.
fn parse() -> Result<Option<Options>, Failure> {
    let mut options = Options {
        control: env::var_os("HEIRLOOM_CONTROL").map(PathBuf::from).unwrap_or_default(),
        command: String::new(),
        json: false,
        every: Duration::from_secs(1),
        count: u64::MAX,
    };
    let (mut engine, mut moves) = (None, None);
    let mut parser = Parser::from_env();
    while let Some(arg) = parser.next()? {
        match arg {
            Arg::Long("control") => options.control = parser.value()?.into(),
            Arg::Long("json") => options.json = true,
            Arg::Long("fork") if engine.is_none() => engine = Some("fork"),
            Arg::Long("fork-exec") if engine.is_none() => engine = Some("fork-exec"),
            Arg::Long("move") => moves = Some("move"),
            Arg::Long("every") => {
                options.every = Duration::try_from_secs_f64(parser.value()?.parse()?)?;
            }
            Arg::Long("count") => options.count = parser.value()?.parse()?,
            Arg::Long("help") | Arg::Short('h') => {
                println!("{USAGE}");
                return Ok(None);
            }
            Arg::Value(word) if options.command.is_empty() => options.command = word.string()?,
            other => return Err(other.unexpected().into()),
        }
    }
    let command = options.command.as_str();
    if command.is_empty() {
        return Err(format!("no command is given\n{USAGE}").into());
    }
    if !COMMANDS.contains(&command) {
        return Err(format!("{command:?} is no command\n{USAGE}").into());
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
        "status" if options.json => {
            println!("{}", Json(&status(options)?));
            Ok(())
        }
        "status" => {
            print!("{}", Table(&status(options)?));
            Ok(())
        }
        command => {
            println!("{}", ask(options, command)?.join("\n"));
            Ok(())
        }
    }
}

/// The status, again and again.
fn top(options: &Options) -> Result<(), Failure> {
    let clear = if io::stdout().is_terminal() { "\x1b[H\x1b[2J" } else { "" };
    for turn in 0..options.count {
        if turn > 0 {
            thread::sleep(options.every);
        }
        print!("{clear}{}", Table(&status(options)?));
        io::stdout().flush()?;
    }
    Ok(())
}

/// Asks again if the generation that was asked has just been replaced: nothing was done, and the next one
/// is reached by the same path.
fn status(options: &Options) -> Result<Vec<Generation>, Failure> {
    let mut answer = ask(options, "status");
    for _ in 0..ASK_AGAIN {
        match answer {
            Err(Failure(EXIT_USAGE, _)) => answer = ask(options, "status"),
            _ => break,
        }
    }
    Ok(answer?.iter().skip(1).map(|line| Generation::read(line)).collect())
}

/// One request; the lines of its reply, the first without its `ok: `.
fn ask(options: &Options, request: &str) -> Result<Vec<String>, Failure> {
    let at = options.control.display();
    let failed = |e: io::Error| format!("ask {at}: {e}");
    let mut socket = connect(&options.control).map_err(failed)?;
    writeln!(socket, "{request}").map_err(failed)?;
    let mut lines = Vec::new();
    for line in BufReader::new(socket).lines() {
        let line = line.map_err(failed)?;
        if line.is_empty() {
            return judge(lines);
        }
        lines.push(line);
    }
    Err(format!("ask {at}: the server ended before it had answered").into())
}

/// `@name` is in no file system (see `unix(7)`).
fn connect(control: &Path) -> io::Result<UnixStream> {
    match control.as_os_str().as_bytes().strip_prefix(b"@") {
        Some(name) => UnixStream::connect_addr(&SocketAddr::from_abstract_name(name)?),
        None => UnixStream::connect(control),
    }
}

fn judge(mut lines: Vec<String>) -> Result<Vec<String>, Failure> {
    let Some(first) = lines.first_mut() else { return Err("an empty answer".into()) };
    match first.strip_prefix("ok: ") {
        Some(text) => *first = text.to_owned(),
        None => {
            *first = first.trim_start_matches("error: ").to_owned();
            return Err(Failure(EXIT_REFUSED, lines.join("\n")));
        }
    }
    Ok(lines)
}
