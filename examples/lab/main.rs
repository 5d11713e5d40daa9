//! A server to break: it does on request what a good server never does. The tests drive it.
//!
//! ```sh
//! cargo run --release --example lab              # then, elsewhere:
//! nc 127.0.0.1 7779                              # who, stats, flood 1000000, restart fork, ...
//! ```
//!
//! One line asks, one line answers: `requests` has them all. `settings` has the `LAB_*` variables that set
//! limits and say what goes wrong.

mod answers;
mod beyond;
mod book;
mod carry;
mod claims;
#[path = "../common/mod.rs"]
mod common;
mod holding;
mod idle;
mod keys;
mod names;
mod outside;
mod own;
mod pattern;
mod requests;
mod session;
mod settings;
mod socket;
mod sockets;
#[cfg_attr(not(feature = "tls"), path = "no_tls.rs")]
mod tls;
mod whence;
mod witness;
mod words;

use std::{
    io::{BufRead, Write},
    mem, process,
    process::ExitCode,
    sync::mpsc,
    thread,
    time::Duration,
};

use answers::say;
use heirloom::{
    Alarm, ConnId, Connection, Counter, Deferred, Idle, Leaving, Move, Net, Origin, Readiness,
    Reason, RestartError, Result, Service, Start, Timer, Verdict, Watch, codec,
};
use session::{Fate, Session, State};
use settings::panic_if_told;
use witness::Witness;

/// The longest request line, unless the test is about the reactor's own limit.
const LINE: usize = 1024 * 1024;

/// What the requests leave behind.
#[derive(Default)]
struct Lab {
    /// Threads that wait; each ends when its sender goes.
    threads: Vec<(mpsc::Sender<()>, thread::JoinHandle<()>)>,
    /// What is no connection.
    beyond: beyond::Beyond,
    /// What heirloom does not know.
    holding: holding::Holding,
    /// What comes from outside and is no client.
    outside: outside::Outside,
    /// What each process has its own of.
    own: own::Own,
    /// Second descriptors of our sockets, for `share`.
    copies: Vec<socket::Copies>,
    /// What a new program is told, too.
    state: State,
    /// The same, of any size.
    book: book::Book,
    /// Who is who.
    claims: claims::Claims,
    /// Who waits for the verdict on a restart, in the order of asking.
    restarting: Vec<ConnId>,
    /// What `heap` has allocated and touched.
    heap: Vec<Vec<u8>>,
    /// What `keep` has left here.
    kept: String,
    /// How it came to serve last.
    whence: whence::Whence,
    /// How the last restart went, for `verdict`.
    verdict: String,
    /// Events of the process since it began, for `events`.
    events: Vec<String>,
    /// Connections closed, with their reasons, for `closes`.
    closes: Vec<String>,
    /// The connection that was dialed last.
    dialed: Option<ConnId>,
    /// Requests in all generations, for a monitor.
    requests: Counter,
    /// Tells when the service is dropped.
    witness: Witness,
}

/// Keys of alarms and of `state.waiting`; a dial's tag is above them.
const UNHOLD: u64 = 0;
const ALARM: u64 = 1;
const ABORT: u64 = 2;
const WAIT: u64 = 3;
const RESTART: u64 = 4;
const DIAL: u64 = 5;

/// How long a generation that is to abort serves before.
const BEFORE_ABORT: Duration = Duration::from_millis(100);

impl Service for Lab {
    type Session = Session;

    fn on_open(&mut self, conn: &mut Connection<'_>, origin: Origin) -> Result<Session> {
        settings::linger("open");
        panic_if_told("on_open");
        if let Origin::Dialed { tag } = origin {
            self.dialed = Some(conn.id());
            let text = format!("dialed {}", conn.peer());
            self.answer(conn.net, tag, &text);
        }
        let listener = match origin {
            Origin::Accepted { listener } => Some(listener),
            _ => None,
        };
        settings::told_time("paused").iter().for_each(|&time| socket::pause(conn, time));
        Ok(Session { listener, witness: Witness::of("session"), ..Session::default() })
    }

    fn on_data(
        &mut self,
        conn: &mut Connection<'_>,
        session: &mut Session,
        input: &[u8],
    ) -> Result<usize> {
        let Some((line, taken)) = codec::line(input, LINE)? else { return Ok(0) };
        self.requests.add(1);
        let line = String::from_utf8_lossy(line);
        if let Some(answer) = self.handle(conn, session, &line)? {
            say(conn, &answer);
        }
        Ok(taken)
    }

