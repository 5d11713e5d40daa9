//! A question to one worker, by its control socket, as an operator would ask it. One that hangs is not waited for: it is
//! asked for a heartbeat first, and given up when it says nothing for too long.

use std::time::{Duration, Instant};

use super::talk::Talk;
use crate::{limits::CONTROL_OUTPUT, net::Address, workers::WORKER_SILENCE};

/// Who wants to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// The restart of all.
    Roll,
    /// This operator, who gets the answer as it is.
    Answer(u64),
    /// This operator, who gets those of all workers in one.
    Status(u64),
    /// This operator, who waits until it is so of all workers.
    Wait(u64),
    /// Nobody: it was an order.
    Order,
}

#[derive(Debug)]
pub(super) struct Inquiry {
    pub worker: usize,
    pub purpose: Purpose,
    talk: Talk,
    /// Of the reply that is coming.
    lines: Vec<String>,
    bytes: usize,
    /// The heartbeat was granted, so what comes is the answer.
    is_granted: bool,
    patience: Duration,
    overdue: Instant,
}

/// So many heartbeats fit into the time that a worker may be silent: one or two may be late.
const BEATS: u32 = 4;

impl Inquiry {
    /// Asks at `control`.
    ///
    /// # Errors
    /// When nobody can be reached there; why.
    pub fn ask(
        worker: usize,
        control: Option<&Address>,
        request: &str,
        purpose: Purpose,
        now: Instant,
    ) -> Result<Inquiry, String> {
        let control = control.ok_or("it has no control socket")?;
        let talk = Talk::dial(control, CONTROL_OUTPUT);
        let mut talk = talk.map_err(|e| format!("ask {control}: {e}"))?;
        let patience = WORKER_SILENCE;
        let every = (patience / BEATS).as_secs_f64();
        talk.say(format!("heartbeat {every:.3}\n{request}\n"));
        let (lines, bytes, is_granted, overdue) = (Vec::new(), 0, false, now + patience);
        Ok(Inquiry { worker, purpose, talk, lines, bytes, is_granted, patience, overdue })
    }

    pub fn watched(&self) -> Option<nix::poll::PollFd<'_>> {
        self.talk.watched()
    }

    /// It is given up then.
    pub fn overdue(&self) -> Instant {
        self.overdue
    }

    /// Whether the worker has closed the connection: it was replaced, or is gone.
    pub fn was_cut_off(&self) -> bool {
        self.talk.has_ended || self.talk.is_broken
    }

    /// Takes in what has come. The answer, or why there is none, once that is known.
    pub fn go_on(&mut self, now: Instant) -> Option<Result<String, String>> {
        if self.talk.go_on() {
            self.overdue = now + self.patience;
        }
        while let Some(line) = self.talk.line() {
            self.bytes += line.len() + 1;
            match line.as_str() {
                "" if self.is_granted => return Some(Ok(self.lines.join("\n"))),
                "" => {
                    self.is_granted = true;
                    self.lines.clear();
                }
                "#" if self.lines.is_empty() => {} // a heartbeat
                _ => self.lines.push(line),
            }
        }
        if self.bytes > CONTROL_OUTPUT || self.talk.is_full() {
            return Some(Err("its answer is too long".to_owned()));
        }
        if self.was_cut_off() {
            return Some(Err("it ended before it had answered".to_owned()));
        }
        let is_late = self.overdue <= now;
        is_late.then(|| Err(format!("it says nothing for {:?}", self.patience)))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::{
        io::{Read, Write},
        os::{
            linux::net::SocketAddrExt,
            unix::net::{SocketAddr, UnixListener, UnixStream},
        },
    };

    use super::*;

    /// Where this worker of a test is asked.
    pub fn control_of(worker: usize) -> (UnixListener, Address) {
        let (process, test) = (std::process::id(), std::thread::current().id());
        let name = format!("heirloom-worker-{process}-{test:?}-{worker}");
        let address = SocketAddr::from_abstract_name(&name).expect("a name");
        let listener = UnixListener::bind_addr(&address).expect("it is free");
        (listener, Address::Abstract(name.into_bytes()))
    }

    /// A worker that is asked, and the other end.
    fn asked(now: Instant) -> (Inquiry, UnixStream) {
        let (listener, control) = control_of(0);
        let inquiry = Inquiry::ask(0, Some(&control), "status", Purpose::Roll, now);
        (inquiry.expect("it listens"), listener.accept().expect("it has connected").0)
    }

    #[test]
    fn the_answer_comes_behind_the_heartbeats() {
        let now = Instant::now();
        let (mut inquiry, mut worker) = asked(now);
        let mut request = [0; 22];
        worker.read_exact(&mut request).expect("a request");
        assert_eq!(&request, b"heartbeat 2.500\nstatus");
        worker.write_all(b"ok: every 2.5s\n\n#\n#\nok: 1 gene").expect("it takes it");
        assert_eq!(inquiry.go_on(now), None);
        worker.write_all(b"ration\na=1\n\n").expect("it takes it");
        assert_eq!(inquiry.go_on(now), Some(Ok("ok: 1 generation\na=1".to_owned())));
    }

    #[test]
    fn one_that_beats_has_time_and_one_that_is_silent_has_not() {
        let now = Instant::now();
        let (mut inquiry, mut worker) = asked(now);
        let later = now + WORKER_SILENCE / 2;
        worker.write_all(b"ok: every 2.5s\n\n#\n").expect("it takes it");
        assert_eq!(inquiry.go_on(later), None);
        assert_eq!(inquiry.go_on(now + WORKER_SILENCE), None, "it has said something since");
        let silent = inquiry.go_on(later + WORKER_SILENCE).expect("it is given up");
        assert_eq!(silent, Err(format!("it says nothing for {WORKER_SILENCE:?}")));
        drop(worker);
        let gone = inquiry.go_on(later).expect("it is gone");
        assert_eq!(gone, Err("it ended before it had answered".to_owned()));
    }
}
