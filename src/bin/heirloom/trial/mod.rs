//! `heirloom trial`: what clients notice of a restart, of anybody's server.
//!
//! ```sh
//! heirloom trial --address 127.0.0.1:8080 --protocol http --signal HUP --pid-file /run/nginx.pid --until worker
//! heirloom trial --address unix:/run/kv --protocol redis --server './kv --listen unix:/run/kv' --again
//! heirloom trial --address 127.0.0.1:7777 --send 'hello' --expect 'hello' --restart './deploy.sh' --until 2
//! ```
//!
//! Three sorts of clients ask at fixed times, however slow the server is: new ones, one request each; held ones, that
//! stay connected; pipelined ones, that stay and send several requests in one go. Meanwhile the server is restarted
//! again and again. Every byte that comes back is compared, and what is other than it should be is counted by what
//! it was (`notice`). A client of mio, and none of the library: what is measured and what measures have no code in
//! common.
//!
//! The clients have one thread, the restarts have another. A time is known to one turn of the clients' loop, and the
//! worst of these is told; a time without an answer is known to the time between two requests, which is told, too.

mod client;
mod crowd;
mod escape;
mod framing;
mod json;
mod notice;
mod options;
mod pace;
mod picture;
mod probe;
mod protocol;
mod report;
mod restarts;
mod server;
mod socket;
mod svg;
mod table;
mod tally;
mod words;

use std::{
    fs,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use nix::sys::{
    resource::{Resource, getrlimit, setrlimit},
    signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction},
};

pub use self::options::Options;
use self::{
    client::Task,
    crowd::Crowd,
    options::Format,
    report::Report,
    restarts::How,
    server::{LOOK, Server},
    words::Trial,
};
use crate::{
    exit::Exit,
    output::{complain, say},
};

/// A signal has asked for the end.
static STOP: AtomicBool = AtomicBool::new(false);

/// Does it, and tells how it went.
pub fn main(options: Options) -> Exit {
    let outcome = Trial::new(options).and_then(|trial| {
        let report = run(&trial)?;
        publish(&trial, &report)?;
        Ok(verdict(&report))
    });
    outcome.unwrap_or_else(|why| {
        complain(&format!("trial: {why}"));
        Exit::Unasked
    })
}

fn verdict(report: &Report) -> Exit {
    if let Some(why) = &report.trouble {
        complain(&format!("trial: {why}"));
    }
    if report.untried > 0 {
        complain(&format!("trial: {} requests could not even be tried", report.untried));
    }
    match () {
        () if report.trouble.is_some() => Exit::Unasked,
        () if report.noticed > 0 => Exit::Refused,
        () if report.is_void() => Exit::Unasked,
        () => Exit::Done,
    }
}

fn run(trial: &Trial) -> Result<Report, String> {
    listen_for_the_end()?;
    let Trial { task, load, plan, .. } = trial;
    let server = trial.server.clone().map(Server::start).transpose();
    let mut server = server.map_err(|e| format!("start a shell: {e}"))?;
    wait_for_service(task, server.as_mut(), plan.patience)?;
    allow_descriptors();
    let crowd = Crowd::new(task, load).map_err(|e| format!("begin: {e}"))?;
    let (told, thread) = restarts::start(plan.clone(), task, server, &STOP);
    let ending = crowd.run(&told, &STOP);
    STOP.store(true, Ordering::Relaxed);
    let server = thread.join();
    let ending = ending.map_err(|e| format!("wait for events: {e}"))?;
    let how = match &plan.how {
        How::Signal(signal) => signal.to_string(),
        How::Command(line) => line.to_string_lossy().into_owned(),
        How::Again(signal) => format!("{signal}, and started again"),
    };
    let about = (task.address.to_string(), how, plan.count);
    Ok(Report::new(about, load, ending, server.is_ok()))
}

/// A server that does not answer before it was restarted is not tried. One that was started may take its time.
fn wait_for_service(
    task: &Task,
    mut server: Option<&mut Server>,
    patience: Duration,
) -> Result<(), String> {
    let until = Instant::now() + patience;
    loop {
        let why = match probe::ask(&task.address, &task.dialogue, task.timeout) {
            Ok(_) => return Ok(()),
            Err(why) => format!("ask {}: {why}", task.address),
        };
        let Some(server) = &mut server else { return Err(why) };
        if Instant::now() > until || STOP.load(Ordering::Relaxed) {
            return Err(format!("{why}, {patience:?} after the server was started"));
        }
        if let Some(status) = server.ended().filter(|status| !status.success()) {
            return Err(format!("{why}; the server has ended: {status}"));
        }
        thread::sleep(LOOK);
    }
}

fn publish(trial: &Trial, report: &Report) -> Result<(), String> {
    let table = || table::Table(report).to_string();
    let text = match trial.format {
        Format::Table => table(),
        Format::Json => format!("{}\n", json::Json(report)),
        Format::Svg => picture::draw(report),
    };
    let Some(file) = &trial.output else { return say(&text) };
    fs::write(file, text).map_err(|e| format!("write {}: {e}", file.display()))?;
    say(&table())
}

/// Each client has one. Who goes without is counted.
fn allow_descriptors() {
    if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    }
}

/// Told to end, a trial ends its server and says what it knows.
fn listen_for_the_end() -> Result<(), String> {
    extern "C" fn note(_signal: i32) {
        STOP.store(true, Ordering::Relaxed);
    }
    let action = SigAction::new(SigHandler::Handler(note), SaFlags::SA_RESTART, SigSet::empty());
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        // SAFETY: the handler stores one atomic, which is allowed in any context (`signal-safety(7)`).
        unsafe { sigaction(signal, &action) }.map_err(|e| format!("listen for {signal}: {e}"))?;
    }
    Ok(())
}
