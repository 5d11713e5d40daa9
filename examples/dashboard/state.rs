//! What the server knows of its connections and of itself, and how both are written down for the next
//! program. Pure: knows no socket.

use heirloom::{Move, Result};

/// What one connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Session {
    /// A browser's, for requests.
    Page,
    /// A browser's event stream. It gets what comes, and is asked nothing.
    Stream,
    /// A demo client. This process may be leaving, and has a word for it.
    Client { leaving: bool },
    /// To the observer, which says what the page shows.
    Feed,
}

/// What a restart takes along beside the connections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// Of the event that was sent last.
    pub sequence: u64,
    /// Whether demo clients go along with the next restart.
    pub clients_move: bool,
    /// The next new generation is to fail.
    pub doomed: bool,
}

const UNKNOWN: &str = "not written by this program";

impl Session {
    /// With a new generation that will die, nobody goes: who did would die with it. The page's own
    /// connections go always.
    pub fn moves(self, state: &State) -> Move {
        let stays = state.doomed || matches!(self, Session::Client { .. }) && !state.clients_move;
        if stays { Move::Stay } else { Move::Yes }
    }

    pub fn write(self) -> Vec<u8> {
        let word: &[u8] = match self {
            Session::Page => b"page",
            Session::Stream => b"stream",
            Session::Client { .. } => b"client",
            Session::Feed => b"feed",
        };
        word.to_vec()
    }

    pub fn read(saved: &[u8]) -> Result<Session> {
        Ok(match saved {
            b"page" => Session::Page,
            b"stream" => Session::Stream,
            b"client" => Session::Client { leaving: false },
            b"feed" => Session::Feed,
            _ => return Err(UNKNOWN.into()),
        })
    }
}

impl State {
    pub fn write(&self) -> Vec<u8> {
        format!("{} {} {}", self.sequence, self.clients_move, self.doomed).into_bytes()
    }

    pub fn read(saved: &[u8]) -> Result<State> {
        let text = std::str::from_utf8(saved).map_err(|_| UNKNOWN)?;
        let mut words = text.split(' ');
        let mut next = || words.next().ok_or(UNKNOWN);
        Ok(State {
            sequence: next()?.parse().map_err(|_| UNKNOWN)?,
            clients_move: next()?.parse().map_err(|_| UNKNOWN)?,
            doomed: next()?.parse().map_err(|_| UNKNOWN)?,
        })
    }
}
