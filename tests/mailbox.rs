//! Mail from other threads: each message comes once and in order, wakes the loop, and stays with the
//! process that it was posted in; while a mailbox exists, nobody forks.

use std::{thread, time::Duration};

use crate::common::{
    self, DEADLINE, Setup,
    journal::Journaled,
    restart::{Engine, Lab},
    wait_for, wait_gone,
};
use heirloom::{Connection, Mail, Net, Origin, Result, Service, TrySendError, testing::Harness};

fn with_mailbox(setup: Setup) -> Setup {
    setup.env("LAB_MAILBOX", 1)
}

#[test]
fn mail_of_another_thread_wakes_the_loop() {
    let lab = Lab::with(with_mailbox);
    let mut client = lab.connect();
    client.ask("post-later 100 hello");
    client.ask("post-later 0 world");
    common::restart::wait_for_events(lab.pid());
    wait_for("the mail", || client.ask("mail") == "hello,world");
}

#[test]
fn a_loop_that_nobody_else_wakes_is_woken_once_for_a_letter() {
    let lab = Journaled::with(50, with_mailbox);
    let mut client = lab.lab.connect();
    client.ask("post-later 300 hello");
    let turns = client.stat("turns");
    lab.wait("mail hello", 1); // and nobody asks the lab anything
    let turns = client.stat("turns") - turns;
    assert!(turns <= 4, "{turns} turns for one message");
}

#[test]
fn what_does_not_fit_is_refused_and_what_fits_comes_in_order() {
    let lab = Journaled::with(50, with_mailbox);
    let mut client = lab.lab.connect();
    assert_eq!(client.ask("post 1500"), "1000");
    lab.wait("mail 999", 1);
    let expected: Vec<_> = (0..1000).map(|n| format!("mail {n}")).collect();
    assert!(lab.entries().iter().map(|entry| &entry.what).eq(&expected));
    assert_eq!(client.ask("post 1"), "1");
}

#[test]
fn while_a_mailbox_exists_a_fork_is_refused_by_name() {
    let lab = Lab::with(with_mailbox);
    let mut client = lab.connect();
    let answer = client.ask("restart fork");
    assert!(answer.starts_with("error fork refused: mailboxes exist (1)"), "{answer}");
    assert_eq!(client.ask("echo here"), "here");
    // Nobody can post any more, so nobody would be left behind.
    client.ask("no-mailbox");
    assert!(client.ask("restart fork").starts_with("ok 1 "));
}

#[test]
fn fork_falls_back_to_fork_exec_when_told_so() {
    let lab = Lab::with(|setup| with_mailbox(setup).env("LAB_OR_FORK_EXEC", 1));
    let answer = lab.connect().ask("restart fork");
    assert!(answer.starts_with("ok 1 "), "{answer}");
    lab.wait_line("1 mailboxes: fork-exec instead of fork");
    assert_eq!(lab.connect().who().engine, "fork-exec");
}

#[test]
fn what_is_on_the_way_at_a_fork_exec_stays_with_the_old_process() {
    let lab = Journaled::with(50, with_mailbox);
    let old = lab.lab.pid();
    let mut early = lab.lab.connect();
    early.ask("hold thread");
    early.ask("post-later 700 late");
    let new = lab.lab.restart_by(Engine::ForkExec);
    let mut late = lab.lab.connect();
    late.ask("post-later 0 new");
    assert_eq!(lab.wait("mail new", 1)[0].pid, new);
    assert_eq!(lab.wait("mail late", 1)[0].pid, old);
    assert_eq!((&*early.ask("mail"), &*late.ask("mail")), ("late", "new"));
    early.send("release thread\n");
    drop(early);
    wait_gone(old);
}

#[test]
fn what_comes_before_a_new_program_serves_is_received_when_it_does() {
    let lab = Journaled::with(50, |setup| setup.env("LAB_MAILBOX", 2));
    let first = lab.lab.pid();
    let second = lab.lab.restart_by(Engine::ForkExec);
    let messages = lab.wait("mail soon", 2);
    assert_eq!(messages.iter().map(|message| message.pid).collect::<Vec<_>>(), [first, second]);
    assert_eq!(lab.of("before the start: mail soon"), []);
}

/// More than one turn takes, and the process is told to go at once.
#[test]
fn what_was_posted_is_received_by_a_process_that_ends() {
    let lab = Journaled::with(50, with_mailbox);
    let pid = lab.lab.pid();
    lab.lab.connect().send("post 1000\nstop\n");
    wait_gone(pid);
    assert_eq!(lab.entries().len(), 1000);
    assert_eq!(lab.of("mail 999").len(), 1);
}

/// Adds numbers, and knows words when it sees them.
#[derive(Default)]
struct Reader {
    sum: u64,
    words: Vec<&'static str>,
}

impl Service for Reader {
    type Session = ();

    fn on_open(&mut self, _conn: &mut Connection<'_>, _origin: Origin) -> Result {
        Ok(())
    }

    fn on_data(&mut self, conn: &mut Connection<'_>, _: &mut (), input: &[u8]) -> Result<usize> {
        conn.send(self.sum.to_string().as_bytes());
        Ok(input.len())
    }
}

impl Mail<u64> for Reader {
    fn on_mail(&mut self, _net: &mut Net, number: u64) {
        self.sum += number;
    }
}

impl Mail<&'static str> for Reader {
    fn on_mail(&mut self, net: &mut Net, word: &'static str) {
        self.words.push(word);
        for id in net.ids() {
            net.get(id).expect("it is there").send(word.as_bytes());
        }
    }
}

#[test]
fn each_type_of_mail_has_its_own_method() {
    let (numbers, inbox) = heirloom::mailbox(8);
    let (words, other_inbox) = heirloom::mailbox(8);
    assert!(numbers.try_send(40).is_ok()); // before there is a server
    let mut harness = Harness::new(Reader::default()).inbox(inbox).inbox(other_inbox);
    let peer = harness.connect();
    assert!(numbers.try_send(2).is_ok() && words.try_send("hello").is_ok());
    harness.advance(Duration::ZERO);
    assert_eq!((harness.service().sum, &*harness.service().words), (42, &["hello"][..]));
    assert_eq!(harness.take(peer), b"hello");
    drop(harness);
    assert!(matches!(words.try_send("nobody"), Err(TrySendError::Closed("nobody"))));
}

#[test]
fn many_threads_that_post_to_a_small_mailbox_lose_nothing() {
    let (mailbox, inbox) = heirloom::mailbox(4);
    let mut harness = Harness::new(Reader::default()).inbox(inbox);
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let mailbox = mailbox.clone();
            thread::spawn(move || {
                for n in 1..=1000 {
                    while mailbox.try_send(n).is_err() {
                        thread::yield_now();
                    }
                }
            })
        })
        .collect();
    let until = std::time::Instant::now() + DEADLINE;
    while threads.iter().any(|thread| !thread.is_finished()) {
        assert!(std::time::Instant::now() < until, "it takes too long");
        harness.advance(Duration::ZERO);
    }
    harness.advance(Duration::ZERO);
    assert_eq!(harness.service().sum, 4 * 500_500);
}