    fn on_eof(&mut self, conn: &mut Connection<'_>, session: &mut Session) -> Result {
        panic_if_told("on_eof");
        if session.outlives_eof {
            say(conn, "eof");
        } else {
            conn.close();
        }
        Ok(())
    }

    fn on_writable(&mut self, conn: &mut Connection<'_>, session: &mut Session) -> Result {
        panic_if_told("on_writable");
        socket::pour(conn, session);
        Ok(())
    }

    fn on_timer(
        &mut self,
        conn: &mut Connection<'_>,
        _session: &mut Session,
        timer: Timer,
    ) -> Result {
        panic_if_told("on_timer");
        socket::timer(conn, timer);
        Ok(())
    }

    fn on_idle(&mut self, conn: &mut Connection<'_>, _session: &mut Session, idle: Idle) -> Result {
        panic_if_told("on_idle");
        idle::tell(conn, idle);
        Ok(())
    }

    fn on_drain(
        &mut self,
        conn: &mut Connection<'_>,
        _session: &mut Session,
        leaving: &Leaving,
    ) -> Result {
        panic_if_told("on_drain");
        self.events.push("drain".to_owned());
        whence::drain(conn, leaving)
    }

    fn on_close(&mut self, _net: &mut Net, id: ConnId, session: Session, why: Reason) {
        own::note("on_close");
        panic_if_told("on_close");
        self.claims.close(id, &session.claim);
        self.closes.push(why.to_string());
    }

    fn on_dial_failed(&mut self, net: &mut Net, tag: u64, why: std::io::Error) {
        panic_if_told("on_dial_failed");
        self.answer(net, tag, &names::failure(tag, &why));
    }

    fn on_alarm(&mut self, net: &mut Net, key: Alarm) {
        panic_if_told("on_alarm");
        if key.0 == UNHOLD {
            return self.beyond.unhold(net, "");
        }
        if key.0 == ABORT {
            eprintln!("lab: aborts as told");
            process::abort();
        }
        if !self.claims.alarm(net, key) && !self.beyond.alarm(net, key) {
            self.events.push("alarm".to_owned());
            self.answer(net, key.0, "alarm");
        }
    }

    fn on_deferred(&mut self, net: &mut Net, key: Deferred) {
        panic_if_told("on_deferred");
        self.beyond.deferred(net, key);
    }

    fn on_word(&mut self, net: &mut Net, from: u64, word: &[u8]) {
        words::word(net, from, word);
    }

    fn on_undelivered(&mut self, net: &mut Net, to: u64, word: Vec<u8>) {
        words::undelivered(net, to, &word);
    }

    fn on_signal(&mut self, net: &mut Net, signal: i32) {
        beyond::journal(net, &format!("signal {signal}"));
    }

    fn on_ready(&mut self, net: &mut Net, key: Watch, ready: Readiness) {
        self.outside.ready(net, key, ready);
    }

    fn on_start(&mut self, net: &mut Net, start: Start) {
        let name = whence::name(&start);
        own::note(&format!("on_start({name})"));
        settings::linger("start");
        panic_if_told("on_start");
        panic_if_told(&format!("on_start {name}"));
        self.whence.start(&start);
        if start.is_successor() {
            // Whoever has asked for this restart and was moved hears of it here.
            let text = format!("ok {} {}", net.generation(), process::id());
            self.answer(net, RESTART, &text);
        }
        if !start.is_resumed() {
            self.closes.clear(); // what a forked child has in memory are its parent's
            self.events.clear();
            self.restarting.clear();
        }
        let requests =
            net.counter("lab_requests", "Lines that a lab has read.", &[("of", "a \"lab\"")]);
        self.requests = requests.expect("a name and a label");
        let serves = net.gauge("lab_generation", "The generation that serves.", &[]);
        serves.expect("a name").set(net.generation());
        assert!(net.gauge("lab_requests", "Another kind.", &[]).is_err());
        self.claims.start(net);
        words::start(net);
        self.beyond.start(&start);
        self.outside.start(net, &start);
        self.events.push(name.to_owned());
        match settings::told().as_deref().filter(|_| start.is_successor()) {
            Some("abort") => net.set_alarm(Alarm(ABORT), BEFORE_ABORT),
            Some("roll back") => net.roll_back("lab: as told"),
            _ => {}
        }
    }

