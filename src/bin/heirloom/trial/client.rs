//! One client: connects, asks, sees whether what comes back is right, and names what is not. Waits for nothing.
//! Knows no schedule.
//!
//! Requests are counted, not connections: when a connection breaks, each request that was on its way has come to
//! that, and if there was none, the connection is counted once. What was due while a client was still busy is
//! asked as soon as it is not, and its time counts from when it was due, so that a server that stalls is seen by
//! all the requests that it delays.

use std::{io, rc::Rc, time::Duration};

use mio::{Registry, Token};

use super::{
    framing,
    notice::Notice,
    protocol::{Dialogue, Verdict},
    socket::{Address, Socket},
    tally::Tally,
};

/// What all clients have in common.
pub struct Task {
    pub address: Address,
    pub dialogue: Dialogue,
    /// An answer that takes longer is late.
    pub late: Duration,
    /// One that takes longer is not waited for.
    pub timeout: Duration,
    /// Whether the server may close a connection between two requests, and who asks meanwhile asks again.
    pub may_close: bool,
}

/// What a client needs for a step.
pub struct Step<'a> {
    pub task: &'a Task,
    pub registry: &'a Registry,
    pub tally: &'a mut Tally,
    pub buffer: &'a mut [u8],
    /// Since the start of the run.
    pub now: Duration,
}

enum Link {
    None,
    /// The queue of a Unix socket was full. There is no event for it, so it is tried again.
    Queued,
    Connecting(Socket),
    Open(Socket),
}

/// Where it stands.
pub struct Client {
    token: Token,
    /// Which of the tally's sorts it is.
    sort: usize,
    /// What it sends in one go, and how many requests that is.
    batch: Rc<[u8]>,
    depth: usize,
    /// Whether it stays connected when it was answered.
    stays: bool,
    link: Link,
    /// Since when the requests in hand were due.
    due: Duration,
    /// Of what was asked next while these were in hand.
    waiting: Option<Duration>,
    /// Requests that have no answer.
    open: usize,
    /// Bytes of them that were sent.
    sent: usize,
    /// Whether this connection has served before.
    served: bool,
    /// What the system said when no more could be sent. What the server had said before is there to be read.
    broken: Option<io::Error>,
    input: Vec<u8>,
}

impl Client {
    pub fn new(token: Token, sort: usize, batch: &Rc<[u8]>, depth: usize, stays: bool) -> Client {
        Client {
            token,
            sort,
            batch: Rc::clone(batch),
            depth,
            stays,
            link: Link::None,
            due: Duration::ZERO,
            waiting: None,
            open: 0,
            sent: 0,
            served: false,
            broken: None,
            input: Vec::new(),
        }
    }

    pub fn is_busy(&self) -> bool {
        self.open > 0
    }

    /// Whether it has no connection, and asks for none.
    pub fn is_gone(&self) -> bool {
        matches!(self.link, Link::None) && !self.is_busy()
    }

    /// It was to ask at `due`.
    pub fn ask(&mut self, due: Duration, step: &mut Step<'_>) {
        if self.is_busy() {
            self.waiting.get_or_insert(due);
            return;
        }
        (self.due, self.open, self.sent) = (due, self.depth, 0);
        match self.link {
            Link::Open(_) => self.attend(step),
            _ => self.connect(step),
        }
    }

    fn connect(&mut self, step: &mut Step<'_>) {
        let socket = step.task.address.connect().and_then(|mut socket| {
            socket.register(step.registry, self.token)?;
            Ok(socket)
        });
        match socket {
            Ok(socket) => {
                step.tally.sorts[self.sort].connects += 1;
                self.link = Link::Connecting(socket);
                self.attend(step); // a Unix socket is connected by now
            }
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => self.link = Link::Queued,
            Err(e) => self.fail(Notice::of_connect(&e), &format!("connect: {e}"), step),
        }
    }

    /// Something has happened to its socket, perhaps.
    pub fn attend(&mut self, step: &mut Step<'_>) {
        self.link = match std::mem::replace(&mut self.link, Link::None) {
            Link::Connecting(socket) => match socket.is_connected() {
                Ok(false) => Link::Connecting(socket),
                Ok(true) => Link::Open(socket),
                Err(e) => return self.fail(Notice::of_connect(&e), &format!("connect: {e}"), step),
            },
            link => link,
        };
        if matches!(self.link, Link::Open(_)) {
            self.send();
            self.receive(step);
        }
    }

