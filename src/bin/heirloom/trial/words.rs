//! What the words of the command line mean together: what clients do, how the server is restarted, and by what one
//! sees that it was. Pure, but for the look-up of a name. What makes no sense is one line that says so; nothing was done
//! by then.

use std::{ffi::OsString, path::PathBuf, sync::Arc, time::Duration};

use nix::sys::signal::Signal;

use super::{
    client::Task,
    crowd::Load,
    escape,
    options::{Asking, Clients, Format, Options, Restarting, SECONDS_MAX, limited},
    protocol::{Dialogue, Expected, Protocol, get},
    restarts::{How, Plan, Until},
    socket::Address,
};

const RATE_MIN: f64 = 0.001;
/// Requests a second that one thread can be asked to keep count of.
const TOTAL_MAX: f64 = 200_000.0;

/// All that is to be done.
pub struct Trial {
    pub task: Arc<Task>,
    pub load: Load,
    pub plan: Plan,
    pub server: Option<OsString>,
    pub format: Format,
    pub output: Option<PathBuf>,
}

impl Trial {
    /// # Errors
    /// One line: what is wrong with which option.
    pub fn new(options: Options) -> Result<Trial, String> {
        let Options { asking, restarting, clients, report } = options;
        let load = load(&clients)?;
        let (task, who) = task(&asking, restarting.who.as_ref(), &clients)?;
        let plan = plan(&restarting, who)?;
        let (format, output) = (report.format, report.output);
        Ok(Trial { task: Arc::new(task), load, plan, server: restarting.server, format, output })
    }
}

fn load(clients: &Clients) -> Result<Load, String> {
    let &Clients { new, held, pipelined, depth, rate, .. } = clients;
    let stay = f64::from(held) + f64::from(pipelined) * f64::from(depth);
    let total = f64::from(new) + stay * rate;
    match () {
        () if depth == 0 => Err("--depth: a batch of no requests is none".into()),
        () if rate > 0.0 && rate < RATE_MIN => {
            Err(format!("--rate: {rate} is less than {RATE_MIN}"))
        }
        () if total == 0.0 => Err("no client is to ask: say --new, --held or --pipelined".into()),
        () if total > TOTAL_MAX => {
            Err(format!("{total:.0} requests a second are too many: {TOTAL_MAX:.0} at most"))
        }
        () => Ok(Load { new, held, pipelined, depth, rate }),
    }
}

/// What clients do, and how one asks who serves.
fn task(
    asking: &Asking,
    who: Option<&OsString>,
    clients: &Clients,
) -> Result<(Task, Option<Dialogue>), String> {
    let address = asking.address.clone();
    let address = address.ok_or("which server? Say --address HOST:PORT or unix:PATH")?;
    let address = Address::parse(address).map_err(|why| format!("--address: {why}"))?;
    let protocol = asking.protocol;
    let request = text("send", asking.send.as_ref())?.or_else(|| protocol.request(&address));
    let request = request.filter(|request| !request.is_empty());
    let request = request.ok_or("what is asked? Say --send TEXT, or --protocol NAME")?;
    let expected = expected(asking)?;
    let who = text("who", who)?.map(|who| {
        let is_path = protocol == Protocol::Http && who.starts_with(b"/");
        let path = String::from_utf8_lossy(&who).into_owned();
        let request = if is_path { get(&path, &address) } else { who };
        Dialogue { protocol, request, expected: Expected::Anything }
    });
    let dialogue = Dialogue { protocol, request, expected };
    let &Clients { late, timeout, may_close, .. } = clients;
    Ok((Task { address, dialogue, late, timeout, may_close }, who))
}

fn text(name: &str, text: Option<&OsString>) -> Result<Option<Vec<u8>>, String> {
    let text = text.map(|text| escape::bytes(text)).transpose();
    text.map_err(|why| format!("--{name}: {why}"))
}

