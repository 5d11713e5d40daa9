//! Who is told how this process is: whoever has come by a listener of the library's own (`callers`): an operator (`control`,
//! `check`, `journal`; `waiting` for the end of a restart), a balancer or another monitor (`monitor`; `metrics`, `no_metrics` without the feature); the service manager (`manager`), the
//! supervisor (`supervised`); processes of other workers (`standing`); and what there is to tell of descriptors that are none of ours (`inventory`). When something is said is decided elsewhere.

mod callers;
mod check;
mod control;
mod inventory;
mod journal;
mod manager;
#[cfg_attr(not(feature = "metrics"), path = "no_metrics.rs")]
mod metrics;
#[cfg_attr(not(feature = "health"), path = "no_monitor.rs")]
mod monitor;
mod standing;
mod supervised;
mod waiting;
