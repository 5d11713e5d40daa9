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
//! sets of keys.
//!
//! This file knows when the reactor calls. `request` reads commands, `commands` carries them out, on the
//! keys in `store` and the subscriptions in `pubsub`, all of it
//! written down by `saved`, in `records`; `resp` is the protocol's words, `glob` its patterns.
//!
//! Left out: all types but strings, transactions, scripts, persistence, passwords, version 3 of the
//! protocol.

mod commands;
#[path = "../common/mod.rs"]
mod common;
mod glob;
mod pubsub;
mod records;
#[cfg(test)]
mod reply;
mod request;
mod resp;
mod saved;
mod store;

use std::{
    io::{BufRead, Write},
    process::ExitCode,
    time::Instant,
};

use heirloom::{Alarm, ConnId, Connection, Net, Origin, Reason, Result, Service, Start, Timeouts};

use self::{
    commands::{Call, Session, State},
    pubsub::Hub,
    request::{MAX_COMMAND, Reader, Request},
    resp::{MAX_BULK, Sink},
    store::Store,
};

/// Rings when the next key expires.
const EXPIRY: Alarm = Alarm(0);

/// Expired keys taken away in one turn: a million keys may expire at the same time.
const PURGE_PIECE: usize = 256;

/// Unsent replies of one connection: the longest value, and the small ones around it.
const MAX_OUTPUT: usize = MAX_BULK + 16 * 1024 * 1024;

struct Kv {
    reader: Reader,
    state: State,
    /// When `EXPIRY` will ring.
    alarm: Option<Instant>,
}

impl Kv {
    fn new() -> Kv {
        let (store, hub) = (Store::new(), Hub::default());
        let state = State { store, hub, clients: 0, commands: 0, since: Instant::now() };
        Kv { reader: Reader::default(), state, alarm: None }
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

impl Sink for Connection<'_> {
    fn put(&mut self, bytes: &[u8]) {
        self.send(bytes);
    }
}

impl Service for Kv {
    type Session = Session;

    fn on_open(&mut self, _conn: &mut Connection<'_>, _origin: Origin) -> Result<Session> {
        self.state.clients += 1;
        Ok(Session { number: self.state.clients, ..Session::default() })
    }

    fn on_data(
        &mut self,
        conn: &mut Connection<'_>,
        session: &mut Session,
        input: &[u8],
    ) -> Result<usize> {
        match self.reader.read(input) {
            Ok(Request::Whole(args, taken)) => {
                commands::run(&mut Call { args, conn, session, state: &mut self.state });
                self.watch_expiry(conn.net);
                Ok(taken)
            }
            Ok(Request::Part { want }) => {
                conn.read_at_least(want);
                Ok(0)
            }
            Err(why) => {
                let text = why.text();
                resp::error(conn, &text);
                Err(text.escape_ascii().to_string().into())
            }
        }
    }

    fn on_close(&mut self, _net: &mut Net, id: ConnId, session: Session, _why: Reason) {
        self.state.hub.leave_all(&session.subscriptions, id);
    }

    fn on_alarm(&mut self, net: &mut Net, _key: Alarm) {
        self.state.store.purge(PURGE_PIECE, net.now());
        self.alarm = None;
        self.watch_expiry(net);
    }

    /// The clock is that of the reactor, but it is not at hand here.
    fn save(&self, out: &mut dyn Write) -> Result {
        saved::save(&self.state, out, Instant::now)
    }

    fn load(&mut self, from: &mut dyn BufRead) -> Result {
        saved::load(&mut self.state, from, Instant::now)
    }

    /// Which keys have been set, have gone or have got another time.
    fn track_changes(&mut self, on: bool) -> bool {
        self.state.store.touched.track(on);
        true
    }

    fn save_changes(&mut self, out: &mut dyn Write, most: usize) -> Result<usize> {
        saved::save_changes(&mut self.state, out, most, Instant::now)
    }

    fn load_changes(&mut self, from: &mut dyn BufRead) -> Result {
        saved::load_changes(&mut self.state, from, Instant::now)
    }

    fn export(&self, session: &Session) -> Option<Vec<u8>> {
        saved::save_session(session).ok()
    }

    /// Who listens to what is known to the listeners alone.
    fn import(&mut self, conn: &mut Connection<'_>, bytes: &[u8]) -> Result<Session> {
        let session = saved::load_session(bytes)?;
        self.state.hub.join_all(&session.subscriptions, conn.id());
        Ok(session)
    }

    /// A forked child has its parent's keys, and their alarm; a new program has to set it. Listeners that
    /// have stayed behind are forgotten.
    fn on_start(&mut self, net: &mut Net, _start: Start) {
        self.state.hub.retain(|id| net.get(id).is_some());
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
    let defaults = common::Defaults { listen: "127.0.0.1:7780", moves: true };
    common::serve(defaults, Kv::new(), |server| {
        server
            .max_message(MAX_COMMAND)
            .max_output(MAX_OUTPUT)
            .timeouts(Timeouts::new().first_message(None)) // pools keep connections for later
    })
}

#[cfg(test)]
mod tests;
