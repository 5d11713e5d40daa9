//! The restarts, one after the other, from a thread of their own: nothing here delays a client. Each has begun when
//! it is asked for, and has ended when it is seen that somebody else serves.

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{self, Receiver, Sender},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill, killpg},
    unistd::Pid,
};

use super::{
    client::Task,
    probe,
    protocol::Dialogue,
    server::{self, LOOK, Server, newest_child},
};

/// How a restart is asked for.
#[derive(Clone, Debug)]
pub enum How {
    Signal(Signal),
    Command(OsString),
    /// The server that the trial has started is ended by a signal, and started again.
    Again(Signal),
}

/// By what one sees that somebody else serves.
#[derive(Clone, Debug)]
pub enum Until {
    /// The pid file has another number.
    Pid,
    /// The process has another newest child.
    Worker,
    /// Another answer to this question.
    Answer(Dialogue),
    /// A right answer, since the old one is gone.
    Served,
    Time(Duration),
}

#[derive(Clone, Debug)]
pub struct Plan {
    pub how: How,
    pub until: Until,
    pub count: u32,
    /// Before the first, between two, and after the last.
    pub pause: Duration,
    /// A restart that takes longer has failed.
    pub patience: Duration,
    pub pid_file: Option<PathBuf>,
}

/// What the clients' side is told, as it happens.
#[derive(Debug)]
pub enum Event {
    Began(Instant),
    Ended(Instant),
    /// And so there will be no other.
    Failed(String),
    Over,
}

/// Begins; the thread gives the server back, soon after `stop` is set if not before.
pub fn start(
    plan: Plan,
    task: &Arc<Task>,
    server: Option<Server>,
    stop: &'static AtomicBool,
) -> (Receiver<Event>, JoinHandle<Option<Server>>) {
    let (tell, told) = mpsc::channel();
    let mut restarter = Restarter { plan, task: Arc::clone(task), server, stop };
    let thread = thread::spawn(move || {
        match restarter.run(&tell) {
            Err(why) if !stop.load(Ordering::Relaxed) => drop(tell.send(Event::Failed(why))),
            _ => {}
        }
        let _ = tell.send(Event::Over);
        restarter.server
    });
    (told, thread)
}

/// Why a restart is not waited for any more.
const STOPPED: &str = "interrupted";

/// How long it may be before it is seen that the run is over.
const NAP: Duration = Duration::from_millis(20);

struct Restarter {
    plan: Plan,
    task: Arc<Task>,
    server: Option<Server>,
    stop: &'static AtomicBool,
}

impl Restarter {
    fn run(&mut self, tell: &Sender<Event>) -> Result<(), String> {
        let say = |event| tell.send(event).map_err(|_| STOPPED.to_owned());
        for number in 1..=self.plan.count {
            self.rest(self.plan.pause)?;
            let before = self.look();
            if before.is_none() && self.is_to_change() {
                return Err(format!("restart {number}: {}", self.unseen()));
            }
            say(Event::Began(Instant::now()))?;
            let begun = Instant::now();
            let ended = self.ask().and_then(|()| self.wait(before, begun));
            ended.map_err(|why| format!("restart {number}: {why}"))?;
            say(Event::Ended(Instant::now()))?;
        }
        self.rest(self.plan.pause)
    }

    fn rest(&self, time: Duration) -> Result<(), String> {
        let until = Instant::now() + time;
        while !self.stop.load(Ordering::Relaxed) {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            self.server.iter().for_each(|server| server.reap_orphans(None));
            thread::sleep(left.min(NAP));
        }
        Err(STOPPED.to_owned())
    }

    fn ask(&mut self) -> Result<(), String> {
        match self.plan.how.clone() {
            How::Signal(signal) => {
                let pid = self.pid().ok_or_else(|| self.unseen())?;
                kill(Pid::from_raw(pid), signal)
                    .map_err(|e| format!("send {signal} to process {pid}: {e}"))
            }
            How::Command(line) => self.run_command(&line),
            How::Again(signal) => {
                let server = self.server.as_mut().ok_or("no server was started")?;
                server.stop(signal, self.plan.patience)?;
                server.start_again().map_err(|e| format!("start the server again: {e}"))
            }
        }
    }

