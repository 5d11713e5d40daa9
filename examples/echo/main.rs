//! Echo: every byte that arrives goes straight back.
//!
//! ```sh
//! cargo run --release --example echo -- --move --pid-file /tmp/echo.pid    # then, elsewhere:
//! nc 127.0.0.1 7777                              # a line comes back
//! kill -HUP $(cat /tmp/echo.pid)                 # a new generation; your session goes along
//! cargo run --release --features tls --example echo -- --tls-self-signed   # then: openssl s_client localhost:7777
//! ```

#[path = "../common/mod.rs"]
mod common;

use heirloom::{Connection, Net, Origin, Result, Service};
use std::process::ExitCode;

/// Echo shares nothing between its connections, so it has no fields.
struct Echo;

impl Service for Echo {
    /// And it remembers nothing about any of them.
    type Session = ();

    fn on_open(&mut self, _conn: &mut Connection<'_>, _origin: Origin) -> Result<()> {
        Ok(())
    }

    /// Takes all of `input`, whatever it is: echo knows no message boundaries.
    fn on_data(
        &mut self,
        conn: &mut Connection<'_>,
        _session: &mut (),
        input: &[u8],
    ) -> Result<usize> {
        conn.send(input);
        Ok(input.len())
    }

    /// Nothing has to be told to the next program, but it may have the connection.
    fn export(&self, _session: &()) -> Option<Vec<u8>> {
        Some(Vec::new())
    }

    fn import(&mut self, _conn: &mut Connection<'_>, _saved: &[u8]) -> Result<()> {
        Ok(())
    }

    /// A certificate that was renewed is shown from here on.
    fn after_fork_in_child(&mut self, net: &mut Net) -> Result<()> {
        common::tls::renew(net)
    }
}

fn main() -> ExitCode {
    let defaults = common::Defaults { listen: "127.0.0.1:7777", moves: false, alone: None };
    common::serve(defaults, Echo, |server| server)
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
