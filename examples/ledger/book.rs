//! The book: accounts and postings in a file of SQLite. Knows neither clients nor restarts.
//!
//! Several processes may have it open, each with a handle of its own: SQLite locks the file against the others, and
//! who finds it locked waits (`busy_timeout`). What may not be is a handle that two processes have, made before a
//! fork: see [How To Corrupt An SQLite Database File](https://www.sqlite.org/howtocorrupt.html), 2.6.

use std::{path::Path, time::Duration};

use heirloom::Result;
use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};

use super::request::Posting;

/// How long a statement waits for another process's transaction. The loop waits with it; a transaction is one posting.
const PATIENCE: Duration = Duration::from_secs(5);

/// `seq` has no gap that could be filled later: who writes has the file alone, so the order is that of the commits.
const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS accounts (name TEXT PRIMARY KEY, balance INTEGER NOT NULL) STRICT;
    CREATE TABLE IF NOT EXISTS postings (
        seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE,
        source TEXT NOT NULL, target TEXT NOT NULL, amount INTEGER NOT NULL
    ) STRICT;
";

const NOTE: &str = "INSERT INTO postings (id, source, target, amount) VALUES (?1, ?2, ?3, ?4)";

const ADD: &str = "INSERT INTO accounts VALUES (?1, ?2)
    ON CONFLICT (name) DO UPDATE SET balance = balance + excluded.balance";

pub struct Book(Connection);

impl Book {
    /// Opens it, or makes it.
    pub fn open(path: &Path) -> Result<Book> {
        let open = || {
            let connection = Connection::open(path)?;
            connection.busy_timeout(PATIENCE)?;
            connection.pragma_update(None, "journal_mode", "WAL")?;
            connection.pragma_update(None, "synchronous", "FULL")?; // `ok` outlives a loss of power
            connection.pragma_update(None, "temp_store", "MEMORY")?;
            connection.execute_batch(TABLES)?;
            Ok(connection)
        };
        open().map(Book).map_err(|e| failed(&e))
    }

    /// Who closes it last puts the journal into the file, and removes it.
    pub fn close(self) -> Result {
        self.0.close().map_err(|(_, e)| failed(&e))
    }

    /// Answers what `target` has then. A posting whose id is known has been made before, and is not made again: so a
    /// client that has got no answer can ask once more.
    pub fn post(&mut self, posting: &Posting) -> Result<i64> {
        match self.made(&posting.id)? {
            Some(known) if known == *posting => {}
            Some(_) => return Err("this id has another posting".into()),
            None => self.make(posting).map_err(|e| failed(&e))?,
        }
        self.balance(&posting.target)
    }

    fn made(&self, id: &str) -> Result<Option<Posting>> {
        let sql = "SELECT id, source, target, amount FROM postings WHERE id = ?1";
        let found = self.0.prepare_cached(sql).and_then(|mut statement| {
            statement.query_row([id], |row| Posting::from_row(row, 0)).optional()
        });
        found.map_err(|e| failed(&e))
    }

    /// One transaction, which is in the file when this returns.
    fn make(&mut self, posting: &Posting) -> rusqlite::Result<()> {
        let Posting { id, source, target, amount } = posting;
        let transaction = self.0.transaction_with_behavior(TransactionBehavior::Immediate)?;
        transaction.prepare_cached(NOTE)?.execute(params![id, source, target, amount])?;
        transaction.prepare_cached(ADD)?.execute(params![source, -amount])?;
        transaction.prepare_cached(ADD)?.execute(params![target, amount])?;
        transaction.commit()
    }

    pub fn balance(&self, name: &str) -> Result<i64> {
        let sql = "SELECT balance FROM accounts WHERE name = ?1";
        let found = self
            .0
            .prepare_cached(sql)
            .and_then(|mut statement| statement.query_row([name], |row| row.get(0)).optional());
        Ok(found.map_err(|e| failed(&e))?.unwrap_or(0))
    }

    /// How many postings there are, and the sum of their amounts.
    pub fn total(&self) -> Result<(i64, i64)> {
        let sql = "SELECT count(*), ifnull(sum(amount), 0) FROM postings";
        self.0.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?))).map_err(|e| failed(&e))
    }

    /// The postings after number `seq`, `most` at most, each with its number.
    pub fn after(&self, seq: u64, most: u32) -> Result<Vec<(u64, Posting)>> {
        let sql = "SELECT seq, id, source, target, amount FROM postings
            WHERE seq > ?1 ORDER BY seq LIMIT ?2";
        let read = || {
            let mut statement = self.0.prepare_cached(sql)?;
            let rows = statement.query_map(params![seq as i64, most], |row| {
                Ok((row.get::<_, i64>(0)? as u64, Posting::from_row(row, 1)?))
            })?;
            rows.collect::<rusqlite::Result<Vec<_>>>()
        };
        read().map_err(|e| failed(&e))
    }
}

impl Posting {
    /// Its four columns, from number `first` on.
    fn from_row(row: &rusqlite::Row<'_>, first: usize) -> rusqlite::Result<Posting> {
        Ok(Posting {
            id: row.get(first)?,
            source: row.get(first + 1)?,
            target: row.get(first + 2)?,
            amount: row.get(first + 3)?,
        })
    }
}

fn failed(e: &rusqlite::Error) -> heirloom::Error {
    format!("the book: {e}").into()
}
