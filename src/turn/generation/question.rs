//! What an operator has asked that other generations have a part in.

/// What is answered with what other generations say of themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::turn) enum Question {
    Status,
    Metrics,
    /// The same, by HTTP, perhaps without the text itself.
    #[cfg_attr(not(feature = "health"), expect(dead_code, reason = "nobody listens for it"))]
    Scrape {
        head_only: bool,
    },
}
