//! Echo: every byte that arrives goes straight back.
//!
//! ```sh
//! cargo run --release --example echo             # then, elsewhere:
//! nc 127.0.0.1 7777                              # a line comes back
//! pkill -HUP -x -o echo                          # a new generation; your session never notices
//! ```

#[path = "../common/mod.rs"]
mod common;

use heirloom::{Io, Origin, Result, Service};
use std::process::ExitCode;

/// Echo shares nothing between its connections, so it has no fields.
struct Echo;

impl Service for Echo {
    /// And it remembers nothing about any of them.
    type Session = ();

    fn on_open(&mut self, _io: &mut Io<'_>, _origin: Origin) -> Result<()> {
        Ok(())
    }

    /// Takes all of `input`, whatever it is: echo knows no message boundaries.
    fn on_data(&mut self, io: &mut Io<'_>, _session: &mut (), input: &[u8]) -> Result<usize> {
        io.send(input);
        Ok(input.len())
    }
}

fn main() -> ExitCode {
    common::serve("127.0.0.1:7777", Echo, |server| server)
}
