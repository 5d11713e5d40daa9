//! What this process says in its log about what others do: bounded, whatever they do.

use std::fmt;

use log::Level;

use super::{Net, deadline::Deadline};

impl Net {
    /// Says a line that somebody else can cause as often as they like: after some of its kind `name` they are
    /// counted.
    pub(crate) fn log(
        &mut self,
        target: &'static str,
        level: Level,
        name: &'static str,
        line: fmt::Arguments<'_>,
    ) {
        if let Some(due) = self.repeats.log(self.now, target, level, name, line) {
            self.set_deadline(due, Deadline::Repeats);
        }
    }

    /// Says how many lines were counted.
    pub(crate) fn tell_repeats(&mut self) {
        self.repeats.tell(self.now);
    }

    /// The same behind the last turn.
    pub(crate) fn tell_all_repeats(&mut self) {
        self.repeats.tell_all(self.now);
    }
}
