//! What new programs say on stderr goes through the old side, until they have taken over their own.

use crate::{
    error::Result,
    net::{Deadline, Net, Source},
    restart::engine::{
        attempt::Attempt,
        stderr::{Left, Stderr},
    },
    service::Service,
    turn::Turn,
};

impl<S: Service> Turn<S> {
    /// Passes on what new sides say on stderr, and forgets those that say no more.
    pub(in crate::turn) fn forward_stderr(&mut self) {
        let (now, mut lefts) = (self.net.now(), Vec::new());
        let mut forward = |net: &Net, stderr: &mut Stderr| {
            let left = stderr.forward(now);
            if left == Left::End {
                net.deregister(stderr);
            }
            lefts.push(left);
            left != Left::End
        };
        self.succession.stderrs.retain_mut(|stderr| forward(&self.net, stderr));
        if let Some(Attempt { stderr: Some(stderr), .. }) = &mut self.succession.attempt {
            forward(&self.net, stderr); // and kept, for its tail
        }
        for left in lefts {
            match left {
                Left::Some if !self.ready.contains(&Source::Stderr) => {
                    self.ready.push(Source::Stderr);
                }
                Left::Until(until) => self.net.set_deadline(until, Deadline::Stderr),
                Left::Some | Left::Nothing | Left::End => {}
            }
        }
    }

    /// Nobody waits for the verdict any more, but the new side's stderr still goes through this one.
    pub(in crate::turn) fn go_on_hearing(&mut self, attempt: &mut Attempt) -> Result {
        if let Some(stderr) = attempt.stderr.take() {
            self.net.register(&stderr, Source::Stderr)?; // which tells of what is there, and of its end
            self.succession.stderrs.push(stderr);
        }
        Ok(())
    }
}
