//! The demo's protocol, spoken by a load client. Knows nothing of generations.

use std::time::Instant;

use crate::{
    load::{Client, Failure},
    proof::{self, Answer},
};

pub fn ask(client: &mut Client, nonce: u64, until: Instant) -> Result<(), Failure> {
    client.ask(proof::request(nonce).as_bytes(), until)
}

/// Reads the answer to `nonce` and compares it byte by byte.
pub fn hear(client: &mut Client, nonce: u64, until: Instant) -> Result<Answer, Failure> {
    let line = client.line(2 * proof::MAX_LENGTH, until)?;
    let answer = proof::check_answer(line, nonce).map_err(Failure::wrong)?;
    client.home = Some(answer.pid);
    Ok(answer)
}
