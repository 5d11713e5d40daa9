//! What balancers and other monitors are told is made of.

use std::time::Instant;

/// How the service stands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Standing {
    /// The service says that it can do its work.
    pub is_ready: bool,
    /// And what share of it, in percent.
    pub weight: u8,
    /// The service leaves at this time, and accepts until then.
    pub lame_duck: Option<Instant>,
}

impl Default for Standing {
    fn default() -> Standing {
        Standing { is_ready: true, weight: 100, lame_duck: None }
    }
}
