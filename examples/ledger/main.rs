//! A ledger in SQLite that is restarted under load: what is answered with `ok` is in the file, once.
//!
//! ```sh
//! LEDGER_FILE=/tmp/ledger.db cargo run --release --example ledger -- --pid-file /tmp/ledger.pid
//! # then, elsewhere:
//! nc 127.0.0.1 7786                              # post alice bob 5 first: ok 5
//!                                                # balance alice: ok -5, total: ok 1 5
//! kill -HUP $(cat /tmp/ledger.pid)               # a new generation by fork,
//! kill -USR2 $(cat /tmp/ledger.pid)              # and one by fork-exec
//! sqlite3 /tmp/ledger.db 'PRAGMA integrity_check'
//! ```
//!
//! `LEDGER_FILE` is the file (`ledger.db`). With `LEDGER_REDIS` (`redis://127.0.0.1`, or `unix:/path`) each posting
//! becomes an entry of the stream `ledger:postings` there.
//!
//! # Who writes when
//!
//! Connections stay with the old process here, so for a while two processes post; with `--move` it is one after the
//! other. Either is right, since SQLite locks the file between processes. What it cannot bear is a handle that was
//! opened before a fork and is used after it: locks of `fcntl(2)` belong to the process that has taken them, and
//! a child that has none believes that it has. When its parent closes the file, nobody seems to be left: the
//! journal is removed, and the child goes on writing into a file without a name. So the book is closed in
//! `before_fork`, and each process opens it for itself; a new program does so anyway.
//!
//! The client of Redis need not be closed: in the child it is forgotten, and made anew.
//!
//! Each process says goodbye to the file in `on_end`, since after a fork destructors do not run.
//!
//! This file knows when the reactor calls. `book` is the file, `feed` the stream, `request` what clients ask.

mod book;
#[path = "../common/mod.rs"]
mod common;
mod feed;
mod request;

use std::{env, fs, path::PathBuf, process::ExitCode, time::Duration};

use heirloom::{
    Alarm, Connection, Deferred, Net, Origin, PerProcess, Result, Service, Start, codec,
};

use self::{book::Book, feed::Feed, request::Request};

/// The longest line.
const LINE: usize = 512;

/// Rings when it is time to look for Redis again.
const RETRY: Alarm = Alarm(0);
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// After the answers of a turn: what has been posted is published.
const PUBLISH: Deferred = Deferred(0);

/// What each process opens for itself, by a closure that knows where it is.
type Own<T> = PerProcess<T, Box<dyn FnMut() -> Result<T>>>;

struct Ledger {
    book: Own<Book>,
    /// `None`: nobody wants to be told.
    feed: Option<Own<Feed>>,
}

impl Ledger {
    fn new(file: PathBuf, redis: Option<String>) -> Ledger {
        let book = PerProcess::new(Box::new(move || Book::open(&file)) as Box<_>);
        let feed =
            redis.map(|redis| PerProcess::new(Box::new(move || Feed::connect(&redis)) as Box<_>));
        Ledger { book, feed }
    }

    fn answer(&mut self, net: &mut Net, line: &[u8]) -> Result<String> {
        let book = self.book.get()?;
        match Request::parse(line)? {
            Request::Post(posting) => {
                let balance = book.post(&posting)?;
                if self.feed.is_some() {
                    net.defer(PUBLISH);
                }
                Ok(balance.to_string())
            }
            Request::Balance(name) => Ok(book.balance(&name)?.to_string()),
            Request::Total => {
                let (count, sum) = book.total()?;
                Ok(format!("{count} {sum}"))
            }
        }
    }

    /// What cannot be published now stays in the book, and is when Redis has come back.
    fn publish(&mut self, net: &mut Net) {
        let Some(feed) = &mut self.feed else { return };
        let caught_up = match (self.book.get(), feed.get()) {
            (Ok(book), Ok(feed)) => feed.catch_up(book),
            (Err(why), _) | (_, Err(why)) => Err(why),
        };
        match caught_up {
            Ok(false) => {}
            Ok(true) => net.defer(PUBLISH),
            Err(why) => {
                log::warn!("{why}");
                drop(feed.take()); // half of an answer may be in it
                net.set_alarm(RETRY, RETRY_AFTER);
            }
        }
    }

    fn close_book(&mut self) -> Result {
        self.book.take().map_or(Ok(()), Book::close)
    }
}

impl Service for Ledger {
    type Session = ();

    fn on_open(&mut self, _conn: &mut Connection<'_>, _origin: Origin) -> Result {
        Ok(())
    }

    fn on_data(&mut self, conn: &mut Connection<'_>, _: &mut (), input: &[u8]) -> Result<usize> {
        let Some((line, taken)) = codec::line(input, LINE)? else { return Ok(0) };
        let text = match self.answer(conn.net, line) {
            Ok(text) => format!("ok {text}\n"),
            Err(why) => format!("error: {why}\n"),
        };
        conn.send(text.as_bytes());
        Ok(taken)
    }

    fn on_deferred(&mut self, net: &mut Net, _key: Deferred) {
        self.publish(net);
    }

    fn on_alarm(&mut self, net: &mut Net, _key: Alarm) {
        self.publish(net);
    }

    /// Whoever was here before may have been killed between the book and the feed.
    fn on_start(&mut self, net: &mut Net, _start: Start) {
        self.publish(net);
    }

    /// A book that cannot be closed is no book to be copied: the error refuses the fork.
    fn before_fork(&mut self, _net: &mut Net) -> Result {
        self.close_book()
    }

    /// It serves on. If this fails, the next client's request tries again, and says so.
    fn after_fork_in_parent(&mut self, _net: &mut Net) {
        if let Err(why) = self.book.get() {
            log::error!("{why}");
        }
    }

    /// Here a failure ends the restart, and nobody has noticed.
    fn after_fork_in_child(&mut self, _net: &mut Net) -> Result {
        self.book.get().map(drop)
    }

    /// There is nothing to remember about a connection, so it can go to another program.
    fn export(&self, _session: &()) -> Option<Vec<u8>> {
        Some(Vec::new())
    }

    fn import(&mut self, _conn: &mut Connection<'_>, _saved: &[u8]) -> Result {
        Ok(())
    }

    fn on_end(&mut self, _net: &mut Net) {
        if let Err(why) = self.close_book() {
            log::error!("{why}");
        }
    }
}

fn main() -> ExitCode {
    let file = PathBuf::from(env::var_os("LEDGER_FILE").unwrap_or_else(|| "ledger.db".into()));
    let mut ledger = Ledger::new(file.clone(), env::var("LEDGER_REDIS").ok());
    // So that a program that cannot open it is none to restart into.
    let opened = ledger.book.get().map(drop).and_then(|()| Ok(fs::canonicalize(file)?));
    let file = match opened {
        Ok(file) => file.display().to_string(),
        Err(why) => {
            eprintln!("ledger: {why}");
            return ExitCode::from(2); // as with a wrong command line
        }
    };
    let defaults = common::Defaults {
        listen: "127.0.0.1:7786",
        moves: false,
        alone: Some("the account book has one writer, so one process serves"),
    };
    common::serve(defaults, ledger, |server| {
        // `heirloom check` looks while they are open. Before a fork `before_fork` has closed them.
        let files = ["", "-wal", "-shm"].map(|end| format!("{file}{end}"));
        files.into_iter().fold(server, |server, name| server.shares(name))
    })
}
