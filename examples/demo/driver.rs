//! The course of a run: start the server, let the clients loose, restart it again and again, end it in
//! good order. Waits for nothing without a deadline.

use std::{
    net::SocketAddr,
    sync::Arc,
    thread::JoinHandle,
    time::{Duration, Instant},
};

use heirloom::Engine;
use nix::sys::signal::Signal;

use crate::{
    churn,
    dialer::Dialer,
    held,
    options::{Options, ServerOptions},
    processes,
    report::Outcome,
    secure::{OwnCertificate, Secure},
    shared::{Shared, State},
    view::View,
};

/// How often the driver looks at the processes and draws the live line.
const TICK: Duration = Duration::from_millis(50);

/// How long clients may go on after a run has failed before they have noticed themselves.
const AFTERMATH: Duration = Duration::from_secs(1);

/// How long the last lines of a process's log may be on their way when it has ended.
const LAST_LINES: Duration = Duration::from_secs(1);

/// What ends a run early.
type Trouble = String;

pub struct Driver<'a> {
    options: &'a Options,
    shared: Arc<Shared>,
    view: View,
    clients: Vec<JoinHandle<()>>,
    /// With `--tls`.
    certificate: Option<OwnCertificate>,
    secure: Option<Secure>,
}

/// A whole run. The state that is left tells what happened.
pub fn run(options: &Options, shared: &Arc<Shared>, view: View) -> Outcome {
    let mut driver = Driver {
        options,
        shared: Arc::clone(shared),
        view,
        clients: Vec::new(),
        certificate: None,
        secure: None,
    };
    let mut trouble = driver.perform().err();
    if trouble.is_some() {
        shared.give_up();
        // What the clients make of it belongs into the report.
        shared.wait(AFTERMATH, |state| (state.score.failures.total() > 0).then_some(()));
    }
    let lasted = shared.began.elapsed();
    if !driver.stop_clients() {
        trouble.get_or_insert("a client thread has panicked".to_owned());
    }
    if let Err(why) = driver.end_server() {
        trouble.get_or_insert(why);
    }
    let left_over = processes::end_leftovers(shared);
    // The last lines of the log may still be on their way.
    shared.wait(shared.patience(), |state| state.log_closed.then_some(()));
    driver.view.clear();
    let handshakes = driver.secure.as_ref().map(Secure::handshakes);
    Outcome { lasted, trouble, left_over, handshakes }
}

