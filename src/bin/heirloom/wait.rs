//! `heirloom wait`: until a restart or a drain is over. The server says when, so nothing is asked twice, but for this: who is
//! asked may be replaced, and then the next one is.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use crate::{
    ask::{Patience, ask_again},
    failure::{Failure, Kind},
};

/// Waits until `generation` or a later one serves, or, without one, until nobody drains and no restart is under way.
///
/// # Errors
/// `Late` when that takes longer than `limit`; `Gone` when no server is there, or none any more.
pub fn wait(
    control: &Path,
    silence: Option<Duration>,
    limit: Option<Duration>,
    generation: Option<u64>,
) -> Result<Vec<String>, Failure> {
    let until = limit.and_then(|limit| Instant::now().checked_add(limit));
    let request = generation.map_or("wait".to_owned(), |number| format!("wait {number}"));
    let answer = ask_again(control, Patience { silence, until }, &request, usize::MAX);
    answer.map_err(|failure| match failure.kind {
        Kind::Nobody => Failure::new(Kind::Gone, failure.why),
        _ => failure,
    })
}
