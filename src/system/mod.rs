//! The system around a server, as far as it is no socket of the service: signals as events (`signal`), the
//! pid file (`pidfile`) and who holds it (`holders`), files where others may have put something else
//! (`regular_file`), the service manager (`systemd`). Knows no restart.

mod holders;
pub(crate) mod pidfile;
pub(crate) mod regular_file;
pub(crate) mod signal;
pub(crate) mod systemd;
