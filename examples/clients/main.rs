//! Clients of PostgreSQL and Redis in a server that is forked: each process has its own.
//!
//! ```sh
//! CLIENTS_POSTGRES='host=/run/postgresql user=postgres' CLIENTS_REDIS=redis://127.0.0.1 \
//!     cargo run --release --features postgres --example clients -- --pid-file /tmp/clients.pid    # then, elsewhere:
//! nc 127.0.0.1 7785                              # sql SELECT pg_backend_pid(), or: redis CLIENT ID
//! kill -HUP $(cat /tmp/clients.pid)              # a new generation, for which that is another number
//! ```
//!
//! Both clients block until they have their answer, and so does the loop: this is for a database that is
//! near, and for few questions. The `jobs` example talks with Redis as with any other peer, and waits for nobody.

#[path = "../common/mod.rs"]
mod common;

use std::{env, process::ExitCode};

use heirloom::{Connection, Net, Origin, PerProcess, Result, Service, codec};
use postgres::{NoTls, SimpleQueryMessage};

/// The longest question.
const LINE: usize = 64 * 1024;

/// A forked child has copies of what is in here, and uses none of them: it connects anew when it is asked.
struct Clients {
    postgres: PerProcess<postgres::Client>,
    redis: PerProcess<redis::Connection>,
}

impl Clients {
    fn new() -> Clients {
        Clients {
            postgres: PerProcess::new(|| {
                let address = address("CLIENTS_POSTGRES")?;
                Ok(postgres::Client::connect(&address, NoTls).map_err(|e| e.to_string())?)
            }),
            redis: PerProcess::new(|| {
                let client = redis::Client::open(address("CLIENTS_REDIS")?);
                let connected = client.and_then(|client| client.get_connection());
                Ok(connected.map_err(|e| e.to_string())?)
            }),
        }
    }

    /// The first column of the last row.
    fn ask_postgres(&mut self, question: &str) -> Result<String> {
        let messages = self.postgres.get()?.simple_query(question).map_err(|e| e.to_string())?;
        let last = messages.iter().rev().find_map(|message| match message {
            SimpleQueryMessage::Row(row) => Some(row.get(0).unwrap_or("null").to_owned()),
            _ => None,
        });
        Ok(last.unwrap_or_else(|| "ok".to_owned()))
    }

    fn ask_redis(&mut self, question: &str) -> Result<String> {
        let words: Vec<_> = question.split(' ').collect();
        let answer = redis::Cmd::new().arg(&words).query::<redis::Value>(self.redis.get()?);
        Ok(format!("{:?}", answer.map_err(|e| e.to_string())?))
    }

    fn ask(&mut self, line: &str) -> Result<String> {
        match line.split_once(' ') {
            Some(("sql", question)) => self.ask_postgres(question),
            Some(("redis", question)) => self.ask_redis(question),
            _ => Err("ask `sql ..` or `redis ..`".into()),
        }
    }
}

fn address(name: &str) -> Result<String> {
    env::var(name).map_err(|_| format!("{name} is not set").into())
}

impl Service for Clients {
    type Session = ();

    fn on_open(&mut self, _conn: &mut Connection<'_>, _origin: Origin) -> Result {
        Ok(())
    }

    fn on_data(&mut self, conn: &mut Connection<'_>, _: &mut (), input: &[u8]) -> Result<usize> {
        let Some((line, taken)) = codec::line(input, LINE)? else { return Ok(0) };
        let answer = self.ask(&String::from_utf8_lossy(line));
        let text = answer.unwrap_or_else(|why| format!("error: {why}"));
        conn.send(text.as_bytes());
        conn.send(b"\n");
        Ok(taken)
    }

    /// Generators of random numbers are copied as well. These clients have some of their own.
    fn after_fork_in_child(&mut self, _net: &mut Net) -> Result {
        fastrand::seed(heirloom::fresh_seed());
        rand::rng().reseed().map_err(|e| e.to_string().into())
    }
}

fn main() -> ExitCode {
    let defaults = common::Defaults { listen: "127.0.0.1:7785", moves: false, alone: None };
    common::serve(defaults, Clients::new(), |server| server)
}
