//! From a host name to the address that answers first: everything about it that needs no socket. Knows the
//! rules and none of the I/O; time is an argument.
//!
//! In reading order: `host` is a name and what is asked for it, `hosts` and `conf` are the files that every
//! system has, `message` a question and its answer as bytes, `cache` what was learned, `lookup` decides whom to ask
//! what next, `race` which address is tried when (happy eyeballs), and `error` is why a name led nowhere.
//! The sockets are in `net/resolver`.

mod cache;
mod conf;
mod error;
mod host;
mod hosts;
mod lookup;
mod message;
mod race;

pub use self::error::{NameError, NameFailure};
pub(crate) use self::{
    cache::Cache,
    conf::Conf,
    host::{Family, HostName},
    hosts::Hosts,
    lookup::{Lookup, Step, Whom},
    message::{Answer, Question},
    race::Race,
};
