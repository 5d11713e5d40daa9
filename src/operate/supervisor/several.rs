//! What becomes of one line is news to the others: they begin together and end together, and are restarted one after the
//! other. Where there is one line alone, only the pid file is to be looked after.

use std::time::Instant;

use super::{
    Supervisor,
    decision::Event,
    desk::{Desk, Post, Wish, roll},
    line::{Line, News},
};
use crate::{
    log_target::SUPERVISOR,
    operate::behalf::Behalf,
    system::{signal::Sender, signal_set::Signal},
};

impl Supervisor {
    /// What has become of the lines, where others have to know of it.
    pub(super) fn heed_news(&mut self, now: Instant) {
        for index in 0..self.lines.len() {
            let mut is_made_here = false;
            for news in std::mem::take(&mut self.lines[index].news) {
                match news {
                    News::Main { is_made_here: made } => {
                        is_made_here |= made;
                        self.keep_pid_file();
                        self.begin_all(now);
                    }
                    News::Dead { pid } => self.clear_up_after(pid),
                    News::Leaves | News::Ended { .. } => self.end_others(index, now),
                }
            }
            let is_up = self.lines[index].watch.is_serving();
            if is_up && (is_made_here || !self.up[index]) {
                self.note(roll::Event::Up { worker: index, made: is_made_here }, now);
            } else if !is_up && self.up[index] {
                self.note(roll::Event::Down { worker: index }, now);
            }
            self.up[index] = is_up;
        }
    }

    /// The first worker has shown that the program serves: now the others. A program that does not has failed once, and not
    /// as often as there are workers.
    fn begin_all(&mut self, now: Instant) {
        for line in &mut self.lines {
            if !line.watch.is_ending() {
                line.begin(now);
            }
        }
    }

    /// Whoever says that it leaves speaks for all.
    fn end_others(&mut self, index: usize, now: Instant) {
        for (other, line) in self.lines.iter_mut().enumerate() {
            if other != index && !line.watch.is_ending() {
                self.has_told |= !line.watch.is_told();
                line.happen(Event::End { by: None }, now);
            }
        }
        self.note(roll::Event::End, now);
    }

    /// All of them, since this operator says so.
    fn end_all(&mut self, by: Sender, now: Instant) {
        for line in self.lines.iter_mut().filter(|line| !line.watch.is_ending()) {
            line.happen(Event::End { by: Some(by) }, now);
        }
        self.note(roll::Event::End, now);
    }

    /// Restarts all workers as each would by itself with this signal.
    pub(super) fn roll(&mut self, signal: Signal, by: Sender, now: Instant) {
        let Some((desk, posts)) = self.at_desk() else { return };
        let like = format!("restart like {}", signal.number());
        let behalf = Behalf::of_sender(by, signal);
        let request = behalf.map_or(like.clone(), |behalf| behalf.pass_on(&like));
        desk.roll(None, request, &posts, now);
    }

    fn note(&mut self, event: roll::Event, now: Instant) {
        if let Some((desk, posts)) = self.at_desk() {
            desk.note(event, &posts, now);
        }
    }

    pub(super) fn serve_operators(&mut self, now: Instant) {
        let Some((desk, posts)) = self.at_desk() else { return };
        for (wish, by) in desk.turn(&posts, now) {
            log::info!(target: SUPERVISOR, "supervisor: an operator says {wish:?}");
            if wish == Wish::Stop
                && let Some(desk) = &mut self.desk
            {
                desk.order(&by.pass_on("stop"), &posts, now);
            }
            self.end_all(by.sender(), now);
        }
    }

    /// Where there is a desk: it, and what is known of the workers.
    fn at_desk(&mut self) -> Option<(&mut Desk, Vec<Post>)> {
        let desk = self.desk.as_mut()?;
        Some((desk, self.lines.iter().map(post).collect()))
    }
}

fn post(line: &Line) -> Post {
    let control = line.listeners.iter().find(|listener| listener.caller.is_operator());
    Post {
        control: control.map(|listener| listener.address.clone()),
        main: line.main().filter(|_| line.watch.is_serving() || line.watch.is_ending()),
        start: line.start.as_ref().map(|start| start.identity()),
    }
}
