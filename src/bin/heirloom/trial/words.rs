//! What the words of the command line mean together: what clients do, how the server is restarted, and by what one
//! sees that it was. Pure, but for the look-up of a name.

use std::{ffi::OsString, path::PathBuf, time::Duration};

use nix::sys::signal::Signal;

use super::{
    client::Task,
    escape,
    protocol::{Dialogue, Expected, Protocol, get},
    restarts::{How, Plan, Until},
    socket::Address,
};

/// What takes longer is no restart to wait for.
pub const SECONDS_MAX: f64 = 3600.0;

/// What the words say, each by itself.
#[derive(Default)]
pub struct Words {
    pub address: Option<OsString>,
    pub protocol: Option<String>,
    pub send: Option<OsString>,
    pub expect: Option<OsString>,
    pub prefix: Option<OsString>,
    pub signal: Option<String>,
    pub restart: Option<OsString>,
    pub again: bool,
    pub pid_file: Option<PathBuf>,
    pub server: Option<OsString>,
    pub until: Option<String>,
    pub who: Option<OsString>,
    pub may_close: bool,
}

impl Words {
    /// What clients do, and how one asks who serves.
    pub fn task(
        &self,
        late: Duration,
        timeout: Duration,
    ) -> Result<(Task, Option<Dialogue>), String> {
        let address =
            self.address.clone().ok_or("which server? Say --address HOST:PORT or unix:PATH")?;
        let address = Address::parse(address).map_err(|why| format!("--address: {why}"))?;
        let name = self.protocol.as_deref().unwrap_or("raw");
        let protocol = Protocol::named(name)
            .ok_or_else(|| format!("--protocol: {name:?} is none of raw, line, http, redis"))?;
        let text = |name: &str, text: &Option<OsString>| {
            let text = text.as_deref().map(escape::bytes).transpose();
            text.map_err(|why| format!("--{name}: {why}"))
        };
        let request = text("send", &self.send)?.or_else(|| protocol.request(&address));
        let request = request.filter(|request| !request.is_empty());
        let request = request.ok_or("what is asked? Say --send TEXT, or --protocol NAME")?;
        let expected = match (text("expect", &self.expect)?, text("expect-prefix", &self.prefix)?) {
            (Some(_), Some(_)) => {
                return Err("--expect and --expect-prefix exclude each other".into());
            }
            (Some(text), None) => Expected::Exactly(without_end(protocol, text)),
            (None, Some(text)) => Expected::Prefix(text),
            (None, None) => Expected::Anything,
        };
        match &expected {
            Expected::Exactly(text) if protocol == Protocol::Raw && text.is_empty() => {
                return Err("--expect: an answer of no bytes is none".into());
            }
            Expected::Exactly(_) => {}
            _ if protocol == Protocol::Raw => {
                return Err(
                    "where does an answer end? Say --expect TEXT, or --protocol NAME".into()
                );
            }
            _ => {}
        }
        let who = text("who", &self.who)?.map(|who| {
            let is_path = protocol == Protocol::Http && who.starts_with(b"/");
            let path = String::from_utf8_lossy(&who).into_owned();
            let request = if is_path { get(&path, &address) } else { who };
            Dialogue { protocol, request, expected: Expected::Anything }
        });
        let dialogue = Dialogue { protocol, request, expected };
        let may_close = self.may_close;
        Ok((Task { address, dialogue, late, timeout, may_close }, who))
    }

    pub fn plan(
        &self,
        who: Option<Dialogue>,
        count: u32,
        pause: Duration,
        patience: Duration,
    ) -> Result<Plan, String> {
        let signal = self.signal.as_deref().map(signal).transpose()?;
        let knows_pid = self.pid_file.is_some() || self.server.is_some();
        let how = match (signal, &self.restart, self.again) {
            (None, None, false) => {
                return Err("how is it restarted? Say --signal, --restart or --again".into());
            }
            (_, Some(_), true) | (Some(_), Some(_), false) => {
                return Err("--restart goes with neither --signal nor --again".into());
            }
            (_, None, true) if self.server.is_none() => {
                return Err("--again goes with --server".into());
            }
            (Some(_), None, false) if !knows_pid => {
                return Err("--signal: to which process? Say --pid-file or --server".into());
            }
            (signal, None, true) => How::Again(signal.unwrap_or(Signal::SIGTERM)),
            (None, Some(command), false) => How::Command(command.clone()),
            (Some(signal), None, false) => How::Signal(signal),
        };
        let until = match (self.until.as_deref(), who, &how) {
            (Some("who") | None, Some(who), _) => Until::Answer(who),
            (_, Some(_), _) => return Err("--who goes with --until who".into()),
            (Some("who"), None, _) => return Err("--until who goes with --who TEXT".into()),
            (Some("pid"), ..) if self.pid_file.is_none() => {
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
                Until::Time(
                    limited(text, SECONDS_MAX).map(Duration::from_secs_f64).map_err(|_| why())?,
                )
            }
            (None, ..) if self.pid_file.is_some() => Until::Pid,
            (None, ..) => return Err("when is a restart over? Say --until".into()),
        };
        let pid_file = self.pid_file.clone();
        Ok(Plan { how, until, count, pause, patience, pid_file })
    }
}

/// The end of a line is none of what is compared.
fn without_end(protocol: Protocol, mut text: Vec<u8>) -> Vec<u8> {
    if matches!(protocol, Protocol::Line | Protocol::Redis) && text.ends_with(b"\n") {
        text.pop();
        text.pop_if(|byte| *byte == b'\r');
    }
    text
}

fn signal(name: &str) -> Result<Signal, String> {
    let upper = name.to_ascii_uppercase();
    let whole = if upper.starts_with("SIG") { upper } else { format!("SIG{upper}") };
    whole.parse().map_err(|_| format!("--signal: {name:?} is no signal"))
}

/// A number that is not below zero.
pub fn limited(text: &str, most: f64) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(number) if (0.0..=most).contains(&number) => Ok(number),
        Ok(_) => Err(format!("{text} is not between 0 and {most}")),
        Err(_) => Err(format!("{text:?} is no number")),
    }
}
