//! What a forked child inherits and does not use: the memory of its parent's connections. It is
//! given back in pieces, after the child serves, since each free may copy a page.

use crate::{
    limits::FREE_PIECE,
    net::{ConnState, Slots},
};

/// Connections and sessions of the parent, in the child. Their descriptors are closed already.
pub(in crate::turn) struct Inherited<T> {
    conns: std::vec::IntoIter<Option<ConnState>>,
    sessions: std::vec::IntoIter<Option<T>>,
}

impl<T> Inherited<T> {
    pub fn new(conns: Slots, sessions: Vec<Option<T>>) -> Inherited<T> {
        Inherited { conns: conns.into_slots(), sessions: sessions.into_iter() }
    }

    /// Gives a piece of it back. `false` when nothing is left but the two tables, which go with it.
    pub fn free_piece(&mut self) -> bool {
        self.forget_streams(FREE_PIECE) | (self.sessions.by_ref().take(FREE_PIECE).count() > 0)
    }

    /// A stream that is dropped closes its number, which is somebody else's by now.
    fn forget_streams(&mut self, count: usize) -> bool {
        let left = self.conns.len();
        self.conns.by_ref().take(count).flatten().for_each(|conn| conn.stream.forget());
        left > 0
    }
}

/// Also of one that goes before its time, such as at a restart that comes soon after the last.
impl<T> Drop for Inherited<T> {
    fn drop(&mut self) {
        self.forget_streams(usize::MAX);
    }
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        net::{TcpListener, TcpStream},
        rc::Rc,
        time::Instant,
    };

    use super::*;
    use crate::net::{Net, Peer, Phase, Stream};

    /// Twice as many connections as a piece, and their sessions.
    fn inherited(session: &Rc<()>) -> (Inherited<Rc<()>>, i32) {
        let mut net = Net::new(None, Instant::now());
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let stream = TcpStream::connect(listener.local_addr().unwrap()).expect("it listens");
        let stream = Stream::adopt(stream.into(), Peer::Unknown).expect("TCP");
        let fd = stream.raw_fd().expect("a socket");
        net.insert(stream, Peer::Unknown, Phase::Open).expect("nothing is registered");
        let sessions = vec![Some(Rc::clone(session)); 2 * FREE_PIECE];
        (Inherited::new(std::mem::take(&mut net.conns), sessions), fd)
    }

    fn is_open(fd: i32) -> bool {
        fs::symlink_metadata(format!("/proc/self/fd/{fd}")).is_ok()
    }

    #[test]
    fn a_piece_at_a_time_is_given_back_and_no_number_is_closed() {
        let session = Rc::new(());
        let (mut inherited, fd) = inherited(&session);
        assert!(inherited.free_piece());
        assert_eq!(Rc::strong_count(&session) - 1, FREE_PIECE);
        assert!(inherited.free_piece() && !inherited.free_piece());
        drop(inherited);
        assert_eq!(Rc::strong_count(&session), 1);
        assert!(is_open(fd));
    }

    #[test]
    fn what_goes_before_its_time_closes_no_number_either() {
        let session = Rc::new(());
        let (inherited, fd) = inherited(&session);
        drop(inherited);
        assert_eq!(Rc::strong_count(&session), 1);
        assert!(is_open(fd));
    }
}
