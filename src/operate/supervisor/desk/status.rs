//! What all workers say of themselves, in one answer.

use std::{process, time::Instant};

use super::{
    Answer, Desk, Gathering, Post,
    inquiry::{Inquiry, Purpose},
};
use crate::{operate::control::StatusLine, restart::link::Identity};

impl Desk {
    pub(super) fn gather(&mut self, number: u64, posts: &[Post], now: Instant) {
        self.wait(number, now);
        let purpose = Purpose::Status(number);
        let mut answers = Vec::new();
        for (worker, post) in posts.iter().enumerate() {
            let asked = match post.main {
                Some(_) => Inquiry::ask(worker, post.control.as_ref(), "status", purpose, now),
                None => Err("it does not serve".to_owned()),
            };
            answers.push(asked.map(|inquiry| self.inquiries.push(inquiry)).err().map(Err));
        }
        self.gatherings.push(Gathering { operator: number, answers });
        self.answer_statuses(posts);
    }

    pub(super) fn answer_statuses(&mut self, posts: &[Post]) {
        let is_whole = |it: &mut Gathering| it.answers.iter().all(Option::is_some);
        let whole: Vec<_> = self.gatherings.extract_if(.., is_whole).collect();
        for Gathering { operator, answers } in whole {
            self.answer(operator, &status(&answers, posts));
        }
    }
}

/// Lines of all workers, each with its number.
fn status(answers: &[Option<Answer>], posts: &[Post]) -> String {
    let mut lines = Vec::new();
    for (worker, (answer, post)) in answers.iter().zip(posts).enumerate() {
        let told = match answer {
            Some(Ok(text)) if text.starts_with("ok: ") => {
                text.lines().skip(1).map(str::to_owned).collect()
            }
            _ => vec![unheard(post)],
        };
        lines.extend(told.into_iter().map(|line| format!("{line} worker={worker}")));
    }
    let count = lines.len();
    let plural = if count == 1 { "" } else { "s" };
    let workers = posts.len();
    let own = process::id();
    let head =
        format!("ok: {workers} workers, {count} generation{plural}, supervised by pid {own}");
    [head].into_iter().chain(lines).collect::<Vec<_>>().join("\n")
}

/// Of one that has not answered, what the supervisor knows.
fn unheard(post: &Post) -> String {
    let line = |who, phase| StatusLine { who, phase, report: None }.to_string();
    match (post.main, post.start) {
        (_, Some(who)) => line(who, "starting"),
        (Some(who), None) => line(who, "silent"),
        (None, None) => {
            let who = Identity { generation: 0, pid: 0, engine: None, words: false };
            line(who, "down").replace("generation=0 pid=0", "generation=- pid=-")
        }
    }
}