fn expected(asking: &Asking) -> Result<Expected, String> {
    let Asking { protocol, expect, expect_prefix, .. } = asking;
    let whole = text("expect", expect.as_ref())?;
    let expected = match (whole, text("expect-prefix", expect_prefix.as_ref())?) {
        (Some(_), Some(_)) => {
            return Err("--expect and --expect-prefix exclude each other".into());
        }
        (Some(text), None) => Expected::Exactly(without_end(*protocol, text)),
        (None, Some(text)) => Expected::Prefix(text),
        (None, None) => Expected::Anything,
    };
    match &expected {
        Expected::Exactly(text) if *protocol == Protocol::Raw && text.is_empty() => {
            Err("--expect: an answer of no bytes is none".into())
        }
        Expected::Anything | Expected::Prefix(_) if *protocol == Protocol::Raw => {
            Err("where does an answer end? Say --expect TEXT, or --protocol NAME".into())
        }
        _ => Ok(expected),
    }
}

fn plan(restarting: &Restarting, who: Option<Dialogue>) -> Result<Plan, String> {
    let how = how(restarting)?;
    let until = until(restarting, who, &how)?;
    let &Restarting { restarts: count, pause, patience, .. } = restarting;
    Ok(Plan { how, until, count, pause, patience, pid_file: restarting.pid_file.clone() })
}

fn how(restarting: &Restarting) -> Result<How, String> {
    let knows_pid = restarting.pid_file.is_some() || restarting.server.is_some();
    Ok(match (restarting.signal, &restarting.restart, restarting.again) {
        (None, None, false) => {
            return Err("how is it restarted? Say --signal, --restart or --again".into());
        }
        (_, Some(_), true) | (Some(_), Some(_), false) => {
            return Err("--restart goes with neither --signal nor --again".into());
        }
        (_, None, true) if restarting.server.is_none() => {
            return Err("--again goes with --server".into());
        }
        (Some(_), None, false) if !knows_pid => {
            return Err("--signal: to which process? Say --pid-file or --server".into());
        }
        (signal, None, true) => How::Again(signal.unwrap_or(Signal::SIGTERM)),
        (None, Some(command), false) => How::Command(command.clone()),
        (Some(signal), None, false) => How::Signal(signal),
    })
}

fn until(restarting: &Restarting, who: Option<Dialogue>, how: &How) -> Result<Until, String> {
    let knows_pid = restarting.pid_file.is_some() || restarting.server.is_some();
    Ok(match (restarting.until.as_deref(), who, how) {
        (Some("who") | None, Some(who), _) => Until::Answer(who),
        (_, Some(_), _) => return Err("--who goes with --until who".into()),
        (Some("who"), None, _) => return Err("--until who goes with --who TEXT".into()),
        (Some("pid"), ..) if restarting.pid_file.is_none() => {
            return Err("--until pid goes with --pid-file".into());
        }
        (Some("worker"), ..) if !knows_pid => {
            return Err("--until worker goes with --pid-file or --server".into());
        }
        (Some("worker"), ..) => Until::Worker,
        (Some(_), _, How::Again(_)) => return Err("--again is over when it serves".into()),
        (None, _, How::Again(_)) => Until::Served,
        (Some("pid"), ..) => Until::Pid,
        (Some(text), ..) => {
            let why = || format!("--until: {text:?} is none of pid, worker, who, SECONDS");
            let seconds = limited(text, SECONDS_MAX).map_err(|_| why())?;
            Until::Time(Duration::from_secs_f64(seconds))
        }
        (None, ..) if restarting.pid_file.is_some() => Until::Pid,
        (None, ..) => return Err("when is a restart over? Say --until".into()),
    })
}

/// The end of a line is none of what is compared.
fn without_end(protocol: Protocol, mut text: Vec<u8>) -> Vec<u8> {
    if matches!(protocol, Protocol::Line | Protocol::Redis) && text.ends_with(b"\n") {
        text.pop();
        text.pop_if(|byte| *byte == b'\r');
    }
    text
}
