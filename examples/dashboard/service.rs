//! The server under view: the page, its stream of events, and demo clients. It passes on what the
//! observer says of it and does not know what that is.
//!
//! ```text
//! demo client   any line -> "PLACE", or "PLACE bye" where this process is leaving
//! feed          the observer says "picture JSON", "moves true", "doomed true"; we say "add", "clear", "doom", "spare",
//!               "stay restart fork", "move restart fork-exec", "rollback", "door ADDRESS", "note KIND TEXT", "ended JSON"
//! stream        "id: SEQUENCE", "event: hello|picture|started|failed|leaving", "data: JSON"
//! ```

mod feed;
mod web;

use std::{
    io::{self, BufRead, Write},
    path::Path,
    process,
    time::{Duration, SystemTime},
};

use heirloom::{
    Alarm, ConnId, Connection, Drain, Leaving, Move, Net, Origin, Reason, Restart, Result, Server,
    Service, Start, Timeouts, Verdict, codec,
};

use super::{
    date::Calendar,
    event::{self, json},
    options::Options,
    place::Place,
    reply::LAST_CHUNK,
    state::{self, Session, State},
    table::Table,
    tls, word,
};

/// Our side of the feed.
const FEED: u64 = 0;

/// Looks whether the feed is there.
const LOOK: Alarm = Alarm(0);
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Clients that stay are sent away one after the other over this time, so that one can watch them go.
const DRAIN_OVER: Duration = Duration::from_secs(4);

/// The longest line of a demo client, and of the observer: a picture of thousands of dots.
const MAX_WORD: usize = 64;
const MAX_PICTURE: usize = 256 * 1024;

/// Why a new generation ends that is not ready yet. So nobody has come along, nobody was accepted, nobody is lost.
const DOOMED: &str = "it was doomed to fail by the page";

struct Dashboard {
    state: State,
    /// What was written last of it, while somebody has to hear of changes.
    told: Option<State>,
    table: Table,
    calendar: Calendar,
    /// The addresses of the page, as the command line has them; demo clients come to the listener behind them.
    listen: Vec<String>,
    /// How many of the first of these have no TLS.
    plain: usize,
    /// Browsers' connections for requests, and event streams. Some may lead nowhere: they are found out
    /// when something is sent.
    pages: Vec<ConnId>,
    streams: Vec<ConnId>,
    feed: Option<ConnId>,
    feed_address: String,
    /// One is being opened.
    is_dialing: bool,
    /// What the observer has not been told yet.
    orders: String,
    probation: Duration,
    /// `"generation":N,"pid":N,"worker":null`: who speaks, in every event.
    who: String,
}

pub fn run(options: &Options, dir: &Path) -> Result {
    let at = |name| format!("unix:{}", dir.join(name).display());
    let dashboard = Dashboard {
        state: State::default(),
        told: None,
        table: Table::of_mib(options.state),
        calendar: Calendar::new(SystemTime::now),
        listen: options.listen.iter().chain(&options.tls.listen).cloned().collect(),
        plain: options.plain_pages(),
        pages: Vec::new(),
        streams: Vec::new(),
        feed: None,
        feed_address: at("feed"),
        is_dialing: false,
        orders: String::new(),
        probation: options.probation,
        who: String::new(),
    };
    let pages = dashboard.listen.len();
    // A path has one queue for all workers, and whoever is awake first would have all the clients.
    let door = if options.workers > 1 { "127.0.0.1:0".to_owned() } else { at("clients") };
    let how = |how: Restart| how.move_connections().probation(options.probation);
    let mut server = tls::listen(Server::new(dashboard)?, &options.listen, &options.tls)?
        .listen(&door)?
        .control(dir.join("control"))?
        .restart_on(libc::SIGHUP, how(Restart::fork()))
        .restart_on(libc::SIGUSR2, how(Restart::fork_exec()))
        .drain_on_restart(Drain::unlimited().spread(DRAIN_OVER))
        .drain_on_stop(Drain::deadline(Duration::from_secs(1)))
        .max_message(MAX_PICTURE);
    if options.workers > 1 {
        server = server.workers(options.workers);
    }
    for page in 0..pages {
        server = server.listener_timeouts(page, Timeouts::new().all_idle(Duration::from_secs(60)));
    }
    if let Some(path) = &options.pid_file {
        server = server.pid_file(path)?;
    }
    server.run()
}

