//! A connection to Redis that comes back: where it stands, and which answers it owes. Knows no job.

use std::{collections::VecDeque, time::Duration};

use heirloom::{Alarm, Backoff, ConnId, Connection, Net};

use super::{request::Request, resp::Sink};

/// The first wait before it is dialed again, and the longest.
const FIRST_WAIT: Duration = Duration::from_millis(50);
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// One line. Its number is the tag of its dials, and the alarm that dials again.
#[derive(Debug)]
pub struct Line {
    number: u64,
    state: State,
    /// Asked and not answered yet; Redis answers in order.
    asked: VecDeque<Request>,
    backoff: Backoff,
}

#[derive(Debug, PartialEq, Eq)]
enum State {
    Down,
    Dialing,
    Up(ConnId),
}

impl Line {
    pub fn new(number: u64) -> Line {
        let backoff = Backoff::new(FIRST_WAIT, LONGEST_WAIT);
        Line { number, state: State::Down, asked: VecDeque::new(), backoff }
    }

    /// Dials, unless it is there or on its way.
    pub fn open(&mut self, net: &mut Net, address: &str) {
        if self.state != State::Down {
            return;
        }
        match net.dial(address, self.number) {
            Ok(()) => self.state = State::Dialing,
            Err(why) => {
                log::error!("{why}"); // no time will mend it
                net.stop();
            }
        }
    }

    /// A dial has come about. `false`: nobody waits for it any more.
    pub fn opened(&mut self, id: ConnId) -> bool {
        let awaited = self.is_dialing();
        if awaited {
            self.state = State::Up(id);
        }
        awaited
    }

    /// It is gone, or was not to be had.
    pub fn lost(&mut self) {
        self.state = State::Down;
        self.asked.clear();
    }

    /// Has it dialed again after a while.
    pub fn open_later(&mut self, net: &mut Net) {
        net.set_alarm(Alarm(self.number), self.backoff.next_delay());
    }

    /// Ends it in good order.
    pub fn close(&mut self, net: &mut Net) {
        if let State::Up(id) = self.state
            && let Some(mut conn) = net.get(id)
        {
            conn.close();
        }
        self.lost();
    }

    pub fn is(&self, id: ConnId) -> bool {
        self.state == State::Up(id)
    }

    pub fn is_dialing(&self) -> bool {
        self.state == State::Dialing
    }

    pub fn is_down(&self) -> bool {
        self.state == State::Down
    }

    /// Whether anything can be asked: one that is being closed is up and takes nothing.
    pub fn is_up(&self, net: &mut Net) -> bool {
        matches!(self.state, State::Up(id) if net.get(id).is_some())
    }

    /// Asks as the consumer `me`; nothing happens where it is not up.
    pub fn ask(&mut self, net: &mut Net, me: &str, request: Request) {
        if let State::Up(id) = self.state
            && let Some(mut conn) = net.get(id)
        {
            request.write(me, &mut conn);
            self.asked.push_back(request);
        }
    }

    /// What the next answer is to.
    pub fn answered(&mut self) -> Option<Request> {
        self.asked.pop_front()
    }

    /// It does what it is for.
    pub fn proven(&mut self) {
        self.backoff.reset();
    }

    pub fn owes(&self, what: impl Fn(&Request) -> bool) -> bool {
        self.asked.iter().any(what)
    }
}

impl Sink for Connection<'_> {
    fn put(&mut self, bytes: &[u8]) {
        self.send(bytes);
    }
}
