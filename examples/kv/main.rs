//! A key-value server that speaks the Redis protocol: redis-cli, redis-benchmark and client libraries work.
//!
//! ```sh
//! cargo run --release --example kv -- --pid-file /tmp/kv.pid    # then, elsewhere:
//! redis-cli -p 7780 set name heirloom
//! kill -HUP $(cat /tmp/kv.pid)                   # a new generation, with all keys
//! redis-cli -p 7780 get name
//! redis-cli -p 7780 info server                  # process_id, heirloom_generation, heirloom_engine
//! redis-benchmark -p 7780 -t ping,set,get -P 16 -q
//! cargo run --release --example kv -- --listen unix:/tmp/kv.sock
//! redis-cli -s /tmp/kv.sock subscribe news
//! ```
//!
//! Clients share the keys, so a restart moves them all: those who stayed behind would write what nobody
//! else sees, and it would be gone with them. After a restart by fork (HUP) keys and clients are in the
//! child, without a copy or a file. After one by fork-exec (USR2) they are in a new program: the keys go there
//! as a stream, in the order in which they stand, and what has changed meanwhile behind it (`saved`).
//! Subscriptions, names, commands that are half sent and the cursors of SCAN go along either way.
//!
//! With `--no-move` who was connected stays with the old process, and from the restart on there are two
//! sets of keys; but nobody is left with a process that stops, or that was rolled back.
//!
//! This file knows when the reactor calls. `request` reads commands, `commands` carries them out, on the
//! keys in `store` and the subscriptions in `pubsub`, for a client whose state is its `session`, all of it
//! written down by `saved`, in `records`; `resp` is the protocol's words, `out` its versions 2 and 3, `glob` its patterns.
//!
//! Left out: all types but strings, bits of strings and LCS, other databases, scripts, blocking commands, persistence,
//! replication, passwords, messages about keys, DEBUG, client-side caching.

mod commands;
#[path = "../common/mod.rs"]
mod common;
mod float;
mod glob;
mod out;
mod pubsub;
mod records;
#[cfg(test)]
mod reply;
mod request;
mod resp;
mod saved;
mod session;
mod store;
mod wall;

use std::{
    io::{BufRead, Write},
    process::ExitCode,
    time::{Duration, Instant},
};

use heirloom::{
    Alarm, ConnId, Connection, LeaveReason, Leaving, Net, Origin, Reason, Result, Service, Start,
    Timeouts, Timer,
};

use self::{
    commands::{Call, State},
    out::Out,
    request::{MAX_COMMAND, Reader, Request},
    resp::MAX_BULK,
    session::Session,
};

/// Rings when the next key expires.
const EXPIRY: Alarm = Alarm(0);

/// Expired keys taken away in one turn: a million keys may expire at the same time.
const PURGE_PIECE: usize = 256;

/// Unsent replies of one connection: the longest value, and the small ones around it.
const MAX_OUTPUT: usize = MAX_BULK + 16 * 1024 * 1024;

/// Of one connection: it is closed if it is between two commands then, and has some time more if not.
const GRACE: Timer = Timer(0);
const GRACE_TIME: Duration = Duration::from_millis(500);

struct Kv {
    reader: Reader,
    state: State,
    /// When `EXPIRY` will ring.
    alarm: Option<Instant>,
}

impl Kv {
    fn new() -> Kv {
        Kv { reader: Reader::default(), state: State::new(), alarm: None }
    }

    /// Has the alarm ring no later than the next key expires. One that rings too early looks again.
    fn watch_expiry(&mut self, net: &mut Net) {
        if let Some(due) = self.state.store.next_due()
            && self.alarm.is_none_or(|set| due < set)
        {
            net.set_alarm(EXPIRY, due.saturating_duration_since(net.now()));
            self.alarm = Some(due);
        }
    }
}

impl Service for Kv {
    type Session = Session;

    fn on_open(&mut self, conn: &mut Connection<'_>, _origin: Origin) -> Result<Session> {
        Ok(self.state.begin(conn.now()))
    }

