//! Monitors in tests: a lab that answers them, asked as a balancer and a kubelet would. Knows the form of answers, not what
//! they should say.

use std::{
    collections::BTreeMap,
    io::{self, Read, Write},
    ops::{Deref, DerefMut},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
    thread::{self, Scope, ScopedJoinHandle},
};

use super::{DEADLINE, Dir, Server, Setup, ops::Operated};

/// A lab with a control socket, and sockets for monitors in a directory of its own.
pub struct Monitored {
    lab: Operated,
    files: Dir,
}

impl Deref for Monitored {
    type Target = Operated;

    fn deref(&self) -> &Operated {
        &self.lab
    }
}

impl DerefMut for Monitored {
    fn deref_mut(&mut self) -> &mut Operated {
        &mut self.lab
    }
}

impl Monitored {
    /// Its probation lasts `millis`; the rest is as `adjust` says.
    pub fn with(millis: u64, adjust: impl FnOnce(Setup) -> Setup) -> Monitored {
        Monitored::started(millis, |setup| adjust(setup).start())
    }

    /// The same, where `start` does the starting as well.
    pub fn started(millis: u64, start: impl FnOnce(Setup) -> Server) -> Monitored {
        let files = Dir::new();
        let unix = |name: &str| format!("unix:{}", files.path(name).display());
        let lab = Operated::started(millis, |setup| {
            let setup = setup.arg("--health").arg(unix("health"));
            start(setup.arg("--agent-check").arg(unix("agent")))
        });
        Monitored { lab, files }
    }

    pub fn health(&self) -> PathBuf {
        self.files.path("health")
    }

    /// The status of a path.
    pub fn get(&self, path: &str) -> u16 {
        get(&self.health(), path).expect("an answer").0
    }

    /// What the agent says.
    pub fn agent(&self) -> String {
        agent(&self.files.path("agent")).expect("an answer")
    }

    /// All three at once: `/livez`, `/readyz`, and the agent's line.
    pub fn told(&self) -> (u16, u16, String) {
        (self.get("/livez"), self.get("/readyz"), self.agent())
    }

    /// Asks all the time until `done`, each on a connection of its own; how often each answer came.
    pub fn watch<'s>(
        &self,
        scope: &'s Scope<'s, '_>,
        done: &'s AtomicBool,
    ) -> [ScopedJoinHandle<'s, Answers>; 3] {
        let (health, other) = (self.health(), self.health());
        let agents = self.files.path("agent");
        [
            scope.spawn(move || tally(done, || status_and_text(&health, "/livez"))),
            scope.spawn(move || tally(done, || status_and_text(&other, "/readyz"))),
            scope.spawn(move || tally(done, || agent(&agents))),
        ]
    }
}

/// How often each answer came; what has failed is one as well.
pub type Answers = BTreeMap<String, u64>;

fn tally(done: &AtomicBool, ask: impl Fn() -> io::Result<String>) -> Answers {
    let mut answers = Answers::new();
    while !done.load(Ordering::Relaxed) {
        let answer = ask().unwrap_or_else(|e| format!("failed: {e}"));
        *answers.entry(answer).or_default() += 1;
        thread::yield_now();
    }
    answers
}

fn status_and_text(at: &Path, path: &str) -> io::Result<String> {
    get(at, path).map(|(status, text)| format!("{status} {text}"))
}

/// A connection that says `request`, and what comes up to the server's FIN.
pub fn exchange(at: &Path, request: &str) -> io::Result<String> {
    let mut stream = connect(at)?;
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

pub fn connect(at: &Path) -> io::Result<UnixStream> {
    let stream = UnixStream::connect(at)?;
    stream.set_read_timeout(Some(DEADLINE))?;
    Ok(stream)
}

/// The status and the text of a path, as Kubernetes asks.
pub fn get(at: &Path, path: &str) -> io::Result<(u16, String)> {
    let request =
        format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: kube-probe/1.31\r\n\r\n");
    let answer = exchange(at, &request)?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    let status = status.ok_or_else(|| io::Error::other(format!("no answer: {answer:?}")))?;
    Ok((status, body.trim_end().to_owned()))
}

fn agent(at: &Path) -> io::Result<String> {
    let mut answer = String::new();
    connect(at)?.read_to_string(&mut answer)?;
    match answer.strip_suffix('\n') {
        Some(line) => Ok(line.to_owned()),
        None => Err(io::Error::other(format!("no line: {answer:?}"))),
    }
}
