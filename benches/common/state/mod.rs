//! Servers that hold so many keys and are replaced while a client asks for one of them each millisecond: what
//! `handover -- --state` and `peers` measure in the same way. A key has 10 bytes, what it holds 100.

pub mod asker;
pub mod client;
pub mod costs;
pub mod kv;
#[path = "../../../examples/common/ledger.rs"]
#[cfg_attr(test, allow(unused))] // its tests are run by tests/state_load.rs
pub mod ledger;
pub mod memory;
pub mod rivals;
pub mod writer;

use std::time::Duration;

use ledger::{Exchange, Ledger};

/// The first key that nobody writes while servers are replaced: the one that is asked for.
const ASKED: u64 = 900_000_000;

/// The keys of a server, and what has to come when the one is asked for that stays as it is.
pub fn keys(count: usize) -> (Ledger, Ledger) {
    (Ledger::new(0, count, 1000), Ledger::new(ASKED, 1, 0))
}

/// Numbers of keys, as a flag has them: `100000,1000000`.
pub fn sizes(list: &str) -> Result<Vec<usize>, String> {
    let sizes = list.split(',').map(str::parse).collect::<Result<_, _>>();
    sizes.map_err(|e| format!("--keys {list}: {e}"))
}

/// To ask for the only key of a ledger.
pub fn question(asked: &Ledger) -> Exchange {
    asked.read_all(0..1)
}

pub fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

pub fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / (1 << 20) as f64
}

pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len().saturating_sub(1) / 2).copied().unwrap_or(f64::NAN)
}

/// The median, and from the lowest to the highest.
pub fn spread(values: &[f64]) -> String {
    let low = values.iter().copied().fold(f64::INFINITY, f64::min);
    let high = values.iter().copied().fold(0.0, f64::max);
    match values {
        [] => "-".to_owned(),
        [one] => format!("**{one:.1}**"),
        _ => format!("**{:.1}** ({low:.1}–{high:.1})", median(values.to_vec())),
    }
}
