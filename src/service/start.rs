//! How a process came to serve, as its service is told.

/// From when on this process serves, and what it found. Told to
/// [`on_start`](crate::Service::on_start).
///
/// ```
/// use heirloom::{ConnId, Net, Start};
///
/// fn on_start(guests: &mut Vec<ConnId>, net: &mut Net, start: Start) {
///     if start == Start::Forked {
///         guests.retain(|&guest| net.get(guest).is_some()); // some have stayed with the old process
///     }
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Start {
    /// The program was started by hand, or by its supervisor, at first or after a crash: there is nobody
    /// to take anything over from.
    Fresh,
    /// This process is the child of the old one and has its whole heap. `self` is as it was at the
    /// fork. Connections that did not move are not here, so ids of them that `self` holds lead nowhere
    /// now; [`Net::get`](crate::Net::get) tells.
    Forked,
    /// A new program, with the old one's listeners, and what was saved and imported.
    Upgraded,
    /// The new side has died, or was rolled back, after this process had stopped accepting: it serves
    /// again. What was handed back is loaded and imported by now.
    Resumed,
}
