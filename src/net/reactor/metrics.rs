//! What this process counts, for all generations of the service.

use std::time::Instant;

use super::Net;
use crate::{
    error::{Error, Result},
    metrics::{Counter, Gauge, Metrics, WORKER},
};

impl Net {
    /// A count of the service's own, which only grows and goes on across restarts: `heirloom metrics`
    /// ([numbers](crate::guide::operating#numbers)) has one number, which all generations have counted into, those that drain
    /// and those that are gone. `name` is made of letters, digits and underscores; `_total` is put behind it in the text.
    /// `help` is one line. Each set of `labels` with their values is a number of its own, and is fixed here.
    ///
    /// Ask for it in [`on_start`](crate::Service::on_start), in each generation: the same name with the same labels is the
    /// same number. There is room for about 900 of them. A number stays until the service ends, also if a
    /// new version counts it no more. In a test, and where the system has given no memory for numbers, it is this
    /// process's alone.
    ///
    /// # Errors
    /// When `name` or the name of a label is none, a name begins with `heirloom_`, which are the library's own, it is the name of a gauge, a text has a
    /// line end in it, all texts are longer than 504 bytes, or there is no room for one more.
    ///
    /// ```
    /// # use heirloom::{Connection, Counter, Net, Origin, Result, Service, Start};
    /// #[derive(Default)]
    /// struct Cache {
    ///     hits: Counter,
    ///     misses: Counter,
    /// }
    ///
    /// impl Service for Cache {
    ///     type Session = ();
    ///     fn on_start(&mut self, net: &mut Net, _start: Start) {
    ///         let lookups = |net: &mut Net, result| net.counter("cache_lookups", "Keys looked up.", &[("result", result)]);
    ///         self.hits = lookups(net, "hit").expect("a name");
    ///         self.misses = lookups(net, "miss").expect("a name");
    ///     }
    /// #   fn on_open(&mut self, _conn: &mut Connection<'_>, _origin: Origin) -> Result { Ok(()) }
    ///     fn on_data(&mut self, _conn: &mut Connection<'_>, _: &mut (), input: &[u8]) -> Result<usize> {
    ///         self.hits.add(1);
    ///         Ok(input.len())
    ///     }
    /// }
    /// ```
    pub fn counter(&mut self, name: &str, help: &str, labels: &[(&str, &str)]) -> Result<Counter> {
        match &self.metrics {
            Some(metrics) => metrics.counter(name, help, labels),
            None => Metrics::check(name, help, labels).map(|()| Counter::default()),
        }
    }

    /// A number of the service that goes up and down, such as how many keys it holds: the monitor has what was set last, by
    /// whichever generation, so it is for the one that serves to set. All else is as with [`counter`](Self::counter), but
    /// that nothing is put behind the name. Of several [workers](crate::Server::workers) each has a number of its own, with `worker` as a label,
    /// which is told while one of its generations lives.
    ///
    /// # Errors
    /// As with [`counter`](Self::counter), and when there is a count of that name, or it ends in `_total`.
    ///
    /// ```
    /// # use heirloom::{Gauge, Net, Result};
    /// fn on_start(net: &mut Net, keys: usize) -> Result<Gauge> {
    ///     let gauge = net.gauge("kv_keys", "Keys that are there.", &[])?;
    ///     gauge.set(keys as u64);
    ///     Ok(gauge)
    /// }
    /// ```
    pub fn gauge(&mut self, name: &str, help: &str, labels: &[(&str, &str)]) -> Result<Gauge> {
        if name.ends_with("_total") {
            return Err(Error::invalid("count", name, "what ends in _total only grows"));
        }
        let worker = self.worker.map(|worker| worker.index.to_string());
        let own = worker.iter().map(|index| (WORKER, index.as_str()));
        let labels = &*labels.iter().copied().chain(own).collect::<Vec<_>>();
        match &self.metrics {
            Some(metrics) => metrics.gauge(name, help, labels),
            None => Metrics::check(name, help, labels).map(|()| Gauge::default()),
        }
    }

    /// A turn is over, and another wait begins at `now`.
    pub(super) fn count_turn(&mut self, now: Instant) {
        if self.stats.turns > 0 {
            self.stats.lengths.add(now.saturating_duration_since(self.now));
        }
        self.publish();
    }

    /// All that was counted so far is there for others.
    pub(crate) fn publish(&mut self) {
        if let Some(metrics) = &mut self.metrics {
            metrics.publish(&self.stats);
        }
    }

    /// From here on it counts there.
    pub(crate) fn count_in(&mut self, metrics: Metrics) {
        self.shares_descriptor(&metrics.as_fd()); // a fork is to share it
        self.metrics = Some(metrics);
    }
}