impl Service for Dashboard {
    type Session = Session;

    fn on_open(&mut self, conn: &mut Connection<'_>, origin: Origin) -> Result<Session> {
        Ok(match origin {
            Origin::Accepted { listener } if listener == self.listen.len() => {
                Session::Client { leaving: false }
            }
            Origin::Dialed { .. } => {
                (self.feed, self.is_dialing) = (Some(conn.id()), false);
                self.use_feed(conn);
                Session::Feed
            }
            _ => {
                self.pages.push(conn.id());
                Session::Page
            }
        })
    }

    fn on_data(
        &mut self,
        conn: &mut Connection<'_>,
        session: &mut Session,
        input: &[u8],
    ) -> Result<usize> {
        match session {
            Session::Page => {
                self.calendar.look(conn.now());
                self.take_request(conn, session, input)
            }
            Session::Stream => Ok(input.len()), // a browser has nothing to say there
            Session::Client { leaving } => {
                let Some((_, taken)) = codec::line(input, MAX_WORD)? else { return Ok(0) };
                self.table.count();
                let place = Place::of(conn.net);
                let bye = if *leaving { " bye" } else { "" };
                writeln!(conn, "{place}{bye}")?;
                if *leaving {
                    conn.close();
                }
                Ok(taken)
            }
            Session::Feed => {
                let Some((line, taken)) = codec::line(input, MAX_PICTURE)? else { return Ok(0) };
                self.heed(conn.net, &String::from_utf8_lossy(line));
                self.use_feed(conn);
                Ok(taken)
            }
        }
    }

    /// Demo clients are told with their next answer. What is left of the pages did not move along.
    fn on_drain(
        &mut self,
        conn: &mut Connection<'_>,
        session: &mut Session,
        _leaving: &Leaving,
    ) -> Result {
        match session {
            Session::Client { leaving } => *leaving = true,
            Session::Page => conn.close(),
            Session::Stream => end_stream(conn),
            Session::Feed => self.use_feed(conn),
        }
        Ok(())
    }

    fn on_close(&mut self, net: &mut Net, id: ConnId, session: Session, _why: Reason) {
        match session {
            Session::Stream => {
                self.streams.retain(|&stream| stream != id);
                self.look_after_feed(net);
            }
            Session::Feed => self.feed = None,
            Session::Page => self.pages.retain(|&page| page != id),
            Session::Client { .. } => {}
        }
    }

    fn on_dial_failed(&mut self, _net: &mut Net, _tag: u64, why: io::Error) {
        self.is_dialing = false;
        log::debug!("the observer is not to be reached: {why}"); // nobody looks any more
    }

    fn on_alarm(&mut self, net: &mut Net, _key: Alarm) {
        self.look_after_feed(net);
        self.dial_feed(net);
        net.set_alarm(LOOK, LOOK_EVERY);
    }

