//! What the server knows of its connections and of itself, and how both are written down for the next
//! program. Pure: knows no socket.

use std::io::{BufRead, Write};

use heirloom::{Error, Move, Result};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// What one connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Session {
    /// A browser's, for requests.
    Page,
    /// A browser's event stream. It gets what comes, and is asked nothing.
    Stream,
    /// A demo client. This process may be leaving, and has a word for it.
    Client {
        #[serde(skip)]
        leaving: bool,
    },
    /// To the observer, which says what the page shows.
    Feed,
}

/// What a restart takes along beside the connections and the table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct State {
    /// Of the event that was sent last.
    pub sequence: u64,
    /// Whether demo clients go along with the next restart.
    pub clients_move: bool,
    /// The next new generation is to fail.
    pub doomed: bool,
}

impl Session {
    /// With a new generation that will die, nobody goes: who did would die with it. The page's own
    /// connections go always.
    pub fn moves(self, state: &State) -> Move {
        let stays = state.doomed || matches!(self, Session::Client { .. }) && !state.clients_move;
        if stays { Move::Stay } else { Move::Yes }
    }
}

/// One line, with more behind it that is not text.
pub fn write_line(state: &State, out: &mut dyn Write) -> Result {
    out.write_all(&write(state)?)?;
    out.write_all(b"\n")?;
    Ok(())
}

pub fn read_line(saved: &mut dyn BufRead) -> Result<State> {
    let mut line = Vec::new();
    saved.read_until(b'\n', &mut line)?;
    read(&line)
}

/// As text that names its fields: one more or one less is no other format.
pub fn write(value: &impl Serialize) -> Result<Vec<u8>> {
    serde_json::to_vec(value).map_err(Error::other)
}

pub fn read<T: DeserializeOwned>(saved: &[u8]) -> Result<T> {
    serde_json::from_slice(saved).map_err(Error::other)
}
