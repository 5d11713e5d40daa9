//! What an operator has asked that other generations have a part in.

/// What is answered with what other generations say of themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::turn) enum Question {
    Status,
    Metrics,
}
