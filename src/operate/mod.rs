//! Who looks after a server from outside: the operator's language (`control`), and the process in front
//! that never serves (`supervisor`). Knows no service and no turn.

pub(crate) mod control;
pub(crate) mod supervisor;
