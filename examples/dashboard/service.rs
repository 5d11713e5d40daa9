//! The server under view: the page, its stream of events, and demo clients. It passes on what the
//! observer says of it and does not know what that is.
//!
//! ```text
//! demo client   any line -> "GENERATION", or "GENERATION bye" where this process is leaving
//! feed          the observer sends a picture per line; we say "add" and "clear"
//! stream        "id: SEQUENCE", "event: hello|picture|started|failed|leaving", "data: JSON"
//! ```

mod feed;

use std::{
    io::{self, BufRead, Write},
    path::Path,
    process,
    time::{Duration, SystemTime},
};

use heirloom::{
    Alarm, ConnId, Connection, Drain, Engine, Leaving, Move, Net, Origin, Reason, Restart, Result,
    Server, Service, Start, Timeouts, Verdict, codec,
};

use super::{
    date::Calendar,
    event::{self, json},
    options::Options,
    reply::{After, Extent, Head, JSON, LAST_CHUNK, Refusal, Status, TEXT},
    request::{self, Framing, Method},
    route::{Button, Route},
    state::{self, Session, State},
};

const PAGE: &str = include_str!("page.html");
const HTML: &str = "text/html; charset=utf-8";
const EVENTS: &str = "text/event-stream";

/// Which listener demo clients come to: the second.
const FOR_CLIENTS: usize = 1;

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

/// What a generation that was doomed ends with.
const DOOMED: i32 = 70;

struct Dashboard {
    state: State,
    calendar: Calendar,
    /// Browsers' connections for requests, and event streams. Some may lead nowhere: they are found out
    /// when something is sent.
    pages: Vec<ConnId>,
    streams: Vec<ConnId>,
    feed: Option<ConnId>,
    feed_address: String,
    /// What the observer has not been told yet.
    orders: String,
    probation: Duration,
    /// `"generation":N,"pid":N`: who speaks, in every event.
    who: String,
}

pub fn run(options: &Options, dir: &Path) -> Result {
    let at = |name| format!("unix:{}", dir.join(name).display());
    let dashboard = Dashboard {
        state: State::default(),
        calendar: Calendar::new(SystemTime::now),
        pages: Vec::new(),
        streams: Vec::new(),
        feed: None,
        feed_address: at("feed"),
        orders: String::new(),
        probation: options.probation,
        who: String::new(),
    };
    let how = |how: Restart| how.move_connections().probation(options.probation);
    let mut server = Server::new(dashboard)?
        .listen(&options.listen)?
        .listen(&at("clients"))?
        .control(dir.join("control"))?
        .restart_on(libc::SIGHUP, how(Restart::fork()))
        .restart_on(libc::SIGUSR2, how(Restart::fork_exec()))
        .drain_on_restart(Drain::unlimited().spread(DRAIN_OVER))
        .drain_on_stop(Drain::deadline(Duration::from_secs(1)))
        .max_message(MAX_PICTURE)
        .listener_timeouts(0, Timeouts::new().all_idle(Duration::from_secs(60))); // browsers
    if let Some(path) = &options.pid_file {
        server = server.pid_file(path)?;
    }
    server.run()
}

impl Dashboard {
    fn take_request(
        &mut self,
        conn: &mut Connection<'_>,
        session: &mut Session,
        input: &[u8],
    ) -> Result<usize> {
        let (request, taken) = match request::parse(input) {
            Ok(Some(found)) => found,
            Ok(None) => return Ok(0),
            Err(refusal) => {
                self.refuse(conn, refusal, After::Close);
                return Err(refusal.why.into());
            }
        };
        let after = if conn.is_draining() { After::Close } else { request.after };
        if request.framing != Framing::Length(0) {
            let refusal = Refusal::new(Status::ContentTooLarge, "no request here has a body");
            self.refuse(conn, refusal, After::Close);
            return Err(refusal.why.into());
        }
        match Route::find(request.method, request.path) {
            Ok(Route::Events) => {
                self.respond(conn, Status::Ok, EVENTS, Extent::Chunked, after);
                self.pages.retain(|&page| page != conn.id());
                self.streams.push(conn.id());
                let State { sequence, doomed, .. } = self.state;
                conn.send(&event::greeting(sequence, &self.who, doomed));
                *session = Session::Stream;
                if conn.is_draining() {
                    end_stream(conn);
                }
                return Ok(taken);
            }
            Ok(Route::Page) => {
                let body = if request.method == Method::Head { "" } else { PAGE };
                let extent = Extent::Length(PAGE.len() as u64);
                self.respond(conn, Status::Ok, HTML, extent, after);
                conn.send(body.as_bytes());
            }
            Ok(Route::Button(_)) if conn.is_draining() => {
                // A client may repeat this one on a new connection (RFC 9110, section 15.5.9).
                let refusal = Refusal::new(Status::RequestTimeout, "this process is leaving");
                self.refuse(conn, refusal, after);
            }
            Ok(Route::Button(button)) => {
                let body = format!("{{{}}}\n", self.who);
                self.respond(conn, Status::Ok, JSON, Extent::Length(body.len() as u64), after);
                conn.send(body.as_bytes());
                self.press(conn.net, button);
            }
            Err(refusal) => self.refuse(conn, refusal, after),
        }
        if after == After::Close {
            conn.close();
        }
        Ok(taken)
    }

