//! The flows of one generation: who they are and when each was heard last. Knows no socket.

use std::{
    collections::HashMap,
    fmt,
    str::FromStr,
    time::{Duration, Instant},
};

/// More are not begun: each may have been asked for by somebody who forges addresses.
const FLOWS_MAX: usize = 100_000;

/// A flow's name: the generation that has it, and its number there. Any generation can tell by it
/// whose it is. (A real protocol makes it hard to guess.)
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FlowId {
    pub generation: u64,
    pub number: u64,
}

impl fmt::Display for FlowId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.generation, self.number)
    }
}

impl FromStr for FlowId {
    type Err = ();

    fn from_str(text: &str) -> Result<FlowId, ()> {
        let (generation, number) = text.split_once('.').ok_or(())?;
        let number = number.parse().map_err(drop)?;
        Ok(FlowId { generation: generation.parse().map_err(drop)?, number })
    }
}

#[derive(Default)]
pub struct Flows {
    flows: HashMap<FlowId, Flow>,
    last: u64,
}

struct Flow {
    count: u64,
    heard: Instant,
}

impl Flows {
    pub fn len(&self) -> usize {
        self.flows.len()
    }

    /// `None`: there are too many.
    pub fn begin(&mut self, generation: u64, now: Instant) -> Option<FlowId> {
        if self.len() >= FLOWS_MAX {
            return None;
        }
        self.last += 1;
        let id = FlowId { generation, number: self.last };
        self.flows.insert(id, Flow { count: 0, heard: now });
        Some(id)
    }

    /// One more datagram of a flow: which one it is. `None`: there is no such flow.
    pub fn count(&mut self, id: FlowId, now: Instant) -> Option<u64> {
        let flow = self.flows.get_mut(&id)?;
        (flow.count, flow.heard) = (flow.count + 1, now);
        Some(flow.count)
    }

    pub fn end(&mut self, id: FlowId) {
        self.flows.remove(&id);
    }

    pub fn end_silent(&mut self, now: Instant, silence: Duration) {
        self.flows.retain(|_, flow| now.saturating_duration_since(flow.heard) < silence);
    }
}
