//! The server role: a single-threaded heirloom server that says who it is and proves its bytes. Knows
//! nothing of the driver that started it, except that silence means it is gone.

use std::{io::Write, process, process::ExitCode, time::Duration};

use heirloom::{
    Alarm, Connection, Net, Origin, Restart, Result, Server, Service, Start, codec,
    logging::{Stderr, log_panics},
};

use crate::{
    options::{Certificate, ServerOptions},
    proof, tls,
    tls_options::TlsOptions,
};

/// Goes off at regular times, to see whether anybody still asks.
pub const LOOK: Alarm = Alarm(0);

/// A server that was asked nothing for this long leaves: the driver asks all the time, so it was
/// killed, and nobody else would end its server. Longer than the driver waits for anything by
/// itself, also on a machine that is busy with other things.
pub const SILENCE: Duration = Duration::from_secs(30);

/// A new side that is not ready in this time is given up. Shorter than the driver's default
/// patience, so that it is the server that says what was wrong.
pub const READY_WITHIN: Duration = Duration::from_secs(8);

/// What the connections share.
#[derive(Default)]
struct Witness {
    /// The beginning of every answer: `GENERATION PID ENGINE`.
    who: String,
    /// The answer in hand; kept for its memory.
    answer: Vec<u8>,
    /// Whether a request has come since the last look.
    asked: bool,
}

impl Service for Witness {
    type Session = ();

    fn on_open(&mut self, _conn: &mut Connection<'_>, _origin: Origin) -> Result<()> {
        Ok(())
    }

    fn on_data(
        &mut self,
        conn: &mut Connection<'_>,
        _session: &mut (),
        input: &[u8],
    ) -> Result<usize> {
        let Some((line, taken)) = codec::line(input, proof::MAX_REQUEST)? else { return Ok(0) };
        let (nonce, length) = proof::parse_request(line).ok_or("not a request")?;
        self.answer.clear();
        proof::write_answer(&mut self.answer, &self.who, nonce, length);
        conn.send(&self.answer);
        self.asked = true;
        Ok(taken)
    }

    /// There is nothing to say of a connection, but it may be another program's.
    fn export(&self, _session: &()) -> Option<Vec<u8>> {
        Some(Vec::new())
    }

    fn import(&mut self, _conn: &mut Connection<'_>, _saved: &[u8]) -> Result<()> {
        Ok(())
    }

    /// A forked child has its parent's name in memory; a resumed process has its own again.
    fn on_start(&mut self, net: &mut Net, _start: Start) {
        let engine = net.engine().map_or("none".to_owned(), |engine| engine.to_string());
        self.who = format!("{} {} {engine}", net.generation(), process::id());
        net.set_alarm(LOOK, SILENCE);
    }

    fn after_fork_in_child(&mut self, net: &mut Net) -> Result {
        tls::renew(net)
    }

    fn on_alarm(&mut self, net: &mut Net, _key: Alarm) {
        if std::mem::take(&mut self.asked) {
            net.set_alarm(LOOK, SILENCE);
        } else {
            log::error!("nobody has asked anything for {SILENCE:?}");
            net.drain();
        }
    }
}

/// Serves on `address` until told to stop. SIGHUP restarts by fork, SIGUSR2 by fork-exec, SIGTERM
/// drains.
pub fn serve(address: &str, options: &ServerOptions) -> ExitCode {
    begin(|| run(address, options))
}

/// Runs a server of this program to its end.
pub fn begin(run: impl FnOnce() -> Result) -> ExitCode {
    start_logging();
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            log::error!("{e}");
            ExitCode::FAILURE
        }
    }
}

fn run(address: &str, options: &ServerOptions) -> Result {
    let how = |how: Restart| {
        let how = how.ready_within(READY_WITHIN).probation(options.probation);
        if options.moves { how.move_connections() } else { how }
    };
    let mut files = TlsOptions::default();
    if let Some(Certificate { chain, key }) = &options.certificate {
        (files.certificate, files.key) = (Some(chain.clone()), Some(key.clone()));
    }
    tls::listen(Server::new(Witness::default())?, &[address.to_owned()], &files)?
        .restart_on(libc::SIGHUP, how(Restart::fork()))
        .restart_on(libc::SIGUSR2, how(Restart::fork_exec()))
        .run()
}

/// Lines that name the process. `log::parse` of the driver reads them, so nothing in the environment
/// changes what is written.
fn start_logging() {
    env_logger::Builder::new()
        .filter_level(log::LevelFilter::Info)
        .target(env_logger::Target::Pipe(Box::new(Stderr::new()))) // which waits for no reader
        .format(|out, record| {
            writeln!(out, "[{}] {}: {}", process::id(), record.level(), record.args())
        })
        .init();
    log_panics();
}
