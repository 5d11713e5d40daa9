//! The system around a server, as far as it is no socket of the service: signals as events (`signal`), the
//! pid file (`pidfile`) and who holds it (`holders`), files where others may have put something else
//! (`regular_file`), the service manager (`systemd`), a shared stderr (`stdio`), and descriptors that are kept
//! for when there are no others (`reserve`). Knows no restart.

mod holders;
pub(crate) mod huge;
pub(crate) mod pidfile;
pub(crate) mod regular_file;
pub(crate) mod reserve;
pub(crate) mod signal;
pub(crate) mod stdio;
pub(crate) mod systemd;