    /// Runs a command line to its end, which has to be a good one.
    fn run_command(&self, line: &OsString) -> Result<(), String> {
        let command = server::shell(line).and_then(|mut command| command.spawn());
        let mut child = command.map_err(|e| format!("start a shell: {e}"))?;
        let begun = Instant::now();
        let mut reaped = begun;
        loop {
            match child.try_wait().map_err(|e| format!("wait for it: {e}"))? {
                Some(status) if status.success() => return Ok(()),
                Some(status) => return Err(format!("the command has failed: {status}")),
                None => {}
            }
            let is_stopped = self.stop.load(Ordering::Relaxed);
            if is_stopped || begun.elapsed() > self.plan.patience {
                let _ = killpg(Pid::from_raw(child.id() as i32), Signal::SIGKILL);
                let _ = child.wait();
                return Err(format!("the command has not ended after {:?}", self.plan.patience));
            }
            if reaped.elapsed() > NAP {
                reaped = Instant::now();
                self.server.iter().for_each(|server| server.reap_orphans(Some(child.id())));
            }
            thread::sleep(LOOK);
        }
    }

    /// Until somebody else serves than `before`.
    fn wait(&mut self, before: Option<Vec<u8>>, begun: Instant) -> Result<(), String> {
        let until = begun + self.plan.patience;
        if let Until::Time(time) = self.plan.until {
            return self.rest(time.saturating_sub(begun.elapsed()));
        }
        loop {
            let now = self.look();
            if now.is_some() && (now != before || matches!(self.plan.until, Until::Served)) {
                return Ok(());
            }
            if Instant::now() > until {
                return Err(format!("{} after {:?}", self.unchanged(), self.plan.patience));
            }
            self.rest(LOOK)?;
        }
    }

    /// Who serves, in whatever words.
    fn look(&mut self) -> Option<Vec<u8>> {
        let text = |pid: i32| pid.to_string().into_bytes();
        match &self.plan.until {
            Until::Pid => self.pid().map(text),
            Until::Worker => self.pid().and_then(newest_child).map(text),
            Until::Answer(who) => probe::ask(&self.task.address, who, self.task.timeout).ok(),
            Until::Served => {
                probe::ask(&self.task.address, &self.task.dialogue, self.task.timeout).ok()
            }
            Until::Time(_) => None,
        }
    }

    fn is_to_change(&self) -> bool {
        matches!(self.plan.until, Until::Pid | Until::Worker | Until::Answer(_))
    }

    /// The process that is told: by the pid file, or the one that was started.
    fn pid(&self) -> Option<i32> {
        match &self.plan.pid_file {
            Some(file) => read_pid(file),
            None => self.server.as_ref().map(Server::pid),
        }
    }

    fn unseen(&self) -> String {
        match (&self.plan.until, &self.plan.pid_file) {
            (Until::Answer(_), _) => "nobody says who serves".to_owned(),
            (Until::Worker, _) if self.pid().is_some() => "the server has no workers".to_owned(),
            (_, Some(file)) => format!("{}: no process id in it", file.display()),
            (_, None) => "no process id is known".to_owned(),
        }
    }

    fn unchanged(&mut self) -> String {
        let ended = self.server.as_mut().and_then(Server::ended);
        let ended =
            ended.map_or(String::new(), |how| format!(" (the process that was started: {how})"));
        let what = match (&self.plan.until, &self.plan.pid_file) {
            (Until::Pid, Some(file)) => format!("{} names no other process", file.display()),
            (Until::Worker, _) => "the server has no new worker".to_owned(),
            (Until::Answer(_), _) => "nobody else says that it serves".to_owned(),
            _ => "nobody serves".to_owned(),
        };
        format!("{what}{ended}")
    }
}

/// The number in a pid file.
pub fn read_pid(file: &Path) -> Option<i32> {
    let text = fs::read_to_string(file).ok()?;
    text.trim().parse().ok().filter(|&pid: &i32| pid > 0)
}
