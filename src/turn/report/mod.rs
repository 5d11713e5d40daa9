//! Who is told how this process is: an operator (`control`, `check`), whoever reads the `journal`, a monitor (`metrics`; `no_metrics` without the feature), the service manager (`manager`), the
//! supervisor (`supervised`); and what there is to tell of descriptors that are none of ours (`inventory`). When something is said is decided elsewhere.

mod check;
mod control;
mod inventory;
mod journal;
mod manager;
#[cfg_attr(not(feature = "metrics"), path = "no_metrics.rs")]
mod metrics;
mod supervised;