    fn on_start(&mut self, net: &mut Net, start: Start) {
        let own = Place::of(net);
        if start == Start::Fresh && own.worker.unwrap_or(0) == 0 && own.generation == 0 {
            for (number, address) in net.addresses().iter().take(self.listen.len()).enumerate() {
                let scheme = if number < self.plain { "http" } else { "https" };
                // Whoever reads it may be gone; that is no reason to end.
                let _ = writeln!(io::stdout(), "open {scheme}://{address}/");
            }
        }
        let engine = net.engine().map_or("none".to_owned(), |engine| engine.to_string());
        let Place { worker, generation } = own;
        let (pid, title) = (process::id(), own.title());
        let worker = worker.map_or("null".to_owned(), |worker| worker.to_string());
        self.who = format!("\"generation\":{generation},\"pid\":{pid},\"worker\":{worker}");
        self.tell(net, "started", &json(&engine));
        if let Some(door) = net.addresses().get(self.listen.len()) {
            self.order(net, &format!("door {door}\n"));
        }
        let note = match start {
            Start::Fresh => format!("{title}, pid {pid}, serves."),
            Start::Resumed { .. } => format!("{title}, pid {pid}, accepts again."),
            _ => format!(
                "{title}, pid {pid}, made by {engine}, serves: on probation for {} s.",
                self.probation.as_secs_f64()
            ),
        };
        self.note(net, "started", &note);
        net.set_alarm(LOOK, Duration::ZERO);
    }

    /// What the old process has not told yet it tells itself.
    fn after_fork_in_child(&mut self, net: &mut Net) -> Result {
        self.orders.clear();
        self.is_dialing = false;
        tls::renew(net)?;
        if self.state.doomed { Err(DOOMED.into()) } else { Ok(()) }
    }

    fn on_retire(&mut self, net: &mut Net) {
        self.tell(net, "leaving", "");
        // After a restart it is not decided yet who leaves for good, and the streams move along.
        // A process that was rolled back, or that ends the service, is draining by now.
        if net.is_draining() {
            self.leave_pages(net);
        }
    }

    fn on_move(&self, session: &Session) -> Move {
        session.moves(&self.state)
    }

    fn save(&self, out: &mut dyn Write) -> Result {
        state::write_line(&self.state, out)?;
        self.table.save(out)
    }

    fn load(&mut self, saved: &mut dyn BufRead) -> Result {
        self.state = state::read_line(saved)?;
        if self.state.doomed {
            return Err(DOOMED.into());
        }
        self.table.load(saved)
    }

    fn track_changes(&mut self, on: bool) -> bool {
        self.told = None;
        self.table.track(on);
        true
    }

    /// Beside counters there is one change more to tell while what `State` has is not what was told last.
    fn save_changes(&mut self, out: &mut dyn Write, most: usize) -> Result<usize> {
        if most > 0 {
            state::write_line(&self.state, out)?;
            self.told = Some(self.state);
            self.table.save_changes(out, most)?;
        }
        Ok(self.table.left() + usize::from(self.told != Some(self.state)))
    }

    fn load_changes(&mut self, saved: &mut dyn BufRead) -> Result {
        self.state = state::read_line(saved)?;
        self.table.load_changes(saved)
    }

    fn export(&self, session: &Session) -> Option<Vec<u8>> {
        state::write(session).ok()
    }

    fn import(&mut self, conn: &mut Connection<'_>, saved: &[u8]) -> Result<Session> {
        let session = state::read(saved)?;
        match session {
            Session::Stream => add(&mut self.streams, conn.id()),
            Session::Feed => self.feed = Some(conn.id()),
            Session::Page => add(&mut self.pages, conn.id()),
            Session::Client { .. } => {}
        }
        Ok(session)
    }

    fn on_restart_ended(&mut self, net: &mut Net, verdict: &Verdict) {
        if let Err(why) = &verdict.outcome {
            self.state.doomed = false;
            self.tell(net, "failed", &json(why));
            self.order(net, "spare\n");
        }
        let own = Place::of(net);
        let (kind, text) = word::say(verdict, own);
        self.note(net, kind, &text);
        self.order(net, &format!("ended {}\n", word::numbers(verdict, own.worker)));
    }
}

/// One that comes back, after a restart that was rolled back, may still be there.
fn add(ids: &mut Vec<ConnId>, id: ConnId) {
    if !ids.contains(&id) {
        ids.push(id);
    }
}

fn end_stream(conn: &mut Connection<'_>) {
    conn.send(LAST_CHUNK);
    conn.close();
}
