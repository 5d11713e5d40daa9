//! Another generation, as this one knows it: data.

use std::time::Instant;

use crate::restart::{
    engine::process::Process,
    link::{ForwardQueue, Identity, Link, Relay, Report},
};

/// Another generation, as this one knows it.
#[derive(Debug)]
pub(crate) struct Generation {
    pub who: Identity,
    pub link: Link,
    /// On a new side, of the old one: whether it lives.
    pub process: Option<Process>,
    /// Its link leads nowhere any more. Whether it has ended is another question.
    pub is_cut: bool,
    /// What it said when it was asked last.
    pub report: Option<Report>,
    /// It was asked and has not answered yet.
    pub asked: bool,
    /// It was told to leave by then.
    pub overdue: Option<Instant>,
    /// Datagrams of its flows that this one has read.
    pub forward: ForwardQueue,
    /// What services of others have told its own, by way of this one.
    pub relay: Relay,
}

impl Generation {
    pub fn new(who: Identity, link: Link) -> Generation {
        Generation {
            who,
            link,
            process: None,
            is_cut: false,
            report: None,
            asked: false,
            overdue: None,
            forward: ForwardQueue::default(),
            relay: Relay::default(),
        }
    }

    /// The old side of a restart, by which a new one knows whether it lives.
    pub fn with_process(who: Identity, link: Link, process: Process) -> Generation {
        Generation { process: Some(process), ..Generation::new(who, link) }
    }

    /// Whether it is known that its process lives no more.
    pub(in crate::turn) fn has_ended(&self) -> bool {
        self.process.as_ref().is_some_and(Process::has_ended)
    }
}
