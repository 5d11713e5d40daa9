//! HTTP/1.1: keep-alive, pipelining, bodies that are never held in memory, restarts that no client sees.
//!
//! ```sh
//! cargo run --release --example http -- --pid-file /tmp/http.pid    # then, elsewhere:
//! curl -i http://127.0.0.1:8080/                 # hello, world
//! curl http://127.0.0.1:8080/generation          # {"generation":0,"pid":4711,"engine":"none"}
//! curl -T - http://127.0.0.1:8080/count          # type, then ^D: the length of a chunked upload
//! curl -T Cargo.lock http://127.0.0.1:8080/cksum; cksum < Cargo.lock
//! curl --data-binary @Cargo.lock http://127.0.0.1:8080/echo | cmp - Cargo.lock
//! curl --limit-rate 1M -o /dev/null http://127.0.0.1:8080/bytes/20000000
//! kill -HUP $(cat /tmp/http.pid)                 # a new generation; the download goes on
//! ```
//!
//! At a restart connections go along: an upload, a download or an echo is begun by one process and ended by
//! another. Requests have nothing to do with each other, so connections could as well stay with their process until they
//! end (`-- --no-move`). But then a client that has been silent between two requests finds its connection closed
//! with the next one, and may not repeat that unasked if it was a POST: see `on_drain`.
//!
//! This file knows when the reactor calls; `exchange` is one request and its reply. The rest is pure:
//! `request` reads heads, `body` reads bodies, `cksum` adds one up, `route` says what there is, `reply` writes heads,
//! `saved` writes sessions down for the next program. `date` asks for the time, once a second.
//!
//! Left out: compression, ranges and caching; HTTP/2.

mod body;
mod cksum;
#[path = "../common/mod.rs"]
mod common;
mod date;
mod exchange;
mod reply;
mod request;
mod route;
mod saved;

use std::{
    process::ExitCode,
    rc::Rc,
    time::{Duration, Instant, SystemTime},
};

use heirloom::{Connection, Engine, Leaving, Net, Origin, Result, Service, Start, Timeouts, Timer};

use self::{
    date::{Calendar, WallClock},
    exchange::{Session, Stage},
    reply::{After, Extent, Head, Refusal, Status, TEXT},
};

/// Runs while a head is incomplete.
const HEAD_DUE: Timer = Timer(0);

/// How long a connection may be silent between two requests (nginx: `keepalive_timeout`, 75 s).
const KEEP_ALIVE: Duration = Duration::from_secs(60);

/// How long a head may take, from its first byte (nginx: 60 s; Apache's mod_reqtimeout: 20 s). One that
/// fits into a packet needs no time at all.
const HEAD_TIME: Duration = Duration::from_secs(10);

/// Runs while this process is leaving and the connection waits for its next request.
const FAREWELL: Timer = Timer(1);

/// How long a connection without a request outlives its process's retirement: long enough for a
/// client that is busy with it to send the next request and be told `Connection: close`, short
/// enough that a retired process does not stay because of clients that only hold connections.
const GRACE: Duration = Duration::from_secs(1);

/// Downloads are queued in blocks of this size, all of them the same memory.
const BLOCK: usize = 16 * 1024;

const HELLO: &str = "hello, world\n";

/// What all connections share: nothing but what is said to each of them.
struct Http {
    generation: u64,
    /// How this process was made; `None` for the first one.
    engine: Option<Engine>,
    calendar: Calendar,
    /// The whole reply to `GET /`, and where its body begins: the commonest reply is one `send` of
    /// what is there already, for a second.
    hello: String,
    hello_body: usize,
    /// What `/bytes/N` is made of.
    block: Rc<[u8]>,
}

impl Http {
    fn new(clock: WallClock) -> Http {
        let line = b"abcdefghijklmnopqrstuvwxyz-ABCDEFGHIJKLMNOPQRSTUVWXYZ-123456789\n";
        Http {
            generation: 0,
            engine: None,
            calendar: Calendar::new(clock),
            hello: String::new(),
            hello_body: 0,
            block: line.repeat(BLOCK / line.len()).into(),
        }
    }

    /// Replies say what time it is, so they are asked for after this.
    fn look_at_the_clock(&mut self, now: Instant) {
        if self.calendar.look(now) {
            self.prepare_hello();
        }
    }