    fn on_data(
        &mut self,
        conn: &mut Connection<'_>,
        session: &mut Session,
        input: &[u8],
    ) -> Result<usize> {
        let request = self.reader.read(input);
        session.is_midway = matches!(request, Ok(Request::Part { .. }));
        match request {
            Ok(Request::Whole(args, taken)) => {
                commands::run(Call::new(args, conn, session, &mut self.state))?;
                self.watch_expiry(conn.net);
                Ok(taken)
            }
            Ok(Request::Part { want }) => {
                conn.read_at_least(want);
                Ok(0)
            }
            Err(why) => {
                let text = why.text();
                Out { conn, version: session.version, is_mute: false }.error(&text);
                Err(text.escape_ascii().to_string().into())
            }
        }
    }

    fn on_close(&mut self, _net: &mut Net, id: ConnId, session: Session, _why: Reason) {
        self.state.leave(&session, id);
    }

    fn on_alarm(&mut self, net: &mut Net, _key: Alarm) {
        self.state.store.purge(PURGE_PIECE, net.now());
        self.alarm = None;
        self.watch_expiry(net);
    }

    /// Who stays with a process that is replaced was told that it would (`--no-move`). But where the service
    /// ends, or this process was not wanted after all, nobody is served for long: as redis-server does,
    /// but for the command that is half sent.
    fn on_drain(
        &mut self,
        conn: &mut Connection<'_>,
        _session: &mut Session,
        leaving: &Leaving,
    ) -> Result {
        if leaving.reason != LeaveReason::Restart {
            conn.set_timer(GRACE, GRACE_TIME);
        }
        Ok(())
    }

    fn on_timer(
        &mut self,
        conn: &mut Connection<'_>,
        session: &mut Session,
        _timer: Timer,
    ) -> Result {
        match session.is_midway {
            true => conn.set_timer(GRACE, GRACE_TIME),
            false => conn.close(),
        }
        Ok(())
    }

    /// The clock is that of the reactor, but it is not at hand here.
    fn save(&self, out: &mut dyn Write) -> Result {
        saved::save(&self.state, out, Instant::now())
    }

    fn load(&mut self, from: &mut dyn BufRead) -> Result {
        saved::load(&mut self.state, from, Instant::now())
    }

    /// Which keys have been set, have gone or have got another time.
    fn track_changes(&mut self, on: bool) -> bool {
        self.state.store.touched.track(on);
        true
    }

    fn save_changes(&mut self, out: &mut dyn Write, most: usize) -> Result<usize> {
        saved::save_changes(&mut self.state, out, most, Instant::now())
    }

    fn load_changes(&mut self, from: &mut dyn BufRead) -> Result {
        saved::load_changes(&mut self.state, from, Instant::now())
    }

    fn export(&self, session: &Session) -> Option<Vec<u8>> {
        let is_spoiled = self.state.store.watches.is_spoiled(session.number);
        saved::save_session(session, is_spoiled).ok()
    }

    /// Who listens to what is known to the listeners alone.
    fn import(&mut self, conn: &mut Connection<'_>, bytes: &[u8]) -> Result<Session> {
        let (session, is_spoiled) = saved::load_session(bytes)?;
        self.state.arrive(&session, is_spoiled, conn.id());
        Ok(session)
    }

    fn after_fork_in_child(&mut self, net: &mut Net) -> Result {
        common::tls::renew(net)
    }

    /// A forked child has its parent's keys, and their alarm; a new program has to set it. Listeners that
    /// have stayed behind are forgotten; those who were elsewhere and are back listen to what they have chosen there.
    fn on_start(&mut self, net: &mut Net, start: Start) {
        match start.is_resumed() {
            true => self.state.look_anew(net),
            false => self.state.forget_absent(net),
        }
        self.watch_expiry(net);
    }

    /// The alarm has gone to the new generation; here, too, keys expire as long as somebody asks.
    fn on_retire(&mut self, net: &mut Net) {
        self.alarm = None;
        self.watch_expiry(net);
    }

    /// It owns nothing but memory.
    fn discard(&mut self, session: Session) {
        drop(session);
    }
}

fn main() -> ExitCode {
    let defaults = common::Defaults {
        listen: "127.0.0.1:7780",
        moves: true,
        alone: Some("the keys are in one process, so one process serves"),
    };
    common::serve(defaults, Kv::new(), |server| {
        server
            .max_message(MAX_COMMAND)
            .max_output(MAX_OUTPUT)
            .timeouts(Timeouts::new().first_message(None)) // pools keep connections for later
    })
}

#[cfg(test)]
mod tests;
