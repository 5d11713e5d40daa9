//! Timers of a connection and alarms of the service: set, set anew, taken back, and gone with what
//! they belong to.

use std::{
    cell::RefCell,
    rc::Rc,
    time::{Duration, Instant},
};

use crate::common::{Server, stat};
use heirloom::{Alarm, Connection, Net, Origin, Result, Service, Start, Timer, testing::Harness};

fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

#[test]
fn a_timer_comes_at_its_time_and_others_in_their_order() {
    let server = Server::of("lab").start();
    let mut client = server.connect();
    let begun = Instant::now();
    client.send("arm 300 4\narm 100 2\narm 200 3\n");
    for (number, at) in [(2, 100), (3, 200), (4, 300)] {
        assert_eq!(client.line(), format!("timer {number}"));
        assert!(begun.elapsed() >= ms(at), "timer {number} came after {:?}", begun.elapsed());
    }
}

#[test]
fn a_timer_that_is_armed_anew_comes_once_and_late() {
    let server = Server::of("lab").start();
    let mut client = server.connect();
    client.send("arm 50 7\n");
    client.ask("who");
    let begun = Instant::now();
    client.send("arm 250 7\n");
    client.send("arm 500 8\n");
    assert_eq!(client.line(), "timer 7");
    assert!(begun.elapsed() >= ms(250), "the first time was not forgotten");
    assert_eq!(client.line(), "timer 8", "7 came twice");
}

#[test]
fn a_timer_that_is_disarmed_never_comes() {
    let server = Server::of("lab").start();
    let mut client = server.connect();
    client.send("arm 50 7\ndisarm 7\ndisarm 9\narm 200 8\n");
    assert_eq!(client.line(), "timer 8");
}

#[test]
fn a_timer_goes_with_its_connection() {
    let server = Server::of("lab").start();
    let mut control = server.connect();
    let mut clients: Vec<_> = (0..20).map(|_| server.connect()).collect();
    for (n, client) in clients.iter_mut().enumerate() {
        client.send(format!("arm {} 7\nabort\n", 300 + 10 * n));
        client.read_to_end().unwrap();
    }
    // Their slots are used again; the timers are for nobody, and wake nobody.
    let mut next = server.connect();
    next.ask("who");
    let turns = stat(&mut control, "turns");
    assert_eq!(control.ask("alarm 600"), "alarm");
    let turns = stat(&mut control, "turns") - turns;
    assert!(turns <= 4, "{turns} turns for one alarm");
    assert_eq!(next.ask("echo quiet"), "quiet");
}

#[test]
fn an_alarm_comes_at_its_time_and_can_be_taken_back_and_set_anew() {
    let server = Server::of("lab").start();
    let mut client = server.connect();
    let begun = Instant::now();
    assert_eq!(client.ask("alarm 200"), "alarm");
    assert!(begun.elapsed() >= ms(200));
    let mut other = server.connect();
    client.send("alarm 50\n");
    other.send("unalarm\n");
    other.ask("who");
    let begun = Instant::now();
    assert_eq!(other.ask("alarm 300"), "alarm");
    assert!(begun.elapsed() >= ms(300), "the alarm that was taken back came");
    assert_eq!(other.ask("events").matches("alarm").count(), 2);
}

/// Says what came, and arms again what it is told to.
#[derive(Default)]
struct Clock {
    came: Rc<RefCell<Vec<String>>>,
    again: Option<Duration>,
}

impl Service for Clock {
    type Session = ();

    fn on_start(&mut self, net: &mut Net, _start: Start) {
        net.set_alarm(Alarm(1), ms(10));
        net.set_alarm(Alarm(2), ms(20));
    }

    fn on_open(&mut self, conn: &mut Connection<'_>, _origin: Origin) -> Result {
        conn.set_timer(Timer(1), ms(10));
        conn.set_timer(Timer(2), ms(10));
        Ok(())
    }

    fn on_data(&mut self, conn: &mut Connection<'_>, _: &mut (), input: &[u8]) -> Result<usize> {
        conn.cancel_timer(Timer(1));
        Ok(input.len())
    }

    fn on_timer(&mut self, conn: &mut Connection<'_>, _: &mut (), timer: Timer) -> Result {
        self.came.borrow_mut().push(format!("timer {}", timer.0));
        conn.cancel_timer(Timer(3 - timer.0)); // the other one of the pair, which is due as well
        if let Some(again) = self.again {
            conn.set_timer(timer, again);
        }
        Ok(())
    }

    fn on_alarm(&mut self, net: &mut Net, key: Alarm) {
        self.came.borrow_mut().push(format!("alarm {}", key.0));
        if let Some(again) = self.again {
            net.set_alarm(key, again);
        }
    }
}

#[test]
fn a_timer_disarmed_by_another_that_is_due_with_it_does_not_come() {
    let mut harness = Harness::new(Clock::default());
    harness.connect();
    let came = Rc::clone(&harness.service().came);
    harness.advance(ms(15));
    let came: Vec<_> =
        came.borrow().iter().filter(|name| name.starts_with("timer")).cloned().collect();
    assert_eq!(came, ["timer 1"]);
}

#[test]
fn nothing_comes_a_moment_too_early() {
    let mut harness = Harness::new(Clock::default());
    let came = Rc::clone(&harness.service().came);
    harness.advance(ms(10) - Duration::from_nanos(1));
    assert!(came.borrow().is_empty());
    harness.advance(Duration::from_nanos(1));
    assert_eq!(*came.borrow(), ["alarm 1"]);
    harness.advance(ms(1000));
    assert_eq!(*came.borrow(), ["alarm 1", "alarm 2"], "once each");
}

#[test]
fn a_timer_of_zero_that_is_armed_again_and_again_comes_once_a_turn() {
    let mut harness = Harness::new(Clock::default());
    harness.service().again = Some(Duration::ZERO);
    harness.connect();
    let turns = harness.net().stats().turns;
    let came = Rc::clone(&harness.service().came);
    harness.advance(ms(10) + Duration::from_nanos(50));
    let turns = harness.net().stats().turns - turns;
    let count = came.borrow().iter().filter(|name| name.starts_with("timer")).count();
    assert!((2..=turns as usize).contains(&count), "{count} times in {turns} turns");
}

#[test]
fn the_longest_time_there_is_can_be_asked_for() {
    let mut harness = Harness::new(Clock::default());
    harness.net().set_alarm(Alarm(1), Duration::MAX);
    let came = Rc::clone(&harness.service().came);
    harness.advance(Duration::from_secs(365 * 24 * 3600));
    assert_eq!(*came.borrow(), ["alarm 2"]);
}
