//! The system around a server, as far as it is no socket of the service: signals as events (`signal`), the
//! pid file (`pidfile`), the service manager (`systemd`), a shared stderr (`stdio`). Knows no restart.

pub(crate) mod pidfile;
pub(crate) mod signal;
pub(crate) mod stdio;
pub(crate) mod systemd;
