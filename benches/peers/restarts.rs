//! Restarts under load, by `heirloom trial`: the same clients, the same restarts, whoever the server is. Each is
//! restarted in its own way; who knows none is ended and started again.

use std::{
    fs, io,
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use serde_json::Value;

use crate::{
    common::process::Cores,
    peers::{Ground, Peer, itself},
    secured::Cover,
    work::{Resp, Work},
};

/// A way to restart a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    Fork,
    ForkExec,
    Upgraded,
    Reloaded,
    Haproxy,
    Command,
    Redis,
    Tokio,
}

pub const WAYS: [Way; 8] = [
    Way::Fork,
    Way::ForkExec,
    Way::Upgraded,
    Way::Reloaded,
    Way::Haproxy,
    Way::Command,
    Way::Redis,
    Way::Tokio,
];

impl Way {
    pub fn name(self) -> &'static str {
        match self {
            Way::Fork => "heirloom, fork",
            Way::ForkExec => "heirloom, fork-exec",
            Way::Upgraded => "nginx, USR2 and QUIT",
            Way::Reloaded => "nginx, HUP",
            Way::Haproxy => "haproxy, reload",
            Way::Command => "std Command with pre_exec",
            Way::Redis => "redis, ended and started",
            Way::Tokio => "tokio, ended and started",
        }
    }

    pub fn peer(self) -> Peer {
        match self {
            Way::Fork | Way::ForkExec => Peer::Heirloom,
            Way::Upgraded | Way::Reloaded => Peer::Nginx,
            Way::Haproxy => Peer::Haproxy,
            Way::Command => Peer::Bare,
            Way::Redis => Peer::Redis,
            Way::Tokio => Peer::Tokio,
        }
    }

    fn work(self) -> Work {
        if self == Way::Redis { Work::Set(Resp::Two) } else { Work::Http }
    }

    /// What has it restart, and by what one sees that it has.
    fn how(self, pid_file: &str) -> Vec<String> {
        let words: &[&str] = match self {
            Way::Fork | Way::Command => &["--signal", "HUP", "--pid-file", pid_file],
            Way::ForkExec => &["--signal", "USR2", "--pid-file", pid_file],
            Way::Reloaded => &["--signal", "HUP", "--pid-file", pid_file, "--until", "worker"],
            Way::Haproxy => &["--signal", "USR2", "--until", "worker"],
            Way::Redis | Way::Tokio => &["--again"],
            Way::Upgraded => {
                // As its manual has it: the operator ends the old one when the new one is there.
                let command = format!(
                    "old=$(cat '{pid_file}'); kill -USR2 $old; \
                     while [ \"$(cat '{pid_file}' 2> /dev/null || echo $old)\" = $old ]; do sleep 0.001; done; \
                     sleep 0.05; kill -QUIT $old"
                );
                return ["--pid-file", pid_file, "--restart", &command].map(str::to_owned).to_vec();
            }
        };
        words.iter().map(|word| (*word).to_owned()).collect()
    }
}

/// How many clients a second, how many restarts, how far apart.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    pub rate: u32,
    pub restarts: u32,
    pub gap: Duration,
}

/// Runs one way to its end; the report of the trial. All processes of the server end with it.
pub fn run(ground: &Ground, way: Way, plan: Plan, cores: Option<Cores>) -> io::Result<Value> {
    let pid_file = ground.pid_file(way.peer());
    let _ = fs::remove_file(&pid_file);
    let pid_file = pid_file.to_string_lossy().into_owned();
    let protocol = way.work().protocol();
    let (mut command, address) = match way.peer() {
        Peer::Nginx => ground.restartable(way.peer())?,
        peer => ground.command(peer, protocol, Cover::Plain)?,
    };
    if way == Way::Command {
        command = itself("spawning", &pid_file, &address)?;
    }
    let (protocol, expected) = match way.work() {
        Work::Http => ("http", "hello, world\\n"),
        _ => ("redis", "+PONG"),
    };
    let (rate, restarts) = (plan.rate.to_string(), plan.restarts.to_string());
    let pause = plan.gap.as_secs_f64().to_string();
    let mut trial = Command::new(ground.program("heirloom"));
    trial.args(["trial", "--address", &address, "--protocol", protocol, "--expect", expected]);
    trial.args(["--server", &line(&command, cores)]).args(way.how(&pid_file));
    // HTTP lets a server close between two requests; who speaks RESP has lost its session then.
    trial.args((way.work() == Work::Http).then_some("--may-close"));
    trial.args(["--new", &rate, "--restarts", &restarts, "--pause", &pause, "--format", "json"]);
    let log = ground.log(way.peer())?;
    let output = trial.env("RUST_LOG", "warn").stdin(Stdio::null()).stderr(log).output()?;
    let report: Value = serde_json::from_slice(&output.stdout)
        .map_err(|e| io::Error::other(format!("{}: {e}", output.status)))?;
    match report["trouble"].as_str() {
        Some(why) => Err(io::Error::other(why.to_owned())),
        None => Ok(report),
    }
}

/// A command as a line for a shell, on the servers' core.
fn line(command: &Command, cores: Option<Cores>) -> String {
    let quoted = |word: &str| format!("'{}'", word.replace('\'', "'\\''"));
    let mut words: Vec<String> = Vec::new();
    if let Some(cores) = cores {
        words.extend(["taskset".to_owned(), "-c".to_owned(), cores.server.to_string()]);
    }
    let program = Path::new(command.get_program());
    words.push(quoted(&program.to_string_lossy()));
    words.extend(command.get_args().map(|arg| quoted(&arg.to_string_lossy())));
    words.join(" ")
}
