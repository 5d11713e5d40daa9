//! The requests about why a process leaves and whence it came; and what is said of it unasked. Knows no restart.
//!
//! - `id`: the number of the connection that asks.
//! - `whence`: how this process came to serve last, as `on_start` was told: `Forked moved 1 elsewhere 17 23`.

use heirloom::{ConnId, Connection, Leaving, Result, Start};

use crate::{own, say, settings};

/// What `on_start` was told.
#[derive(Default)]
pub struct Whence(String);

/// Without what is said beside it.
pub fn name(start: &Start) -> &'static str {
    match start {
        Start::Fresh => "Fresh",
        Start::Forked { .. } => "Forked",
        Start::Upgraded { .. } => "Upgraded",
        Start::Resumed { .. } => "Resumed",
        _ => "unknown",
    }
}

impl Whence {
    pub fn start(&mut self, start: &Start) {
        let mut text = name(start).to_owned();
        if let Start::Forked { moved, .. } | Start::Upgraded { moved } = start {
            text += &format!(" moved {moved}");
        }
        let mut elsewhere: Vec<_> = start.elsewhere().iter().map(|id| id.to_bits()).collect();
        elsewhere.sort_unstable();
        if !elsewhere.is_empty() {
            text += " elsewhere";
        }
        elsewhere.iter().for_each(|id| text += &format!(" {id}"));
        self.0 = text;
    }

    pub fn handle(&self, id: ConnId, verb: &str) -> Option<String> {
        match verb {
            "id" => Some(id.to_bits().to_string()),
            "whence" => Some(self.0.clone()),
            _ => None,
        }
    }
}

/// A connection is told that this process leaves. With `LAB_LEAVING=1` it says why, and how many milliseconds are
/// left; with `LAB_FAREWELL=1` it says goodbye, and closes.
pub fn drain(conn: &mut Connection<'_>, leaving: &Leaving) -> Result {
    own::note(&format!("on_drain({:?})", leaving.reason));
    if settings::setting::<u8>("LEAVING").is_some() {
        let left = leaving.within.map_or("for ever".to_owned(), |it| it.as_millis().to_string());
        say(conn, &format!("leaving {:?} {left}", leaving.reason));
    }
    if settings::setting::<u8>("FAREWELL").is_some() {
        say(conn, "farewell");
        conn.close();
    }
    Ok(())
}