impl Driver<'_> {
    fn perform(&mut self) -> Result<(), Trouble> {
        self.view.announce(&self.options.plan());
        let options = self.server_options().map_err(|e| format!("--tls: {e}"))?;
        processes::start(&self.shared, &options)
            .map_err(|e| format!("cannot start the server: {e}"))?;
        let address = self.wait("the server to be ready", |state| state.address.clone())?;
        self.view.line(&format!("the server listens on {address}"));
        self.start_clients(&address)?;
        let engines = self.options.engines.iter().cycle();
        for (index, &engine) in engines.take(self.options.restarts).enumerate() {
            self.pause(self.options.pause)?;
            if self.options.faults {
                self.fail_a_restart(index, engine)?;
            }
            self.restart(index, engine)?;
        }
        self.pause(self.options.pause)
    }

    /// With TLS its clients trust a certificate that was made for this run.
    fn server_options(&mut self) -> heirloom::Result<ServerOptions> {
        if self.options.tls {
            let own = OwnCertificate::make()?;
            self.secure = Some(Secure::trusting(&own.files.chain)?);
            self.certificate = Some(own);
        }
        let Options { probation, moves, .. } = *self.options;
        let certificate = self.certificate.as_ref().map(|own| own.files.clone());
        Ok(ServerOptions { probation, moves, certificate })
    }

    fn start_clients(&mut self, address: &str) -> Result<(), Trouble> {
        let address: SocketAddr =
            address.parse().map_err(|_| format!("the server listens on {address:?}"))?;
        let dialer = Dialer { address, secure: self.secure.clone() };
        self.clients = churn::start(&self.shared, &dialer, self.options.rate);
        if self.options.held > 0 {
            let Options { held, moves, .. } = *self.options;
            self.clients.push(held::start(&self.shared, &dialer, held, moves));
        }
        self.wait("a first answer", |state| state.generations.serving()?.first_answer)?;
        Ok(())
    }

    /// Begins a restart, and kills the new process a while after it has answered somebody first: it is in
    /// its probation, so the old one has to serve again.
    fn fail_a_restart(&mut self, index: usize, engine: Engine) -> Result<(), Trouble> {
        let old = self.begin(engine)?;
        let new = self.wait(&format!("an answer of the successor of pid {old}"), |state| {
            let newest = state.generations.list.last()?;
            (newest.pid != old && newest.first_answer.is_some()).then_some(newest.pid)
        })?;
        self.pause(self.options.probation / 4)?; // for more clients to come
        self.shared.lock().generations.kill(new);
        processes::signal(new, Signal::SIGKILL)?;
        let outcome = self
            .wait(&format!("the end of the {engine} restart of pid {old}"), |state| {
                state.generations.attempts.last()?.outcome.clone()
            });
        self.shared.turn_window();
        if outcome?.is_ok() {
            return Err(format!("pid {new} had committed before it was killed"));
        }
        let (number, all) = (index + 1, self.options.restarts);
        self.view
            .line(&format!("fault {number}/{all} {engine}: pid {new} killed, pid {old} serves"));
        Ok(())
    }

    /// Asks the process that serves for a restart, and answers its pid.
    fn begin(&mut self, engine: Engine) -> Result<i32, Trouble> {
        let signal = match engine {
            Engine::Fork => Signal::SIGHUP,
            Engine::ForkExec => Signal::SIGUSR2,
        };
        let pid = self.shared.lock().generations.serving().map(|serving| serving.pid);
        let pid = pid.ok_or("no process serves")?;
        self.shared.turn_window();
        self.shared.lock().generations.begin(engine, self.options.moves, Instant::now());
        processes::signal(pid, signal)?;
        Ok(pid)
    }

    /// Restarts once, and waits until the new process has answered somebody.
    fn restart(&mut self, index: usize, engine: Engine) -> Result<(), Trouble> {
        let pid = self.begin(engine)?;
        let waited = self.wait(&format!("the {engine} restart of pid {pid}"), |state| {
            let attempt = state.generations.attempts.last()?;
            let times = state.generations.times(attempt);
            match attempt.outcome.as_ref()? {
                Ok(pid) => times.map(|times| Ok((*pid, times, attempt.downtime))),
                Err(why) => Some(Err(why.clone())),
            }
        });
        self.shared.turn_window();
        if let Err(why) = &waited {
            self.shared.lock().generations.decide(Err(why.clone()));
        }
        let text = match waited? {
            Ok((pid, (ready, answer), downtime)) => {
                let still = downtime.map(|time| format!(", {time:.1?} in which nobody served"));
                format!(
                    "pid {pid} is ready after {ready:.1?}, first answer after {answer:.1?}{}",
                    still.unwrap_or_default()
                )
            }
            Err(why) => format!("failed: {why}"),
        };
        self.view.line(&format!(
            "restart {}/{} {engine}: {text}",
            index + 1,
            self.options.restarts
        ));
        Ok(())
    }

    /// Waits for all of them; `false` when one has panicked.
    fn stop_clients(&mut self) -> bool {
        self.shared.stop();
        self.clients.drain(..).map(JoinHandle::join).filter(Result::is_err).count() == 0
    }

    /// Sees the old processes leave by themselves, since all clients have said goodbye; tells the one
    /// that serves to leave; sees it do so.
    fn end_server(&mut self) -> Result<(), Trouble> {
        let serving = self.shared.lock().generations.serving().map(|serving| serving.pid);
        self.wait_for_exits(|pid| Some(pid) == serving);
        let lives = |pid: &i32| self.shared.lock().generations.living().any(|g| g.pid == *pid);
        if let Some(pid) = serving.filter(lives) {
            processes::signal(pid, Signal::SIGTERM)?;
            self.wait_for_exits(|_| false);
        }
        Ok(())
    }

    /// Waits until all but those that `may_stay` have ended. Who has not by then is left over, and
    /// is found as such.
    fn wait_for_exits(&mut self, may_stay: impl Fn(i32) -> bool) {
        let until = self.shared.deadline();
        loop {
            let mut state = self.shared.lock();
            let some_left = processes::reap(&mut state.generations);
            let done = state.generations.living().all(|generation| may_stay(generation.pid));
            self.view.update(&state, self.options);
            drop(state);
            if done || !some_left || Instant::now() > until {
                return;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Lets time pass, with an eye on the server.
    fn pause(&mut self, time: Duration) -> Result<(), Trouble> {
        let until = Instant::now() + time;
        while Instant::now() < until {
            self.look()?;
            let left = until.saturating_duration_since(Instant::now());
            std::thread::sleep(left.min(TICK));
        }
        Ok(())
    }

    /// Waits until `found` finds something in the state, as long as patience goes.
    fn wait<T>(&mut self, what: &str, found: impl Fn(&State) -> Option<T>) -> Result<T, Trouble> {
        let until = self.shared.deadline();
        loop {
            self.look()?;
            if let Some(value) = self.shared.wait(TICK, &found) {
                return Ok(value);
            }
            if Instant::now() > until {
                return Err(format!("waited {:?} for {what}", self.shared.patience()));
            }
        }
    }

    /// Draws the live line, and makes sure that there is a server.
    fn look(&mut self) -> Result<(), Trouble> {
        let mut state = self.shared.lock();
        let some_left = processes::reap(&mut state.generations);
        self.view.update(&state, self.options);
        if state.generations.serving().is_none() && !some_left {
            return Err("the server ended before it was ready".to_owned());
        }
        if state.generations.gone().is_none() {
            return Ok(());
        }
        drop(state);
        // It may have said who serves now, and that was not read yet.
        let is_clear = |state: &State| state.log_closed || state.generations.gone().is_none();
        self.shared.wait(LAST_LINES, |state| is_clear(state).then_some(()));
        match self.shared.lock().generations.gone() {
            Some(gone) => Err(format!(
                "the server is gone: generation {}, pid {}: {}",
                gone.number,
                gone.pid,
                gone.ending()
            )),
            None => Ok(()),
        }
    }
}
