//! A forked child becomes a process of its own: it has the whole heap of its parent, and leaves to that what stays there.

use mio::Poll;

use crate::{
    error::Result,
    net::{ConnId, ConnState, Slots},
    restart::engine::fork::close_all,
    service::Service,
    turn::{Inboxes, Turn, generation::Inherited},
};

impl<S: Service> Turn<S> {
    /// What is the parent's is left to it; what is this one's is made anew, around an epoll set of its own.
    pub(super) fn part_from_parent(
        &mut self,
        generation: u64,
        poll: impl FnOnce() -> Result<Option<Poll>>,
    ) -> Result {
        // First what keeps a client from seeing its FIN: copies of connections that the parent keeps.
        let (moves, slots) = (self.net.frozen, self.net.conns.end());
        let mut conns = std::mem::take(&mut self.net.conns);
        let kept = self.leave_to_parent(&mut conns);
        // Then a kernel of its own: the old epoll set is the parent's, and is only closed.
        self.net.begin_anew(poll()?, generation, kept)?;
        self.inboxes = Inboxes::none(); // nobody can post there, or there would be no fork
        (self.net.frozen, self.net.shared) = (moves, moves);
        self.net.part(slots);
        self.net.stats.moved_in = self.net.connections() as u64;
        self.ready.clear();
        Ok(())
    }

    /// Of the parent's connections: closes those that stay with it, and answers the others.
    fn leave_to_parent(&mut self, conns: &mut Slots) -> Slots {
        let mut all = std::mem::take(conns);
        let sessions = self.net.sessions.table::<S::Session>();
        let stays = all.iter().map(|(_, conn)| conn).filter(|conn| !conn.flags.moves);
        let mut staying: Vec<ConnId> = stays.map(|conn| conn.id).collect();
        let (left, left_sessions) = if staying.len() == all.len() {
            (std::mem::take(&mut all), std::mem::take(sessions))
        } else {
            let session = |id: &ConnId| sessions.get_mut(id.slot()).and_then(Option::take);
            let left_sessions = staying.iter().map(session).collect();
            (staying.iter().map(|id| all.remove(id.slot())).collect::<Slots>(), left_sessions)
        };
        staying.retain(|id| left.get(id.slot()).is_some_and(ConnState::is_the_services));
        self.succession.stayed = staying;
        close_all(left.iter().filter_map(|(_, conn)| conn.stream.raw_fd()).collect());
        self.inherited.push(Inherited::shared(left, left_sessions));
        all
    }
}
