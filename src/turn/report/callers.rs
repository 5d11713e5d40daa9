//! Connections by listeners of the library's own: whose turn it is, and what holds of the service for those who ask how
//! it is. Operators are served in `control`, monitors in `monitor`; an agent check is one line, said at once.

use crate::{
    net::{Caller, ConnId, Connection, LeaveReason, Phase as ConnPhase, Reason},
    operate::health::Condition,
    restart::Phase,
    service::Service,
    turn::Turn,
};

impl<S: Service> Turn<S> {
    /// Somebody has come who is no client.
    pub(in crate::turn) fn open_caller(&mut self, id: ConnId) {
        match self.net.conns[id.slot()].flags.caller {
            Caller::Operator => self.open_control(id),
            Caller::Agent => {
                let line = self.condition().agent_line(self.net.standing.weight);
                Connection::new(&mut self.net, id).send(line.as_bytes());
                self.net.finish(id, Reason::Closed); // what it may have sent is thrown away
            }
            Caller::Monitor | Caller::Scraper | Caller::Client => {}
        }
    }

    /// There may be input of one.
    pub(in crate::turn) fn serve_caller(&mut self, id: ConnId) {
        match self.net.conns[id.slot()].flags.caller {
            Caller::Operator => self.serve_control(id),
            Caller::Monitor | Caller::Scraper => self.serve_monitor(id),
            Caller::Agent | Caller::Client => {}
        }
    }

    /// How the service is, not this process: one that was replaced says what its successor would.
    pub(super) fn condition(&self) -> Condition {
        let standing = &self.net.standing;
        match self.net.leaving() {
            Some(LeaveReason::Stop) => Condition::Draining,
            _ if standing.lame_duck.is_some() => Condition::LameDuck,
            _ if standing.is_ready => Condition::Ready,
            _ => Condition::NotReady,
        }
    }

    /// Whether this process, which was replaced and has nothing left, has let somebody in who is still to be answered: a
    /// request is on its way, or its time is over soon.
    pub(in crate::turn) fn owes_monitors(&self) -> bool {
        let is_waiting = |&id: &ConnId| {
            let conn = &self.net.conns[id.slot()];
            conn.flags.caller.is_monitor() && conn.phase == ConnPhase::Open
        };
        self.succession.phase == Phase::Retired
            && !self.net.is_hurried()
            && self.net.callers.iter().any(is_waiting)
    }
}
