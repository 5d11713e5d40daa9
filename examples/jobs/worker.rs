//! When the reactor calls: lines to Redis that come and go, answers, pieces of work, and a restart.
//!
//! Two lines, since a fetch that waits for jobs holds up whatever is asked behind it.

use std::{io, process, time::Duration};

use heirloom::{
    Alarm, ConnId, Connection, Hold, Move, Net, Origin, Reason, Result, Service, Start, codec,
};

use super::{
    batch::{Batch, Counts},
    line::Line,
    reply::{Reply, reply},
    request::{self, EntryId, Request},
    stage::{Peer, Stage},
};

/// Keys of the alarms. A line that is down is dialed again by the alarm of its number.
const FETCH: u64 = 0;
const WORK: u64 = 1;
const PIECE: Alarm = Alarm(2);
const LEASE: Alarm = Alarm(3);

/// Jobs in hand at most: what a kill makes others do again.
pub const MAX_IN_HAND: usize = 64;

/// Jobs that one answer brings at most.
const COUNT: usize = 16;

/// How long a fetch waits in Redis: what a restart waits at most where `CLIENT UNBLOCK` came too early.
const BLOCK_MS: u64 = 2000;

/// A piece of work: about a millisecond, in which nobody else is served.
const PIECE_ROUNDS: u64 = 100_000;

/// The longest line that an operator may send.
const MAX_LINE: usize = 256;

pub struct Worker {
    redis: String,
    lease: Duration,
    /// Our name in the group, and how many this process has had.
    name: String,
    names: u64,
    stage: Stage,
    batch: Batch,
    counts: Counts,
    /// Asks for jobs, and may wait for the answer.
    fetch: Line,
    /// Everything else; each is answered at once.
    work: Line,
    /// What Redis calls the fetch line.
    fetch_number: Option<i64>,
    /// While jobs of dead workers are searched for: where the search goes on.
    search: Option<EntryId>,
    /// Keeps this process until it has left the group.
    hold: Option<Hold>,
}

impl Worker {
    pub fn new(redis: String, lease: Duration) -> Worker {
        Worker {
            redis,
            lease,
            name: String::new(),
            names: 0,
            stage: Stage::Serving,
            batch: Batch::default(),
            counts: Counts::default(),
            fetch: Line::new(FETCH),
            work: Line::new(WORK),
            fetch_number: None,
            search: None,
            hold: None,
        }
    }

    fn line(&mut self, number: u64) -> &mut Line {
        if number == FETCH { &mut self.fetch } else { &mut self.work }
    }

    fn ask(&mut self, net: &mut Net, request: Request) {
        self.work.ask(net, &self.name, request);
    }

    /// A line stands.
    fn greet(&mut self, net: &mut Net, number: u64) {
        if number == FETCH {
            self.fetch.ask(net, &self.name, Request::Group);
            self.fetch.ask(net, &self.name, Request::Number);
        } else {
            self.ask(net, Request::Group);
            // What was cut off is asked again; effects in doubt are written again by `go_on`.
            for entry in self.batch.unacknowledged() {
                self.ask(net, Request::Acknowledge { entry });
            }
            self.count_deliveries(net);
            self.search = Some(EntryId::default());
        }
        self.go_on(net);
    }

    /// A line is gone, or was not to be had.
    fn lost(&mut self, net: &mut Net, number: u64) {
        self.line(number).lost();
        if number == WORK {
            self.batch.interrupted();
        } else {
            self.fetch_number = None;
        }
        self.open_later(net, number);
        self.go_on(net);
    }

    fn open_later(&mut self, net: &mut Net, number: u64) {
        if self.needs(number) && self.line(number).is_down() {
            self.line(number).open_later(net);
        }
    }

    /// Whether a line still has anything to do.
    fn needs(&self, number: u64) -> bool {
        self.stage == Stage::Serving || (number == WORK && !self.batch.is_empty())
    }

