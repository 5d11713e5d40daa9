//! All clients in one loop on one thread: who is due asks, who is answered is counted. It starts no process, reads
//! no file, and lets nobody wait for anything but its own turn; how long that took at worst is part of the report.

use std::{
    io,
    os::fd::AsFd,
    rc::Rc,
    sync::{
        atomic::{AtomicBool, Ordering},
        mpsc::Receiver,
    },
    time::{Duration, Instant},
};

use mio::{Events, Poll, Token};
use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, ppoll},
    sys::time::TimeSpec,
};

use super::{
    client::{Client, Step, Task},
    pace::Pace,
    restarts::Event,
    tally::{Sort, Tally},
};

/// How often it is looked who has waited too long.
const SWEEP: Duration = Duration::from_millis(5);

/// How many clients there are of each sort, and how often they ask.
#[derive(Clone, Debug)]
pub struct Load {
    /// New clients each second, each with one request.
    pub new: u32,
    /// Clients that stay connected.
    pub held: u32,
    /// Such that send `depth` requests in one go.
    pub pipelined: u32,
    pub depth: u32,
    /// How often each of those that stay asks in a second.
    pub rate: f64,
}

/// Places in [`Tally::sorts`].
pub const NEW: usize = 0;
pub const HELD: usize = 1;
const PIPELINED: usize = 2;

/// How a run ended.
pub struct Ending {
    pub tally: Tally,
    pub lasted: Duration,
    /// What has ended it early.
    pub trouble: Option<String>,
}

pub struct Crowd<'a> {
    task: &'a Task,
    load: &'a Load,
    poll: Poll,
    began: Instant,
    tally: Tally,
    /// First those that stay, then new ones, in whose places others come when they have gone.
    clients: Vec<Client>,
    free: Vec<usize>,
    single: Rc<[u8]>,
    paces: [Pace; 3],
    buffer: Vec<u8>,
}

impl<'a> Crowd<'a> {
    /// # Errors
    /// When the system has no more descriptors.
    pub fn new(task: &'a Task, load: &'a Load) -> io::Result<Crowd<'a>> {
        let single: Rc<[u8]> = task.dialogue.request.as_slice().into();
        let batch: Rc<[u8]> = task.dialogue.request.repeat(load.depth as usize).into();
        let held = (0..load.held).map(|at| (at, HELD, &single, 1));
        let (from, depth) = (load.held, load.depth as usize);
        let pipelined = (0..load.pipelined).map(|at| (from + at, PIPELINED, &batch, depth));
        let client = |(at, sort, batch, depth): (u32, usize, &Rc<[u8]>, usize)| {
            Client::new(Token(at as usize), sort, batch, depth, true)
        };
        let clients: Vec<Client> = held.chain(pipelined).map(client).collect();
        let sorts = (0..3).map(|_| Sort::default()).collect();
        let tally = Tally { sorts, may_close: task.may_close, ..Tally::default() };
        let began = Instant::now();
        let paces = [
            Pace::new(f64::from(load.new), 1),
            Pace::new(load.rate * f64::from(load.held), load.held),
            Pace::new(load.rate * f64::from(load.pipelined), load.pipelined),
        ];
        let (poll, buffer) = (Poll::new()?, vec![0; 64 * 1024]);
        let free = Vec::new();
        Ok(Crowd { task, load, poll, began, tally, clients, free, single, paces, buffer })
    }

    /// Until the restarts are over, or `stop` is set; then until everybody has an answer or none in time.
    ///
    /// # Errors
    /// When the system refuses events.
    pub fn run(mut self, restarts: &Receiver<Event>, stop: &AtomicBool) -> io::Result<Ending> {
        let mut events = Events::with_capacity(1024);
        let mut swept = Duration::ZERO;
        let (mut trouble, mut over) = (None, false);
        while !over || self.clients.iter().any(Client::is_busy) {
            let due = self.paces.iter().filter_map(Pace::next).min().filter(|_| !over);
            let until = due.unwrap_or(swept + SWEEP).min(swept + SWEEP);
            self.wait(&mut events, until)?;
            while let Ok(event) = restarts.try_recv() {
                over |= matches!(event, Event::Over);
                self.hear(event, &mut trouble);
            }
            if stop.load(Ordering::Relaxed) {
                over = true;
                trouble.get_or_insert_with(|| "interrupted".to_owned());
            }
            let now = self.began.elapsed();
            for event in &events {
                self.with(event.token().0, now, Client::attend);
            }
            if !over {
                self.ask(now);
            }
            if now >= swept + SWEEP {
                swept = now;
                (0..self.clients.len()).for_each(|at| self.with(at, now, Client::check));
            }
        }
        let lasted = self.began.elapsed();
        self.tally.end(lasted);
        Ok(Ending { tally: self.tally, lasted, trouble })
    }

    /// Until something happens or it is `until`. Microseconds matter: what `epoll_wait` counts are milliseconds.
    fn wait(&mut self, events: &mut Events, until: Duration) -> io::Result<()> {
        let left = until.saturating_sub(self.began.elapsed());
        let mut fds = [PollFd::new(self.poll.registry().as_fd(), PollFlags::POLLIN)];
        match ppoll(&mut fds, Some(TimeSpec::from_duration(left)), None) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(e) => return Err(e.into()),
        }
        let late = self.began.elapsed().saturating_sub(until);
        if !late.is_zero() {
            self.tally.was_late(late);
        }
        match self.poll.poll(events, Some(Duration::ZERO)) {
            Err(e) if e.kind() != io::ErrorKind::Interrupted => Err(e),
            _ => Ok(()),
        }
    }

    fn hear(&mut self, event: Event, trouble: &mut Option<String>) {
        let since = |at: Instant| at.saturating_duration_since(self.began);
        match event {
            Event::Began(at) => self.tally.began(since(at)),
            Event::Ended(at) => self.tally.ended(since(at)),
            Event::Failed(why) => *trouble = Some(why),
            Event::Over => {}
        }
    }

    /// Whoever is due asks.
    fn ask(&mut self, now: Duration) {
        for sort in [NEW, HELD, PIPELINED] {
            while let Some((turn, due)) = self.paces[sort].take(now) {
                let at = match sort {
                    NEW => self.place(),
                    HELD => turn as usize,
                    _ => self.load.held as usize + turn as usize,
                };
                self.with(at, now, |client, step| client.ask(due, step));
                if sort == NEW && self.clients[at].is_gone() {
                    self.free.push(at); // it could not even begin
                }
            }
        }
    }

    /// A place for a new client.
    fn place(&mut self) -> usize {
        let at = self.free.pop().unwrap_or(self.clients.len());
        if at == self.clients.len() {
            self.clients.push(Client::new(Token(at), NEW, &self.single, 1, false));
        }
        at
    }

    fn with(&mut self, at: usize, now: Duration, act: impl FnOnce(&mut Client, &mut Step<'_>)) {
        let Some(client) = self.clients.get_mut(at) else { return };
        let was_gone = client.is_gone();
        let (task, registry) = (self.task, self.poll.registry());
        let (tally, buffer) = (&mut self.tally, &mut self.buffer[..]);
        act(client, &mut Step { task, registry, tally, buffer, now });
        if !was_gone && client.is_gone() && at >= (self.load.held + self.load.pipelined) as usize {
            self.free.push(at);
        }
    }
}
