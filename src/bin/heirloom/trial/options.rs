//! The command line of a trial. What makes no sense is one line that says so; nothing was done by then.

use std::{ffi::OsString, path::PathBuf, sync::Arc, time::Duration};

use lexopt::{Arg, Parser, ValueExt};

use super::{
    client::Task,
    crowd::Load,
    restarts::Plan,
    words::{SECONDS_MAX, Words, limited},
};

pub const USAGE: &str = "usage: heirloom trial --address ADDR [OPTIONS]
what is asked, and what must come back:
       --address ADDR        HOST:PORT, unix:PATH or unix:@NAME
       --protocol NAME       raw, line, http or redis: by what one sees where an answer ends (raw)
       --send TEXT           with \\r, \\n, \\t, \\0, \\\\ and \\xHH (line: ping, http: GET /, redis: PING)
       --expect TEXT         the whole answer; of line without its end, of http the body
       --expect-prefix TEXT  how the answer begins
how it is restarted:
       --signal NAME         the process in the pid file, or the one that was started, has this signal
       --restart COMMAND     sh runs this
       --again               the server that was started is ended (by --signal, or TERM), and started again
       --pid-file PATH       where the process that serves is to be found
       --server COMMAND      start this, one program, and end all that comes of it afterwards
       --until WHAT          a restart is over when there is another pid in the file (pid), another newest child of
                             the process (worker), another answer to --who (who), or after so many seconds
       --who TEXT            a question whose answer tells who serves; of http it may be a path
       --restarts N          (10)
       --pause SECONDS       before, between and after them (0.5)
       --patience SECONDS    how long a start or a restart may take (30)
the clients:
       --new N               new ones each second, with one request each (200)
       --held N              that stay connected (50)
       --pipelined N         that stay and send --depth requests in one go (10)
       --depth N             (8)
       --rate N              how often each of those that stay asks in a second (10)
       --late SECONDS        an answer that takes longer is late (1)
       --timeout SECONDS     for an answer that takes longer nobody waits (5)
       --may-close           as HTTP has it: a connection that is closed between two requests is nothing to notice,
                             and what crossed with its end is asked again
the report:
       --format NAME         table, json or svg (table)
       --output FILE         to this file; stdout has the table then
";

/// The most clients, and new ones a second: it is a trial, no attack.
const CLIENTS_MAX: u32 = 20_000;
const RESTARTS_MAX: u32 = 100_000;
const DEPTH_MAX: u32 = 10_000;
const RATE_MAX: f64 = 10_000.0;
const RATE_MIN: f64 = 0.001;
/// Requests a second that one thread can be asked to keep count of.
const TOTAL_MAX: f64 = 200_000.0;

const HALF_A_SECOND: Duration = Duration::from_millis(500);
const PATIENCE: Duration = Duration::from_secs(30);
const LATE: Duration = Duration::from_secs(1);
const TIMEOUT: Duration = Duration::from_secs(5);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Table,
    Json,
    Svg,
}

impl Format {
    fn named(name: &str) -> Result<Format, String> {
        match name {
            "table" => Ok(Format::Table),
            "json" => Ok(Format::Json),
            "svg" => Ok(Format::Svg),
            other => Err(format!("--format: {other:?} is none of table, json, svg")),
        }
    }
}

pub struct Options {
    pub task: Arc<Task>,
    pub load: Load,
    pub plan: Plan,
    pub server: Option<OsString>,
    pub format: Format,
    pub output: Option<PathBuf>,
}

