//! How the turn calls the author's code: whatever that does, the turn goes on. The table in
//! [`Service`](crate::Service#a-callback-that-panics) says what a panic in each callback leads to.

use log::Level;

use crate::{
    error::Result,
    log_target::SYSTEM,
    logging::{Escaped, catch},
    net::{Net, Reason},
};

/// Calls a callback. A panic in it is counted, and answered in words, if panics are not to end the process.
pub(super) fn guard<T>(
    net: &mut Net,
    name: &'static str,
    call: impl FnOnce(&mut Net) -> T,
) -> std::result::Result<T, String> {
    if net.propagates_panics {
        return Ok(call(net));
    }
    catch(|| call(net)).map_err(|what| {
        net.stats.panics += 1;
        format!("{name}: {what}")
    })
}

/// One that is about a connection: why that is to end now, if it is.
pub(super) fn guard_connection<T>(
    net: &mut Net,
    name: &'static str,
    call: impl FnOnce(&mut Net) -> Result<T>,
) -> std::result::Result<T, Reason> {
    match guard(net, name, call) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(why)) => Err(Reason::Failed(why)),
        Err(what) => Err(Reason::Panicked(what)),
    }
}

/// One that is about the process: a panic is told in the log, and what the callback has not done stays
/// undone.
pub(super) fn guard_process<T>(
    net: &mut Net,
    name: &'static str,
    call: impl FnOnce(&mut Net) -> T,
) -> Option<T> {
    let called = guard(net, name, call);
    called.map_err(|what| say(net, name, &what)).ok()
}

pub(super) fn say(net: &mut Net, name: &'static str, what: &str) {
    net.log(SYSTEM, Level::Error, name, format_args!("panicked: {}", Escaped(what)));
}

/// One that is part of a restart, which comes to nothing by a panic.
pub(super) fn guard_restart<T>(
    net: &mut Net,
    name: &'static str,
    call: impl FnOnce(&mut Net) -> T,
) -> std::result::Result<T, String> {
    guard(net, name, call).map_err(|what| format!("panicked: {what}"))
}
