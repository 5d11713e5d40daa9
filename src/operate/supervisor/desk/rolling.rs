//! A restart of all workers, as it is carried out: the roll decides.

use std::time::Instant;

use super::{
    Desk, Post, Rolled,
    inquiry::{Inquiry, Purpose},
    roll::{Action, Event, Why},
};
use crate::{log_target::SUPERVISOR, logging::Escaped};

impl Desk {
    /// A worker serves that did not, or does not any more.
    pub fn note(&mut self, event: Event, posts: &[Post], now: Instant) {
        self.happen(event, posts, now);
    }

    /// Restarts all workers, as this request says: an operator's, or that of a signal.
    pub fn roll(&mut self, by: Option<u64>, request: String, posts: &[Post], now: Instant) {
        by.into_iter().for_each(|number| self.wait(number, now));
        let actions = self.roll.step(Event::Wanted, now);
        if let [Action::Refuse { ends }] = actions[..] {
            let why = if ends { "the service ends" } else { "a restart is in progress already" };
            log::warn!(target: SUPERVISOR, "supervisor: no restart: {why}");
            by.into_iter().for_each(|number| self.answer(number, &format!("error: {why}")));
            return;
        }
        self.rolled = Rolled { by, request, ..Rolled::default() };
        self.carry_out(actions, posts, now);
    }

    pub(super) fn happen(&mut self, event: Event, posts: &[Post], now: Instant) {
        let actions = self.roll.step(event, now);
        self.carry_out(actions, posts, now);
    }

    /// The worker that was asked has a verdict.
    pub(super) fn judge(&mut self, answer: String, posts: &[Post], now: Instant) {
        let Some(worker) = self.roll.asked() else { return };
        let replaced = answer.strip_prefix("ok: ").map(str::to_owned);
        let event = if replaced.is_some() { Event::Replaced } else { Event::Failed };
        match replaced {
            Some(verdict) => {
                let first = verdict.lines().next().unwrap_or_default();
                log::info!(target: SUPERVISOR, "supervisor: worker {worker}: {}", Escaped(first));
                let lines = verdict.lines().map(|line| format!("worker={worker} {line}"));
                self.rolled.told.extend(lines);
            }
            None => self.rolled.verdict = answer.trim_start_matches("error: ").to_owned(),
        }
        self.happen(event, posts, now);
    }

    fn carry_out(&mut self, actions: Vec<Action>, posts: &[Post], now: Instant) {
        for action in actions {
            log::debug!(target: SUPERVISOR, "supervisor: {action:?}");
            match action {
                Action::Ask { worker } => {
                    let control = posts[worker].control.as_ref();
                    let request = &self.rolled.request;
                    match Inquiry::ask(worker, control, request, Purpose::Roll, now) {
                        Ok(inquiry) => self.inquiries.push(inquiry),
                        Err(why) => self.judge(format!("error: {why}"), posts, now),
                    }
                }
                Action::Skip { worker } => {
                    let line = format!("worker={worker} was made anew meanwhile");
                    self.rolled.told.push(line);
                }
                Action::Refuse { .. } => {}
                Action::Finish => {
                    let count = posts.len();
                    log::info!(target: SUPERVISOR, "supervisor: all {count} workers are replaced");
                    let head = format!("ok: all {count} workers are replaced");
                    self.conclude(head);
                }
                Action::Stop { worker, why } => {
                    self.inquiries.retain(|inquiry| inquiry.purpose != Purpose::Roll);
                    self.stopped(worker, why, posts.len());
                }
            }
        }
    }

    /// Tells who has asked for it how far it has come.
    fn stopped(&mut self, worker: usize, why: Why, count: usize) {
        let why = match why {
            Why::Failed => std::mem::take(&mut self.rolled.verdict),
            Why::Absent => "it is gone, and does not come back".to_owned(),
            Why::Ends => "the service ends".to_owned(),
        };
        let mut lines = why.lines();
        let first = lines.next().unwrap_or_default();
        let rest = count - worker - 1;
        let others = match rest {
            0 => String::new(),
            1 => format!("; worker {} is as it was", worker + 1),
            _ => format!("; workers {} to {} are as they were", worker + 1, count - 1),
        };
        log::error!(
            target: SUPERVISOR,
            "supervisor: the restart stops at worker {worker}: {}{others}", Escaped(first)
        );
        let head = format!("error: worker {worker}: {first}{others}");
        let said = lines.map(str::to_owned).collect::<Vec<_>>();
        self.rolled.told.splice(0..0, said);
        self.conclude(head);
    }

    fn conclude(&mut self, head: String) {
        let Rolled { by, told, .. } = std::mem::take(&mut self.rolled);
        let text = [head].into_iter().chain(told).collect::<Vec<_>>().join("\n");
        by.into_iter().for_each(|number| self.answer(number, &text));
    }
}
