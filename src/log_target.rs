//! Subjects of the log, one for each that somebody may want to hear more or less of. They are a promise
//! to operators (`RUST_LOG=heirloom::restart=debug`) and stay where files move; the guide's page on
//! operating lists them.

/// Connections and listeners: who comes, who goes and why.
pub(crate) const NET: &str = "heirloom::net";
/// One generation follows another: what the state machine decides and what came of it.
pub(crate) const RESTART: &str = "heirloom::restart";
/// A process drains, and the last word of it.
pub(crate) const DRAIN: &str = "heirloom::drain";
/// Holds, deferred work and mail.
pub(crate) const TASKS: &str = "heirloom::tasks";
/// What operators ask.
pub(crate) const CONTROL: &str = "heirloom::control";
/// The process in front.
pub(crate) const SUPERVISOR: &str = "heirloom::supervisor";
/// Signals, the pid file, the service manager, limits of the system.
pub(crate) const SYSTEM: &str = "heirloom::system";
