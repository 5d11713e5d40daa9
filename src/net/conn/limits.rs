//! What connections may use: what an author says, or the defaults. Plain values.

use std::time::Duration;

use crate::limits::{CONTROL_CONNECTIONS, CONTROL_LINE, CONTROL_OUTPUT, DIAL_TIMEOUT};

/// What one connection may use, with the defaults of the builder. How long it may take is in
/// [`Timeouts`](crate::Timeouts).
#[derive(Clone, Debug)]
pub(crate) struct Limits {
    /// A dialed connection must be established within this time.
    pub dial: Duration,
    /// Connections to one destination at a time.
    pub per_destination: usize,
    /// Connections at a time.
    pub connections: usize,
    /// Input kept for one incomplete message.
    pub message: usize,
    /// Unsent output, the hard cap.
    pub output: usize,
}

impl Limits {
    const DEFAULT: Limits = Limits {
        dial: DIAL_TIMEOUT,
        per_destination: usize::MAX,
        connections: 1_000_000,
        message: 16 * 1024 * 1024,
        output: 16 * 1024 * 1024,
    };

    /// What the connection of an operator or a monitor may use, whatever an author allows clients.
    pub const CONTROL: Limits = Limits {
        connections: CONTROL_CONNECTIONS,
        message: CONTROL_LINE,
        output: CONTROL_OUTPUT,
        ..Limits::DEFAULT
    };
}

impl Default for Limits {
    fn default() -> Self {
        Limits::DEFAULT
    }
}
