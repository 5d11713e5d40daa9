//! The feed: each posting, once and in order, as an entry of a stream of Redis. Knows nothing of restarts.
//!
//! The entry has the posting's number, and Redis takes no number that is not above the last one. So nobody has to
//! write down what has been published: the stream knows. Whoever publishes sends all that is in the book
//! behind the last entry that it knows of, one after the other. If another process was faster, the number is
//! refused, and all up to it are there. That holds between two generations, and after one that was killed.

use std::time::Duration;

use heirloom::Result;
use redis::{Cmd, Connection, RedisError};

use super::{book::Book, request::Posting};

pub const STREAM: &str = "ledger:postings";

/// Postings in one piece, when Redis was away for some time.
const PIECE: u32 = 64;

/// How long Redis may take. The loop waits with it.
const PATIENCE: Duration = Duration::from_secs(1);

pub struct Feed {
    connection: Connection,
    /// The stream has this number and all below it.
    last: u64,
}

impl Feed {
    pub fn connect(address: &str) -> Result<Feed> {
        let connect = || {
            let client = redis::Client::open(address)?;
            let mut connection = client.get_connection_with_timeout(PATIENCE)?;
            connection.set_read_timeout(Some(PATIENCE))?;
            connection.set_write_timeout(Some(PATIENCE))?;
            let newest = ["XREVRANGE", STREAM, "+", "-", "COUNT", "1"];
            let entries: Vec<(String, Vec<String>)> =
                Cmd::new().arg(&newest).query(&mut connection)?;
            Ok((connection, entries))
        };
        let (connection, entries) = connect().map_err(|e: RedisError| failed(&e))?;
        let last = match entries.first() {
            None => 0,
            Some((id, _)) => {
                let number = id.split('-').next().and_then(|number| number.parse().ok());
                number.ok_or_else(|| format!("the feed: {id:?} is no number of a posting"))?
            }
        };
        Ok(Feed { connection, last })
    }

    /// Publishes what is in the book and not in the stream. `true`: there is more.
    pub fn catch_up(&mut self, book: &Book) -> Result<bool> {
        let postings = book.after(self.last, PIECE)?;
        for (seq, posting) in &postings {
            self.publish(*seq, posting).map_err(|e| failed(&e))?;
            self.last = *seq;
        }
        Ok(postings.len() == PIECE as usize)
    }

    fn publish(&mut self, seq: u64, posting: &Posting) -> redis::RedisResult<()> {
        let mut command = Cmd::new();
        command.arg("XADD").arg(STREAM).arg(format!("{seq}-0")).arg("id").arg(&posting.id);
        command.arg("from").arg(&posting.source).arg("to").arg(&posting.target);
        match command.arg("amount").arg(posting.amount).query::<String>(&mut self.connection) {
            Err(e) if e.to_string().contains("equal or smaller than") => Ok(()), // it is there
            answer => answer.map(drop),
        }
    }
}

fn failed(e: &RedisError) -> heirloom::Error {
    format!("the feed: {e}").into()
}