    fn on_lame_duck(&mut self, _net: &mut Net, within: Duration) {
        self.events.push(format!("lame duck for {within:?}"));
    }

    fn on_retire(&mut self, net: &mut Net) {
        own::note("on_retire");
        self.outside.retire(net);
        settings::linger("retire");
        panic_if_told("on_retire");
        self.events.push("retire".to_owned());
    }

    fn on_restart_ended(&mut self, net: &mut Net, verdict: &Verdict) {
        own::note("on_restart_ended");
        panic_if_told("on_restart_ended");
        self.verdict = format!("{verdict:?}").replace('\n', " | ");
        let text = match &verdict.outcome {
            Ok(pid) => format!("ok {} {pid}", verdict.generation),
            Err(why) => format!("error {}", why.to_string().replace('\n', " | ")),
        };
        self.events.push(text.split(' ').next().unwrap_or_default().to_owned());
        // Who asks while another restart is in progress is refused at once, before the one who waits.
        let refused = matches!(verdict.outcome, Err(RestartError::InProgress));
        let asker = if refused { self.restarting.len().checked_sub(1) } else { Some(0) };
        if let Some(asker) = asker.filter(|&asker| asker < self.restarting.len()) {
            Lab::tell(net, self.restarting.remove(asker), &text);
        }
    }

    fn before_fork(&mut self, _net: &mut Net) -> Result {
        own::enter("before_fork")
    }

    fn after_fork_in_parent(&mut self, _net: &mut Net) {
        let _ = own::enter("after_fork_in_parent");
    }

    fn after_fork_in_child(&mut self, net: &mut Net) -> Result {
        own::enter("after_fork_in_child")?;
        common::tls::renew(net)?;
        self.own.reseed()
    }

    fn on_move(&self, session: &Session) -> Move {
        panic_if_told("on_move");
        if session.fate == Fate::Stay { Move::Stay } else { Move::Yes }
    }

    fn save(&self, out: &mut dyn Write) -> Result {
        own::note("save");
        settings::linger("save");
        panic_if_told("save");
        self.write(out)
    }

    fn load(&mut self, saved: &mut dyn BufRead) -> Result {
        own::note("load");
        settings::linger("load");
        panic_if_told("load");
        self.read(saved)
    }

    fn track_changes(&mut self, on: bool) -> bool {
        panic_if_told("track_changes");
        let tracks = self.book.track(on);
        self.state.keys.track(on && tracks);
        tracks
    }

    fn save_changes(&mut self, out: &mut dyn Write, most: usize) -> Result<usize> {
        settings::linger("save_changes");
        panic_if_told("save_changes");
        self.write_changes(out, most)
    }

    fn load_changes(&mut self, saved: &mut dyn BufRead) -> Result {
        settings::linger("load_changes");
        panic_if_told("load_changes");
        self.events.push("changes".to_owned());
        self.read_changes(saved)
    }

    fn export(&self, session: &Session) -> Option<Vec<u8>> {
        settings::linger("export");
        panic_if_told("export");
        (session.fate != Fate::NoExport).then(|| session.write())
    }

    fn import(&mut self, conn: &mut Connection<'_>, saved: &[u8]) -> Result<Session> {
        settings::linger("import");
        panic_if_told("import");
        let session = Session::read(saved)?;
        self.claims.arrive(conn.id(), &session.claim);
        Ok(Session { witness: Witness::of("session"), ..session })
    }

    fn discard(&mut self, session: Session) {
        match settings::setting::<u8>("FORGET") {
            Some(_) => mem::forget(session),
            None => drop(session),
        }
    }

    fn on_end(&mut self, _net: &mut Net) {
        own::note("on_end");
        panic_if_told("on_end");
        witness::note("end");
    }
}

fn main() -> ExitCode {
    settings::break_if_told();
    outside::handle_if_told("main");
    session::version(); // what the file says later is for later programs
    let defaults =
        common::Defaults { listen: "127.0.0.1:7779", moves: settings::moves(), alone: None };
    let (beyond, inbox) = beyond::Beyond::new();
    let _own = Witness::of("main's own");
    let lab = Lab { beyond, witness: Witness::with_wire("service"), ..Lab::default() };
    let status = common::serve(defaults, lab, |server| {
        settings::tune(server).inbox(inbox).expect("an event")
    });
    witness::note("main");
    match settings::setting::<u8>("EXIT") {
        Some(own) if status == ExitCode::SUCCESS => ExitCode::from(own),
        _ => status,
    }
}
