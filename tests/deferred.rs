//! Work in pieces: it never blocks a turn, each piece is done once, by the process that deferred it.

use std::{cell::RefCell, collections::BTreeMap, rc::Rc, time::Duration};

use crate::common::{journal::Journaled, restart::Engine, wait_gone};
use heirloom::{Connection, Deferred, Net, Origin, Result, Service, Start, testing::Harness};

for_both_engines!(a_job_is_finished_by_the_process_that_began_it_and_by_no_other,);

fn a_job_is_finished_by_the_process_that_began_it_and_by_no_other(engine: Engine) {
    let lab = Journaled::with(50, |setup| setup);
    let old = lab.lab.pid();
    let mut client = lab.lab.connect();
    client.ask("job 300 5");
    lab.wait("piece 0 290", 1);
    lab.lab.restart_by(engine);
    drop(client);
    // It has no connection and no hold, and stays for its work.
    wait_gone(old);
    let pieces = lab.entries();
    assert_eq!(pieces.len(), 300);
    assert!(pieces.iter().all(|piece| piece.pid == old), "another process has worked on it");
    let left: Vec<_> = (0..300).rev().map(|left| format!("piece 0 {left}")).collect();
    assert!(pieces.iter().map(|piece| &piece.what).eq(&left), "not once each, in order");
}

/// A thousand pieces of two milliseconds; who asks in between waits for one or two of them.
#[test]
fn clients_are_served_between_the_pieces() {
    let lab = Journaled::with(50, |setup| setup);
    let mut worker = lab.lab.connect();
    let mut client = lab.lab.connect();
    worker.ask("job 1000 2");
    for n in 0..50 {
        let before = client.stat("pieces");
        assert_eq!(client.ask(&format!("echo {n}")), n.to_string());
        let passed = client.stat("pieces") - before;
        assert!(passed <= 20, "{passed} pieces while a client asked twice");
    }
    assert!(client.stat("pieces") < 1000, "it was over before: too slow a test");
}

/// Does so many pieces of each job, and writes down in which turn.
#[derive(Default)]
struct Worker {
    left: BTreeMap<u64, u32>,
    done: Rc<RefCell<Vec<(u64, u64)>>>,
}

impl Service for Worker {
    type Session = ();

    fn on_open(&mut self, conn: &mut Connection<'_>, _origin: Origin) -> Result {
        conn.send(b"welcome");
        Ok(())
    }

    fn on_data(&mut self, conn: &mut Connection<'_>, _: &mut (), input: &[u8]) -> Result<usize> {
        for &key in input {
            conn.net.defer(Deferred(u64::from(key - b'0')));
        }
        conn.send(b"later");
        Ok(input.len())
    }

    fn on_start(&mut self, net: &mut Net, _start: Start) {
        self.left.keys().for_each(|&key| net.defer(Deferred(key)));
    }

    fn on_deferred(&mut self, net: &mut Net, Deferred(key): Deferred) {
        self.done.borrow_mut().push((key, net.stats().turns));
        if let Some(left) = self.left.get_mut(&key)
            && *left > 1
        {
            *left -= 1;
            net.defer(Deferred(key));
        }
    }
}

#[test]
fn one_piece_is_done_in_a_turn_and_jobs_advance_side_by_side() {
    let worker = Worker { left: BTreeMap::from([(1, 3), (2, 2)]), ..Worker::default() };
    let done = Rc::clone(&worker.done);
    let _harness = Harness::new(worker);
    let (keys, turns): (Vec<_>, Vec<_>) = done.borrow().iter().copied().unzip();
    assert_eq!(keys, [1, 2, 1, 2, 1]);
    assert!(turns.windows(2).all(|pair| pair[0] + 1 == pair[1]), "{turns:?}");
}

#[test]
fn a_key_that_is_deferred_twice_comes_twice() {
    let mut harness = Harness::new(Worker::default());
    let done = Rc::clone(&harness.service().done);
    let peer = harness.connect();
    harness.feed(peer, b"3343");
    let keys: Vec<_> = done.borrow().iter().map(|&(key, _)| key).collect();
    assert_eq!(keys, [3, 3, 4, 3]);
    harness.advance(Duration::from_secs(1));
    assert_eq!(done.borrow().len(), 4);
}