    fn prepare_hello(&mut self) {
        let head = self.head(Status::Ok, TEXT, After::Keep);
        self.hello = Head { extent: Extent::Length(HELLO.len() as u64), ..head }.to_string();
        self.hello_body = self.hello.len();
        self.hello.push_str(HELLO);
    }

    /// A head whose body is empty so far.
    fn head(&self, status: Status, content_type: &'static str, after: After) -> Head {
        let (extent, date, generation) = (Extent::Length(0), self.calendar.date(), self.generation);
        Head { status, content_type, extent, date, generation, after, allow: None, policy: None }
    }
}

impl Service for Http {
    type Session = Session;

    fn on_open(&mut self, _conn: &mut Connection<'_>, _origin: Origin) -> Result<Session> {
        Ok(Session::default())
    }

    /// A message is a head, or any piece of a body.
    fn on_data(
        &mut self,
        conn: &mut Connection<'_>,
        session: &mut Session,
        input: &[u8],
    ) -> Result<usize> {
        self.look_at_the_clock(conn.now());
        match session.stage {
            Stage::Head => self.take_head(conn, session, input),
            Stage::Upload(..) => self.take_body(conn, session, input),
            Stage::Download { .. } => Ok(0), // paused: not called
        }
    }

    /// The client has read most of what it was sent: more of the download. An echo needs nothing
    /// here, since a congested connection is offered no input that could be echoed.
    fn on_writable(&mut self, conn: &mut Connection<'_>, session: &mut Session) -> Result {
        self.download(conn, session);
        Ok(())
    }

    fn on_timer(
        &mut self,
        conn: &mut Connection<'_>,
        session: &mut Session,
        timer: Timer,
    ) -> Result {
        match timer {
            HEAD_DUE => {
                self.look_at_the_clock(conn.now());
                let late = Refusal::new(Status::RequestTimeout, "the head takes too long");
                return Err(self.refuse(conn, late, false));
            }
            // Half a request will be a whole one, or late; an exchange says goodbye when it ends.
            _ if !session.is_between_requests() => {}
            // Input is not offered while output waits, so requests may be there that nobody has seen.
            _ if conn.is_congested() => conn.set_timer(FAREWELL, GRACE),
            _ => conn.close(),
        }
        Ok(())
    }

    /// Whoever has asked gets an answer, with `Connection: close` in the last one.
    ///
    /// A connection between two requests could be closed at once. But a client may have sent a
    /// request just now, and would see it end unanswered: it cannot tell whether the request was
    /// acted upon, and may repeat it unasked only if it is idempotent (RFC 9110, section 9.2.2).
    /// Nobody can rule that out, as closing always races with sending (RFC 9112, sections 9.3.1 and
    /// 9.6); so it waits for a while, and a request that comes is answered and told. What remains is
    /// the client that has been silent for all that time and sends while our FIN is on its way: it
    /// must be ready for that from any server. The reactor lingers after the FIN, so at least no reset
    /// overtakes an answer.
    fn on_drain(
        &mut self,
        conn: &mut Connection<'_>,
        session: &mut Session,
        _leaving: &Leaving,
    ) -> Result {
        if session.grace_ends.is_some() {
            return Ok(()); // of a restart; that it is a stop by now changes nothing for this client
        }
        session.grace_ends = Some(conn.now() + GRACE);
        if session.is_between_requests() {
            conn.set_timer(FAREWELL, GRACE);
        }
        Ok(())
    }

    fn export(&self, session: &Session) -> Option<Vec<u8>> {
        saved::write(session)
    }

    fn import(&mut self, _conn: &mut Connection<'_>, bytes: &[u8]) -> Result<Session> {
        saved::read(bytes)
    }

    fn after_fork_in_child(&mut self, net: &mut Net) -> Result {
        common::tls::renew(net)
    }

    fn on_start(&mut self, net: &mut Net, _start: Start) {
        (self.generation, self.engine) = (net.generation(), net.engine());
        self.look_at_the_clock(net.now());
        self.prepare_hello(); // which has the generation's number
    }
}

fn main() -> ExitCode {
    let defaults = common::Defaults { listen: "127.0.0.1:8080", moves: true, alone: None };
    common::serve(defaults, Http::new(SystemTime::now), |server| {
        server
            .max_message(request::MAX_HEAD) // the longest of what we leave to the reactor
            .timeouts(Timeouts::new().first_message(None).all_idle(KEEP_ALIVE)) // a head has its own
    })
}

#[cfg(test)]
mod tests;
