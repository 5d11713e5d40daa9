//! `heirloom wait`: until a restart or a drain is over. The server says when, so nothing is asked twice, but for this: who is
//! asked may be replaced, and then the next one is.

use std::{
    path::Path,
    thread,
    time::{Duration, Instant},
};

use crate::{
    ask::{Patience, ask},
    failure::{Failure, Kind},
};

/// Who lets nobody wait is asked no more often than this.
const AGAIN: Duration = Duration::from_millis(20);

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
    loop {
        let begun = Instant::now();
        match ask(control, Patience { silence, until }, &request) {
            Err(Failure { kind: Kind::CutOff, .. }) => {}
            Err(Failure { kind: Kind::Nobody, why }) => return Err(Failure::new(Kind::Gone, why)),
            answer => return answer,
        }
        thread::sleep(AGAIN.saturating_sub(begun.elapsed()));
    }
}