    fn press(&mut self, net: &mut Net, button: Button) {
        match button {
            Button::Add => self.order(net, "add\n"),
            Button::Clear => self.order(net, "clear\n"),
            Button::Restart { engine, moves } => {
                self.state.clients_move = moves;
                let how = match engine {
                    Engine::Fork => Restart::fork(),
                    Engine::ForkExec => Restart::fork_exec(),
                };
                net.restart(how.move_connections().probation(self.probation));
            }
            Button::Doom => self.state.doomed = true,
            Button::RollBack => net.roll_back("the page has asked for it"),
        }
    }

    fn order(&mut self, net: &mut Net, order: &str) {
        self.orders.push_str(order);
        self.look_after_feed(net);
    }

    fn respond(
        &self,
        conn: &mut Connection<'_>,
        status: Status,
        content_type: &'static str,
        extent: Extent,
        after: After,
    ) {
        let generation = conn.net.generation();
        let date = self.calendar.date();
        let (allow, policy) = (None, None);
        let head = Head { status, content_type, extent, date, generation, after, allow, policy };
        // Writing to a connection cannot fail: it is queued.
        let _ = write!(conn, "{head}");
    }

    fn refuse(
        &self,
        conn: &mut Connection<'_>,
        Refusal { status, why, allow }: Refusal,
        after: After,
    ) {
        let generation = conn.net.generation();
        let extent = Extent::Length(why.len() as u64);
        let (content_type, date, policy) = (TEXT, self.calendar.date(), None);
        let head = Head { status, content_type, extent, date, generation, after, allow, policy };
        let _ = write!(conn, "{head}{why}");
    }
}

impl Service for Dashboard {
    type Session = Session;

    fn on_open(&mut self, conn: &mut Connection<'_>, origin: Origin) -> Result<Session> {
        Ok(match origin {
            Origin::Accepted { listener: FOR_CLIENTS } => Session::Client { leaving: false },
            Origin::Dialed { .. } => {
                self.feed = Some(conn.id());
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
                let generation = conn.net.generation();
                let bye = if *leaving { " bye" } else { "" };
                writeln!(conn, "{generation}{bye}")?;
                if *leaving {
                    conn.close();
                }
                Ok(taken)
            }
            Session::Feed => {
                let Some((line, taken)) = codec::line(input, MAX_PICTURE)? else { return Ok(0) };
                let picture = String::from_utf8_lossy(line);
                self.tell(conn.net, "picture", &picture);
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
            Session::Feed => self.look_after_feed(conn.net),
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

    fn on_alarm(&mut self, net: &mut Net, _key: Alarm) {
        self.look_after_feed(net);
        self.dial_feed(net);
        net.set_alarm(LOOK, LOOK_EVERY);
    }

    fn on_start(&mut self, net: &mut Net, start: Start) {
        if self.state.doomed && start.is_forked() {
            // Nobody has come along, and nobody was accepted yet: nobody is lost.
            process::exit(DOOMED);
        }
        if start == Start::Fresh
            && let Some(address) = net.addresses().iter().find(|address| !address.contains('/'))
        {
            // Whoever reads it may be gone; that is no reason to end.
            let _ = writeln!(io::stdout(), "open http://{address}/");
        }
        let engine = net.engine().map_or("none".to_owned(), |engine| engine.to_string());
        self.who = format!("\"generation\":{},\"pid\":{}", net.generation(), process::id());
        self.tell(net, "started", &json(engine));
        net.set_alarm(LOOK, Duration::ZERO);
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
        out.write_all(&state::write(&self.state)?)?;
        Ok(())
    }

    fn load(&mut self, saved: &mut dyn BufRead) -> Result {
        let mut bytes = Vec::new();
        saved.read_to_end(&mut bytes)?;
        self.state = state::read(&bytes)?;
        if self.state.doomed {
            return Err("it was doomed to fail by the page".into());
        }
        Ok(())
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
        }
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
