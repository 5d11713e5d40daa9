//! How this process stands, where it is one of several workers: for whoever asks another one.

use std::process;

use crate::{metrics::Standing, service::Service, turn::Turn};

impl<S: Service> Turn<S> {
    /// Once in a turn.
    pub(in crate::turn) fn tell_standing(&mut self) {
        let Some(worker) = self.net.worker else { return };
        let standing = Standing {
            pid: process::id(),
            worker: worker.index,
            generation: self.net.generation(),
            connections: self.net.connections() as u64,
            holds: self.net.holds.len() as u64,
            engine: self.net.engine().map_or("none", |engine| engine.name()).into(),
            phase: self.phase_name().into(),
        };
        let clock = &self.net.clock;
        if let Some(metrics) = &mut self.net.metrics {
            metrics.tell_standing(standing, || clock.wall());
        }
    }
}