    /// One answer. An error that is none of those expected ends the line, which is then dialed again.
    fn answer(&mut self, net: &mut Net, number: u64, reply: &Reply<'_>) -> Result {
        let request = self.line(number).answered().ok_or("an answer that nobody has asked for")?;
        match (&request, reply) {
            (Request::Group, Reply::Error(text)) if text.starts_with(b"BUSYGROUP") => {}
            (_, Reply::Error(text)) => return Err(text.escape_ascii().to_string().into()),
            _ => {}
        }
        match request {
            Request::Group => self.line(number).proven(),
            Request::Number => self.fetch_number = Some(request::number(reply)?),
            Request::Fetch { .. } => self.batch.deliver(request::fetched(reply)?),
            Request::TakeOver { .. } => self.taken_over(net, reply)?,
            Request::Deliveries { .. } => self.batch.count(&request::deliveries(reply)?),
            Request::Record { entry, .. } => {
                self.batch.recorded(entry);
                self.ask(net, Request::Acknowledge { entry });
            }
            Request::Acknowledge { entry } => self.acknowledged(entry),
            Request::Rest if self.stage != Stage::Tidying => {} // we are back
            Request::Rest if request::is_rest_empty(reply)? => self.ask(net, Request::Forget),
            Request::Rest | Request::Forget => self.leave(net),
            Request::Unblock { .. } | Request::Renew { .. } => {}
        }
        self.go_on(net);
        Ok(())
    }

    fn taken_over(&mut self, net: &mut Net, reply: &Reply<'_>) -> Result {
        let (next, entries) = request::taken_over(reply)?;
        self.search = Some(next).filter(|&next| next != EntryId::default()); // which is the end
        if !entries.is_empty() {
            log::info!("{}: took over {} jobs", self.name, entries.len());
            self.batch.take_over(entries);
            self.count_deliveries(net);
        }
        Ok(())
    }

    fn count_deliveries(&mut self, net: &mut Net) {
        if let Some((first, last)) = self.batch.uncounted() {
            self.ask(net, Request::Deliveries { first, last, count: MAX_IN_HAND });
        }
    }

    fn acknowledged(&mut self, entry: EntryId) {
        if let Some(job) = self.batch.acknowledged(entry) {
            self.counts.add(&job);
        }
    }

    /// Whatever can be done now. Called at the end of each callback that has changed anything.
    fn go_on(&mut self, net: &mut Net) {
        while self.work.is_up(net)
            && let Some((entry, job)) = self.batch.next_finished()
        {
            let (deliveries, digest, failed) = (job.deliveries, job.digest, job.is_failed());
            self.ask(net, Request::Record { entry, deliveries, digest, failed });
        }
        if self.may_have_more(net) && !self.fetch.owes(Request::brings_jobs) {
            let request = Request::Fetch { count: COUNT, block_ms: BLOCK_MS };
            self.fetch.ask(net, &self.name, request);
        }
        self.take_over(net);
        if self.batch.has_work() {
            net.set_alarm(PIECE, Duration::ZERO); // in the next turn, after everybody else
        }
        match self.stage {
            Stage::Finishing if self.has_finished() => self.tidy(net),
            Stage::Tidying if !self.work.is_up(net) => self.leave(net), // the name stays
            _ => {}
        }
    }

    /// Whether there is room for the answers that both lines may bring, and somebody to tell of the work.
    fn may_have_more(&self, net: &mut Net) -> bool {
        self.stage == Stage::Serving
            && self.batch.len() + 2 * COUNT <= MAX_IN_HAND
            && self.work.is_up(net)
    }

    /// Asks for jobs whose worker has not renewed its lease, as far as there is room for them.
    fn take_over(&mut self, net: &mut Net) {
        let is_busy = |request: &Request| {
            request.brings_jobs() || matches!(request, Request::Deliveries { .. })
        };
        if let Some(from) = self.search
            && self.may_have_more(net)
            && !self.work.owes(is_busy)
        {
            let idle_ms = self.lease.as_millis() as u64;
            self.ask(net, Request::TakeOver { idle_ms, from, count: COUNT });
        }
    }

    /// Nothing is in hand, and no answer on its way may bring anything.
    fn has_finished(&self) -> bool {
        let brings = Request::brings_jobs;
        self.batch.is_empty() && !self.fetch.owes(brings) && !self.work.owes(brings)
    }

    /// Looks whether the name can be taken out of the group. An answer that was lost with a line may have
    /// left jobs under it: then it stays, until somebody has taken them over.
    fn tidy(&mut self, net: &mut Net) {
        if self.work.is_up(net) {
            self.stage = Stage::Tidying;
            self.ask(net, Request::Rest);
        } else {
            self.leave(net);
        }
    }

    /// Lets this process go.
    fn leave(&mut self, net: &mut Net) {
        self.stage = Stage::Left;
        self.fetch.close(net);
        self.work.close(net);
        log::info!("{}: nothing is left in hand", self.name);
        if let Some(hold) = self.hold.take() {
            net.unhold(hold);
        }
    }