/// `None`: help was asked for.
///
/// # Errors
/// One line: what is wrong with which option.
pub fn parse(args: impl Iterator<Item = OsString>) -> Result<Option<Options>, String> {
    let mut words = Words::default();
    let mut load = Load { new: 200, held: 50, pipelined: 10, depth: 8, rate: 10.0 };
    let (mut count, mut pause, mut patience) = (10, HALF_A_SECOND, PATIENCE);
    let (mut late, mut timeout) = (LATE, TIMEOUT);
    let (mut format, mut output) = (Format::Table, None);
    let mut parser = Parser::from_args(args);
    let it = &mut parser;
    while let Some(arg) = it.next().map_err(|e| e.to_string())? {
        match arg {
            Arg::Long("address") => words.address = Some(value(it)?),
            Arg::Long("protocol") => words.protocol = Some(text(it, "protocol")?),
            Arg::Long("send") => words.send = Some(value(it)?),
            Arg::Long("expect") => words.expect = Some(value(it)?),
            Arg::Long("expect-prefix") => words.prefix = Some(value(it)?),
            Arg::Long("signal") => words.signal = Some(text(it, "signal")?),
            Arg::Long("restart") => words.restart = Some(value(it)?),
            Arg::Long("again") => words.again = true,
            Arg::Long("pid-file") => words.pid_file = Some(value(it)?.into()),
            Arg::Long("server") => words.server = Some(value(it)?),
            Arg::Long("until") => words.until = Some(text(it, "until")?),
            Arg::Long("who") => words.who = Some(value(it)?),
            Arg::Long("restarts") => count = number(it, "restarts", RESTARTS_MAX)?,
            Arg::Long("pause") => pause = time(it, "pause")?,
            Arg::Long("patience") => patience = time(it, "patience")?,
            Arg::Long("new") => load.new = number(it, "new", CLIENTS_MAX)?,
            Arg::Long("held") => load.held = number(it, "held", CLIENTS_MAX)?,
            Arg::Long("pipelined") => load.pipelined = number(it, "pipelined", CLIENTS_MAX)?,
            Arg::Long("depth") => load.depth = number(it, "depth", DEPTH_MAX)?,
            Arg::Long("rate") => load.rate = decimal(it, "rate", RATE_MAX)?,
            Arg::Long("late") => late = time(it, "late")?,
            Arg::Long("timeout") => timeout = time(it, "timeout")?,
            Arg::Long("may-close") => words.may_close = true,
            Arg::Long("format") => format = Format::named(&text(it, "format")?)?,
            Arg::Long("output") => output = Some(value(it)?.into()),
            Arg::Long("help") | Arg::Short('h') => return Ok(None),
            other => return Err(other.unexpected().to_string()),
        }
    }
    check_load(&load)?;
    let (task, who) = words.task(late, timeout)?;
    let plan = words.plan(who, count, pause, patience)?;
    Ok(Some(Options { task: Arc::new(task), load, plan, server: words.server, format, output }))
}

fn check_load(load: &Load) -> Result<(), String> {
    let stay = f64::from(load.held) + f64::from(load.pipelined) * f64::from(load.depth);
    let total = f64::from(load.new) + stay * load.rate;
    match () {
        () if load.depth == 0 => Err("--depth: a batch of no requests is none".into()),
        () if load.rate > 0.0 && load.rate < RATE_MIN => {
            Err(format!("--rate: {} is less than {RATE_MIN}", load.rate))
        }
        () if total == 0.0 => Err("no client is to ask: say --new, --held or --pipelined".into()),
        () if total > TOTAL_MAX => {
            Err(format!("{total:.0} requests a second are too many: {TOTAL_MAX:.0} at most"))
        }
        () => Ok(()),
    }
}

fn number(parser: &mut Parser, name: &str, most: u32) -> Result<u32, String> {
    let text = text(parser, name)?;
    let number = text.parse::<u32>().map_err(|_| format!("--{name}: {text:?} is no number"))?;
    match number <= most {
        true => Ok(number),
        false => Err(format!("--{name}: {number} are too many: {most} at most")),
    }
}

fn decimal(parser: &mut Parser, name: &str, most: f64) -> Result<f64, String> {
    limited(&text(parser, name)?, most).map_err(|why| format!("--{name}: {why}"))
}

fn time(parser: &mut Parser, name: &str) -> Result<Duration, String> {
    decimal(parser, name, SECONDS_MAX).map(Duration::from_secs_f64)
}

fn text(parser: &mut Parser, name: &str) -> Result<String, String> {
    value(parser)?.string().map_err(|e| format!("--{name}: {e}"))
}

fn value(parser: &mut Parser) -> Result<OsString, String> {
    parser.value().map_err(|e| e.to_string())
}
