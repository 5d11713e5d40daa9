//! The system around a server, as far as it is no socket of the service: signals as events (`signal`), the
//! pid file (`pidfile`), the service manager (`systemd`), files that others may have put there
//! (`regular_file`). Knows no restart.

pub(crate) mod pidfile;
pub(crate) mod regular_file;
pub(crate) mod signal;
pub(crate) mod systemd;