    /// Tells Redis that we live, and looks for those that do not.
    fn keep_lease(&mut self, net: &mut Net) {
        let entries = self.batch.entries();
        if !entries.is_empty() {
            self.ask(net, Request::Renew { idle_ms: self.lease.as_millis() as u64 / 2, entries });
        }
        if self.stage != Stage::Left {
            net.set_alarm(LEASE, self.lease / 4);
        }
        self.search.get_or_insert_default();
        self.go_on(net);
    }

    fn stats(&self, net: &Net) -> String {
        let Worker { name, stage, counts, batch, .. } = self;
        let (generation, pid, in_hand) = (net.generation(), process::id(), batch.len());
        format!(
            "generation={generation} pid={pid} worker={name} stage={stage:?} in_hand={in_hand} {counts}\n"
        )
    }
}

impl Service for Worker {
    type Session = Peer;

    fn on_open(&mut self, conn: &mut Connection<'_>, origin: Origin) -> Result<Peer> {
        let Origin::Dialed { tag } = origin else { return Ok(Peer::Operator) };
        let id = conn.id();
        match self.line(tag).opened(id) {
            true => self.greet(conn.net, tag),
            false => conn.close(),
        }
        Ok(Peer::Redis(tag))
    }

    fn on_data(
        &mut self,
        conn: &mut Connection<'_>,
        peer: &mut Peer,
        input: &[u8],
    ) -> Result<usize> {
        if let Peer::Redis(number) = *peer {
            let Some((reply, taken)) = reply(input)? else { return Ok(0) };
            self.answer(conn.net, number, &reply)?;
            return Ok(taken);
        }
        let Some((line, taken)) = codec::line(input, MAX_LINE)? else { return Ok(0) };
        let text = match line {
            b"stats" => self.stats(conn.net),
            _ => "error: say stats\n".to_owned(),
        };
        conn.send(text.as_bytes());
        Ok(taken)
    }

    fn on_close(&mut self, net: &mut Net, id: ConnId, peer: Peer, why: Reason) {
        if let Peer::Redis(number) = peer
            && self.line(number).is(id)
        {
            log::warn!("{}: lost a line to Redis: {why}", self.name);
            self.lost(net, number);
        }
    }

    fn on_dial_failed(&mut self, net: &mut Net, tag: u64, why: io::Error) {
        if self.line(tag).is_dialing() {
            log::warn!("{}: no line to Redis: {why}", self.name);
            self.lost(net, tag);
        }
    }

    fn on_alarm(&mut self, net: &mut Net, key: Alarm) {
        match key {
            PIECE => {
                self.batch.work(PIECE_ROUNDS);
                self.go_on(net);
            }
            LEASE => self.keep_lease(net),
            Alarm(number) if self.needs(number) => {
                let address = self.redis.clone();
                self.line(number).open(net, &address);
            }
            _ => {}
        }
    }

    /// A consumer by a new name. A forked child has its parent's lines and jobs in its memory, but they are
    /// the parent's to use and to finish.
    fn on_start(&mut self, net: &mut Net, start: Start) {
        if start.is_forked() {
            self.batch = Batch::default();
            self.counts = Counts::default();
            self.fetch.lost();
            self.work.lost();
            self.hold = None;
            self.names = 0;
        }
        // Also where this process is back: its last name may be on its way out of the group.
        self.names += 1;
        self.name = format!("{}-{}-{}", net.generation(), process::id(), self.names);
        self.stage = Stage::Serving;
        self.hold.get_or_insert_with(|| net.hold("jobs in hand"));
        let address = self.redis.clone();
        self.fetch.open(net, &address);
        self.work.open(net, &address);
        net.set_alarm(LEASE, self.lease / 4);
        self.go_on(net);
    }

    /// Asks for no more. The alarms have gone to the new generation, so those that are still needed are set
    /// anew.
    fn on_retire(&mut self, net: &mut Net) {
        log::info!("{}: fetches no more, {} jobs in hand", self.name, self.batch.len());
        self.stage = Stage::Finishing;
        if self.fetch.owes(Request::brings_jobs)
            && let Some(number) = self.fetch_number
        {
            self.ask(net, Request::Unblock { number });
        }
        if self.fetch.is_dialing() {
            self.fetch.lost(); // and should it come about, it is closed
        }
        self.open_later(net, WORK);
        net.set_alarm(LEASE, self.lease / 4);
        self.go_on(net);
    }

    /// A question to Redis may be on its way: lines stay with who has asked.
    fn on_move(&self, peer: &Peer) -> Move {
        if *peer == Peer::Operator { Move::Yes } else { Move::Stay }
    }
}
