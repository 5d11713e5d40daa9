//! Who looks after a server from outside: operators, and monitors that ask how it is.

use std::time::Duration;

/// The longest request on the control socket. No more than that of its input is ever kept.
pub const CONTROL_LINE: usize = 1024;

/// Connections of the control socket at a time: a few people and their tools. One more, and the one that
/// has been silent longest and waits for nothing is ended, so that an operator always comes in.
pub const CONTROL_CONNECTIONS: usize = 32;

/// How many of them may wait at a time until a restart or a drain is over: the others are for those who want something
/// done meanwhile. One more, and the one that has waited longest is told so.
pub const CONTROL_WAITERS: usize = CONTROL_CONNECTIONS / 2;

/// Unsent replies of one connection of the control socket. Above [`HIGH_MARK`](super::HIGH_MARK) no further request of it is
/// answered, so this is for a single reply: a status of some thousand generations.
pub const CONTROL_OUTPUT: usize = 1024 * 1024;

/// An operator who says nothing for this long and waits for nothing is ended: one who is silent for ever takes the
/// place of another.
pub const CONTROL_SILENCE: Duration = Duration::from_secs(60);

/// Connections of monitors at a time, of each kind: some balancers, each with a few checks under way. One more, and
/// the one that has been silent longest is ended: who asks at once is answered at once.
pub const MONITOR_CONNECTIONS: usize = 64;

/// The longest head of a monitor's request. What monitors send is a tenth of that.
pub const MONITOR_HEAD: usize = 4 * 1024;

/// The fields of such a head.
pub const MONITOR_FIELDS: usize = 32;

/// A monitor's request is there within this time, and its answer taken: two seconds are what HAProxy gives a check by default
/// (`inter`), and Kubernetes a probe one (`timeoutSeconds`).
pub const MONITOR_PATIENCE: Duration = Duration::from_secs(2);
