//! What the lab's settings say about coming and going: how a generation drains, how many there may
//! be, and how it dials. Knows no request.

use heirloom::{Drain, Server};

use crate::{Lab, millis, setting};

pub fn tune(mut server: Server<Lab>) -> Server<Lab> {
    if let Some(how) = drain("DRAIN") {
        server = server.drain_on_restart(how);
    }
    if let Some(how) = drain("STOP").or_else(|| drain("DRAIN")) {
        server = server.drain_on_stop(how);
    }
    if let Some(count) = setting("PER_DESTINATION") {
        server = server.max_per_destination(count);
    }
    if let Some(limit) = millis("DIAL") {
        server = server.dial_timeout(limit);
    }
    if let Some(count) = setting("GENERATIONS") {
        server = server.max_generations(count);
    }
    if let Some(limit) = millis("DISMISS") {
        server = server.dismiss_oldest(limit);
    }
    server
}

/// A deadline, and the window of `NAME_SPREAD`.
fn drain(name: &str) -> Option<Drain> {
    let spread = millis(&format!("{name}_SPREAD")).unwrap_or_default();
    millis(name).map(|limit| Drain::deadline(limit).spread(spread))
}
