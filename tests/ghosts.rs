//! Ghosts: no event reaches the service for a connection that is over, and no closed descriptor wakes
//! the process.

use std::{cell::Cell, collections::BTreeSet, rc::Rc};

use crate::common::{Client, Server, stat, wait_for, while_stopped};
use heirloom::{ConnId, Connection, Net, Origin, Reason, Result, Service, Timer, testing::Harness};
use std::time::Duration;

#[test]
fn a_closed_descriptor_that_another_process_still_has_wakes_nobody() {
    let server = Server::of("lab").start();
    let mut control = server.connect();
    let mut clients: Vec<Client> = (0..20).map(|_| server.connect()).collect();
    clients.iter_mut().for_each(|client| drop(client.ask("who")));
    // As after a fork: the sockets outlive the server's close, and so would their registration.
    assert_eq!(control.ask("share"), "ok");
    clients.iter_mut().for_each(|client| client.send("abort\n"));
    wait_for("the aborts", || stat(&mut control, "closed") == 20);
    let before = stat(&mut control, "turns");
    for _ in 0..20 {
        // The kernel still takes these: the connections stand, by the copies.
        clients.iter_mut().for_each(|client| client.send("echo is anybody there?\n"));
    }
    let turns = stat(&mut control, "turns") - before;
    assert_eq!(stat(&mut control, "ghosts"), 0);
    assert!(turns <= 3, "{turns} turns for connections that are over");
}

#[test]
fn a_connection_killed_in_a_turn_gets_nothing_that_came_in_the_same_turn() {
    let server = Server::of("lab").start();
    for _ in 0..5 {
        let (mut killer, mut victim) = (server.connect(), server.connect());
        let id = victim.ask("id");
        killer.ask("who");
        while_stopped(server.pid(), || {
            killer.send(format!("kill {id}\n"));
            victim.send("echo too late\n");
        });
        // Reset or FIN, but no answer.
        assert!(
            victim.read_to_end().is_err_and(|e| e.kind() == std::io::ErrorKind::ConnectionReset)
        );
        assert_eq!(killer.ask("echo alive"), "alive");
    }
    let mut control = server.connect();
    assert_eq!(control.ask("closes").matches("aborted").count(), 5);
}

#[test]
fn an_idle_server_with_many_connections_does_not_turn() {
    let server = Server::of("lab").start();
    let mut clients: Vec<Client> = (0..200).map(|_| server.connect()).collect();
    clients.iter_mut().for_each(|client| drop(client.ask("who")));
    clients.drain(..100); // half of them end, each in its way
    let mut control = server.connect();
    wait_for("the ends", || stat(&mut control, "closed") == 100);
    let before = stat(&mut control, "turns");
    // An alarm is the one event of the next 300 ms.
    assert_eq!(control.ask("alarm 300"), "alarm");
    let turns = stat(&mut control, "turns") - before;
    assert!(turns <= 6, "{turns} turns while nothing happened");
}

/// Holds the promise about callbacks against every connection: none before `on_open`, none but
/// `on_close` after its end was decided, and that exactly once.
#[derive(Default)]
struct Strict {
    open: BTreeSet<ConnId>,
    over: BTreeSet<ConnId>,
    closed: BTreeSet<ConnId>,
    calls: Rc<Cell<usize>>,
}

impl Strict {
    fn check(&self, id: ConnId) {
        assert!(self.open.contains(&id) && !self.over.contains(&id), "{id} is not in service");
        self.calls.set(self.calls.get() + 1);
    }
}

impl Service for Strict {
    type Session = ConnId;

    fn on_open(&mut self, conn: &mut Connection<'_>, _origin: Origin) -> Result<ConnId> {
        assert!(self.open.insert(conn.id()), "opened twice");
        // Both are due in the same turn, and the first of them ends the connection.
        conn.set_timer(Timer(0), Duration::from_millis(10));
        conn.set_timer(Timer(1), Duration::from_millis(10));
        Ok(conn.id())
    }

    fn on_data(
        &mut self,
        conn: &mut Connection<'_>,
        own: &mut ConnId,
        input: &[u8],
    ) -> Result<usize> {
        self.check(conn.id());
        assert_eq!(*own, conn.id(), "another connection's session");
        if matches!(input[0], b'a' | b'c' | b'f') {
            self.over.insert(*own);
        }
        match input[0] {
            b'a' => conn.abort(),
            b'c' => conn.close(),
            b'f' => return Err("as told".into()),
            b'k' => {
                // Everyone else goes, in the middle of our callback.
                for id in conn.net.ids().into_iter().filter(|id| id != own) {
                    self.over.insert(id);
                    conn.other(id).unwrap().abort();
                }
            }
            _ => conn.send(input),
        }
        Ok(1)
    }

    fn on_eof(&mut self, conn: &mut Connection<'_>, _: &mut ConnId) -> Result {
        self.check(conn.id());
        self.over.insert(conn.id());
        conn.close();
        Ok(())
    }

    fn on_timer(&mut self, conn: &mut Connection<'_>, _: &mut ConnId, _timer: Timer) -> Result {
        self.check(conn.id());
        self.over.insert(conn.id());
        conn.abort();
        Ok(())
    }

    fn on_writable(&mut self, conn: &mut Connection<'_>, _: &mut ConnId) -> Result {
        self.check(conn.id());
        Ok(())
    }

    fn on_close(&mut self, net: &mut Net, id: ConnId, own: ConnId, _why: Reason) {
        assert_eq!(own, id);
        assert!(self.open.contains(&id), "never opened");
        assert!(net.get(id).is_none(), "still to be found");
        assert!(self.closed.insert(id), "closed twice");
    }
}

#[test]
fn after_its_end_a_connection_has_on_close_once_and_no_other_callback() {
    let mut harness = Harness::new(Strict::default());
    let calls = Rc::clone(&harness.service().calls);
    for ending in ["xa", "xc", "xf", "k", "xxax", "xcxx", "xfxx", "x"] {
        let peers: Vec<_> = (0..4).map(|_| harness.connect()).collect();
        harness.feed(peers[0], ending.as_bytes());
        harness.feed(peers[0], b"x"); // perhaps to a connection that is gone
        harness.feed(peers[1], b"x");
        harness.finish(peers[1]);
        harness.advance(Duration::from_millis(20)); // and the timers of those that are left
        let service = harness.service();
        assert_eq!(service.open, service.closed, "after {ending:?}");
    }
    assert!(calls.get() > 28, "{} calls", calls.get());
    assert!(harness.net().ids().is_empty());
}
