//! Whether a connection goes along with a restart, as the author says.

/// Whether a connection goes along with a restart: the answer of [`Service::on_move`](crate::Service::on_move).
///
/// ```
/// use heirloom::Move;
///
/// fn choose(is_encrypted: bool) -> Move {
///     if is_encrypted { Move::Stay } else { Move::Yes } // keys cannot be written down
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Move {
    /// It goes to the new process.
    Yes,
    /// It stays in the old one until it ends.
    Stay,
}
