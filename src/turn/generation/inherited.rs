//! What this process has in memory of connections that are another one's: in a forked child those that stay
//! with its parent, in an old process those that have moved. It is given back in pieces, since each free may
//! copy a page.

use std::mem;

use crate::{
    limits::FREE_PIECE,
    net::{ConnState, Slots},
};

/// Connections of another process, and their sessions. Their descriptors are closed already.
pub(in crate::turn) struct Inherited<T> {
    conns: std::vec::IntoIter<Option<ConnState>>,
    sessions: std::vec::IntoIter<Option<T>>,
    /// By fork: the other process has the very same sessions, and what their destructors say is its to say.
    shared: bool,
}

impl<T> Inherited<T> {
    /// Of a fork: the other process has the same.
    pub fn shared(conns: Slots, sessions: Vec<Option<T>>) -> Inherited<T> {
        Inherited { conns: conns.into_slots(), sessions: sessions.into_iter(), shared: true }
    }

    /// Sessions that a new program has made of what was written down: these are this process's own.
    pub fn own(sessions: Vec<Option<T>>) -> Inherited<T> {
        let conns = Slots::default().into_slots();
        Inherited { conns, sessions: sessions.into_iter(), shared: false }
    }

    pub fn is_shared(&self) -> bool {
        self.shared
    }

    /// Gives a piece of it back, the sessions to `give_back`. `false` when nothing is left but the two tables,
    /// which go with it.
    pub fn free_piece(&mut self, give_back: impl FnMut(T)) -> bool {
        let left = self.forget_streams(FREE_PIECE);
        let sessions = self.sessions.by_ref().take(FREE_PIECE);
        let mut count = 0;
        sessions.inspect(|_| count += 1).flatten().for_each(give_back);
        left | (count > 0)
    }

    /// A stream that is dropped closes its number, which is somebody else's by now.
    fn forget_streams(&mut self, count: usize) -> bool {
        let left = self.conns.len();
        self.conns.by_ref().take(count).flatten().for_each(|conn| conn.stream.forget());
        left > 0
    }
}

/// Also of one that goes before its time, such as after a panic in the middle of a piece.
impl<T> Drop for Inherited<T> {
    fn drop(&mut self) {
        self.forget_streams(usize::MAX);
        if self.shared {
            self.sessions.by_ref().for_each(mem::forget);
        }
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

    /// Twice as many sessions as a piece.
    fn sessions(session: &Rc<()>) -> Vec<Option<Rc<()>>> {
        vec![Some(Rc::clone(session)); 2 * FREE_PIECE]
    }

    /// And a connection.
    fn inherited(session: &Rc<()>) -> (Inherited<Rc<()>>, i32) {
        let mut net = Net::new(None, Instant::now());
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let stream = TcpStream::connect(listener.local_addr().unwrap()).expect("it listens");
        let stream = Stream::adopt(stream.into(), Peer::Unknown).expect("TCP");
        let fd = stream.raw_fd().expect("a socket");
        net.insert(stream, Peer::Unknown, Phase::Open).expect("nothing is registered");
        (Inherited::shared(mem::take(&mut net.conns), sessions(session)), fd)
    }

    fn is_open(fd: i32) -> bool {
        fs::symlink_metadata(format!("/proc/self/fd/{fd}")).is_ok()
    }

    #[test]
    fn a_piece_at_a_time_is_given_back_and_no_number_is_closed() {
        let session = Rc::new(());
        let (mut inherited, fd) = inherited(&session);
        assert!(inherited.free_piece(drop));
        assert_eq!(Rc::strong_count(&session) - 1, FREE_PIECE);
        assert!(inherited.free_piece(drop) && !inherited.free_piece(drop));
        drop(inherited);
        assert_eq!(Rc::strong_count(&session), 1);
        assert!(is_open(fd));
    }

    #[test]
    fn what_goes_before_its_time_closes_no_number_and_runs_no_destructor() {
        let session = Rc::new(());
        let (mut inherited, fd) = inherited(&session);
        assert!(inherited.free_piece(mem::forget));
        drop(inherited);
        assert_eq!(Rc::strong_count(&session) - 1, 2 * FREE_PIECE);
        assert!(is_open(fd));
    }

    #[test]
    fn what_is_this_process_s_own_is_dropped() {
        let session = Rc::new(());
        drop(Inherited::own(sessions(&session)));
        assert_eq!(Rc::strong_count(&session), 1);
    }
}