    /// Looks whether its time is over, and tries again what has no event.
    pub fn check(&mut self, step: &mut Step<'_>) {
        if self.is_busy() && step.now.saturating_sub(self.due) > step.task.timeout {
            let (notice, what) = match self.link {
                Link::Open(_) => (Notice::Unanswered, "answer"),
                _ => (Notice::Unconnected, "connection"),
            };
            self.fail(notice, &format!("no {what} within {:?}", step.task.timeout), step);
        } else if matches!(self.link, Link::Queued) {
            self.connect(step);
        }
    }

    /// Sends what is left of the requests in hand, in one write if it goes.
    fn send(&mut self) {
        while self.is_busy() && self.sent < self.batch.len() && self.broken.is_none() {
            let Link::Open(socket) = &mut self.link else { return };
            match socket.write(&self.batch[self.sent..]) {
                Ok(count) => self.sent += count,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => self.broken = Some(e),
            }
        }
    }

    /// Reads what is there, up to the server's end.
    fn receive(&mut self, step: &mut Step<'_>) {
        while let Link::Open(socket) = &mut self.link {
            let (notice, why) = match socket.read(step.buffer) {
                Ok(count @ 1..) => {
                    self.input.extend_from_slice(&step.buffer[..count]);
                    self.judge(step);
                    continue;
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock && self.broken.is_none() => return,
                // Who is told so by a write is not told again by a read.
                result => match (self.broken.take(), result) {
                    (Some(e), _) | (None, Err(e)) => (Notice::Reset, e.to_string()),
                    (None, Ok(_)) if self.may_retry(step) => return self.retry(step),
                    (None, Ok(_)) if self.is_busy() => {
                        let length = self.input.len();
                        (Notice::Cut, format!("the connection ended after {length} bytes of it"))
                    }
                    (None, Ok(_)) => (Notice::Closed, "between two requests".to_owned()),
                },
            };
            return self.fail(notice, &why, step);
        }
    }

    /// Takes all answers from the input.
    fn judge(&mut self, step: &mut Step<'_>) {
        let mut taken = 0;
        while self.is_busy() && taken < self.input.len() {
            match step.task.dialogue.judge(&self.input[taken..]) {
                Verdict::Partial => break,
                Verdict::Wrong(why) => {
                    let why = format!("{why}: {:?}", framing::shown(&self.input[taken..]));
                    return self.fail(Notice::Wrong, &why, step);
                }
                Verdict::Right(length, _) => {
                    taken += length;
                    (self.open, self.served) = (self.open - 1, true);
                    step.tally.answered(self.sort, self.due, step.now);
                    let took = step.now.saturating_sub(self.due);
                    if took > step.task.late {
                        // How late is in the table: the words are the same for all.
                        let why = format!("an answer after more than {:?}", step.task.late);
                        step.tally.noticed(self.sort, Notice::Late, 1, &why, step.now);
                    }
                }
            }
        }
        self.input.drain(..taken);
        if self.is_busy() {
            return;
        }
        if !self.input.is_empty() {
            let why = format!("nobody had asked: {:?}", framing::shown(&self.input));
            self.fail(Notice::Wrong, &why, step);
        } else if !self.stays {
            self.link = Link::None; // whose drop says goodbye
        } else if let Some(due) = self.waiting.take() {
            (self.due, self.open, self.sent) = (due, self.depth, 0);
            self.send();
        }
    }

    /// Whether what has no answer was perhaps not even read: see RFC 9112, sections 9.3.1 and 9.3.2. Not on a new
    /// connection, so that no request is asked for ever.
    fn may_retry(&self, step: &Step<'_>) -> bool {
        step.task.may_close && self.is_busy() && self.served && self.input.is_empty()
    }

    /// Asks for the rest of the batch on another connection. It is as late as it is.
    fn retry(&mut self, step: &mut Step<'_>) {
        let open = self.open;
        step.tally.noticed(self.sort, Notice::Retried, open as u64, "", step.now);
        let waiting = self.waiting;
        self.leave();
        (self.open, self.waiting) = (open, waiting);
        self.sent = self.batch.len() / self.depth * (self.depth - open);
        self.connect(step);
    }

    /// The connection is of no more use. What was asked for meanwhile was not asked.
    fn fail(&mut self, notice: Notice, why: &str, step: &mut Step<'_>) {
        let count = self.open.max(1) as u64;
        step.tally.noticed(self.sort, notice, count, why, step.now);
        self.leave();
    }

    /// Lets go of the connection without a word about it.
    pub fn leave(&mut self) {
        (self.link, self.open) = (Link::None, 0);
        (self.waiting, self.broken, self.served) = (None, None, false);
        self.input.clear();
    }
}
