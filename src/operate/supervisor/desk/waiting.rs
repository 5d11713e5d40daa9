//! Operators who wait for the end of a restart, or of a drain, of all workers. Each worker is asked as one operator would
//! ask it, and answers when it is so; one that was replaced or has crashed meanwhile is asked anew.

use std::time::Instant;

use super::{
    Answer, Desk, Post, Progress, Waiter,
    inquiry::{Inquiry, Purpose},
};
use crate::{
    limits::CONTROL_WAITERS,
    operate::control::{self, Awaited},
};

impl Desk {
    /// Whoever waits has a place that nobody else can have, so not all may wait: who has waited longest makes room, and may
    /// have left long ago.
    pub(super) fn wait_until(
        &mut self,
        number: u64,
        awaited: Awaited,
        posts: &[Post],
        now: Instant,
    ) {
        self.forget_waiters_that_have_left();
        if self.waiters.len() >= CONTROL_WAITERS {
            let longest = self.waiters.remove(0).operator;
            self.answer(longest, &control::crowded_out());
        }
        self.wait(number, now);
        let workers = vec![Progress::Unasked; posts.len()];
        self.waiters.push(Waiter { operator: number, awaited, workers });
    }

    fn forget_waiters_that_have_left(&mut self) {
        let is_there = |number| self.operators.iter().any(|operator| operator.number == number);
        self.waiters.retain(|waiter| is_there(waiter.operator));
        let waits = |number| self.waiters.iter().any(|waiter| waiter.operator == number);
        self.inquiries.retain(|inquiry| match inquiry.purpose {
            Purpose::Wait(number) => waits(number),
            _ => true,
        });
    }

    /// A worker has answered a waiter, or cannot any more.
    pub(super) fn heed_worker(&mut self, number: u64, inquiry: &Inquiry, answer: Answer) {
        let worker = inquiry.worker;
        let Some(at) = self.waiters.iter().position(|waiter| waiter.operator == number) else {
            return;
        };
        let failed = match (answer, self.waiters[at].workers[worker]) {
            // If another generation of it serves by now, that is seen by this one's name.
            (Ok(text), Progress::Asked(who)) if text.starts_with("ok: ") => {
                self.waiters[at].workers[worker] = Progress::Done(who);
                return;
            }
            (Ok(text), _) if !text.starts_with("ok: ") => {
                text.trim_start_matches("error: ").to_owned()
            }
            // Replaced or crashed, or about to be found out.
            (Err(why), _) if !inquiry.was_cut_off() => why,
            _ => {
                self.waiters[at].workers[worker] = Progress::Unasked;
                return;
            }
        };
        if !self.roll.has_ended() {
            self.waiters.remove(at);
            self.answer(number, &format!("error: worker {worker}: {failed}"));
        }
    }

    /// Asks those workers that are to be asked, and answers whoever has nothing left to wait for. Nobody has any more once the
    /// service ends, and whoever waits is told so by the end of this process.
    pub(super) fn look_after_waiters(&mut self, posts: &[Post], now: Instant) {
        if self.roll.has_ended() {
            return;
        }
        self.forget_waiters_that_have_left();
        for mut waiter in std::mem::take(&mut self.waiters) {
            match self.go_on_waiting(&mut waiter, posts, now) {
                Ok(true) => self.answer(waiter.operator, &waiter.verdict()),
                Ok(false) => self.waiters.push(waiter),
                Err(why) => self.answer(waiter.operator, &why),
            }
        }
    }

    /// Whether all is as it should be by now.
    fn go_on_waiting(
        &mut self,
        waiter: &mut Waiter,
        posts: &[Post],
        now: Instant,
    ) -> Result<bool, String> {
        let purpose = Purpose::Wait(waiter.operator);
        for (worker, (progress, post)) in waiter.workers.iter_mut().zip(posts).enumerate() {
            if matches!(progress, Progress::Done(who) if post.main != Some(*who)) {
                *progress = Progress::Unasked;
            }
            if *progress == Progress::Unasked
                && let Some(main) = post.main
            {
                let request = waiter.awaited.to_string();
                let asked = Inquiry::ask(worker, post.control.as_ref(), &request, purpose, now);
                self.inquiries.push(asked.map_err(|why| format!("error: worker {worker}: {why}"))?);
                *progress = Progress::Asked(main);
            }
        }
        let is_done = |progress: &Progress| matches!(progress, Progress::Done(_));
        Ok(!self.roll.is_under_way() && waiter.workers.iter().all(is_done))
    }
}

impl Waiter {
    fn verdict(&self) -> String {
        let count = self.workers.len();
        match self.awaited {
            Awaited::Quiet => {
                format!("ok: all {count} workers serve, and no older generation is left")
            }
            Awaited::Generation(number) => {
                format!(
                    "ok: all {count} workers serve, each with generation {number} or a later one"
                )
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read, Write},
        os::unix::net::{UnixListener, UnixStream},
    };

    use super::{super::inquiry::tests::control_of, *};
    use crate::restart::link::Identity;

    /// Where the worker of this number is asked, and what the supervisor knows of it.
    fn worker(number: usize) -> (UnixListener, Post) {
        let (listener, control) = control_of(number);
        (listener, Post { control: Some(control), main: Some(generation(0)), start: None })
    }

    fn generation(generation: u64) -> Identity {
        Identity { generation, pid: 7, engine: None, words: true }
    }

    /// Is asked, and says that it is so.
    fn answer(worker: &UnixListener) {
        let (mut stream, _) = worker.accept().expect("it is asked");
        let mut request = [0; 21];
        stream.read_exact(&mut request).expect("a request");
        assert_eq!(&request, b"heartbeat 2.500\nwait\n");
        stream.write_all(b"ok: every 2.5s\n\nok: it is so\n\n").expect("it takes it");
    }

    #[test]
    fn an_answer_of_a_generation_that_was_replaced_meanwhile_does_not_count() {
        let now = Instant::now();
        let ((first, post), (second, other)) = (worker(0), worker(1));
        let mut posts = [post, other];
        let mut desk = Desk::open(2, None).expect("a desk");
        let (mut operator, theirs) = UnixStream::pair().expect("a pair");
        desk.let_in(theirs);
        operator.write_all(b"wait\n").expect("it takes it");
        desk.turn(&posts, now);
        answer(&first);
        answer(&second);
        posts[0].main = Some(generation(1));
        desk.turn(&posts, now);
        operator.set_nonblocking(true).expect("an option");
        assert!(operator.read(&mut [0]).is_err(), "the new one has not answered");
        answer(&first);
        desk.turn(&posts, now);
        let mut reply = [0; 256];
        let count = operator.read(&mut reply).expect("an answer");
        assert!(reply[..count].starts_with(b"ok: all 2 workers serve"), "{reply:?}");
    }
}
