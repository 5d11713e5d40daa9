//! Without the feature `tls` the lab has none.

use heirloom::{ConnId, Connection, Listen, Net, Result, Server, Service, Timeouts};

const WHY: &str = "the lab is built without the feature tls";

pub fn timeouts(timeouts: Timeouts) -> Timeouts {
    timeouts
}

pub fn tune<S: Service>(server: Server<S>) -> Server<S> {
    server
}

pub fn listen(_listen: Listen) -> Result<Listen> {
    Err(WHY.into())
}

pub fn dial(_net: &mut Net, _verb: &str, _rest: &str, _tag: u64) -> Result {
    Err(WHY.into())
}

pub fn upgrade(_conn: &mut Connection<'_>) -> Result {
    Err(WHY.into())
}

pub fn handle(
    _conn: &mut Connection<'_>,
    _dialed: &Option<ConnId>,
    _verb: &str,
    _rest: &str,
) -> Result<Option<String>> {
    Ok(None)
}
