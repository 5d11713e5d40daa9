//! What happens in a conversation, as data.

use std::{fmt, time::Duration};

/// One thing that happens, or that is looked at. Peers by number.
#[derive(Clone, Debug)]
pub(super) enum Step {
    Connects(usize),
    Says(usize, Vec<u8>),
    Hears(usize, Hearing),
    /// Sends its FIN, and hears on.
    Finishes(usize),
    /// Closes, and hears nothing more.
    Leaves(usize),
    Resets(usize),
    /// The server is to have closed.
    Ends(usize),
    Passes(Duration),
    /// The service is to have dialed this, which answers.
    Dialed(usize, String),
    /// The service is to have dialed this, and gets no connection.
    Refused(String),
}

/// What a peer is to hear.
#[derive(Clone, Debug, Default)]
pub(super) struct Hearing {
    /// More than one may come in any order.
    pub pieces: Vec<Vec<u8>>,
    /// What may come instead where something was lost.
    pub instead: Vec<Vec<u8>>,
    /// Having heard it, one may rely on this.
    pub promises: Option<String>,
    /// If this was promised, nothing else will do.
    pub keeps: Option<String>,
}

impl Step {
    /// Whether it only looks at what has happened.
    pub fn observes(&self) -> bool {
        matches!(self, Step::Hears(..) | Step::Ends(_))
    }

    /// How many bytes it brings.
    pub fn bytes(&self) -> usize {
        if let Step::Says(_, bytes) = self { bytes.len() } else { 0 }
    }

    /// As a line of a transcript.
    pub fn describe(&self, names: &[String]) -> String {
        match self {
            Step::Connects(peer) => format!("{} connects", names[*peer]),
            Step::Says(peer, bytes) => format!("{} says {}", names[*peer], Quoted(bytes)),
            Step::Hears(peer, hearing) => format!("{} is to hear {hearing}", names[*peer]),
            Step::Finishes(peer) => format!("{} has said everything", names[*peer]),
            Step::Leaves(peer) => format!("{} closes", names[*peer]),
            Step::Resets(peer) => format!("{} resets", names[*peer]),
            Step::Ends(peer) => format!("{} is to have been closed", names[*peer]),
            Step::Passes(time) => format!("{time:?} pass"),
            Step::Dialed(peer, address) => {
                format!("{} answers at {address}, which is to be dialed", names[*peer])
            }
            Step::Refused(address) => format!("{address}, which is to be dialed, refuses"),
        }
    }
}

impl fmt::Display for Hearing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, piece) in self.pieces.iter().enumerate() {
            write!(f, "{}{}", if at > 0 { " and " } else { "" }, Quoted(piece))?;
        }
        Ok(())
    }
}

/// Makes equal what is different each time.
pub(super) type Normalise = fn(&[u8]) -> Vec<u8>;

/// Bytes as a string literal would have them.
pub(super) struct Quoted<'a>(pub &'a [u8]);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0.escape_ascii())
    }
}
